"""Shrinking a picture by a whole number: each pixel of the result is the mean of a block.

What lies outside the picture counts as black. OpenCV's area interpolation is the definition, rounding included; it goes
pixel by pixel where C++ goes vector by vector, in a fifth of the time. Arrays are numpy; the C++ runs where it can be
built.
"""

from __future__ import annotations

import ctypes

import cv2
import numpy as np
from numpy.typing import NDArray

from kernels import build
from kernels.implementation import Implementation

Picture = NDArray[np.uint8]
_LARGEST_BLOCK = 256
"""Sums of larger blocks do not fit."""


def block_means(
    image: Picture,
    low: tuple[int, int],
    high: tuple[int, int],
    block: int,
    implementation: Implementation | None = None,
) -> Picture:
    """The means of block × block pixels of an (h, w[, 3]) picture from `low` on, as many as it takes to reach `high`
    (x, y; both may lie outside the picture).

    Raises ValueError that names the bad argument.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise ValueError(f"image: expected uint8 of shape (h, w) or (h, w, 3), got {image.dtype}, {image.shape}")
    if not 1 <= block <= _LARGEST_BLOCK:
        raise ValueError(f"block: expected 1 to {_LARGEST_BLOCK} pixels, got {block}")
    if high[0] <= low[0] or high[1] <= low[1]:
        raise ValueError(f"high: expected more than low {low}, got {high}")
    if implementation is None:
        implementation = Implementation.CPU if build.load_library() is not None else Implementation.REFERENCE
    columns, rows = (-(-(end - start) // block) for start, end in zip(low, high, strict=True))
    return _RUN[implementation](image, low, (rows, columns), block)


def _cpu(image: Picture, low: tuple[int, int], size: tuple[int, int], block: int) -> Picture:
    dense = image if image[0].flags.c_contiguous else np.ascontiguousarray(image)
    out = np.empty((*size, *image.shape[2:]), np.uint8)
    given = ctypes.c_void_p(dense.ctypes.data), ctypes.c_long(dense.strides[0])
    channels = image.shape[2] if image.ndim == 3 else 1
    numbers = (*image.shape[:2], channels, *low, block, *size)
    build.library().block_means(*given, *map(ctypes.c_int, numbers), ctypes.c_void_p(out.ctypes.data))
    return out


def _reference(image: Picture, low: tuple[int, int], size: tuple[int, int], block: int) -> Picture:
    rows, columns = size
    (left, top), (right, bottom) = low, (low[0] + columns * block, low[1] + rows * block)
    inside = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    padded = np.zeros((rows * block, columns * block, *image.shape[2:]), np.uint8)
    y, x = max(-top, 0), max(-left, 0)
    padded[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return np.asarray(cv2.resize(padded, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


_RUN = {Implementation.CPU: _cpu, Implementation.REFERENCE: _reference}
