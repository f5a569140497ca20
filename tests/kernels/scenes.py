"""Small random scenes for the ellipsoid ops."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.body_step_values import FeatureBank, FitProblem, FitTerms, SkinnedBody, orientation_circle, sparse_weights
from kernels.ellipsoids_values import Ellipsoids, FeatureObservation, background_log_density, observe


@dataclass(frozen=True)
class Scene:
    """Ellipsoids before cameras, and what is observed there."""

    ellipsoids: Ellipsoids
    cameras: Tensor
    size: tuple[int, int]
    observation: FeatureObservation


def unit(shape: tuple[int, ...], rng: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Random unit vectors."""
    return torch.nn.functional.normalize(torch.randn(shape, generator=rng, dtype=dtype), dim=-1)


def random_precisions(shape: tuple[int, ...], scale: float, rng: torch.Generator, dtype: torch.dtype) -> Tensor:
    """(…, 3, 3) of ellipsoids whose axes are roughly `scale` metres, one up to three times another."""
    factor = 0.3 * torch.randn((*shape, 3, 3), generator=rng, dtype=dtype) + torch.eye(3, dtype=dtype)
    return (factor @ factor.transpose(-1, -2) + 0.1 * torch.eye(3, dtype=dtype)) / scale**2


def random_scene(
    rng: torch.Generator,
    bodies: int = 2,
    kernels: int = 60,
    channels: int = 16,
    size: tuple[int, int] = (24, 20),
    dtype: torch.dtype = torch.float32,
) -> Scene:
    """A cloud of kernels as wide as a person at 3 m, in maps that it fills about half of."""
    spread, middle = torch.tensor([0.3, 0.5, 0.15], dtype=dtype), torch.tensor([0.0, 0.0, 3.0], dtype=dtype)
    centres = torch.randn((bodies, kernels, 3), generator=rng, dtype=dtype) * spread + middle
    precisions = random_precisions((bodies, kernels), 0.06, rng, dtype)
    width, height = size
    focal = 1.2 * min(size)
    cameras = torch.tensor([[focal, 1.1 * focal, width / 2, height / 2 - 0.3]] * bodies, dtype=dtype)
    observed = unit((bodies, height, width, channels), rng, dtype)
    background = background_log_density(observed, unit((5, channels), rng, dtype), 0.4)
    weight = torch.rand((bodies, height, width), generator=rng, dtype=dtype)
    mask = torch.rand((bodies, height, width), generator=rng, dtype=dtype)
    return Scene(
        Ellipsoids(centres, precisions.contiguous(), unit((bodies, kernels, channels), rng, dtype)),
        cameras,
        size,
        observe(observed, background, 0.35, weight, mask, 0.3),
    )


def lone_kernels(centres: list[tuple[float, float, float]], sigma: float, channels: int = 8) -> Ellipsoids:
    """One body of round kernels; kernel k has feature e_k."""
    count = len(centres)
    precisions = torch.eye(3).expand(1, count, 3, 3) / sigma**2
    features = torch.eye(channels)[torch.arange(count) % channels][None]
    middles = torch.tensor([centres], dtype=torch.float32).reshape(1, count, 3)
    return Ellipsoids(middles, precisions.contiguous(), features.contiguous())


def random_body(
    rng: torch.Generator, kernels: int = 40, keypoints: int = 6, dtype: torch.dtype = torch.float32
) -> SkinnedBody:
    """Seven joints: a trunk of three, an arm of two, a leg of two; points scattered around them."""
    parents = torch.tensor([-1, 0, 1, 1, 3, 0, 5], dtype=torch.int32)
    joints = torch.tensor(
        [[0, 0, 0], [0, -0.3, 0], [0, -0.6, 0], [0.2, -0.5, 0], [0.45, -0.4, 0.05], [0.1, 0.1, 0], [0.1, 0.5, 0.05]],
        dtype=dtype,
    )
    count, shapes, points = len(parents), 3, kernels + keypoints
    nearest = torch.randint(0, count, (points,), generator=rng)
    places = joints[nearest] + 0.07 * torch.randn((points, 3), generator=rng, dtype=dtype)
    dense = torch.zeros((points, count), dtype=dtype)
    dense[torch.arange(points), nearest] = 0.7
    dense[torch.arange(points), parents.long()[nearest].clamp(min=0)] += 0.3
    weight_joints, weights = sparse_weights(dense)
    return SkinnedBody(
        parents,
        joints,
        0.02 * torch.randn((count, 3, shapes), generator=rng, dtype=dtype),
        places,
        0.02 * torch.randn((points, 3, shapes), generator=rng, dtype=dtype),
        weight_joints,
        weights,
        random_precisions((kernels,), 0.06, rng, dtype).contiguous(),
        torch.tensor([[0, 2], [3, 4], [5, 6]], dtype=torch.int32),
    )


def random_parameters(body: SkinnedBody, batch: int, rng: torch.Generator, bend: float = 0.4) -> Tensor:
    """(B, X): joints bent by about `bend` rad, the body about 3 m before the camera."""
    x = bend * torch.randn((batch, body.parameters), generator=rng, dtype=body.joints.dtype)
    x[:, -3:] *= 0.1
    x[:, -1] += 3
    return x.contiguous()


def random_problem(rng: torch.Generator, bodies: int = 2, dtype: torch.dtype = torch.float32) -> FitProblem:
    """Bodies to be fitted to noise: every term counts."""
    body = random_body(rng, dtype=dtype)
    scene = random_scene(rng, bodies=bodies, kernels=body.kernels, dtype=dtype)
    bank = FeatureBank(
        unit((body.kernels, 4, 16), rng, dtype),
        torch.randint(0, 3, (body.kernels,), generator=rng, dtype=torch.int32),
        orientation_circle(4, dtype),
        2.0,
    )
    keypoints, x = body.points.shape[0] - body.kernels, body.parameters
    size = torch.tensor(scene.size, dtype=dtype)
    terms = FitTerms(
        torch.rand((bodies, keypoints, 2), generator=rng, dtype=dtype) * size,
        torch.rand((bodies, keypoints), generator=rng, dtype=dtype),
        0.3 * torch.randn((bodies, 5, x), generator=rng, dtype=dtype),
        torch.randn((bodies, 5), generator=rng, dtype=dtype),
        likelihood_weight=0.7,
        keypoint_weight=1.3,
        keypoint_sigma=3.0,
    )
    return FitProblem(body, bank, scene.cameras, scene.observation, terms)
