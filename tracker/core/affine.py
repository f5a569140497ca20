"""Affine maps of the plane as (2, 3) arrays, applied as `x ↦ A x + b`."""

from __future__ import annotations

import math

import numpy as np

from tracker.core.arrays import Array


def apply_affine(transform: Array, points: Array) -> Array:
    """(..., 2) points through a (2, 3) affine map."""
    return points @ transform[:, :2].T + transform[:, 2]


def invert_affine(transform: Array) -> Array:
    """The (2, 3) inverse of a (2, 3) affine map: T_b_a → T_a_b."""
    (a, b, x), (c, d, y) = transform.tolist()
    over = a * d - b * c
    a, b, c, d = d / over, -b / over, -c / over, a / over
    return np.array([[a, b, -a * x - b * y], [c, d, -c * x - d * y]])


def affine_scale(transform: Array) -> float:
    """What a (2, 3) affine map multiplies lengths with, on the average of all directions."""
    (a, b, _), (c, d, _) = transform.tolist()
    return math.sqrt(abs(a * d - b * c))


def chain_affine(T_a_b: Array, T_b_c: Array) -> Array:
    """The (2, 3) affine map T_a_c."""
    return np.column_stack([T_a_b[:, :2] @ T_b_c[:, :2], apply_affine(T_a_b, T_b_c[:, 2])])


def turn_of(transform: Array) -> Array:
    """(3, 3): what a (2, 3) affine map that turns, scales and moves does to directions in a camera's frame."""
    rotation = np.eye(3)
    rotation[:2, :2] = transform[:, :2] / np.linalg.norm(transform[:, 0])
    return rotation
