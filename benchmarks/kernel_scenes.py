"""A stand-in for a person, as big and as dense as the real thing: capsules for trunk, head and limbs."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels.body_step_values import FeatureBank, FitProblem, FitTerms, SkinnedBody, orientation_circle, sparse_weights
from kernels.ellipsoids_values import Ellipsoids, FeatureObservation, background_log_density, observe
from kernels.raster_values import Intrinsics, RasterMesh

Capsule = tuple[tuple[float, float, float], tuple[float, float, float], float]

CAPSULES: tuple[Capsule, ...] = (
    ((0, -0.55, 0), (0, 0, 0), 0.14),
    ((0, -0.78, 0), (0, -0.68, 0), 0.1),
    ((-0.2, -0.5, 0), (-0.45, -0.2, 0), 0.05),
    ((-0.45, -0.2, 0), (-0.6, 0.05, -0.1), 0.04),
    ((0.2, -0.5, 0), (0.45, -0.2, 0), 0.05),
    ((0.45, -0.2, 0), (0.6, 0.05, -0.1), 0.04),
    ((-0.1, 0, 0), (-0.12, 0.42, 0), 0.07),
    ((-0.12, 0.42, 0), (-0.13, 0.85, 0.05), 0.05),
    ((0.1, 0, 0), (0.12, 0.42, 0), 0.07),
    ((0.12, 0.42, 0), (0.13, 0.85, 0.05), 0.05),
)
DISTANCE = 3.0
SIGMA_FOREGROUND, SIGMA_BACKGROUND = 0.35, 0.4
_GOLDEN = 2.39996323


def _frame(capsule: Capsule) -> tuple[NDArray, NDArray, NDArray]:
    """Two unit vectors across a capsule's axis, and the axis from end to end in metres."""
    axis = np.subtract(capsule[1], capsule[0])
    across = np.cross(axis, [0.0, 0, 1])
    across /= np.linalg.norm(across)
    other = np.cross(axis / np.linalg.norm(axis), across)
    return across, other, axis


def surface_kernels(count: int) -> tuple[Tensor, Tensor]:
    """Centres (K, 3) spread evenly over the capsules, and precisions (K, 3, 3) flattened along the normal."""
    areas = np.array([2 * np.pi * r * np.linalg.norm(np.subtract(b, a)) for a, b, r in CAPSULES])
    shares = np.maximum(1, np.round(count * areas / areas.sum())).astype(int)
    shares[0] += count - shares.sum()
    spacing = np.sqrt(areas.sum() / count)
    along, flat = spacing * 0.5, spacing * 0.2
    centres, precisions = [], []
    for capsule, share in zip(CAPSULES, shares, strict=True):
        across, other, axis = _frame(capsule)
        turn, part = np.arange(share)[:, None] * _GOLDEN, (np.arange(share)[:, None] + 0.5) / share
        normals = np.cos(turn) * across + np.sin(turn) * other
        centres.append(np.array(capsule[0]) + part * axis + capsule[2] * normals)
        outer = normals[:, :, None] * normals[:, None, :]
        precisions.append(np.eye(3) / along**2 + (1 / flat**2 - 1 / along**2) * outer)
    return _float(np.concatenate(centres)), _float(np.concatenate(precisions))


def _float(array: NDArray) -> Tensor:
    return torch.tensor(array, dtype=torch.float32)


def _unit(shape: tuple[int, ...]) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(shape), dim=-1)


def observation(people: int, size: int, channels: int) -> tuple[FeatureObservation, Tensor]:
    """Random observed features, and cameras (B, 4) that the person fills."""
    features = _unit((people, size, size, channels))
    background = background_log_density(features, _unit((16, channels)), SIGMA_BACKGROUND)
    cameras = torch.tensor([[size * 1.45, size * 1.45, size / 2, size / 2]] * people)
    return observe(features, background, SIGMA_FOREGROUND), cameras


def ellipsoids(people: int, count: int, channels: int) -> Ellipsoids:
    """`people` times the stand-in, 3 m away."""
    centres, precisions = surface_kernels(count)
    away = centres + torch.tensor([0, 0, DISTANCE])
    return Ellipsoids(
        away.expand(people, -1, -1).contiguous(),
        precisions.expand(people, -1, -1, -1).contiguous(),
        _unit((people, count, channels)),
    )


PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
JOINTS = (
    (0, 0.05, 0), (0.1, 0.05, 0), (-0.1, 0.05, 0), (0, -0.1, 0), (0.12, 0.42, 0), (-0.12, 0.42, 0), (0, -0.2, 0),
    (0.13, 0.85, 0), (-0.13, 0.85, 0), (0, -0.3, 0), (0.13, 0.9, -0.1), (-0.13, 0.9, -0.1), (0, -0.6, 0),
    (0.1, -0.5, 0), (-0.1, -0.5, 0), (0, -0.7, 0), (0.2, -0.5, 0), (-0.2, -0.5, 0), (0.45, -0.2, 0),
    (-0.45, -0.2, 0), (0.6, 0.05, -0.1), (-0.6, 0.05, -0.1), (0.65, 0.1, -0.1), (-0.65, 0.1, -0.1),
)  # fmt: skip
LIMBS = ((0, 12), (16, 18), (18, 20), (17, 19), (19, 21), (1, 4), (4, 7), (2, 5), (5, 8))
KEYPOINTS, SHAPES, INFLUENCES, ORIENTATIONS = 17, 10, 4, 4


def fit_problem(people: int, count: int, size: int, channels: int) -> tuple[FitProblem, Tensor]:
    """SMPL-sized: 24 joints, 10 shapes, four influences a point; and parameters (B, X) to start from."""
    centres, precisions = surface_kernels(count)
    joints = torch.tensor(JOINTS, dtype=torch.float32)
    points = torch.cat([centres, joints[:KEYPOINTS]])
    strongest, which = torch.softmax(-20 * torch.cdist(points, joints), dim=1).topk(INFLUENCES, dim=1)
    dense = torch.zeros(len(points), len(joints)).scatter(1, which, strongest / strongest.sum(dim=1, keepdim=True))
    body = SkinnedBody(
        torch.tensor(PARENTS, dtype=torch.int32), joints, 0.01 * torch.randn(len(joints), 3, SHAPES), points,
        0.01 * torch.randn(len(points), 3, SHAPES), *sparse_weights(dense), precisions.contiguous(),
        torch.tensor(LIMBS, dtype=torch.int32),
    )  # fmt: skip
    limb = torch.randint(0, len(LIMBS), (count,), dtype=torch.int32)
    bank = FeatureBank(_unit((count, ORIENTATIONS, channels)), limb, orientation_circle(ORIENTATIONS), 2.0)
    observed, cameras = observation(people, size, channels)
    x = body.parameters
    targets, confidence = torch.rand(people, KEYPOINTS, 2) * size, torch.rand(people, KEYPOINTS)
    terms = FitTerms(targets, confidence, 0.1 * torch.eye(x).expand(people, x, x).contiguous(), torch.zeros(people, x))
    start = torch.zeros(people, x)
    start[:, -1] = DISTANCE
    return FitProblem(body, bank, cameras, observed, terms), start


def mesh(triangles: int) -> RasterMesh:
    """The capsules as one surface of about so many triangles, 3 m away."""
    rings = max(3, round(np.sqrt(triangles / len(CAPSULES) / 2)))
    points, faces = [], []
    for number, capsule in enumerate(CAPSULES):
        points.append(_capsule_points(capsule, rings))
        faces.append(_grid_faces(rings) + number * (rings + 1) * rings)
    vertices = np.concatenate(points) + np.array([0, 0, DISTANCE])
    return RasterMesh(_float(vertices), torch.tensor(np.concatenate(faces), dtype=torch.int32))


def _capsule_points(capsule: Capsule, rings: int) -> NDArray:
    across, other, axis = _frame(capsule)
    radius, unit = capsule[2], axis / np.linalg.norm(axis)
    part = np.linspace(0, np.pi, rings + 1)
    turn = np.arange(rings) * 2 * np.pi / rings
    middle = np.array(capsule[0]) + (0.5 - 0.5 * np.cos(part))[:, None] * axis - radius * np.cos(part)[:, None] * unit
    circle = np.cos(turn)[:, None] * across + np.sin(turn)[:, None] * other
    return (middle[:, None] + radius * np.sin(part)[:, None, None] * circle).reshape(-1, 3)


def _grid_faces(rings: int) -> NDArray:
    ring, sector = np.meshgrid(np.arange(rings), np.arange(rings), indexing="ij")
    a, b = ring * rings + sector, ring * rings + (sector + 1) % rings
    faces = np.stack([np.stack([a, b, a + rings], -1), np.stack([b, b + rings, a + rings], -1)], axis=2)
    return faces.reshape(-1, 3)


VIEW, VIEW_SIZE = Intrinsics(1150.0, 1150.0, 640.0, 360.0), (1280, 720)
