"""What joints can do: a simple anatomical prior, one Gaussian and one box of limits per joint axis.

Rotation vectors are taken in SMPL's T-pose axes (x to the body's left, y up, z forward). The figures are round values
from anatomy (ranges of motion of an adult) written for the left side; the right side is the mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kernels.landmarks_values import RotationPull
from tracker.body.smpl_joints import SMPL_JOINTS
from tracker.core.arrays import NUM_JOINTS, Array


@dataclass(frozen=True)
class JointRange:
    """One joint's rotation vector: usual value, spread around it, and limits, (x, y, z) rad each."""

    mean: tuple[float, float, float]
    spread: tuple[float, float, float]
    lower: tuple[float, float, float]
    upper: tuple[float, float, float]


_RANGES = {
    # the trunk's usual values are those of captured people whose knees are straight: 1.3°, 0.3° and 0.2° forward;
    # bending forward is +x for the trunk, −x for the hip; +x bends the knee; −y bends the left elbow
    "spine1": JointRange((0.02, 0.0, 0.0), (0.22, 0.12, 0.12), (-0.35, -0.35, -0.35), (0.80, 0.35, 0.35)),
    "spine2": JointRange((0.00, 0.0, 0.0), (0.18, 0.15, 0.12), (-0.30, -0.40, -0.35), (0.60, 0.40, 0.35)),
    "spine3": JointRange((0.00, 0.0, 0.0), (0.15, 0.15, 0.12), (-0.30, -0.40, -0.35), (0.50, 0.40, 0.35)),
    "neck": JointRange((0.05, 0.0, 0.0), (0.25, 0.30, 0.20), (-0.70, -0.80, -0.50), (0.70, 0.80, 0.50)),
    "head": JointRange((0.05, 0.0, 0.0), (0.22, 0.25, 0.18), (-0.60, -0.70, -0.45), (0.60, 0.70, 0.45)),
    "hip": JointRange((-0.30, 0.0, 0.10), (1.30, 0.35, 0.35), (-2.50, -0.90, -0.60), (0.60, 0.90, 1.30)),
    "knee": JointRange((0.35, 0.0, 0.0), (1.60, 0.12, 0.08), (0.00, -0.35, -0.15), (2.70, 0.35, 0.15)),
    "ankle": JointRange((0.00, 0.0, 0.0), (0.30, 0.25, 0.18), (-0.70, -0.60, -0.50), (0.90, 0.60, 0.50)),
    "foot": JointRange((0.00, 0.0, 0.0), (0.05, 0.03, 0.03), (-0.50, -0.10, -0.10), (0.50, 0.10, 0.10)),
    "collar": JointRange((0.00, 0.0, -0.05), (0.10, 0.12, 0.15), (-0.30, -0.45, -0.40), (0.30, 0.40, 0.60)),
    "shoulder": JointRange((0.10, -0.25, -0.80), (0.60, 0.70, 0.70), (-1.90, -2.40, -1.75), (1.90, 1.00, 1.70)),
    "elbow": JointRange((0.00, -0.60, 0.00), (0.45, 0.80, 0.15), (-1.60, -2.65, -0.60), (1.60, 0.00, 0.60)),
    "wrist": JointRange((0.00, 0.0, 0.0), (0.35, 0.25, 0.30), (-1.10, -0.60, -1.10), (1.10, 0.60, 1.10)),
    "hand": JointRange((0.00, 0.0, 0.0), (0.05, 0.05, 0.05), (-0.30, -0.30, -0.50), (0.30, 0.30, 0.50)),
}


def _mirror(joint_range: JointRange) -> JointRange:
    """The same joint on the right: x keeps its sign, y and z change theirs and their limits swap."""

    def flip(v: tuple[float, float, float]) -> tuple[float, float, float]:
        return (v[0], -v[1], -v[2])

    lower, upper = joint_range.lower, joint_range.upper
    return JointRange(
        flip(joint_range.mean),
        joint_range.spread,
        (lower[0], -upper[1], -upper[2]),
        (upper[0], -lower[1], -lower[2]),
    )


def _range_of(name: str) -> JointRange:
    if name.startswith("left_"):
        return _RANGES[name.removeprefix("left_")]
    if name.startswith("right_"):
        return _mirror(_RANGES[name.removeprefix("right_")])
    return _RANGES[name]


def _with_root(values: Array) -> Array:
    """(23, 3) → (24, 3), zero for the pelvis."""
    return np.concatenate([np.zeros((1, 3)), values])


@dataclass(frozen=True)
class JointPrior:
    """The ranges of joints 1..23 as arrays, (23, 3) rad each."""

    mean: Array
    spread: Array
    lower: Array
    upper: Array
    limit_spread: float = 0.05
    """rad: how far beyond a limit costs as much as one standard deviation."""

    @classmethod
    def anatomical(cls) -> JointPrior:
        """The built-in ranges."""
        ranges = [_range_of(name) for name in SMPL_JOINTS[1:]]
        mean, spread, lower, upper = (
            np.array([getattr(r, key) for r in ranges]) for key in ("mean", "spread", "lower", "upper")
        )
        return cls(mean, spread, lower, upper)

    def pulls(self, weight: float) -> tuple[RotationPull, RotationPull]:
        """What draws all 24 joints (the root excepted) to their usual values, and what keeps them in their limits.

        weight: how much the prior counts against everything else, 1 for as it is.
        """
        root, targets = np.sqrt(weight), np.tile(np.eye(3), (NUM_JOINTS, 1, 1))
        mean, limits = _with_root(self.mean), np.full_like(self.mean, root / self.limit_spread)
        usual = RotationPull(targets, mean, mean, _with_root(root / self.spread))
        return usual, RotationPull(targets, _with_root(self.lower), _with_root(self.upper), _with_root(limits))

    def clip(self, rotvec: Array) -> Array:
        """(23, 3) rad, each axis moved inside its limits."""
        return np.clip(rotvec, self.lower, self.upper)

    def sample(self, rng: np.random.Generator) -> Array:
        """(24, 3) rad: a random pose inside the limits, the root unturned."""
        drawn = rng.normal(self.mean, self.spread)
        return np.concatenate([np.zeros((1, 3)), self.clip(drawn)])
