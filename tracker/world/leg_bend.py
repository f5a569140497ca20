"""Legs bent so that ankles come to given places: inverse kinematics of two bones, the knee in its own plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.core.arrays import Array
from tracker.core.geometry import matrix_from_axis_angle

LEG_JOINTS = (1, 4, 7)
"""Hip, knee and ankle of the left leg; the right one's come after each."""
FOOT_PITCH = np.radians(25.0)
"""By which a planted foot is turned at most."""
_HEEL_RISE = np.radians(50.0)
"""By which a foot on its toes is turned at most."""
_FULL_LEG = 0.999
"""Of a leg's length that an ankle may be away from its hip."""
_STRAIGHT = 0.04
"""Sine of the knee's bend, times the shin over the thigh, below which the plane of a leg is that of its shin's axes."""


@dataclass(frozen=True)
class Legs:
    """n legs: those of one side in n frames, or both sides in one."""

    hip: Array
    """(n, 3) m, camera frame, as `knee` and `ankle`."""
    knee: Array
    ankle: Array
    rotations: Array
    """(n, 4, 3, 3): of pelvis, hip, knee and ankle, from their own axes at rest to the camera's."""


def bent(legs: Legs, ankle: Array, foot_turn: Array, softness: float = 0.0) -> Array:
    """(n, 3, 3, 3): of hip, knee and ankle relative to their parents, when the ankles are at (n, 3) m and the feet are
    turned by (n, 3, 3) in the camera's frame. An ankle that is out of reach comes as near as the leg is long.

    softness: share of a leg's length before its end over which it resists being stretched, so that a knee that is
    nearly straight does not snap: a millimetre of the ankle's way is centimetres of the knee's there. The ankle stays
    behind for it.
    """
    thigh, shin = _two_bones(legs, ankle, softness)
    pelvis, hip, knee, foot = legs.rotations.swapaxes(0, 1)
    new_hip, new_knee, new_foot = thigh @ hip, shin @ knee, foot_turn @ foot
    return np.stack([_inverse(pelvis) @ new_hip, _inverse(new_hip) @ new_knee, _inverse(new_knee) @ new_foot], axis=1)


@dataclass(frozen=True)
class Stretch:
    """How far n legs reach."""

    hip: Array
    """(n, 3) m."""
    length: Array
    """(n,) m, of thigh and shin together."""


def on_tiptoe(leg: Stretch, toe: Array, ankle: Array, foot_turn: Array, weight: Array) -> tuple[Array, Array]:
    """Feet (turns (n, 3, 3) and ankles (n, 3) m) whose heels rise, by as little as brings the ankle into the leg's
    reach, where it is out of it: toes (n, 3) stay. weight: (n,) 0..1 of the rise."""
    foot, up = ankle - toe, leg.hip - toe
    radius, distance = np.linalg.norm(foot, axis=1), np.linalg.norm(up, axis=1)
    reach = _FULL_LEG * leg.length
    cosine = (radius**2 + distance**2 - reach**2) / np.maximum(2 * radius * distance, 1e-9)
    now = np.arccos(np.clip((foot * up).sum(axis=1) / np.maximum(radius * distance, 1e-9), -1.0, 1.0))
    rise = np.clip(now - np.arccos(np.clip(cosine, -1.0, 1.0)), 0.0, _HEEL_RISE) * weight
    axis = _cross(foot, up)
    axis /= np.maximum(np.linalg.norm(axis, axis=1, keepdims=True), 1e-9)
    turn = matrix_from_axis_angle(axis * rise[:, None])
    return turn @ foot_turn, toe + (turn @ foot[..., None])[..., 0]


def smallest_turns(src: Array, dst: Array, limit: float) -> Array:
    """(n, 3) rad: the rotation vectors that turn directions src (n, 3) into dst (n, 3), of `limit` rad at most."""
    a = src / np.maximum(np.linalg.norm(src, axis=1, keepdims=True), 1e-9)
    b = dst / np.maximum(np.linalg.norm(dst, axis=1, keepdims=True), 1e-9)
    cross = _cross(a, b)
    sine = np.linalg.norm(cross, axis=1)
    angle = np.minimum(np.arctan2(sine, (a * b).sum(axis=1)), limit)
    return cross * (angle / np.maximum(sine, 1e-9))[:, None]


def _two_bones(legs: Legs, target: Array, softness: float) -> tuple[Array, Array]:
    """World turns (n, 3, 3) of thigh and shin that bring the ankle to the target, the knee bending in its own plane."""
    thigh, shin, reach = legs.knee - legs.hip, legs.ankle - legs.knee, target - legs.hip
    upper, lower = np.linalg.norm(thigh, axis=1), np.linalg.norm(shin, axis=1)
    distance, before = np.linalg.norm(reach, axis=1), np.linalg.norm(legs.ankle - legs.hip, axis=1)
    if softness:
        distance = before + _yielding(distance, upper + lower, softness) - _yielding(before, upper + lower, softness)
    distance = np.clip(distance, np.abs(upper - lower) + 1e-4, _FULL_LEG * (upper + lower))
    bend = _bend(upper, lower, distance) - _bend(upper, lower, before)
    axis = _knee_axis(thigh, shin, legs.rotations[:, 2, :, 0])
    folded = matrix_from_axis_angle(axis * bend[:, None])
    new_reach = thigh + (folded @ shin[..., None])[..., 0]
    swing = matrix_from_axis_angle(smallest_turns(new_reach, reach, np.pi))
    return swing, swing @ folded


def _yielding(distance: Array, length: Array, softness: float) -> Array:
    """(n,) m: a distance from hip to ankle as it is, but for the last share of the leg, whose end is never reached."""
    spare = softness * length
    beyond = np.maximum(distance - length + spare, 0.0)
    return distance - beyond + spare * (1 - np.exp(-beyond / spare))


def _bend(upper: Array, lower: Array, distance: Array) -> Array:
    """(n,) rad of the knee, 0 when straight, for a distance from hip to ankle."""
    cosine = (upper**2 + lower**2 - distance**2) / (2 * upper * lower)
    return np.pi - np.arccos(np.clip(cosine, -1.0, 1.0))


def _knee_axis(thigh: Array, shin: Array, own: Array) -> Array:
    """(n, 3) unit: about which a positive turn bends the knee; while the leg is straight the shin's own x axis."""
    normal = _cross(thigh, shin)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    certain = length > _STRAIGHT * np.linalg.norm(thigh, axis=1, keepdims=True)
    axis = np.where(certain, normal / np.maximum(length, 1e-9), own)
    return axis / np.linalg.norm(axis, axis=1, keepdims=True)


def _cross(a: Array, b: Array) -> Array:
    """(n, 3): as numpy has it, which takes longer for a few vectors than all the rest."""
    return a[:, [1, 2, 0]] * b[:, [2, 0, 1]] - a[:, [2, 0, 1]] * b[:, [1, 2, 0]]


def _inverse(rotations: Array) -> Array:
    return rotations.swapaxes(-1, -2)
