"""What the landmark ops take and give. Arrays are numpy float64."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.array_checks import check_kind

Array = NDArray[np.float64]


def address(value: NDArray) -> int:
    """Of a contiguous array's data."""
    return value.ctypes.data


def array_pointer(value: NDArray) -> ctypes.c_void_p:
    """The same, as C++ takes it."""
    return ctypes.c_void_p(address(value))


class _RotationPullData(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_void_p) for name in ("targets", "lower", "upper", "slope"))


class CarriedPointsData(ctypes.Structure):
    """`CarriedPoints` as C++ reads it."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("rest", "rest_betas", "weights", "bones", "points", "joints")),
        ("joints_betas", ctypes.c_void_p),
        ("parents", ctypes.c_void_p),
        *((name, ctypes.c_int) for name in ("n_pairs", "n_points", "n_joints", "n_betas")),
    )


@dataclass(frozen=True)
class CarriedPoints:
    """Points of a body as functions of its pose and shape, by non-zero (point, bone) pairs. J joints, B shapes."""

    rest: Array
    """(pairs, 3) m: A_ki − w_ki J_i at β = 0."""
    rest_betas: Array
    """(pairs, 3, B): its derivative by β."""
    weights: Array
    """(pairs,): w_ki."""
    bones: NDArray[np.int32]
    """(pairs,): i."""
    points: NDArray[np.int32]
    """(pairs,): k."""
    joints: Array
    """(J, 3) m: the rest joints at β = 0."""
    joints_betas: Array
    """(J, 3, B)."""
    parents: NDArray[np.int32]
    """(J,): -1 for the root; a parent comes before its children."""

    def __post_init__(self) -> None:
        pairs, joints, betas = len(self.weights), len(self.joints), self.joints_betas.shape[-1]
        check_array("rest", self.rest, (pairs, 3))
        check_array("rest_betas", self.rest_betas, (pairs, 3, betas))
        check_array("weights", self.weights, (pairs,))
        check_array("joints", self.joints, (joints, 3))
        check_array("joints_betas", self.joints_betas, (joints, 3, betas))
        for name, values, low, high in (
            ("bones", self.bones, 0, joints),
            ("points", self.points, 0, pairs),
            ("parents", self.parents, -1, joints),
        ):
            if values.dtype != np.int32 or values.min() < low or values.max() >= high:
                raise ValueError(f"{name}: expected int32 in {low}..{high - 1}, got {values.dtype} {values}")
        if (self.parents >= np.arange(joints)).any():
            raise ValueError(f"parents: expected each before its children, got {self.parents}")

    @cached_property
    def count(self) -> int:
        """How many points."""
        return int(self.points.max()) + 1

    @property
    def unknowns(self) -> int:
        """Length of x: 3 J + B + 3."""
        return 3 * len(self.joints) + self.joints_betas.shape[-1] + 3

    def __getstate__(self) -> dict[str, Any]:
        """Without what C++ reads: addresses mean nothing in another process."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def c_struct(self) -> CarriedPointsData:
        """As C++ reads it; lives as long as this does."""
        skin: tuple[NDArray, ...] = (self.rest, self.rest_betas, self.weights, self.bones, self.points)
        skeleton: tuple[NDArray, ...] = (self.joints, self.joints_betas, self.parents)
        sizes = len(self.weights), self.count, len(self.joints), self.joints_betas.shape[-1]
        return CarriedPointsData(*map(address, skin + skeleton), *sizes)


@dataclass(frozen=True)
class BodyPlace:
    """A pose, a shape and a position."""

    rotations: Array
    """(J, 3, 3) of each joint relative to its parent."""
    betas: Array
    """(B,)"""
    transl: Array
    """(3,) m, camera frame."""


