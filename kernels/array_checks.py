"""Checks of what callers hand to the kernels in numpy: past this point C++ reads raw memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray


def check_kind(name: str, value: NDArray, shape: tuple[int, ...], kind: DTypeLike) -> None:
    """Raises ValueError that names `value` unless it is contiguous, of this kind and this shape (-1: any size)."""
    if value.shape != shape and not _fits(value.shape, shape):
        raise ValueError(f"{name}: expected shape {shape}, got {value.shape}")
    if value.dtype != kind or not value.flags.c_contiguous:
        expected = np.dtype(kind).name
        raise ValueError(f"{name}: expected contiguous {expected}, got {value.dtype} with strides {value.strides}")


def check_range(name: str, value: NDArray[np.integer], low: int, high: int) -> None:
    """Raises ValueError that names `value` unless all of it lies in low..high − 1."""
    if value.size and not (low <= value.min() and value.max() < high):
        raise ValueError(f"{name}: expected {low}..{high - 1}, got {value.min()}..{value.max()}")


def check_finite(name: str, value: NDArray[np.floating]) -> None:
    """Raises ValueError that names `value` where it is NaN or infinite."""
    if not is_finite(value):
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")


def is_finite(value: NDArray[np.floating]) -> bool:
    """Whether all of it is."""
    # A sum is several times cheaper than a mask, and finite unless something in it is not (or it overflows).
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(value.sum())) or bool(np.isfinite(value).all())


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(shape) == len(wanted) and all(want in (-1, size) for want, size in zip(wanted, shape, strict=True))
