"""Every op's tests run once for each implementation that this machine has; the others are skipped, visibly."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from kernels import build
from kernels.backend import Implementation


@dataclass(frozen=True)
class Target:
    """An implementation, and where its tensors live."""

    implementation: Implementation
    device: str

    def put(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The tensors, contiguous, on this target's device."""
        return tuple(t.to(self.device).contiguous() for t in tensors)


def _target(name: str) -> Target:
    implementation = Implementation(name)
    if implementation is Implementation.CUDA and not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU on this machine")
    if implementation is Implementation.CPU and build.load_library() is None:
        pytest.skip("no C++ compiler on this machine")
    return Target(implementation, "cuda" if implementation is Implementation.CUDA else "cpu")


@pytest.fixture(params=["reference", "cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def target(request: pytest.FixtureRequest) -> Target:
    """Every implementation."""
    return _target(request.param)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def fast(request: pytest.FixtureRequest) -> Target:
    """Every implementation that is compared with the reference."""
    return _target(request.param)


@pytest.fixture
def rng() -> torch.Generator:
    """The same random numbers in every run."""
    return torch.Generator().manual_seed(7)
