"""The room behind a synthetic person: boxes with procedural materials, ray-traced once with soft shadows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array
from tracker.synth.demo_lighting import GAMMA, Lighting
from tracker.synth.texture import mix, noise, smoothstep

Material = Callable[[Array, Array], Array]
"""(N, 3) places and (N, 3) normals, world frame → (N, 3) sRGB in 0..1."""

WALL_Z, CEILING_Y, SIDE_X = -2.3, 2.75, 3.6


@dataclass(frozen=True)
class Box:
    """Axis-aligned in the world frame: y up, the floor at 0, z towards the camera; metres."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    material: Material
    casts: bool = True
    """Whether it throws a shadow; walls and small things do not."""

    def direction_from(self, eye: Array) -> Array:
        """(3,) unit, from the eye to the box's middle."""
        offset = (np.array(self.low) + np.array(self.high)) / 2 - eye
        return offset / np.linalg.norm(offset)

    def cosine_from(self, eye: Array) -> float:
        """Of the half angle of the cone that holds the box; −1 when the eye is within reach of it."""
        middle, radius = (np.array(self.low) + np.array(self.high)) / 2, np.ptp([self.low, self.high], axis=0)
        distance, half = np.linalg.norm(middle - eye), np.linalg.norm(radius) / 2
        return float(np.sqrt(1 - (half / distance) ** 2)) if half < distance else -1.0


@dataclass(frozen=True)
class Hits:
    """Where rays end; every ray meets a wall at last."""

    distance: Array
    """(N,) in lengths of the ray's direction."""
    box: NDArray[np.int64]
    """(N,) index of the box."""
    axis: NDArray[np.int64]
    """(N,) the axis of the face."""


