"""Checks of what callers hand to the kernels: past this point C++ and CUDA read raw memory."""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.array_checks import is_finite


def check_tensor(name: str, value: Tensor, shape: tuple[int, ...], like: Tensor | None = None) -> None:
    """Raises unless `value` has this shape (-1: any size), is contiguous and, if float on the CPU, finite.

    With `like`, dtype and device must be the same as its. TypeError for dtype, ValueError for the rest; the message
    names the argument. Tensors on a GPU are not looked into: that would wait for the device.
    """
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: expected a torch.Tensor, got {type(value).__name__}")
    fits = value.ndim == len(shape) and all(w in (-1, h) for w, h in zip(shape, value.shape, strict=True))
    if not fits:
        raise ValueError(f"{name}: expected shape {shape}, got {tuple(value.shape)}")
    if like is not None and value.dtype != like.dtype:
        raise TypeError(f"{name}: expected dtype {like.dtype}, got {value.dtype}")
    if like is not None and value.device != like.device:
        raise ValueError(f"{name}: expected device {like.device}, got {value.device}")
    if not value.is_contiguous():
        raise ValueError(f"{name}: expected a contiguous tensor, got strides {value.stride()}")
    if value.is_floating_point() and value.device.type == "cpu" and not is_finite(value.detach().numpy()):
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")


def check_dtype(name: str, value: Tensor, *dtypes: torch.dtype) -> None:
    """Raises TypeError unless `value` has one of these dtypes."""
    if value.dtype not in dtypes:
        raise TypeError(f"{name}: expected dtype {' or '.join(map(str, dtypes))}, got {value.dtype}")


def check_indices(name: str, value: Tensor, count: int) -> None:
    """Raises ValueError unless all of the CPU tensor `value` lies in [0, count)."""
    if value.device.type != "cpu" or value.numel() == 0:
        return
    # numpy and not torch here and below: waking torch's threads costs more than looking through a small array.
    low, high = int(value.numpy().min()), int(value.numpy().max())
    if low < 0 or high >= count:
        raise ValueError(f"{name}: expected indices in 0..{count - 1}, got {low}..{high}")
