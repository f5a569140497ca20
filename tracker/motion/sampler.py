"""Poses to train on: frames of motion, their mirror images, limbs put together anew, and postures motion lacks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.body.joint_limits import JointPrior
from tracker.body.model import JOINT_NAMES
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.geometry import matrix_from_axis_angle
from tracker.motion.families import Postures
from tracker.motion.motion_clip import mirror
from tracker.motion.motion_library import MotionLibrary


def _limb(*names: str) -> list[int]:
    return [JOINT_NAMES.index(name) for name in names]


LIMBS = (
    _limb("spine1", "spine2", "spine3", "neck", "head"),
    _limb("left_collar", "left_shoulder", "left_elbow", "left_wrist", "left_hand"),
    _limb("right_collar", "right_shoulder", "right_elbow", "right_wrist", "right_hand"),
    _limb("left_hip", "left_knee", "left_ankle", "left_foot"),
    _limb("right_hip", "right_knee", "right_ankle", "right_foot"),
)
"""What is exchanged between poses: trunk with head, arms, legs."""


@dataclass(frozen=True)
class SamplerConfig:
    """The mixture; shares are of all poses drawn, the rest are plain frames of motion."""

    recombined: float = 0.15
    """Frames with one to three limbs taken from another frame."""
    postures: float = 0.25
    """Drawn within joint limits: lying, sitting, kneeling, yoga, climbing."""
    grafted: float = 0.10
    """Frames with one to three limbs of such a posture."""


class PoseSampler:
    """Draws training poses. Without a library all of them are postures within the joints' limits.

    World frame: y up; every pose is turned at random about the vertical.
    """

    def __init__(self, library: MotionLibrary | None, seed: int = 0, config: SamplerConfig | None = None) -> None:
        self.library, self.config = library, config or SamplerConfig()
        self._postures = Postures(JointPrior.anatomical())
        self._rng = np.random.default_rng(seed)

    def poses(self, rng: np.random.Generator | None, count: int) -> Array:
        """(count, 24, 3, 3) float32 rotations relative to the parents. rng: the sampler's own when None."""
        rng = self._rng if rng is None else rng
        if self.library is None:
            return self._postures.draw(rng, count)
        poses = _turned(rng, self._frames(rng, count))
        kind = rng.random(count)
        config = self.config
        edges = np.cumsum([config.postures, config.recombined, config.grafted])
        posed = kind < edges[0]
        poses[posed] = self._postures.draw(rng, int(posed.sum()))
        for low, high, donors in ((0, 1, self._frames), (1, 2, self._postures.draw)):
            rows = np.flatnonzero((kind >= edges[low]) & (kind < edges[high]))
            poses[rows] = _grafted(rng, poses[rows], donors(rng, len(rows)))
        return poses

    def windows(self, rng: np.random.Generator | None, count: int, length: int) -> Array:
        """(count, length, 24, 3, 3) float32: consecutive frames at the library's rate, mirrored half of the time.

        Longer clips are drawn more often. Raises ValueError when there is no library or no clip is as long.
        """
        if self.library is None:
            raise ValueError("PoseSampler.windows: there is no motion to draw from; open a MotionLibrary")
        rng = self._rng if rng is None else rng
        room = np.array([max(len(clip.theta) - length + 1, 0) for clip in self.library.clips])
        if not room.sum():
            raise ValueError(f"PoseSampler.windows: no clip has {length} frames at {self.library.rate} fps")
        chosen = rng.choice(len(room), size=count, p=room / room.sum())
        first = self.library.starts[chosen] + (rng.random(count) * room[chosen]).astype(int)
        windows = self.library.rotations[first[:, None] + np.arange(length)]
        return _turned(rng, _half_mirrored(rng, windows))

    def _frames(self, rng: np.random.Generator, count: int) -> Array:
        if self.library is None:
            raise ValueError("PoseSampler: there is no motion to draw from; open a MotionLibrary")
        rotations = self.library.rotations
        return _half_mirrored(rng, rotations[rng.integers(len(rotations), size=count)])


def _half_mirrored(rng: np.random.Generator, rotations: Array) -> Array:
    """(n, ..., 24, 3, 3), each of the n mirrored with probability ½."""
    flipped = rng.random(len(rotations)) < 0.5
    rotations[flipped] = mirror(rotations[flipped])
    return rotations


def _turned(rng: np.random.Generator, rotations: Array) -> Array:
    """(n, ..., 24, 3, 3), each of the n turned about the vertical."""
    yaw = rng.uniform(-np.pi, np.pi, (len(rotations), *[1] * (rotations.ndim - 3)))
    turn = matrix_from_axis_angle(yaw * np.array([0.0, 1.0, 0.0])).astype(rotations.dtype)
    rotations[..., 0, :, :] = turn @ rotations[..., 0, :, :]
    return rotations


def _grafted(rng: np.random.Generator, poses: Array, donors: Array) -> Array:
    """One to three limbs of each pose replaced by the donor's."""
    order = rng.random((len(poses), len(LIMBS))).argsort(axis=1)
    taken = order < rng.integers(1, 4, size=(len(poses), 1))
    from_donor = np.zeros((len(poses), NUM_JOINTS), bool)
    for column, joints in enumerate(LIMBS):
        from_donor[:, joints] = taken[:, column, None]
    return np.where(from_donor[:, :, None, None], donors, poses)