def enter(origin: Array, direction: Array, low: Array, high: Array) -> tuple[Array, NDArray[np.int64]]:
    """Where rays enter a box: (N,) distance, infinite without a hit in front; and (N,) the axis of the face.

    origin: (3,) or (N, 3); direction: (N, 3).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (low - origin) / direction, (high - origin) / direction
    near, far = np.fmin(a, b), np.fmax(a, b)
    axis = near.argmax(axis=1)
    start, end = near.max(axis=1), far.min(axis=1)
    return np.where((start <= end) & (start > 1e-5), start, np.inf), axis


@dataclass(frozen=True)
class RoomPainter:
    """Paints the picture of a room: light once a pixel, colours several times."""

    boxes: list[Box]
    lighting: Lighting
    eye: Array
    """(3,) m, world frame."""
    samples: int
    """Along a pixel's side."""

    def paint(self, rays: Array, steps: Array) -> Array:
        """(h, w, 3) linear RGB. rays: (h, w, 3) through the pixels' centres, world frame; steps: (2, 3) change of a ray
        from one pixel to the next, to the right and down."""
        flat = rays.reshape(-1, 3)
        centre = self._trace(flat)
        light = self._light(flat, centre)
        ids = (3 * centre.box + centre.axis).reshape(rays.shape[:2])
        edge = (_spread(ids, np.maximum.reduce) != _spread(ids, np.minimum.reduce)).ravel()
        albedo = np.zeros_like(flat)
        offsets = (np.arange(self.samples) + 0.5) / self.samples - 0.5
        for dx in offsets:
            for dy in offsets:
                moved = flat + dx * steps[0] + dy * steps[1]
                albedo += self._albedo(moved, self._near(moved, centre, edge)) ** GAMMA
        return (albedo / self.samples**2 * light).reshape(rays.shape)

    def _trace(self, rays: Array) -> Hits:
        """The first box that each ray (N, 3) meets."""
        best = np.full(len(rays), np.inf)
        index, axis = np.zeros(len(rays), np.int64), np.zeros(len(rays), np.int64)
        unit = rays / np.linalg.norm(rays, axis=1, keepdims=True)
        for i, box in enumerate(self.boxes):
            aimed = np.flatnonzero(unit @ box.direction_from(self.eye) > box.cosine_from(self.eye))
            distance, face = enter(self.eye, rays[aimed], np.array(box.low), np.array(box.high))
            closer = distance < best[aimed]
            chosen = aimed[closer]
            best[chosen], index[chosen], axis[chosen] = distance[closer], i, face[closer]
        return Hits(best, index, axis)

    def _near(self, rays: Array, centre: Hits, edge: NDArray[np.bool_]) -> Hits:
        """Hits of rays close to those of `centre`: on the same face, except at edges (N,), where they are traced."""
        rows = np.arange(len(rays))
        forwards = rays[rows, centre.axis] > 0
        corners = np.stack([[box.low, box.high] for box in self.boxes])
        plane = corners[centre.box, np.where(forwards, 0, 1), centre.axis]
        distance = (plane - self.eye[centre.axis]) / rays[rows, centre.axis]
        box, axis = centre.box.copy(), centre.axis.copy()
        traced = self._trace(rays[edge])
        distance[edge], box[edge], axis[edge] = traced.distance, traced.box, traced.axis
        return Hits(distance, box, axis)

    def _places(self, rays: Array, hits: Hits) -> tuple[Array, Array]:
        """(N, 3) where the rays end, and the normals there."""
        rows = np.arange(len(rays))
        normals = np.zeros_like(rays)
        normals[rows, hits.axis] = -np.sign(rays[rows, hits.axis])
        return self.eye + rays * hits.distance[:, None], normals

    def _albedo(self, rays: Array, hits: Hits) -> Array:
        places, normals = self._places(rays, hits)
        albedo = np.empty_like(places)
        for i, box in enumerate(self.boxes):
            mine = np.flatnonzero(hits.box == i)
            albedo[mine] = box.material(places[mine], normals[mine])
        return albedo

    def _light(self, rays: Array, hits: Hits) -> Array:
        places, normals = self._places(rays, hits)
        lifted = places + 2e-3 * normals
        visible = np.mean([self._reached(lifted, towards) for towards in self._key_directions()], axis=0)
        return self.lighting.falling_on(normals, visible, self._openness(places, normals))

    def _key_directions(self) -> Array:
        """(9, 3): the key light is wide, so that shadows have soft borders."""
        spread = [(dx, dy) for dx in (-0.1, 0.0, 0.1) for dy in (-0.1, 0.0, 0.1)]
        return self.lighting.key_direction + np.array([[dx + dy / 3, dy / 2, dy - dx / 3] for dx, dy in spread])

    def _reached(self, places: Array, towards: Array) -> Array:
        """(N,) 1 where nothing stands between the places and the light in this direction (3,), else 0."""
        reached = np.ones(len(places))
        for box in self.boxes:
            if not box.casts:
                continue
            low, high = np.array(box.low), np.array(box.high)
            shadow = np.minimum(low, low - _SHADOW_LENGTH * towards), np.maximum(high, high - _SHADOW_LENGTH * towards)
            within = np.flatnonzero(((places > shadow[0]) & (places < shadow[1])).all(axis=1))
            distance, _ = enter(places[within], np.broadcast_to(towards, (len(within), 3)), low, high)
            reached[within[np.isfinite(distance)]] = 0.0
        return reached

    def _openness(self, places: Array, normals: Array) -> Array:
        """(N,): how much of the surroundings is free, by the distance to boxes that stand out in front of a surface."""
        openness = np.ones(len(places))
        for box in self.boxes:
            if not box.casts:
                continue
            low, high = np.array(box.low), np.array(box.high)
            near = np.flatnonzero(((places > low - _REACH) & (places < high + _REACH)).all(axis=1))
            offset = np.clip(places[near], low, high) - places[near]
            distance = np.linalg.norm(offset, axis=1)
            facing = np.clip((offset * normals[near]).sum(axis=1) / np.maximum(distance, 1e-6) + 0.35, 0, 1)
            openness[near] *= 1 - 0.35 * np.exp(-distance / 0.2) * facing * (distance > 1e-6)
        return openness


