"""What gets in the way: removal boxes on a dolly, rolled past between the camera and the person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array
from tracker.synth.room import enter
from tracker.synth.texture import mix, noise, smoothstep
from tracker.synth.textured_raster import TexturedMesh

_STACK = (
    ((-0.33, 0.03, -0.25), (0.33, 0.11, 0.25)),
    ((-0.31, 0.11, -0.24), (0.31, 0.80, 0.24)),
    ((-0.28, 0.80, -0.20), (0.27, 1.36, 0.22)),
)
"""Low and high corners in metres: the dolly and two boxes."""
_SKIN = 0.004
"""m around the boxes that counts as them: less than a pixel."""
_CELLS = 8
"""Squares along each side of a face: the light is worked out at their corners."""
_COVER_CELLS = 48
"""The same for its shadow: 1.5 cm."""


@dataclass(frozen=True)
class Obstacle:
    """A stack of boxes, upright, at home around the origin of the floor; its frame is the world's, moved."""

    mesh: TexturedMesh
    vertices: Array
    """(V, 3) m."""
    normals: Array
    """(V, 3)."""
    cover: Array
    """(N, 3) m: points all over it, close enough to throw a whole shadow."""

    @classmethod
    def boxes(cls, seed: int) -> Obstacle:
        """The stack, with its cardboard painted."""
        faces: list[NDArray[np.int64]] = []
        vertices: list[Array] = []
        normals: list[Array] = []
        uv: list[Array] = []
        for number, (low, high) in enumerate(_STACK):
            for axis in range(3):
                for sign in (-1.0, 1.0):
                    grid, inside, square = _side(np.array(low), np.array(high), axis, sign, _CELLS)
                    faces.append(square + sum(len(each) for each in vertices))
                    vertices.append(grid)
                    normals.append(np.broadcast_to(sign * np.eye(3)[axis], grid.shape))
                    uv.append(inside * [1.0, 1 / 3] + [0.0, number / 3])
        mesh = TexturedMesh(np.concatenate(faces), np.concatenate(uv), _cardboard(seed))
        return cls(mesh, np.concatenate(vertices), np.concatenate(normals), _covering())

    def hides(self, place: Array, origin: Array, targets: Array) -> NDArray[np.bool_]:
        """(N,) whether the stack, standing at `place` (3,), is between origin (3,) and the targets (N, 3)."""
        hidden = np.zeros(len(targets), bool)
        for low, high in _STACK:
            distance, _ = enter(origin, targets - origin, np.array(low) + place - _SKIN, np.array(high) + place + _SKIN)
            hidden |= distance < 1.0
        return hidden


def _covering() -> Array:
    sides = [
        _side(np.array(low), np.array(high), axis, sign, _COVER_CELLS)[0]
        for low, high in _STACK
        for axis in range(3)
        for sign in (-1.0, 1.0)
    ]
    return np.concatenate(sides)


def _side(low: Array, high: Array, axis: int, sign: float, cells: int) -> tuple[Array, Array, NDArray[np.int64]]:
    """One face of a box in squares: places (V, 3), uv (V, 2) with v up, faces (F, 3)."""
    across = (2, 0, 0)[axis]
    upward = 3 - axis - across
    v, u = (grid.ravel() for grid in np.meshgrid(*[np.linspace(0, 1, cells + 1)] * 2, indexing="ij"))
    places = np.empty((len(u), 3))
    places[:, axis] = (high if sign > 0 else low)[axis]
    places[:, across] = low[across] + u * (high - low)[across]
    places[:, upward] = low[upward] + v * (high - low)[upward]
    row, column = np.meshgrid(np.arange(cells), np.arange(cells), indexing="ij")
    a = (row * (cells + 1) + column).ravel()
    b, c, d = a + 1, a + cells + 1, a + cells + 2
    faces = np.concatenate([np.stack([a, b, d], axis=1), np.stack([a, d, c], axis=1)])
    outwards = np.linalg.det([np.eye(3)[across], np.eye(3)[upward], sign * np.eye(3)[axis]]) > 0
    return places, np.stack([u, v], axis=1), faces if outwards else faces[:, ::-1]


def _cardboard(seed: int) -> NDArray[np.uint8]:
    """(3·s, s, 3): from the top the upper box, the lower box and the dolly."""
    size = 192
    y, x = (np.mgrid[0:size, 0:size] + 0.5) / size
    place = np.stack([x, 1 - y, np.zeros_like(x)], axis=-1).reshape(-1, 3)
    u, v = place[:, 0], place[:, 1]
    tiles = []
    for number, tone in enumerate(((0.74, 0.57, 0.39), (0.68, 0.51, 0.34))):
        shade = 1 + 0.05 * noise(place, 0.2, seed + number, 3) + 0.04 * noise(place, np.array([0.006, 0.5, 1]), seed)
        colour = np.array(tone) * shade[:, None]
        tape = smoothstep(0.056, 0.05, np.abs(u - 0.5))
        colour = mix(colour, (0.80, 0.70, 0.50), 0.75 * tape)
        edge = smoothstep(0.03, 0.0, np.minimum.reduce([u, 1 - u, v, 1 - v]))
        label = smoothstep(0.13, 0.125, np.abs(u - 0.74)) * smoothstep(0.09, 0.085, np.abs(v - 0.33))
        lines = label * (np.sin(v * 220) > 0.2) * (np.abs(u - 0.72) < 0.09)
        colour = mix(mix(colour, (0.93, 0.92, 0.88), label), (0.25, 0.25, 0.28), 0.8 * lines)
        tiles.append(mix(colour, (0.45, 0.33, 0.22), 0.5 * edge).reshape(size, size, 3))
    dolly = np.broadcast_to([0.16, 0.24, 0.38], (size, size, 3))
    return np.rint(np.clip(np.concatenate([*tiles, dolly]), 0, 1) * 255).astype(np.uint8)
