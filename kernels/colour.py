"""Pictures into the planes that videos are made of: BT.709, limited range, colours at half the resolution.

With R, G, B in 0..255 and Kr = 0.2126, Kb = 0.0722 (ITU-R BT.709-6, 3.2 and 3.5):

    Y' = Kr R + (1 − Kr − Kb) G + Kb B
    Y = 16 + 219/255 Y'     Cb = 128 + 224/255 (B − Y') / (2 − 2 Kb)     Cr = 128 + 224/255 (R − Y') / (2 − 2 Kr)

Cb and Cr are taken of the mean of two by two pixels. The C++ runs where it can be built.
"""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from kernels import build
from kernels.implementation import Implementation

Bytes = NDArray[np.uint8]

_KR, _KB = 0.2126, 0.0722
_LUMA = np.array([_KR, 1 - _KR - _KB, _KB])
_BLUE = (np.array([0.0, 0.0, 1.0]) - _LUMA) / (2 - 2 * _KB)
_RED = (np.array([1.0, 0.0, 0.0]) - _LUMA) / (2 - 2 * _KR)
_MATRIX = np.stack([219 / 255 * _LUMA, 224 / 255 * _BLUE, 224 / 255 * _RED]).astype(np.float32)
"""Rows of Y, Cb and Cr."""


def yuv420(image: Bytes, implementation: Implementation | None = None) -> Bytes:
    """(3/2 height, width): the rows of Y, then those of Cb and Cr, two in a row. image: (height, width, 3) RGB.

    Raises ValueError where the image has another form, or sides that are not even.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.flags.c_contiguous:
        raise ValueError(f"image: expected contiguous uint8 (height, width, 3), got {image.dtype} {image.shape}")
    if image.shape[0] % 2 or image.shape[1] % 2 or not image.size:
        raise ValueError(f"image: expected even sides, got {image.shape[1]}×{image.shape[0]}")
    if implementation is None:
        implementation = Implementation.CPU if build.load_library() is not None else Implementation.REFERENCE
    return _RUN[implementation](image)


def _yuv420_cpu(image: Bytes) -> Bytes:
    height, width = image.shape[:2]
    planes = np.empty((height * 3 // 2, width), np.uint8)
    given, matrix, out = (ctypes.c_void_p(array.ctypes.data) for array in (image, _MATRIX, planes))
    build.library().colour_yuv420(given, matrix, width, height, out)
    return planes


def _yuv420_reference(image: Bytes) -> Bytes:
    height, width = image.shape[:2]
    small = image.reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3), dtype=np.float32)
    luma, chroma = image @ _MATRIX[0] + 16, small @ _MATRIX[1:].T + 128
    rows = [luma.reshape(-1), chroma[..., 0].reshape(-1), chroma[..., 1].reshape(-1)]
    return np.rint(np.concatenate(rows)).astype(np.uint8).reshape(-1, width)


_RUN = {Implementation.REFERENCE: _yuv420_reference, Implementation.CPU: _yuv420_cpu}
