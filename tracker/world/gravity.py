"""Where up is: from how people stand, from the camera's own habit of being held level, and from where feet stood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
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
_AXIS_SIGMA, _FRONTAL_SIGMA = np.radians(1.5), np.radians(4.0)
"""By which the axis of somebody who stands is off in a clip, whom the camera sees from the side, and what is added for
one who faces it, or away: how far a body leans towards the camera is what a picture tells least of."""
_TRUNK_FACTOR = 2.0
"""Times as much of trunks alone."""
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
        for kind in ([each.standing for each in axes], [each.trunks for each in axes]):
            together = _joined(kind)
            if len(together.sigmas):
                precisions = together.sigmas**-2
                return cls(_usual_direction(together.directions, precisions), float(precisions.mean() ** -0.5))
        return None


@dataclass(frozen=True)
class Axes:
    """Directions in which somebody was upright, in the camera's frame."""

    directions: Array
    """(n, 3) unit."""
    sigmas: Array
    """(n,) rad by which each may be off."""


@dataclass(frozen=True)
class UprightAxes:
    """Which way somebody was upright while they were."""

    standing: Axes
    """From ankles to neck."""
    trunks: Axes
    """From pelvis to neck."""

    @classmethod
    def of(cls, track: BodyTrack) -> UprightAxes:
        sigmas = _sigmas(track)
        standing, trunks = _standing(track), _upright_trunks(track)
        neck, pelvis, ankles = _joint(track, "neck"), _joint(track, "pelvis"), _ankles(track)
        return cls(
            Axes(_unit(neck - ankles)[standing], sigmas[standing]),
            Axes(_unit(neck - pelvis)[trunks], _TRUNK_FACTOR * sigmas[trunks]),
        )


def _joined(axes: Sequence[Axes]) -> Axes:
    directions = [np.zeros((0, 3)), *(each.directions for each in axes)]
    return Axes(np.concatenate(directions), np.concatenate([np.zeros(0), *(each.sigmas for each in axes)]))


def gravity_of(tracks: Sequence[BodyTrack]) -> Gravity | None:
    """What everybody in a clip says of it."""
    return Gravity.of_axes([UprightAxes.of(track) for track in tracks])


def _usual_direction(axes: Array, precisions: Array) -> Array:
    """(3,) of (n, 3) unit directions, some of which lean."""
    weight = precisions
    for _ in range(10):
        mean = weight @ axes
        mean /= np.linalg.norm(mean)
        weight = precisions / (1 + (np.linalg.norm(axes - mean, axis=1) / _LEAN) ** 2)
    return mean


def _sigmas(track: BodyTrack) -> Array:
    """(T,) rad by which the axis of a standing body may be off."""
    across = _unit(_joint(track, "left_hip") - _joint(track, "right_hip"))
    from_the_side = (across * _unit(_joint(track, "pelvis"))).sum(axis=1)
    return _AXIS_SIGMA + _FRONTAL_SIGMA * np.sqrt(np.maximum(1 - from_the_side**2, 0.0))


def _standing(track: BodyTrack) -> NDArray[np.bool_]:
    """(T,): the person stands upright, both legs well in view."""
    neck, pelvis, ankles = _joint(track, "neck"), _joint(track, "pelvis"), _ankles(track)
    sides = [[_joint(track, f"{side}_{name}") for name in ("hip", "knee", "ankle")] for side in _SIDES]
    straight = np.min([_cosine(knee - hip, ankle - knee) for hip, knee, ankle in sides], axis=0)
    upright = _cosine(neck - pelvis, pelvis - ankles)
    legs = [smpl_index(f"{side}_{name}") for side in _SIDES for name in ("hip", "knee", "ankle")]
    visible = track.confidence[:, legs].min(axis=1) >= _CONFIDENT
    axes = _unit(neck - ankles)
    level = (np.abs(axes[:, 0]) < _ROLLED) & (axes @ _CAMERA_UP > _HEAD_DOWN)
    return (straight > _STRAIGHT_KNEE) & (upright > _STRAIGHT_BODY) & visible & level


def _upright_trunks(track: BodyTrack) -> NDArray[np.bool_]:
    """(T,): the trunk is in view and nearer to upright than to lying."""
    shoulders = [smpl_index(f"{side}_shoulder") for side in _SIDES]
    axes = _unit(_joint(track, "neck") - _joint(track, "pelvis"))
    return (track.confidence[:, shoulders].min(axis=1) >= _CONFIDENT) & (axes @ _CAMERA_UP > 0.7)


def _joint(track: BodyTrack, name: str) -> Array:
    """(T, 3) m."""
    return track.joints[:, smpl_index(name)]


def _ankles(track: BodyTrack) -> Array:
    """(T, 3) m, the middle of both."""
    return (_joint(track, "left_ankle") + _joint(track, "right_ankle")) / 2


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
