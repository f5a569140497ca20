"""Rotations in numpy: the few functions that the hot loops need without scipy's object overhead.

Axis-angle vectors are in radians; rotation matrices act on column vectors, `R_dst_src @ x_src = x_dst`.
"""

from __future__ import annotations

import numpy as np

from kernels import rotations
from tracker.core.arrays import Array

_SMALL = 1e-8


def skew(vectors: Array) -> Array:
    """(..., 3) → (..., 3, 3) with skew(a) @ b = a × b."""
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    zero = np.zeros_like(x)
    rows = [zero, -z, y, z, zero, -x, -y, x, zero]
    return np.stack(rows, axis=-1).reshape(*vectors.shape[:-1], 3, 3)


def matrix_from_axis_angle(axis_angle: Array) -> Array:
    """(..., 3) rad → (..., 3, 3), by Rodrigues' formula."""
    return rotations.matrices_from_vectors(axis_angle)


def axis_angle_from_matrix(matrix: Array) -> Array:
    """(..., 3, 3) → (..., 3) rad with angle in [0, π]."""
    return rotations.vectors_from_matrices(matrix)


def rotation_between(src: Array, dst: Array) -> Array:
    """The smallest rotation (3, 3) that turns the direction src (3,) into dst (3,)."""
    a, b = src / np.linalg.norm(src), dst / np.linalg.norm(dst)
    axis, cosine = np.cross(a, b), float(a @ b)
    sine = float(np.linalg.norm(axis))
    if sine < _SMALL:
        if cosine > 0:
            return np.eye(3)
        helper = np.eye(3)[np.argmin(np.abs(a))]
        axis, sine = np.cross(a, helper), float(np.linalg.norm(np.cross(a, helper)))
    return matrix_from_axis_angle(axis / sine * np.arctan2(float(np.linalg.norm(np.cross(a, b))), cosine))


def similarity(src: Array, dst: Array, weights: Array) -> tuple[float, Array, Array]:
    """Weighted Procrustes: scale s, rotation R (proper, det +1), translation t with dst ≈ s R src + t.

    src, dst: (n, 3); weights: (n,) not negative with a positive sum. Umeyama 1991, eqs. 40–42.
    """
    w = weights / weights.sum()
    mean_src, mean_dst = w @ src, w @ dst
    centred_src, centred_dst = src - mean_src, dst - mean_dst
    u, singular, vt = np.linalg.svd((centred_dst * w[:, None]).T @ centred_src)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt)) or 1.0])
    rotation = (u * sign) @ vt
    scale = float((singular * sign).sum() / max(float(w @ (centred_src**2).sum(axis=1)), _SMALL))
    return scale, rotation, mean_dst - scale * rotation @ mean_src


def place_on_rays(points: Array, targets: Array) -> Array:
    """The translations (T, 3) that bring points (T, n, 3) closest, in metres, to the rays through targets (T, n, 3).

    Distances are measured across the rays, so this is a linear least-squares problem, and what the picture shows stays
    where it was while the depth follows the size of the body.
    """
    rays = targets / np.linalg.norm(targets, axis=-1, keepdims=True)
    across = np.eye(3) - rays[..., :, None] * rays[..., None, :]
    normal = across.sum(axis=1)
    moment = np.einsum("tnij,tnj->ti", across, points)
    return -np.linalg.solve(normal, moment[..., None])[..., 0]
