"""Where up is: from how people stand, from the camera's own habit of being held level, and from where feet stood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import Array
from tracker.world.body_track import BodyTrack

_STRAIGHT_KNEE = np.cos(np.radians(35.0))
_STRAIGHT_BODY = np.cos(np.radians(25.0))
_ROLLED = np.sin(np.radians(45.0))
"""From which on an axis across the picture is somebody's who lies: cameras are held level."""
_HEAD_DOWN = -0.3
"""Along the camera's own up, below which it is that of a handstand; cameras that look straight down see 0."""
_CONFIDENT = 0.3
_AXIS_SIGMA = np.radians(4.0)
"""By which a standing body's axis is off after a whole clip: people lean, and fits lean with the camera's view."""
_TRUNK_SIGMA = np.radians(8.0)
"""The same of trunks alone."""
_LEAN = np.radians(5.0)
"""By which a standing body usually leans."""
_ROLL_SIGMA = np.radians(4.0)
"""By which cameras are held out of level from left to right."""
_PITCH_SIGMA = np.radians(20.0)
"""By which cameras look up or down."""
_CAMERA_UP = np.array([0.0, -1.0, 0.0])
_HEIGHT_SIGMA = 0.03
"""m: error across the line of sight of a place where a foot stood, the thickness of soles included."""
_DEPTH_SIGMA = 0.04
"""Share of the distance by which a place is too near or too far."""
_FIRST_HEIGHT = 1.4
"""m of the camera over the floor, where the search starts."""


@dataclass(frozen=True)
class Stand:
    """Where a foot stood for a while."""

    place: Array
    """(3,) m, camera frame."""
    weight: float
    """0..1: how far it is to be believed."""


@dataclass(frozen=True)
class Plane:
    """A floor in the camera's frame: points p on it have up · p + height = 0."""

    up: Array
    """(3,) unit."""
    height: float
    """m of the camera over it."""

    def heights(self, points: Array) -> Array:
        """(..., 3) m → (...) m over it."""
        return points @ self.up + self.height


def pitched(degrees: float) -> Array:
    """Up (3,) in the frame of a camera that looks down by so much, level from left to right."""
    angle = np.radians(degrees)
    return np.array([0.0, -np.cos(angle), -np.sin(angle)])


@dataclass(frozen=True)
class Gravity:
    """What upright people say of gravity."""

    up: Array
    """(3,) unit, camera frame."""
    sigma: float
    """rad by which it may be off."""

    @classmethod
    def of_axes(cls, axes: Sequence[UprightAxes]) -> Gravity | None:
        """From ankles to neck of people who stand upright; where nobody's legs are in view, along their trunks. None
        where neither is."""
        for name, sigma in (("standing", _AXIS_SIGMA), ("trunks", _TRUNK_SIGMA)):
            together = np.concatenate([np.zeros((0, 3)), *(getattr(each, name) for each in axes)])
            if len(together):
                return cls(_usual_direction(together), sigma)
        return None


@dataclass(frozen=True)
class UprightAxes:
    """Which way somebody was upright while they were; unit vectors in the camera's frame."""

    standing: Array
    """(n, 3): from ankles to neck."""
    trunks: Array
    """(m, 3): from pelvis to neck."""

    @classmethod
    def of(cls, track: BodyTrack) -> UprightAxes:
        return cls(_standing_axes(track), _trunk_axes(track))


def gravity_of(tracks: Sequence[BodyTrack]) -> Gravity | None:
    """What everybody in a clip says of it."""
    return Gravity.of_axes([UprightAxes.of(track) for track in tracks])


def _usual_direction(axes: Array) -> Array:
    """(3,) of (n, 3) unit directions, some of which lean."""
    weight = np.ones(len(axes))
    for _ in range(10):
        mean = weight @ axes
        mean /= np.linalg.norm(mean)
        weight = 1 / (1 + (np.linalg.norm(axes - mean, axis=1) / _LEAN) ** 2)
    return mean


