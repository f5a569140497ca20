"""Rotation vectors to matrices and back, many small ones at once. Arrays are numpy float64.

numpy's overhead for twenty operations on 24 rotations is ten times their arithmetic, and a frame needs a dozen such
conversions; here each is one call. numpy and scipy are the definition, and what runs without a compiler.
"""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from kernels import build
from kernels.implementation import Implementation

Array = NDArray[np.float64]


def matrices_from_vectors(vectors: Array, implementation: Implementation | None = None) -> Array:
    """(..., 3) rad → (..., 3, 3), by Rodrigues' formula."""
    given = np.ascontiguousarray(vectors, np.float64)
    if given.shape[-1:] != (3,):
        raise ValueError(f"vectors: expected shape (..., 3), got {given.shape}")
    if not _in_cpp(implementation):
        return Rotation.from_rotvec(given.reshape(-1, 3)).as_matrix().reshape(*given.shape, 3)
    out = np.empty((*given.shape, 3))
    _call("rotations_from_vectors", given, given.size // 3, out)
    return out


def vectors_from_matrices(matrices: Array, implementation: Implementation | None = None) -> Array:
    """(..., 3, 3) → (..., 3) rad with angles in [0, π]."""
    given = np.ascontiguousarray(matrices, np.float64)
    if given.shape[-2:] != (3, 3):
        raise ValueError(f"matrices: expected shape (..., 3, 3), got {given.shape}")
    if not _in_cpp(implementation):
        return Rotation.from_matrix(given.reshape(-1, 3, 3)).as_rotvec().reshape(*given.shape[:-2], 3)
    out = np.empty(given.shape[:-1])
    _call("vectors_from_rotations", given, given.size // 9, out)
    return out


def _in_cpp(implementation: Implementation | None) -> bool:
    if implementation is None:
        return build.load_library() is not None
    return implementation is Implementation.CPU


def _call(name: str, given: Array, count: int, out: Array) -> None:
    function = getattr(build.quick_library(), name)
    function(ctypes.c_void_p(given.ctypes.data), count, ctypes.c_void_p(out.ctypes.data))
