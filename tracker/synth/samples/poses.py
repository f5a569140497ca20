"""Poses when there is no motion library: drawn from the joints' ranges around ways of standing, sitting and lying."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.geometry import matrix_from_axis_angle
from tracker.keypoints import SMPL_JOINTS
from tracker.prior import JointPrior
from tracker.types import NUM_JOINTS, Array

Degrees = tuple[float, float, float]


@dataclass(frozen=True)
class _Stance:
    """A way to hold the body: what stands for the prior's mean, and how much of its spread is used."""

    share: float
    spread: float
    joints: dict[str, Degrees]
    """Of the left side and the middle; the right side mirrors the left."""
    root: Degrees = (0.0, 0.0, 0.0)


_STANCES = (
    _Stance(0.40, 0.35, {"left_hip": (-4, 0, 4), "left_knee": (6, 0, 0), "left_shoulder": (0, -8, -68)}),
    _Stance(0.25, 0.7, {"left_hip": (-15, 0, 6), "left_knee": (20, 0, 0)}),
    _Stance(0.13, 1.0, {}),
    _Stance(0.10, 0.4, {"left_hip": (-88, 0, 10), "left_knee": (90, 0, 0), "left_shoulder": (0, -25, -60)}),
    _Stance(0.06, 0.5, {"left_hip": (-50, 0, 5), "spine1": (25, 0, 0), "spine2": (20, 0, 0)}, (20, 0, 0)),
    _Stance(0.03, 0.5, {"left_hip": (-10, 0, 5), "left_knee": (15, 0, 0)}, (-90, 0, 0)),
    _Stance(0.03, 0.6, {"left_hip": (-30, 0, 5), "left_knee": (35, 0, 0)}, (0, 0, 90)),
)  # fmt: skip


class LimitPoses:
    """A pose source that needs no data; a root that only leans or lies, never turned about the vertical."""

    def __init__(self) -> None:
        self._prior = JointPrior.anatomical()
        self._means = [_mean(stance, self._prior) for stance in _STANCES]

    def poses(self, rng: np.random.Generator, count: int) -> Array:
        """(count, 24, 3, 3)."""
        shares = [stance.share for stance in _STANCES]
        return np.stack([self._one(rng, int(which)) for which in rng.choice(len(shares), count, p=shares)])

    def _one(self, rng: np.random.Generator, which: int) -> Array:
        stance = _STANCES[which]
        drawn = self._prior.clip(rng.normal(self._means[which], self._prior.spread * stance.spread))
        root = np.radians(stance.root) + rng.normal(0.0, 0.08, 3)
        return matrix_from_axis_angle(np.concatenate([root[None], drawn]))


def _mean(stance: _Stance, prior: JointPrior) -> Array:
    """(23, 3) rad."""
    mean = np.concatenate([np.zeros((1, 3)), prior.mean])
    for name, degrees in stance.joints.items():
        x, y, z = np.radians(degrees)
        mean[SMPL_JOINTS.index(name)] = (x, y, z)
        if name.startswith("left_"):
            mean[SMPL_JOINTS.index(name.replace("left", "right"))] = (x, -y, -z)
    return mean[1:NUM_JOINTS]
