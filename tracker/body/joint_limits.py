"""What joints can do: a simple anatomical prior, one usual value and one box of limits per joint axis.

Around its usual value an axis is spread as a Gaussian, but for the bends of hips and knees: people stand and walk on
legs that are nearly straight, and sit on legs bent by 90°. A Cauchy distribution draws what is nearly straight and lets
go of what is not; it is fitted as the Gaussian that pulls as strongly where the joint is.

Rotation vectors are taken in SMPL's T-pose axes (x to the body's left, y up, z forward). The figures are round values
from anatomy (ranges of motion of an adult) written for the left side; the right side is the mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kernels.landmarks_values import RotationPull
from tracker.body.smpl_joints import SMPL_JOINTS
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.geometry import axis_angle_from_matrix

_UNTURNED = np.tile(np.eye(3), (NUM_JOINTS, 1, 1))


@dataclass(frozen=True)
class JointRange:
    """One joint's rotation vector: usual value, spread around it, and limits, (x, y, z) rad each."""

    mean: tuple[float, float, float]
    spread: tuple[float, float, float]
    lower: tuple[float, float, float]
    upper: tuple[float, float, float]
    heavy_tail: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Width of a Cauchy distribution around the usual value, rad; 0 for axes that have a Gaussian."""


_RANGES = {
    # the trunk's usual values are those of captured people whose knees are straight: 1.3°, 0.3° and 0.2° forward;
    # bending forward is +x for the trunk, −x for the hip; +x bends the knee; −y bends the left elbow
    "spine1": JointRange((0.02, 0.0, 0.0), (0.22, 0.12, 0.12), (-0.35, -0.35, -0.35), (0.80, 0.35, 0.35)),
    "spine2": JointRange((0.00, 0.0, 0.0), (0.18, 0.15, 0.12), (-0.30, -0.40, -0.35), (0.60, 0.40, 0.35)),
    "spine3": JointRange((0.00, 0.0, 0.0), (0.15, 0.15, 0.12), (-0.30, -0.40, -0.35), (0.50, 0.40, 0.35)),
    "neck": JointRange((0.05, 0.0, 0.0), (0.25, 0.30, 0.20), (-0.70, -0.80, -0.50), (0.70, 0.80, 0.50)),
    "head": JointRange((0.05, 0.0, 0.0), (0.22, 0.25, 0.18), (-0.60, -0.70, -0.45), (0.60, 0.70, 0.45)),
    "hip": JointRange(
        (-0.05, 0.0, 0.10), (1.30, 0.35, 0.35), (-2.50, -0.90, -0.60), (0.60, 0.90, 1.30), (0.20, 0.0, 0.0)
    ),
    "knee": JointRange(
        (0.05, 0.0, 0.0), (1.60, 0.12, 0.08), (0.00, -0.35, -0.15), (2.70, 0.35, 0.15), (0.20, 0.0, 0.0)
    ),
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
        joint_range.heavy_tail,
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
    heavy_tail: Array
    """Width of the Cauchy distribution around the mean, 0 where it is a Gaussian of that spread."""
    limit_spread: float = 0.05
    """rad: how far beyond a limit costs as much as one standard deviation."""

    @classmethod
    def anatomical(cls) -> JointPrior:
        """The built-in ranges."""
        ranges = [_range_of(name) for name in SMPL_JOINTS[1:]]
        mean, spread, lower, upper, heavy_tail = (
            np.array([getattr(r, key) for r in ranges]) for key in ("mean", "spread", "lower", "upper", "heavy_tail")
        )
        return cls(mean, spread, lower, upper, heavy_tail)

    def usual(self, weight: float, rotations: Array) -> RotationPull:
        """What draws all 24 joints (the root excepted) to their usual values, as strongly as it does where they are
        turned by rotations (24, 3, 3), relative to their parents.

        weight: how much the prior counts against everything else, 1 for as it is. A Cauchy distribution pulls with
        (φ − μ) / (γ² + (φ − μ)²), which is a Gaussian's whose variance is the denominator.
        """
        spread = self.spread.copy()
        heavy = self.heavy_tail > 0
        off = axis_angle_from_matrix(rotations[1:]) - self.mean
        spread[heavy] = np.hypot(self.heavy_tail, off)[heavy]
        mean = _with_root(self.mean)
        return RotationPull(_UNTURNED, mean, mean, _with_root(np.sqrt(weight) / spread))

    def limits(self, weight: float) -> RotationPull:
        """What keeps all 24 joints (the root excepted) inside their limits. weight: as `usual` has it."""
        slope = np.full_like(self.mean, np.sqrt(weight) / self.limit_spread)
        return RotationPull(_UNTURNED, _with_root(self.lower), _with_root(self.upper), _with_root(slope))

    def clip(self, rotvec: Array) -> Array:
        """(23, 3) rad, each axis moved inside its limits."""
        return np.clip(rotvec, self.lower, self.upper)

    def sample(self, rng: np.random.Generator) -> Array:
        """(24, 3) rad: a random pose inside the limits, the root unturned."""
        drawn = rng.normal(self.mean, self.spread)
        return np.concatenate([np.zeros((1, 3)), self.clip(drawn)])
