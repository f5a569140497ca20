"""FeatureRendering and likelihood of ellipsoids in plain torch: the definition, and what runs where nothing faster can.

Written for reading, not for speed. The C++ and CUDA kernels are compared with these functions, value by value and
gradient by gradient (which autograd provides here). Formulas: docs/kernels.md.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kernels.ellipsoids_values import Ellipsoids, FeatureObservation, FeatureRendering, Likelihood, RenderSettings


def ray_response(ray: Tensor, centre: Tensor, precision: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """a, l, q, each (…): how sharp a kernel is along a ray, where along it it peaks, and at e^{-q}.

    ray (…, 3) unit; centre (…, 3); precision (…, 3, 3). q from the residual M − l d, as the kernels do it: the
    textbook form ½(MᵀAM − a l²) loses three more digits.
    """
    along = torch.einsum("...ij,...j->...i", precision, ray)
    a = (ray * along).sum(-1)
    depth = (along * centre).sum(-1) / a
    residual = centre - depth[..., None] * ray
    q = 0.5 * torch.einsum("...i,...ij,...j->...", residual, precision, residual)
    return a, depth, q


@torch.no_grad()
def contributors(rays: Tensor, centres: Tensor, precisions: Tensor, settings: RenderSettings) -> tuple[Tensor, Tensor]:
    """(P, n) kernels that take part at each ray, the nearest first, and which of the entries are real."""
    _, depth, q = ray_response(rays[:, None], centres, precisions)
    active = (q < -math.log(settings.threshold)) & (depth > 0) & (centres[:, 2] > settings.near)
    most = min(int(active.sum(dim=1).max()), settings.max_per_pixel)
    key = torch.where(active, depth, math.inf)
    index = torch.sort(key, dim=1, stable=True).indices[:, :most]
    return index, active.gather(1, index)


def transmit(a: Tensor, depth: Tensor, activation: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """Weights (P, n) of kernels along a ray, and the ray's coverage (P,)."""
    apart = depth[:, :, None] - depth[:, None, :]
    front = 0.5 * (1 + torch.erf(torch.sqrt(a / 2)[:, None, :] * apart))
    hidden = (front * activation[:, None, :]).sum(-1)
    weight = torch.exp(tau * (0.5 - hidden)) * activation
    return weight, 1 - torch.exp(-tau * activation.sum(-1))


