"""Legs by inverse kinematics: feet stay where they are planted because everything above is worked out from them.

World frame: y up, the floor at 0. A foot at rest is flat on the floor and points along +z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.body.model import JOINT_NAMES, ShapedBody
from tracker.core.arrays import Array
from tracker.core.geometry import matrix_from_axis_angle

SIDES = ("left", "right")


@dataclass(frozen=True)
class LegGeometry:
    """One leg of a shaped body at rest, metres, in the body's axes."""

    hip: Array
    """(3,) from the pelvis joint."""
    thigh: Array
    """(3,) hip to knee."""
    shin: Array
    """(3,) knee to ankle."""
    ankle: Array
    """(3,) from the point of the floor under it."""
    ball: Array
    """(3,) the joint of the toes, from the same point."""
    heel: Array
    """(3,) the edge on which the foot rolls backwards, on the floor."""

    @classmethod
    def of(cls, shaped: ShapedBody, side: str, floor: float) -> LegGeometry:
        """floor: y of the floor in the body's rest frame; it is lower than the bare feet by the shoes' soles."""
        joints = dict(zip(JOINT_NAMES, shaped.rest_joints.numpy().astype(float), strict=True))
        heel_row = shaped.model.landmark_regressor([f"{side}_heel"])
        heel = (heel_row @ shaped.rest_vertices)[0].numpy().astype(float)
        hip, knee, ankle = (joints[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
        ground = np.array([ankle[0], floor, ankle[2]])
        on_floor = np.array([ankle[0], floor, heel[2]])
        ball = joints[f"{side}_foot"] - ground
        return cls(hip - joints["pelvis"], knee - hip, ankle - knee, ankle - ground, ball, on_floor - ground)

    @property
    def reach(self) -> float:
        """m from hip to ankle with the leg stretched."""
        return float(np.linalg.norm(self.thigh) + np.linalg.norm(self.shin))


@dataclass(frozen=True)
class FootTrack:
    """One foot over T moments."""

    ground: Array
    """(T, 3) m: the point under the ankle when the foot is level; y is how high it is lifted."""
    yaw: Array
    """(T,) rad about y: 0 points along +z."""
    pitch: Array
    """(T,) rad: positive lifts the heel and rolls on the ball, negative lifts the toes and rolls on the heel."""

    def rotations(self) -> Array:
        """(T, 3, 3) from the foot at rest to the world."""
        return about("y", self.yaw) @ about("x", self.pitch)

    def ankle(self, leg: LegGeometry) -> Array:
        """(T, 3) m."""
        pivot = np.where(self.pitch[:, None] > 0, leg.ball, leg.heel)
        rolled = pivot + (about("x", self.pitch) @ (leg.ankle - pivot)[..., None])[..., 0]
        return self.ground + (about("y", self.yaw) @ rolled[..., None])[..., 0]


@dataclass(frozen=True)
class LegAngles:
    """(T, 3, 3) rotations of the leg's joints relative to their parents."""

    hip: Array
    knee: Array
    ankle: Array


def about(axis: str, angle: Array) -> Array:
    """(T,) rad → (T, 3, 3) rotations about a coordinate axis."""
    unit = np.eye(3)["xyz".index(axis)]
    return matrix_from_axis_angle(np.asarray(angle)[..., None] * unit)


def solve_leg(leg: LegGeometry, pelvis: Array, R_world_pelvis: Array, foot: FootTrack) -> LegAngles:
    """Angles that bring the foot to its track; the knee is a hinge and points where the toes point.

    pelvis: (T, 3) m, the pelvis joint. A foot out of reach is drawn in along the line to the hip.
    """
    ankle, R_world_foot = foot.ankle(leg), foot.rotations()
    hip = pelvis + R_world_pelvis @ leg.hip
    bend = knee_bend(leg, np.linalg.norm(ankle - hip, axis=1))
    R_thigh_shin = about("x", bend)
    stretched = leg.thigh + R_thigh_shin @ leg.shin
    forward = about("y", foot.yaw) @ np.array([0.0, 0.0, 1.0])
    R_world_thigh = _frames(ankle - hip, forward) @ np.swapaxes(
        _frames(stretched, np.broadcast_to([0.0, 0.0, 1.0], stretched.shape)), 1, 2
    )
    R_shin_world = np.swapaxes(R_world_thigh @ R_thigh_shin, 1, 2)
    return LegAngles(np.swapaxes(R_world_pelvis, 1, 2) @ R_world_thigh, R_thigh_shin, R_shin_world @ R_world_foot)


def knee_bend(leg: LegGeometry, distance: Array) -> Array:
    """(T,) rad about the body's x at which hip and ankle are so far apart (T,) m: the law of cosines for bones that are
    not quite straight at rest."""
    t, s = leg.thigh, leg.shin
    cosine, sine = t[1] * s[1] + t[2] * s[2], t[2] * s[1] - t[1] * s[2]
    wanted = (distance**2 - t @ t - s @ s) / 2 - t[0] * s[0]
    amplitude = np.hypot(cosine, sine)
    bend = np.arctan2(sine, cosine) + np.arccos(np.clip(wanted / amplitude, -1.0, 1.0))
    return np.maximum(bend, 0.0)


def _frames(along: Array, forward: Array) -> Array:
    """(T, 3, 3) with columns: along; forwards as far as it is square to that; and across."""
    a = along / np.linalg.norm(along, axis=1, keepdims=True)
    f = forward - (forward * a).sum(axis=1, keepdims=True) * a
    f = f / np.linalg.norm(f, axis=1, keepdims=True)
    return np.stack([a, f, np.cross(a, f)], axis=-1)
