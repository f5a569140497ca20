"""Every op's tests run once for each implementation that this machine has; the others are skipped, visibly.

"emulated" is the CUDA implementation with its kernels run on the CPU (see `emulation`), which needs no GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from kernels import backend, build, compiler, cuda
from kernels.implementation import Implementation
from tests.kernels import emulation


@dataclass(frozen=True)
class Target:
    """An implementation, and where its tensors live."""

    implementation: Implementation
    device: str

    def put(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The tensors, contiguous, on this target's device."""
        return tuple(t.to(self.device).contiguous() for t in tensors)


def _target(name: str, monkeypatch: pytest.MonkeyPatch) -> Target:
    if name == "emulated":
        return _emulated(monkeypatch)
    implementation = Implementation(name)
    if implementation is Implementation.CUDA and not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU on this machine")
    if implementation is Implementation.CPU and build.load_library() is None:
        pytest.skip("no C++ compiler on this machine")
    return Target(implementation, "cuda" if implementation is Implementation.CUDA else "cpu")


def _emulated(monkeypatch: pytest.MonkeyPatch) -> Target:
    """The CUDA path with its kernels run thread by thread on the CPU, on tensors that lie there."""
    try:
        compiler.find_compiler()
    except compiler.BuildError as error:
        pytest.skip(f"the CUDA kernels cannot be emulated: {error}")
    emulation.library()
    choose = backend.choose

    def choose_emulated(tensor: Tensor, wanted: Implementation | None = None) -> Implementation:
        return Implementation.CUDA if wanted is Implementation.CUDA else choose(tensor, wanted)

    monkeypatch.setattr(backend, "choose", choose_emulated)
    monkeypatch.setattr(cuda, "launcher", emulation.EmulatedLauncher)
    return Target(Implementation.CUDA, "cpu")


def emulated_or_gpu(monkeypatch: pytest.MonkeyPatch) -> Target:
    """The CUDA implementation on a GPU if there is one, else emulated."""
    return _target("cuda" if torch.cuda.is_available() else "emulated", monkeypatch)


_GPU = pytest.param("cuda", marks=pytest.mark.gpu)


@pytest.fixture(params=["reference", "cpu", "emulated", _GPU])
def target(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Target:
    """Every implementation."""
    return _target(request.param, monkeypatch)


@pytest.fixture(params=["cpu", "emulated", _GPU])
def fast(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Target:
    """Every implementation that is compared with the reference."""
    return _target(request.param, monkeypatch)


@pytest.fixture
def rng() -> torch.Generator:
    """The same random numbers in every run."""
    return torch.Generator().manual_seed(7)
