"""The pose that explains a body's landmarks and everything else that is known: Levenberg–Marquardt, in one call.

The cost is that of `landmarks.linearise`, of any number of `landmarks.pull`s, of a residual linear in how far joints
have turned, and of Gaussians around shape and position. Rotations are stepped as R ← R exp δ. Arrays are numpy float64.
`landmark_fit_reference` is the definition; the C++ runs where it can be built.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from kernels import build, landmark_fit_reference
from kernels.backend import Implementation
from kernels.landmarks import (
    Array,
    BodyPlace,
    CarriedPoints,
    CarriedPointsData,
    LandmarkSeenData,
    LandmarkSystem,
    LandmarkSystemData,
    LandmarkView,
    RotationPull,
    address,
    c_seen,
    check_array,
    check_body_place,
    check_landmark_view,
    default_implementation,
    empty_system,
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


def fit(
    problem: PoseProblem, start: BodyPlace, patience: Patience, implementation: Implementation | None = None
) -> PoseFit:
    """Levenberg–Marquardt from `start`; the cost only falls. Raises ValueError that names the bad argument."""
    check_body_place(problem.body, start)
    if (implementation or default_implementation()) is Implementation.REFERENCE:
        return PoseFit(*landmark_fit_reference.fit(problem, start, patience))
    return _fit_cpu(problem, start, patience)


class _LinearPullData(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("rotations", "code", "slope", "matrix")),
        ("count", ctypes.c_int),
    )


class _PoseProblemData(ctypes.Structure):
    _fields_ = (
        ("rig", CarriedPointsData),
        ("seen", LandmarkSeenData),
        ("habit", _LinearPullData),
        ("pulls", ctypes.c_void_p),
        *((name, ctypes.c_void_p) for name in ("betas", "betas_precision", "transl", "transl_precision")),
        ("n_pulls", ctypes.c_int),
    )


class _PoseSearchData(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_double) for name in ("damping", "tolerance", "cost_at_start")),
        *((name, ctypes.c_int) for name in ("iterations", "settled")),
    )


def _c_habit(habit: LinearPull | None) -> _LinearPullData:
    if habit is None:
        return _LinearPullData(None, None, None, None, 0)
    return _LinearPullData(*map(address, (habit.rotations, habit.code, habit.slope, habit.matrix)), len(habit.code))


def _fit_cpu(problem: PoseProblem, start: BodyPlace, patience: Patience) -> PoseFit:
    pulls = (ctypes.c_void_p * len(problem.pulls))(*(ctypes.addressof(p.c_struct) for p in problem.pulls))
    believed = (problem.betas.mean, problem.betas.precision, problem.transl.mean, problem.transl.precision)
    c_problem = _PoseProblemData(
        problem.body.c_struct, c_seen(problem.view), _c_habit(problem.habit), ctypes.addressof(pulls),
        *map(address, believed), len(problem.pulls),
    )  # fmt: skip
    search = _PoseSearchData(patience.damping, patience.tolerance, 0.0, patience.iterations, 0)
    there = BodyPlace(start.rotations.copy(), start.betas.copy(), start.transl.copy())
    cost, system = ctypes.c_double(), empty_system(problem.body)
    build.library().landmarks_fit(
        ctypes.byref(c_problem),
        ctypes.byref(search),
        *(ctypes.c_void_p(address(value)) for value in (there.rotations, there.betas, there.transl)),
        ctypes.byref(LandmarkSystemData.of(cost, system)),
    )
    return PoseFit(there, system.costing(cost.value), search.cost_at_start, search.damping, bool(search.settled))