_SHADOW_LENGTH = 4.0
"""m."""
_REACH = 0.8
"""m: what is farther away does not darken a place."""


def _spread(
    ids: NDArray[np.int64], reduce: Callable[[list[NDArray[np.int64]]], NDArray[np.int64]]
) -> NDArray[np.int64]:
    """The largest or smallest of each pixel's and its neighbours' values."""
    height, width = ids.shape
    padded = np.pad(ids, 1, mode="edge")
    return reduce([padded[y : y + height, x : x + width] for y in range(3) for x in range(3)])


def planks(seed: int) -> Material:
    """A wooden floor."""

    def material(p: Array, _normal: Array) -> Array:
        row = np.floor(p[:, 0] / 0.14)
        shift = np.modf(np.abs(np.sin(row * 12.9898 + seed) * 43758.5453))[0]
        board = np.floor(p[:, 2] / 1.3 + shift * 3)
        tone = np.modf(np.abs(np.sin(row * 78.233 + board * 37.719 + seed) * 24634.6345))[0]
        grain = noise(p + tone[:, None], np.array([0.012, 1.0, 0.25]), seed, 2)
        colour = np.array([0.66, 0.49, 0.34]) * (0.86 + 0.22 * tone + 0.09 * grain)[:, None]
        across = np.abs(p[:, 0] / 0.14 - row - 0.5)
        along = np.abs(np.modf(np.abs(p[:, 2] / 1.3 + shift * 3 + 50))[0] - 0.5)
        gap = np.maximum(smoothstep(0.48, 0.50, across), smoothstep(0.4975, 0.5, along))
        return colour * (1 - 0.45 * gap)[:, None]

    return material


def paint(colour: tuple[float, float, float], seed: int) -> Material:
    """A painted wall, a little uneven."""

    def material(p: Array, _normal: Array) -> Array:
        return np.array(colour) * (1 + 0.012 * noise(p, 0.5, seed, 3) + 0.012 * noise(p, 0.01, seed + 1))[:, None]

    return material


def wood(colour: tuple[float, float, float], panels: float, seed: int) -> Material:
    """Furniture with doors of the width `panels` m."""

    def material(p: Array, normal: Array) -> Array:
        grain = noise(p, np.array([0.3, 0.012, 0.3]), seed, 2)
        door = np.abs(np.modf(np.abs(p[:, 0] / panels) + 100)[0] - 0.5)
        gap = smoothstep(0.488, 0.495, door) * (normal[:, 2] > 0.5)
        return np.array(colour) * (1 + 0.08 * grain - 0.6 * gap)[:, None]

    return material


def cloth(colour: tuple[float, float, float], seed: int) -> Material:
    """Upholstery."""

    def material(p: Array, _normal: Array) -> Array:
        return np.array(colour) * (1 + 0.05 * noise(p, 0.006, seed) + 0.05 * noise(p, 0.15, seed + 1, 2))[:, None]

    return material


def rug(seed: int) -> Material:
    """A woven rug with borders; its middle is at the origin."""

    def material(p: Array, _normal: Array) -> Array:
        edge = np.maximum(np.abs(p[:, 0]) / 1.5, np.abs(p[:, 2] - 0.05) / 1.0)
        colour = np.broadcast_to([0.60, 0.57, 0.52], p.shape)
        for low, high, band in ((0.80, 0.83, (0.36, 0.24, 0.22)), (0.87, 0.95, (0.30, 0.36, 0.42))):
            inside = smoothstep(low - 0.004, low, edge) * smoothstep(high + 0.004, high, edge)
            colour = mix(colour, band, inside)
        return colour * (1 + 0.10 * noise(p, 0.012, seed) + 0.05 * noise(p, 0.2, seed + 1, 2))[:, None]

    return material


