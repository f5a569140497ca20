"""How a garment is made from the skin under it, whatever its cut.

It is the region of the body where a signed field is positive: metres to its hem, roughly. It is smoothed, because cloth
bridges what skin follows, moved outwards, made to hang, and cut along the zero line, so that hems are clean curves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array
from tracker.synth.body_measures import Anatomy
from tracker.synth.surface import Surface, cut, smoothed
from tracker.synth.texture import noise

BORDER = 0.05
"""m of the body around a garment that takes part in its smoothing, and of skin that is kept under its hems."""


@dataclass(frozen=True)
class Garment:
    """A cut surface and the metres from its hem at each vertex, for painting."""

    surface: Surface
    from_hem: Array
    """(V,) m."""


Field = Callable[[Array], Array]
"""(V, 3) places at rest → (V,) m: positive where a garment is, about the distance to its hem."""
Drape = Callable[[Array], Array]
"""(V, 3) places at rest → (V, 3) where the cloth hangs."""


@dataclass(frozen=True)
class Design:
    """How a garment is made."""

    inside: Field
    thickness: Field
    """m from the skin."""
    drape: Drape
    passes: int
    """Of smoothing: how far the cloth bridges hollows."""
    folds: float
    """Depth of the folds, as a share of the thickness."""
    fold_size: tuple[float, float, float]
    """m along x, y, z."""


def tailor(anatomy: Anatomy, design: Design, seed: int) -> Garment:
    """Makes a garment."""
    body = anatomy.surface
    field = design.inside(body.rest)
    part, used = body.part((field[body.faces] > -BORDER).any(axis=1))
    rest = smoothed(part, part.rest, design.passes)
    # smoothing shrinks limbs: what it took away in thickness is given back
    shrunk = np.einsum("vc,vc->v", part.rest - rest, anatomy.normals[used])
    folds = 1 + design.folds * noise(rest, np.array(design.fold_size), seed, octaves=2)
    depth = np.maximum(smoothed(part, shrunk, 2 * design.passes), 0.0) + design.thickness(rest) * folds
    rest = rest + part.moved(rest).normals(rest) * depth[:, None]
    rest = smoothed(part, design.drape(rest), 2)
    weights = smoothed(part, part.weights, design.passes // 2)
    return Garment(*cut(replace(part, rest=rest, weights=weights), design.inside(rest)))


def uncovered(surface: Surface, faces: NDArray[np.bool_], fields: list[Array]) -> Surface:
    """The skin that can be seen: of the chosen faces (F,) those that do not lie well inside one of the fields (V,)."""
    hidden = np.logical_or.reduce([field > BORDER for field in fields])
    return surface.part(faces & ~hidden[surface.faces].all(axis=1))[0]


def hanging(axis: Array, taper: float) -> Drape:
    """A drape: around a vertical axis through `axis` (3,), cloth below a bulge hangs from it instead of following in.

    `taper` is how much the cloth comes back towards the axis, in metres per metre of height.
    """

    def drape(places: Array) -> Array:
        offset = places - axis
        radius = np.hypot(offset[:, 0], offset[:, 2])
        angle = np.arctan2(offset[:, 0], offset[:, 2])
        hull = _hull_from_above(angle, places[:, 1], radius, taper)
        wider = np.maximum(hull - radius, 0.0) / np.maximum(radius, 1e-6)
        return places + offset * np.array([1.0, 0.0, 1.0]) * wider[:, None]

    return drape


_ANGLES, _LEVEL = 36, 0.02


def _hull_from_above(angle: Array, height: Array, radius: Array, taper: float) -> Array:
    """(V,) the radius at which cloth hangs that touches the largest radius above, by direction."""
    column = np.floor((angle / (2 * np.pi) + 0.5) * _ANGLES).astype(int) % _ANGLES
    level = np.floor((height.max() - height) / _LEVEL).astype(int)
    table = np.zeros((level.max() + 1, _ANGLES))
    np.maximum.at(table, (level, column), radius)
    for row in range(1, len(table)):
        table[row] = np.maximum(table[row], table[row - 1] - taper * _LEVEL)
    return _sampled(table, angle, (height.max() - height) / _LEVEL)


def _sampled(table: Array, angle: Array, level: Array) -> Array:
    """The table at angles and levels, interpolated; it wraps around in angle."""
    column = (angle / (2 * np.pi) + 0.5) * _ANGLES - 0.5
    row = np.clip(level - 0.5, 0, len(table) - 1)
    r0, c0 = np.floor(row).astype(int), np.floor(column).astype(int)
    r1, c1 = np.minimum(r0 + 1, len(table) - 1), (c0 + 1) % _ANGLES
    fr, fc, c0 = row - r0, column - c0, c0 % _ANGLES
    upper = table[r0, c0] * (1 - fc) + table[r0, c1] * fc
    lower = table[r1, c0] * (1 - fc) + table[r1, c1] * fc
    return upper * (1 - fr) + lower * fr