def _standing_axes(track: BodyTrack) -> Array:
    """(n, 3) unit: of the frames in which the person stands upright, both legs well in view."""
    neck, pelvis = (track.joints[:, smpl_index(name)] for name in ("neck", "pelvis"))
    sides = [[track.joints[:, smpl_index(f"{side}_{name}")] for name in ("hip", "knee", "ankle")] for side in _SIDES]
    straight = np.min([_cosine(knee - hip, ankle - knee) for hip, knee, ankle in sides], axis=0)
    ankles = (sides[0][2] + sides[1][2]) / 2
    upright = _cosine(neck - pelvis, pelvis - ankles)
    legs = [smpl_index(f"{side}_{name}") for side in _SIDES for name in ("hip", "knee", "ankle")]
    visible = track.confidence[:, legs].min(axis=1) >= _CONFIDENT
    axes = _unit((neck - ankles)[(straight > _STRAIGHT_KNEE) & (upright > _STRAIGHT_BODY) & visible])
    return axes[(np.abs(axes[:, 0]) < _ROLLED) & (axes @ _CAMERA_UP > _HEAD_DOWN)]


def _trunk_axes(track: BodyTrack) -> Array:
    """(n, 3) unit: of the frames in which the trunk is in view and nearer to upright than to lying."""
    neck, pelvis = (track.joints[:, smpl_index(name)] for name in ("neck", "pelvis"))
    shoulders = [smpl_index(f"{side}_shoulder") for side in _SIDES]
    axes = _unit(neck - pelvis)
    return axes[(track.confidence[:, shoulders].min(axis=1) >= _CONFIDENT) & (axes @ _CAMERA_UP > 0.7)]


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


_SIDES = ("left", "right")


def _cosine(a: Array, b: Array) -> Array:
    return (a * b).sum(axis=-1) / np.maximum(np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1), 1e-9)


def fit_plane(
    stands: Sequence[Stand], gravity: Gravity | None, pitch: float | None = None, height: float | None = None
) -> Plane:
    """The floor under places where feet stood, its normal tied to gravity until they are spread enough.

    pitch: degrees, height: m, where they are known; those are kept.
    """
    start = pitched(pitch) if pitch is not None else _CAMERA_UP if gravity is None else gravity.up
    frame = tangents(start)
    places = np.stack([stand.place for stand in stands]) if stands else np.zeros((0, 3))
    weights = np.sqrt([stand.weight for stand in stands])

    def plane(values: Array) -> Plane:
        up = start if pitch is not None else start + values[:2] @ frame
        return Plane(up / np.linalg.norm(up), values[2] if height is None else height)

    def residuals(values: Array) -> Array:
        floor = plane(values)
        along = np.abs(places @ floor.up)
        sigma = np.hypot(_HEIGHT_SIGMA, _DEPTH_SIGMA * along)
        return np.concatenate([weights * floor.heights(places) / sigma, _prior(floor.up, gravity), 1e-3 * values])

    first = np.array([0.0, 0.0, _FIRST_HEIGHT if not len(places) else float(np.median(-places @ start))])
    solved = least_squares(residuals, first, loss="soft_l1", f_scale=1.5)
    return plane(solved.x)


def _prior(up: Array, gravity: Gravity | None) -> Array:
    """(5,) residuals of gravity before any floor is seen."""
    lean = np.zeros(3) if gravity is None else (up - gravity.up) / gravity.sigma
    roll, pitch = np.arcsin(np.clip(up[0], -1, 1)), np.arctan2(-up[2], -up[1])
    return np.array([*lean, roll / _ROLL_SIGMA, pitch / _PITCH_SIGMA])


def tangents(direction: Array) -> Array:
    """(2, 3) unit, across a unit direction."""
    first = np.cross(direction, [0.0, 0.0, 1.0] if abs(direction[2]) < 0.9 else [1.0, 0.0, 0.0])
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(direction, first)])