def _render_rays(
    rays: Tensor, kernels: tuple[Tensor, Tensor, Tensor], settings: RenderSettings
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Features (P, D), coverage, z depth (P,), and contributors' indices and weights (P, n)."""
    centres, precisions, features = kernels
    precisions = 0.5 * (precisions + precisions.transpose(-1, -2))
    index, active = contributors(rays, centres, precisions, settings)
    a, depth, q = ray_response(rays[:, None], centres[index], precisions[index])
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    a, depth = torch.where(active, a, one), torch.where(active, depth, zero)
    weight, coverage = transmit(a, depth, torch.where(active, torch.exp(-q), zero), settings.tau)
    rendered = (weight[..., None] * features[index]).sum(dim=1)
    mean_depth = (weight * depth).sum(1) / weight.sum(1) * rays[:, 2]
    z = torch.where(active.any(dim=1), mean_depth, math.inf)
    return rendered, coverage, z.detach(), torch.where(active, index, -1), weight


def _camera_rays(camera: Tensor, size: tuple[int, int]) -> Tensor:
    """(H · W, 3) unit rays through the centres of the pixels."""
    width, height = size
    x = (torch.arange(width, dtype=camera.dtype, device=camera.device) + 0.5 - camera[2]) / camera[0]
    y = (torch.arange(height, dtype=camera.dtype, device=camera.device) + 0.5 - camera[3]) / camera[1]
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    rays = torch.stack([grid_x, grid_y, torch.ones_like(grid_x)], dim=-1).reshape(-1, 3)
    return torch.nn.functional.normalize(rays, dim=-1)


_CHUNK = 1024  # rays at a time: every pair of a ray's kernels is in memory at once


def render(
    ellipsoids: Ellipsoids, cameras: Tensor, size: tuple[int, int], settings: RenderSettings, kept: int
) -> FeatureRendering:
    """B maps of size (width, height): see `FeatureRendering`."""
    bodies = []
    for body, camera in enumerate(cameras):
        kernels = (ellipsoids.centres[body], ellipsoids.precisions[body], ellipsoids.features[body])
        parts = [_render_rays(rays, kernels, settings) for rays in _camera_rays(camera, size).split(_CHUNK)]
        strongest = [_strongest(index, weight.detach(), kept) for *_, index, weight in parts]
        maps = [torch.cat(column) for column in zip(*(part[:3] for part in parts), strict=True)]
        maps += [torch.cat(column) for column in zip(*strongest, strict=True)]
        bodies.append([value.reshape(size[1], size[0], *value.shape[1:]) for value in maps])
    return FeatureRendering(*(torch.stack(column) for column in zip(*bodies, strict=True)))


def _strongest(index: Tensor, weight: Tensor, kept: int) -> tuple[Tensor, Tensor]:
    missing = max(kept - index.shape[1], 0)
    index = torch.nn.functional.pad(index, (0, missing), value=-1)
    weight = torch.nn.functional.pad(weight, (0, missing))
    by_index = torch.argsort(index, dim=1, stable=True)
    index, weight = index.gather(1, by_index), weight.gather(1, by_index)
    order = torch.sort(weight.masked_fill(index < 0, -1), dim=1, descending=True, stable=True).indices[:, :kept]
    return index.gather(1, order).int(), weight.gather(1, order)


def likelihood(
    ellipsoids: Ellipsoids, cameras: Tensor, observation: FeatureObservation, settings: RenderSettings
) -> Likelihood:
    """How well each body explains its observed map: see `Likelihood`."""
    size = (observation.features.shape[2], observation.features.shape[1])
    bodies = []
    for body, (camera, which) in enumerate(zip(cameras, observation.index.tolist(), strict=True)):
        kernels = (ellipsoids.centres[body], ellipsoids.precisions[body], ellipsoids.features[body])
        maps = [
            m[which].reshape(-1, *m.shape[3:])
            for m in (observation.features, observation.base, observation.weight, observation.mask)
        ]
        chunks = zip(_camera_rays(camera, size).split(_CHUNK), *(m.split(_CHUNK) for m in maps), strict=True)
        parts = [_chunk_likelihood(chunk, kernels, observation, settings) for chunk in chunks]
        nll, occlusion, weight, support = zip(*parts, strict=True)
        bodies.append((sum(nll), torch.cat(occlusion).reshape(size[1], size[0]), sum(weight), sum(support)))
    return Likelihood(*(torch.stack(column) for column in zip(*bodies, strict=True)))


def covered_cost(delta: Tensor, coverage: Tensor) -> Tensor:
    """−log(½ N_fg + ½ N_bg) + log N_bg where there is a body, of coverage 0..1 (3DNBF eqs. 3–6).

    delta: log N_fg − log N_bg of the pixels.
    """
    return coverage * (math.log(2) - torch.nn.functional.softplus(delta))


def pixel_likelihood(
    observation: FeatureObservation, terms: tuple[Tensor, Tensor, Tensor], cosine: Tensor, coverage: Tensor
) -> tuple[Tensor, Tensor]:
    """The observation model (3DNBF eqs. 3–6): the cost of each pixel, relative to the background explaining everything,
    and the posterior that the background explains it.

    terms: base, weight and mask of the pixels, as `FeatureObservation` has them; cosine: of the observed and the
    rendered feature, times the observed one's length; coverage: 0 where there is no body.
    """
    base, weight, mask = terms
    delta = base + observation.concentration * cosine
    cost = weight * (covered_cost(delta, coverage) + observation.mask_weight * (coverage - mask) ** 2)
    return cost, torch.sigmoid(-delta)


def _chunk_likelihood(
    chunk: tuple[Tensor, ...],
    kernels: tuple[Tensor, Tensor, Tensor],
    observation: FeatureObservation,
    settings: RenderSettings,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rays, observed, base, pixel_weight, mask = chunk
    rendered, coverage, _, index, weight = _render_rays(rays, kernels, settings)
    length = torch.sqrt((rendered * rendered).sum(-1) + 1e-12)
    cosine = (observed * rendered).sum(-1) / length
    cost, background = pixel_likelihood(observation, (base, pixel_weight, mask), cosine, coverage)
    covered = (index >= 0).any(dim=1)
    occlusion = torch.where(covered, background, 0.0).detach()
    sums = torch.zeros((2, kernels[0].shape[0]), dtype=weight.dtype, device=weight.device)
    real = weight.detach() * (index >= 0)
    sums[0].index_add_(0, index.clamp(min=0).reshape(-1), real.reshape(-1))
    sums[1].index_add_(0, index.clamp(min=0).reshape(-1), (real * (1 - occlusion[:, None])).reshape(-1))
    return cost.sum(), occlusion, sums[0], sums[1]
