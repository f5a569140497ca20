"""Points under rigid transforms."""

from __future__ import annotations

from tracker.core.arrays import Array


def moved_by(T_dst_src: Array, points: Array) -> Array:
    """(T, ..., 3) m → (T, ..., 3) m, by one transform (4, 4), or one a row (T, 4, 4)."""
    if T_dst_src.ndim == 2:
        return points @ T_dst_src[:3, :3].T + T_dst_src[:3, 3]
    flat = points.reshape(len(points), -1, 3)
    return (flat @ T_dst_src[:, :3, :3].swapaxes(1, 2) + T_dst_src[:, None, :3, 3]).reshape(points.shape)
