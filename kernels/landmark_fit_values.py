"""What the landmark fit takes and gives. Arrays are numpy float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from kernels.landmarks_values import (
    Array,
    BodyPlace,
    CarriedPoints,
    LandmarkSystem,
    LandmarkView,
    RotationPull,
    check_array,
    check_landmark_view,
)


@dataclass(frozen=True)
class LinearPull:
    """r = code + slope · log(rotationsᵀ R): what was linearised at `rotations`, such as a trained prior's code."""

    rotations: Array
    """(J, 3, 3)"""
    code: Array
    """(n,)"""
    slope: Array
    """(n, 3 J) 1/rad."""

    def __post_init__(self) -> None:
        check_array("rotations", self.rotations, (-1, 3, 3))
        check_array("code", self.code, (-1,))
        check_array("slope", self.slope, (len(self.code), 3 * len(self.rotations)))

    @cached_property
    def matrix(self) -> Array:
        """(3 J, 3 J): slopeᵀ slope."""
        square: Array = self.slope.T @ self.slope
        return square


@dataclass(frozen=True)
class Gaussian:
    """½ (x − mean)ᵀ precision (x − mean)."""

    mean: Array
    """(n,)"""
    precision: Array
    """(n, n), symmetric."""

    def __post_init__(self) -> None:
        check_array("mean", self.mean, (-1,))
        check_array("precision", self.precision, (len(self.mean), len(self.mean)))


@dataclass(frozen=True)
class PoseProblem:
    """What is known of a body's pose, shape and position."""

    body: CarriedPoints
    view: LandmarkView
    pulls: Sequence[RotationPull]
    habit: LinearPull | None
    betas: Gaussian
    transl: Gaussian

    def __post_init__(self) -> None:
        check_landmark_view(self.body, self.view)
        joints, betas = len(self.body.joints), self.body.joints_betas.shape[-1]
        for name, value, count in (("betas", self.betas, betas), ("transl", self.transl, 3)):
            check_array(name, value.mean, (count,))
        for number, towards in enumerate(self.pulls):
            check_array(f"pulls[{number}].targets", towards.targets, (joints, 3, 3))
        if self.habit is not None:
            check_array("habit.rotations", self.habit.rotations, (joints, 3, 3))


@dataclass(frozen=True)
class Patience:
    """How far to go."""

    iterations: int
    """Steps that are tried; 0 only looks."""
    tolerance: float
    """Relative fall of the cost below which it is over."""
    damping: float = 1e-3
    """Levenberg–Marquardt's λ to begin with: λ (1 + d) is added to each diagonal entry d."""


@dataclass(frozen=True)
class PoseFit:
    """Where the steps have led."""

    place: BodyPlace
    system: LandmarkSystem
    """There, of the whole cost."""
    cost_at_start: float
    damping: float
    """To go on with."""
    settled: bool
    """Whether the cost has ceased to fall."""
