"""Points under rigid transforms."""

from __future__ import annotations

import numpy as np

from tracker.core.arrays import Array

_NOT_SQUARE = 1e-3
"""By which a rotation's product with its transpose may be off the identity: files are rounded."""
_FARTHEST = 1e6
"""m"""


def is_rigid(transforms: Array) -> bool:
    """Whether (..., 4, 4) turn and move only, and not out of reach."""
    rotations, moves = transforms[..., :3, :3], transforms[..., :3, 3]
    if not (np.isfinite(transforms).all() and max(np.abs(rotations).max(), np.abs(moves).max() / _FARTHEST) < 2):
        return False
    square = np.abs(rotations @ rotations.swapaxes(-1, -2) - np.eye(3)).max() < _NOT_SQUARE
    return bool(square and (np.linalg.det(rotations) > 0).all() and (transforms[..., 3, :] == (0, 0, 0, 1)).all())


def moved_by(T_dst_src: Array, points: Array) -> Array:
    """(T, ..., 3) m → (T, ..., 3) m, by one transform (4, 4), or one a row (T, 4, 4)."""
    if T_dst_src.ndim == 2:
        return points @ T_dst_src[:3, :3].T + T_dst_src[:3, 3]
    flat = points.reshape(len(points), -1, 3)
    return (flat @ T_dst_src[:, :3, :3].swapaxes(1, 2) + T_dst_src[:, None, :3, 3]).reshape(points.shape)
