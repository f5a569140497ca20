"""Which implementation of an op runs: C++ on a CPU, CUDA on a GPU, plain torch as their definition and fallback."""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from kernels import build
from kernels.implementation import Implementation

_Value = TypeVar("_Value")


def choose(tensor: Tensor, wanted: Implementation | None = None) -> Implementation:
    """The implementation for data on this tensor's device; `wanted` asks for one by name.

    Raises ValueError if the one that is asked for cannot take this tensor, RuntimeError if it cannot be built here.
    """
    on_gpu = tensor.device.type == "cuda"
    if wanted is None:
        if on_gpu:
            return Implementation.CUDA
        return build.cpu_implementation()
    if (wanted is Implementation.CPU and on_gpu) or (wanted is Implementation.CUDA and not on_gpu):
        raise ValueError(f"implementation: {wanted.value} cannot take tensors on {tensor.device}")
    if wanted is Implementation.CPU and build.load_library() is None:
        raise RuntimeError("implementation: the C++ kernels could not be built on this machine, see the log")
    return wanted


def threads() -> int:
    """How many threads a C++ kernel may use: as many as torch."""
    return torch.get_num_threads()


def on_device(value: _Value, device: torch.device | str) -> _Value:
    """A dataclass of tensors, and of others like it, with its tensors on a device."""
    parts: Any = value
    there = {name: _moved(getattr(parts, name), device) for name in parts.__dataclass_fields__}
    changed = {name: part for name, part in there.items() if part is not getattr(parts, name)}
    return replace(parts, **changed) if changed else value


def _moved(part: Any, device: torch.device | str) -> Any:
    if isinstance(part, Tensor):
        return part.to(device)
    return on_device(part, device) if is_dataclass(part) else part
