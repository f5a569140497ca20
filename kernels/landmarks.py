"""What a body's landmarks, seen in a picture, say about its pose: the normal equations of one Gauss–Newton step.

`linearise` sums up the landmarks, `pull` adds what else is known of the joints' rotations (priors, predictions).

A point k of the body is carried by bones i with weights w_ki (Σ_i w_ki = 1):

    p_k = Σ_i R_i (A_ki − w_ki J_i) + w_ki P_i

with bone i's world rotation R_i, rest joint J_i(β) and posed joint P_i. The unknowns x are, in this order, a small
rotation δ_j of each joint in its own frame (R_j ← R_j exp δ_j), β and the body's position. Each point is seen twice:

- in the picture, r_k = w_k (π(p_k + transl) − u_k);
- in metres, up to position and scale and in the axes of a camera that looks straight at the person (turned by T from
  this one's), r_k = (w_k / σ_k) Tᵀ (p_k − s (T m_k − c)), where s and c align both sets of points.

Either is robust by Geman–McClure: ½ r²/(1 + r²/σ²), Gauss–Newton's rows scaled by 1/(1 + r²/σ²).

Arrays are numpy float64: one person is a system of 85 unknowns, too small for a GPU. `landmarks_reference` is the
definition; the C++ runs where it can be built.
"""

from __future__ import annotations

import ctypes

import numpy as np

from kernels import build, landmarks_reference
from kernels.implementation import Implementation
from kernels.landmarks_values import (
    Array,
    BodyPlace,
    CarriedPoints,
    LandmarkSystem,
    LandmarkView,
    PosedSkeleton,
    RotationPull,
    address,
    check_array,
    check_body_place,
    check_landmark_view,
    empty_system,
)


class LandmarkSeenData(ctypes.Structure):
    """`LandmarkView` as C++ reads it."""

    _fields_ = (
        *((name, ctypes.c_double) for name in ("fx", "fy", "cx", "cy")),
        *((name, ctypes.c_void_p) for name in ("pixels", "metric", "pixel_weight", "metric_weight", "metric_spread")),
        ("outlier", ctypes.c_double),
        ("nearest_z", ctypes.c_double),
    )


class LandmarkSystemData(ctypes.Structure):
    """Where C++ puts a `LandmarkSystem`."""

    _fields_ = tuple(
        (name, ctypes.c_void_p)
        for name in ("cost", "gradient", "matrix", "points", "joints", "rest_joints", "world", "pixel")
    )

    @classmethod
    def of(cls, cost: ctypes.c_double, system: LandmarkSystem) -> LandmarkSystemData:
        """Into the system's arrays, and the cost, which Python's numbers have no address for."""
        values = (
            system.gradient, system.matrix, system.points, system.joints, system.rest_joints, system.world_rotations,
            system.pixel_residual,
        )  # fmt: skip
        return cls(ctypes.addressof(cost), *map(address, values))


def pose(
    body: CarriedPoints, rotations: Array, betas: Array, implementation: Implementation | None = None
) -> PosedSkeleton:
    """The points and joints of a pose: rotations (J, 3, 3) and betas (B,) as in `BodyPlace`. Raises ValueError that
    names the bad argument."""
    joints, shapes = len(body.joints), body.joints_betas.shape[-1]
    check_array("rotations", rotations, (joints, 3, 3))
    check_array("betas", betas, (shapes,))
    if (implementation or build.cpu_implementation()) is Implementation.REFERENCE:
        posed = landmarks_reference.pose(body, BodyPlace(rotations, betas, np.zeros(3)))
        return PosedSkeleton(posed.points, posed.joints, posed.rest_joints, posed.world)
    out = PosedSkeleton(
        np.empty((body.count, 3)), np.empty((joints, 3)), np.empty((joints, 3)), np.empty((joints, 3, 3))
    )
    target = LandmarkSystemData(None, None, None, *map(address, out), None)
    build.quick_library().landmarks_pose(
        ctypes.byref(body.c_struct), ctypes.c_void_p(address(rotations)), ctypes.c_void_p(address(betas)),
        ctypes.byref(target),
    )  # fmt: skip
    return out


def linearise(
    body: CarriedPoints, place: BodyPlace, view: LandmarkView, implementation: Implementation | None = None
) -> LandmarkSystem:
    """The normal equations of a body's landmarks at `place`. Raises ValueError that names the bad argument."""
    check_body_place(body, place)
    check_landmark_view(body, view)
    run = _RUN[implementation or build.cpu_implementation()]
    return run(body, place, view)


def pull(
    rotations: Array,
    towards: RotationPull,
    gradient: Array,
    matrix: Array,
    implementation: Implementation | None = None,
) -> float:
    """½ Σ r² of a pull at these rotations (J, 3, 3).

    Its gradient (X,) and Gauss–Newton matrix (X, X), by a small rotation of each joint in its own frame, are added to
    `gradient` and `matrix`, whose first 3 J unknowns these are. Raises ValueError that names the bad argument.
    """
    joints, unknowns = len(towards.targets), len(gradient)
    check_array("rotations", rotations, (joints, 3, 3))
    check_array("gradient", gradient, (unknowns,))
    check_array("matrix", matrix, (unknowns, unknowns))
    if unknowns < 3 * joints:
        raise ValueError(f"gradient: expected at least {3 * joints} unknowns for {joints} joints, got {unknowns}")
    return _PULL[implementation or build.cpu_implementation()](rotations, towards, gradient, matrix)


def _pull_cpu(rotations: Array, towards: RotationPull, gradient: Array, matrix: Array) -> float:
    run = build.library().landmarks_pull
    run.restype = ctypes.c_double
    joints = len(rotations)
    pointers = [ctypes.c_void_p(address(value)) for value in (rotations, gradient, matrix)]
    cost: float = run(ctypes.byref(towards.c_struct), pointers[0], joints, len(gradient), *pointers[1:])
    return cost


def _linearise_reference(body: CarriedPoints, place: BodyPlace, view: LandmarkView) -> LandmarkSystem:
    return LandmarkSystem(*landmarks_reference.linearise(body, place, view))


def c_view(view: LandmarkView) -> LandmarkSeenData:
    """As C++ reads it; the view must outlive it."""
    given = (view.pixels, view.metric, view.pixel_weight, view.metric_weight, view.metric_spread)
    return LandmarkSeenData(*view.intrinsics, *map(address, given), view.outlier, view.nearest_z)


def _linearise_cpu(body: CarriedPoints, place: BodyPlace, view: LandmarkView) -> LandmarkSystem:
    cost, out = ctypes.c_double(), empty_system(body)
    build.library().landmarks_linearise(
        ctypes.byref(body.c_struct),
        *(ctypes.c_void_p(address(value)) for value in (place.rotations, place.betas, place.transl)),
        ctypes.byref(c_view(view)),
        ctypes.byref(LandmarkSystemData.of(cost, out)),
    )
    return out.costing(cost.value)


_PULL = {Implementation.REFERENCE: landmarks_reference.pull, Implementation.CPU: _pull_cpu}
_RUN = {Implementation.REFERENCE: _linearise_reference, Implementation.CPU: _linearise_cpu}