@dataclass(frozen=True)
class LandmarkView:
    """How n points were seen."""

    intrinsics: tuple[float, float, float, float]
    """fx, fy, cx, cy px."""
    pixels: Array
    """(n, 2) px."""
    metric: Array
    """(n, 3) m, in the axes of a camera that looks straight at the person."""
    pixel_weight: Array
    """(n,) 1/px."""
    metric_weight: Array
    """(n,) how much each counts among the metric ones; a positive sum."""
    metric_spread: Array
    """(n, 3) m."""
    outlier: float
    """σ of Geman–McClure, in standard deviations."""
    nearest_z: float
    """m: a point not in front of this has no place in the picture, and costs as much as one that is missed by far."""


@dataclass(frozen=True)
class LandmarkSystem:
    """Gauss–Newton at one place: cost ½ Σ r², gradient and matrix, and the posed body."""

    cost: float
    gradient: Array
    """(X,)"""
    matrix: Array
    """(X, X), symmetric."""
    points: Array
    """(n, 3) m, before transl."""
    joints: Array
    """(J, 3) m, before transl."""
    rest_joints: Array
    """(J, 3) m, of this shape in the T-pose."""
    world_rotations: Array
    """(J, 3, 3)"""
    pixel_residual: Array
    """(n, 2): weighted, as they were before Geman–McClure; 0 behind the camera."""

    def costing(self, cost: float) -> LandmarkSystem:
        """The same at another cost."""
        return replace(self, cost=cost)


class PosedSkeleton(NamedTuple):
    """A body before transl."""

    points: Array
    """(n, 3) m."""
    joints: Array
    """(J, 3) m."""
    rest_joints: Array
    """(J, 3) m, of this shape in the T-pose."""
    world_rotations: Array
    """(J, 3, 3)"""


@dataclass(frozen=True)
class RotationPull:
    """What draws joint rotations towards targets: r = slope · (φ − clip(φ, lower, upper)), φ = log(Tᵀ R), per axis.

    Where lower = upper it is a Gaussian around that value, otherwise a box of limits that costs nothing inside.
    """

    targets: Array
    """(J, 3, 3): T."""
    lower: Array
    """(J, 3) rad."""
    upper: Array
    """(J, 3) rad."""
    slope: Array
    """(J, 3) 1/rad: 0 leaves a joint alone."""

    def __post_init__(self) -> None:
        joints = len(self.targets)
        check_array("targets", self.targets, (joints, 3, 3))
        for name in ("lower", "upper", "slope"):
            check_array(name, getattr(self, name), (joints, 3))

    @cached_property
    def c_struct(self) -> _RotationPullData:
        """As C++ reads it; lives as long as this does."""
        return _RotationPullData(*map(address, (self.targets, self.lower, self.upper, self.slope)))


def check_body_place(body: CarriedPoints, place: BodyPlace) -> None:
    """Raises ValueError that names the array that does not fit the body."""
    joints, betas = len(body.joints), body.joints_betas.shape[-1]
    check_array("rotations", place.rotations, (joints, 3, 3))
    check_array("betas", place.betas, (betas,))
    check_array("transl", place.transl, (3,))


def check_landmark_view(body: CarriedPoints, view: LandmarkView) -> None:
    """Raises ValueError that names the array that does not fit the body."""
    count = body.count
    for name, value, columns in (
        ("pixels", view.pixels, (2,)),
        ("metric", view.metric, (3,)),
        ("pixel_weight", view.pixel_weight, ()),
        ("metric_weight", view.metric_weight, ()),
        ("metric_spread", view.metric_spread, (3,)),
    ):
        check_array(name, value, (count, *columns))


def empty_system(body: CarriedPoints) -> LandmarkSystem:
    """For C++ to fill."""
    size, count, joints = body.unknowns, body.count, len(body.joints)
    return LandmarkSystem(
        0.0, np.empty(size), np.empty((size, size)), np.empty((count, 3)), np.empty((joints, 3)),
        np.empty((joints, 3)), np.empty((joints, 3, 3)), np.empty((count, 2)),
    )  # fmt: skip


def check_array(name: str, value: NDArray, shape: tuple[int, ...]) -> None:
    """Raises ValueError unless value is contiguous float64 of this shape; -1 stands for any size."""
    check_kind(name, value, shape, np.float64)
