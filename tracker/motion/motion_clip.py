"""A piece of human motion in SMPL's joints, and the few things that are done to it: resampling, mirroring, posing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from tracker.body import load_body
from tracker.body.model import JOINT_NAMES, PARENTS
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.errors import InputError
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle

_SLOWEST, _FASTEST = 1, 10_000
"""Frames per second."""
_LONGEST_SECONDS = 24 * 3600
_MIRROR_AXES = np.array([-1.0, 1.0, 1.0])


def _other_side(name: str) -> str:
    if name.startswith("left_"):
        return name.replace("left_", "right_")
    return name.replace("right_", "left_")


MIRRORED_JOINTS = np.array([JOINT_NAMES.index(_other_side(name)) for name in JOINT_NAMES])
"""(24,) for each joint its counterpart on the other side; joints of the middle are their own."""


@dataclass(frozen=True)
class MotionClip:
    """One person moving, in a world with y up. SMPL's own frame: an unturned upright body faces +z, its left is +x."""

    name: str
    theta: Array
    """(T, 24, 3) axis-angle, rad, SMPL's order; joint 0 from the body's frame to the world's."""
    transl: Array
    """(T, 3) m: SMPL's `transl` for the built-in body's mean shape."""
    rate: float
    """Frames per second."""

    def __post_init__(self) -> None:
        frames = len(self.theta)
        if self.theta.shape != (frames, NUM_JOINTS, 3) or self.transl.shape != (frames, 3):
            raise ValueError(
                f"{self.name}: expected theta (T, 24, 3) and transl (T, 3), got {self.theta.shape}, {self.transl.shape}"
            )
        if not frames or not _SLOWEST <= self.rate <= _FASTEST:
            raise InputError(
                f"{self.name}: expected frames, at {_SLOWEST} to {_FASTEST} a second; got {frames} at {self.rate:g}"
            )
        if self.seconds > _LONGEST_SECONDS:
            raise InputError(f"{self.name}: lasts {self.seconds / 3600:.0f} h; expected at most a day: cut it")
        if not (np.isfinite(self.theta).all() and np.isfinite(self.transl).all()):
            raise InputError(f"{self.name}: the motion has numbers that are not finite; repair or leave out the file")

    @property
    def seconds(self) -> float:
        return len(self.theta) / self.rate

    def rotations(self) -> Array:
        """(T, 24, 3, 3) float32, each joint relative to its parent."""
        return matrix_from_axis_angle(self.theta.astype(np.float64)).astype(np.float32)

    def at_rate(self, rate: float) -> MotionClip:
        """The same motion at another frame rate, rotations interpolated on the sphere."""
        if abs(rate - self.rate) < 1e-3 * rate or len(self.theta) < 2:
            return self
        times = np.arange(len(self.theta)) / self.rate
        wanted = np.arange(0.0, times[-1] + 1e-9, 1 / rate)
        turns = [
            Slerp(times, Rotation.from_rotvec(joint))(wanted).as_rotvec() for joint in np.moveaxis(self.theta, 1, 0)
        ]
        transl = np.stack([np.interp(wanted, times, axis) for axis in self.transl.T], axis=1)
        return MotionClip(self.name, np.stack(turns, axis=1).astype(np.float32), transl.astype(np.float32), rate)


def without_calibration(clip: MotionClip) -> MotionClip:
    """The clip without a first frame that does not belong to it: many files open with one frame of T-pose.

    It is known by its jump: the mean joint turns over 8°, and five times farther than in nearly all later frames.
    """
    if len(clip.theta) < 10:
        return clip
    rotations = clip.rotations()[:, 1:]
    steps = np.swapaxes(rotations[:-1], -1, -2) @ rotations[1:]
    turned = np.linalg.norm(axis_angle_from_matrix(steps), axis=-1).mean(axis=1)
    if turned[0] < max(np.radians(8.0), 5 * np.percentile(turned[1:], 95)):
        return clip
    return replace(clip, theta=clip.theta[1:], transl=clip.transl[1:])


def mirror(rotations: Array) -> Array:
    """(..., 24, 3, 3) → the same pose seen in a mirror (x ↔ −x), left and right exchanged."""
    flip = _MIRROR_AXES[:, None] * _MIRROR_AXES
    return (rotations[..., MIRRORED_JOINTS, :, :] * flip).astype(rotations.dtype, copy=False)


@cache
def rest_joints() -> Array:
    """(24, 3) m: joints of the built-in body's mean shape in its T-pose."""
    body = load_body()
    joints: Array = (body.joint_regressor.double() @ body.v_template.double()).numpy()
    return joints


def world_rotations(rotations: Array) -> Array:
    """(..., 24, 3, 3) relative to the parents → relative to the world."""
    world = np.empty_like(rotations)
    world[..., 0, :, :] = rotations[..., 0, :, :]
    for joint in range(1, NUM_JOINTS):
        world[..., joint, :, :] = world[..., PARENTS[joint], :, :] @ rotations[..., joint, :, :]
    return world


def local_rotations(world: Array) -> Array:
    """The inverse of `world_rotations`."""
    local = world.copy()
    for joint in range(1, NUM_JOINTS):
        local[..., joint, :, :] = np.swapaxes(world[..., PARENTS[joint], :, :], -1, -2) @ world[..., joint, :, :]
    return local


def joint_positions(rotations: Array, rest: Array | None = None) -> Array:
    """(..., 24, 3, 3) → (..., 24, 3) m: joints of the posed body before `transl` is added.

    rest: (24, 3) m, the built-in body's mean shape where it is not given.
    """
    rest = rest_joints() if rest is None else rest
    world = world_rotations(rotations)
    places = np.empty(world.shape[:-1], dtype=np.result_type(world, np.float32))
    places[..., 0, :] = rest[0]
    for joint in range(1, NUM_JOINTS):
        parent = PARENTS[joint]
        places[..., joint, :] = places[..., parent, :] + world[..., parent, :, :] @ (rest[joint] - rest[parent])
    return places


def clip_from_rotations(name: str, rotations: Array, transl: Array, rate: float) -> MotionClip:
    """rotations: (T, 24, 3, 3) relative to the parents."""
    theta = axis_angle_from_matrix(rotations).astype(np.float32)
    return MotionClip(name, theta, np.asarray(transl, np.float32), rate)
