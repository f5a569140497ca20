"""Gaussians over a pose's unknowns, given by their precision (inverse covariance): what is left of some of them when
the others stay open, and the form in which a fit steps.

A person is 85 unknowns, where numpy and LAPACK spend most of their time on being called. Arrays are numpy float64; the
C++ runs where it can be built, numpy and scipy are the definition.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from kernels import build
from kernels.implementation import Implementation
from kernels.landmarks_values import array_pointer, check_array

Array = NDArray[np.float64]


def marginal(precision: Array, kept: slice, implementation: Implementation | None = None) -> Array:
    """The precision of the unknowns `kept`, (k, k), of a Gaussian whose precision is (n, n), symmetric."""
    check_array("precision", precision, (len(precision), len(precision)))
    first, last, _ = kept.indices(len(precision))
    if (implementation or build.cpu_implementation()) is Implementation.REFERENCE:
        others = np.r_[:first, last : len(precision)]
        cross = precision[others, first:last]
        schur: Array = precision[kept, kept] - cross.T @ np.linalg.solve(precision[np.ix_(others, others)], cross)
        return schur
    out = np.empty((last - first, last - first))
    build.quick_library().gaussian_marginal(array_pointer(precision), len(precision), first, last, array_pointer(out))
    return out


def standard_form(
    precision: Array, axis_angles: Array, implementation: Implementation | None = None
) -> tuple[Array, Array]:
    """U (n, n), upper triangular, and its inverse: ½ |U (x − mean)|² is the Gaussian, in axis-angles.

    precision: (n, n), whose first 3 J unknowns are small rotations R ← R exp(δ) at axis_angles (J, 3) rad. Raises
    ValueError unless it is positive definite.
    """
    joints, size = len(axis_angles), len(precision)
    check_array("precision", precision, (size, size))
    check_array("axis_angles", axis_angles, (joints, 3))
    if size < 3 * joints:
        raise ValueError(f"precision: expected at least {3 * joints} unknowns for {joints} joints, got {size}")
    if (implementation or build.cpu_implementation()) is Implementation.REFERENCE:
        return _standard_form_reference(precision, axis_angles)
    root, units = np.empty((size, size)), np.empty((size, size))
    pointers = map(array_pointer, (root, units))
    if not build.quick_library().gaussian_standard(
        array_pointer(precision), array_pointer(axis_angles), joints, size, *pointers
    ):
        raise ValueError("precision: expected a positive definite matrix")
    return root, units


def right_jacobian(axis_angles: Array) -> Array:
    """(n, 3, 3) J with exp(ω + dω) = exp(ω) exp(J dω) for small dω."""
    angle = np.linalg.norm(axis_angles, axis=1)[:, None, None]
    cross = np.cross(axis_angles[:, None], -np.eye(3))
    safe = np.maximum(angle, 1e-6)
    first, second = (1 - np.cos(safe)) / safe**2, (safe - np.sin(safe)) / safe**3
    small = angle < 1e-4
    first, second = np.where(small, 0.5, first), np.where(small, 1 / 6, second)
    return np.eye(3) - first * cross + second * (cross @ cross)


def _standard_form_reference(precision: Array, axis_angles: Array) -> tuple[Array, Array]:
    turns = np.eye(len(precision))
    for joint, block in enumerate(right_jacobian(axis_angles)):
        rows = slice(3 * joint, 3 * joint + 3)
        turns[rows, rows] = block
    try:
        root = cholesky(turns.T @ precision @ turns)
    except np.linalg.LinAlgError as error:
        raise ValueError("precision: expected a positive definite matrix") from error
    return root, solve_triangular(root, np.eye(len(root)))
