"""Small random scenes for the ellipsoid ops."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kernels.values import Ellipsoids, Observation, background_log_density, observe


@dataclass(frozen=True)
class Scene:
    """Ellipsoids before cameras, and what is observed there."""

    ellipsoids: Ellipsoids
    cameras: Tensor
    size: tuple[int, int]
    observation: Observation

    def to(self, device: str) -> Scene:
        """The same on another device."""
        e, o = self.ellipsoids, self.observation
        moved = {name: getattr(o, name).to(device) for name in ("features", "base", "weight", "mask", "index")}
        return Scene(
            Ellipsoids(e.centres.to(device), e.precisions.to(device), e.features.to(device)),
            self.cameras.to(device),
            self.size,
            replace(o, **moved),
        )


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
