"""Procedural textures: where every texel lies on the body, and noise to paint it with.

Colours are functions of the place on the body at rest, so that seams of the texture layout do not show and nothing has
to be shipped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates

from tracker.core.arrays import Array

_TABLE = 24
"""Cells after which the noise repeats, along each axis."""


@dataclass(frozen=True)
class Atlas:
    """The texels of a texture layout and what lies under them."""

    corners: NDArray[np.int64]
    """(T, 3) vertices of the face under each texel."""
    barycentric: Array
    """(T, 3) weights of these vertices."""
    fill: NDArray[np.int64]
    """(size, size) for each texel the row to take: its own, or the nearest one's where no face lies."""

    @classmethod
    def of(cls, faces: NDArray[np.int64], uv: Array, size: int) -> Atlas:
        """faces: (F, 3); uv: (V, 2) of its vertices, 0..1 with v up. The texture is size × size, row 0 at v = 1."""
        corners = np.stack([uv[:, 0], 1.0 - uv[:, 1]], axis=1)[faces] * size - 0.5
        face, x, y = _candidates(corners, size)
        bary = _barycentric(corners[face], np.stack([x, y], axis=1).astype(float))
        inside = (bary > -1e-6).all(axis=1)
        rows = np.full((size, size), -1)
        rows[y[inside], x[inside]] = np.flatnonzero(inside)
        taken, fill = np.unique(_nearest(rows), return_inverse=True)
        return cls(faces[face[taken]], bary[taken], fill.reshape(size, size))

    def values(self, per_vertex: Array) -> Array:
        """(V, ...) → (T, ...), interpolated at the texels."""
        return np.einsum("tc,tc...->t...", self.barycentric, per_vertex[self.corners])

    def image(self, colours: Array) -> NDArray[np.uint8]:
        """(T, 3) sRGB in 0..1 → (size, size, 3), gaps filled so that no border shows when it is minified."""
        return np.rint(np.clip(colours, 0.0, 1.0) * 255).astype(np.uint8)[self.fill]


def _candidates(corners: Array, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Every texel in the bounding box of every face: (C,) face, x, y."""
    low = np.clip(np.ceil(corners.min(axis=1)), 0, size).astype(np.int64)
    high = np.clip(np.floor(corners.max(axis=1)) + 1, 0, size).astype(np.int64)
    extent = np.maximum(high - low, 0)
    count = extent.prod(axis=1)
    face = np.repeat(np.arange(len(corners)), count)
    offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    width = extent[face, 0]
    return face, low[face, 0] + offset % width, low[face, 1] + offset // width


def _barycentric(triangles: Array, points: Array) -> Array:
    """(N, 3, 2) and (N, 2) → (N, 3)."""
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    ab, ac, ap = b - a, c - a, points - a
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    area = np.where(np.abs(area) < 1e-12, 1e-12, area)
    v = (ap[:, 0] * ac[:, 1] - ap[:, 1] * ac[:, 0]) / area
    w = (ab[:, 0] * ap[:, 1] - ab[:, 1] * ap[:, 0]) / area
    return np.stack([1 - v - w, v, w], axis=1)


def _nearest(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Texels of −1 take the value of the nearest other one."""
    y, x = distance_transform_edt(rows < 0, return_distances=False, return_indices=True)
    return rows[y, x]


def smoothstep(low: float, high: float, value: Array) -> Array:
    """0 below `low`, 1 above `high`, smooth between; `low` may be the larger one."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def noise(points: Array, cell: float | Array, seed: int, octaves: int = 1) -> Array:
    """(N, 3) m → (N,) smooth noise in about −1..1 with features of the size `cell` (one for all axes, or one each).

    Each octave after the first is half as large and half as strong.
    """
    rng = np.random.default_rng(seed)
    total = np.zeros(len(points))
    for octave in range(octaves):
        table = rng.uniform(-1.0, 1.0, (_TABLE, _TABLE, _TABLE))
        place = points / cell * 2**octave + 100.0
        base = np.floor(place)
        smooth = base + smoothstep(0.0, 1.0, place - base)
        total += map_coordinates(table, smooth.T, order=1, mode="grid-wrap") / 2**octave
    return total * 0.75


def mix(colour: Array, other: Array | tuple[float, ...], amount: Array) -> Array:
    """(N, 3) colours blended towards others (N, 3) or (3,) by (N,) in 0..1."""
    return colour + (np.asarray(other) - colour) * amount[:, None]