def painting(seed: int) -> Material:
    """An abstract picture in a dark frame."""

    def material(p: Array, _normal: Array) -> Array:
        a, b = noise(p, 0.35, seed, 3), noise(p, 0.25, seed + 1, 2)
        colour = np.broadcast_to([0.83, 0.80, 0.72], p.shape)
        colour = mix(colour, (0.25, 0.42, 0.50), smoothstep(0.05, 0.12, a))
        return mix(colour, (0.78, 0.48, 0.25), smoothstep(0.15, 0.2, b))

    return material


def furnished_room(seed: int) -> list[Box]:
    """Floor, walls, and some furniture along them."""
    dark, oak = (0.20, 0.16, 0.13), (0.55, 0.42, 0.29)
    wall, white, sofa = paint((0.80, 0.78, 0.72), seed), paint((0.93, 0.93, 0.91), seed + 1), (0.36, 0.41, 0.45)
    back = WALL_Z
    boxes = [
        Box((-9, -1, -9), (9, 0, 9), planks(seed), casts=False),
        Box((-9, -1, back - 1), (9, 9, back), wall, casts=False),
        Box((-SIDE_X - 1, -1, -9), (-SIDE_X, 9, 9), wall, casts=False),
        Box((SIDE_X, -1, -9), (SIDE_X + 1, 9, 9), wall, casts=False),
        Box((-9, CEILING_Y, -9), (9, CEILING_Y + 1, 9), white, casts=False),
        Box((-SIDE_X, 0, back), (SIDE_X, 0.09, back + 0.015), white, casts=False),
        Box((-1.5, 0, -0.95), (1.5, 0.008, 1.05), rug(seed + 2), casts=False),
        Box((-2.45, 0.10, back + 0.02), (-0.95, 0.72, back + 0.45), wood(oak, 0.5, seed + 3)),
        Box((-2.5, 0.72, back + 0.01), (-0.9, 0.75, back + 0.48), wood(oak, 9.0, seed + 4)),
        Box((-2.15, 1.25, back), (-1.25, 1.95, back + 0.03), wood(dark, 9.0, seed + 5)),
        Box((-2.10, 1.30, back), (-1.30, 1.90, back + 0.035), painting(seed + 6), casts=False),
        Box((1.05, 0.08, back + 0.1), (2.95, 0.42, back + 0.95), cloth(sofa, seed + 7)),
        Box((1.05, 0.42, back + 0.1), (2.95, 0.82, back + 0.32), cloth(sofa, seed + 7)),
        Box((0.85, 0.08, back + 0.1), (1.05, 0.60, back + 0.95), cloth(sofa, seed + 8)),
        Box((2.95, 0.08, back + 0.1), (3.15, 0.60, back + 0.95), cloth(sofa, seed + 8)),
        Box((1.30, 0.45, back + 0.30), (1.70, 0.80, back + 0.44), cloth((0.72, 0.55, 0.25), seed + 9)),
        Box((1.2, 1.72, back), (2.8, 1.75, back + 0.24), wood(oak, 9.0, seed + 10)),
    ]
    return [*boxes, *_books(seed + 11)]


def _books(seed: int) -> list[Box]:
    rng = np.random.default_rng(seed)
    books, x = [], 1.28
    while x < 2.5:
        width, height, depth = rng.uniform(0.018, 0.05), rng.uniform(0.17, 0.27), rng.uniform(0.13, 0.19)
        red, green, blue = (float(c) for c in rng.uniform(0.2, 0.7, 3))
        low, high = (x, 1.75, WALL_Z), (x + width, 1.75 + height, WALL_Z + depth)
        books.append(Box(low, high, cloth((red, green, blue), int(rng.integers(99))), casts=False))
        x += width + (0.25 if rng.random() < 0.06 else 0.002)
    return books
