"""What stands in front of people: boxes, furniture, flat patches; each hides as much as it is asked to."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array
from tracker.core.geometry import matrix_from_axis_angle
from tracker.synth.demo_lighting import GAMMA
from tracker.synth.samples.pattern import cloth_colour

_TRIES = 6
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Prop:
    """A thing, about a metre large, y up, its middle at the origin."""

    vertices: Array
    """(V, 3) m."""
    faces: NDArray[np.int32]
    """(F, 3)."""
    colours: Array
    """(F, 3) linear RGB."""
    uv: Array
    """(V, 2) places on a pattern, if it gets one."""


def blocks(boxes: list[tuple[Array, Array]], colours: list[Array]) -> Prop:
    """Boxes with middles and extents (3,) in metres, each in its own colour, as one thing."""
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    sides = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    vertices: list[Array] = []
    uv: list[Array] = []
    faces: list[list[int]] = []
    shades: list[Array] = []
    for (middle, extent), colour in zip(boxes, colours, strict=True):
        for number, side in enumerate(sides):
            start = 4 * len(vertices)
            vertices.append(middle + corners[side] * extent)
            flat = [axis for axis in range(3) if axis != number // 2]
            uv.append((corners[side] * extent)[:, flat])
            faces += [[start, start + 1, start + 2], [start, start + 2, start + 3]]
            shades += [colour, colour]
    return Prop(np.concatenate(vertices), np.array(faces, np.int32), np.array(shades), np.concatenate(uv))


def furniture(rng: np.random.Generator) -> Prop:
    """A box, a table, a chair, a shelf, a pole."""
    colour = cloth_colour(rng) ** GAMMA
    kind = rng.integers(5)
    w, h, d = rng.uniform(0.3, 1.0, 3)
    if kind == 0:
        boxes = [(np.zeros(3), np.array([w, h, d]))]
    elif kind == 1:
        boxes = [(np.array([0, 0.4, 0]), np.array([2 * w, 0.05, d]))]
        boxes += [
            (np.array([x * w, 0.0, z * d / 2.2]), np.array([0.06, 0.8, 0.06])) for x in (-0.9, 0.9) for z in (-1, 1)
        ]
    elif kind == 2:
        boxes = [(np.zeros(3), np.array([0.45, 0.06, 0.45])), (np.array([0, 0.3, -0.22]), np.array([0.45, 0.6, 0.05]))]
        boxes += [(np.array([x, -0.25, z]), np.array([0.05, 0.5, 0.05])) for x in (-0.2, 0.2) for z in (-0.2, 0.2)]
    elif kind == 3:
        boxes = [(np.array([0, y, 0]), np.array([w, 0.04, 0.3])) for y in (-0.4, 0.0, 0.4)]
        boxes += [(np.array([x * w / 2, 0, 0]), np.array([0.04, 0.9, 0.3])) for x in (-1, 1)]
    else:
        boxes = [(np.zeros(3), np.array([rng.uniform(0.05, 0.2), 2.0, rng.uniform(0.05, 0.2)]))]
    return blocks(boxes, [colour * rng.uniform(0.7, 1.2) for _ in boxes])


def place(rng: np.random.Generator, prop: Prop, R_camera_world: Array) -> Array:
    """(V, 3) m along the camera's axes: the thing upright or not quite, its middle at 0."""
    yaw = matrix_from_axis_angle(np.array([0.0, rng.uniform(-np.pi, np.pi), 0.0]))
    lean = matrix_from_axis_angle(rng.normal(0.0, 0.15 if rng.random() < 0.7 else 1.0, 3))
    return prop.vertices @ (R_camera_world @ yaw @ lean).T


def patch_mask(rng: np.random.Generator, person: Mask, hidden: tuple[float, float]) -> Mask:
    """(H, W) a flat shape that hides between these shares of the person, or as near as a few tries come."""
    rows, columns = np.nonzero(person)
    total = max(len(rows), 1)
    aim, best, best_miss = rng.uniform(*hidden), np.zeros_like(person), np.inf
    size = np.sqrt(aim * total)
    for _ in range(_TRIES):
        pick = rng.integers(total) if len(rows) else 0
        centre = (columns[pick], rows[pick]) if len(rows) else (person.shape[1] / 2, person.shape[0] / 2)
        mask = _shape(rng, person.shape, np.array(centre, float), float(size))
        share = (mask & person).sum() / total
        miss = max(hidden[0] - share, share - hidden[1], 0.0)
        if miss < best_miss:
            best, best_miss = mask, miss
        if miss == 0:
            break
        size *= np.clip(np.sqrt(aim / max(share, 0.02)), 0.5, 2.0)
    return best


def _shape(rng: np.random.Generator, shape: tuple[int, ...], centre: Array, size: float) -> Mask:
    """A bar, a disc, a turned rectangle or a ragged blot of about size² px around a point."""
    canvas = np.zeros(shape, np.uint8)
    kind, turn = rng.integers(4), rng.uniform(0, 180)
    middle = (float(centre[0]), float(centre[1]))
    if kind == 0:
        long = max(shape) * 3
        box = cv2.boxPoints((middle, (long, max(size * 0.45, 4)), turn))
        cv2.fillPoly(canvas, [box.astype(np.int32)], (1,))
    elif kind == 1:
        cv2.circle(canvas, (int(middle[0]), int(middle[1])), max(int(size * 0.62), 2), (1,), -1)
    elif kind == 2:
        stretch = np.exp(rng.normal(0, 0.35))
        box = cv2.boxPoints((middle, (size * stretch, size / stretch), turn if rng.random() < 0.5 else 0))
        cv2.fillPoly(canvas, [box.astype(np.int32)], (1,))
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi, 12))
        radius = size * 0.65 * rng.uniform(0.5, 1.4, 12)
        ring = centre + np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius[:, None]
        cv2.fillPoly(canvas, [ring.astype(np.int32)], (1,))
    return canvas.astype(bool)
