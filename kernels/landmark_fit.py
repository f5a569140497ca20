"""The pose that explains a body's landmarks and everything else that is known: Levenberg–Marquardt, in one call.

The cost is that of `landmarks.linearise`, of any number of `landmarks.pull`s, of a residual linear in how far joints
have turned, and of Gaussians around shape and position. Rotations are stepped as R ← R exp δ. Arrays are numpy float64.
`landmark_fit_reference` is the definition; the C++ runs where it can be built.
"""

from __future__ import annotations

import ctypes

from kernels import build, landmark_fit_reference
from kernels.implementation import Implementation
from kernels.landmark_fit_values import LinearPull, Patience, PoseFit, PoseProblem
from kernels.landmarks import (
    LandmarkSeenData,
    LandmarkSystemData,
    c_view,
)
from kernels.landmarks_values import (
    BodyPlace,
    CarriedPointsData,
    address,
    check_body_place,
    empty_system,
)


def fit(
    problem: PoseProblem, start: BodyPlace, patience: Patience, implementation: Implementation | None = None
) -> PoseFit:
    """Levenberg–Marquardt from `start`; the cost only falls. Raises ValueError that names the bad argument."""
    check_body_place(problem.body, start)
    if (implementation or build.cpu_implementation()) is Implementation.REFERENCE:
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
        problem.body.c_struct, c_view(problem.view), _c_habit(problem.habit), ctypes.addressof(pulls),
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
