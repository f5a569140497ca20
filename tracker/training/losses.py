"""What the networks and the volume are trained for. Every function gives a mean over the batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from kernels.ellipsoids_reference import covered_cost
from kernels.ellipsoids_values import unit_base
from tracker.core.camera import NEAREST_Z

_COVERED = 0.02
"""Where no pose covers more of a pixel, it says nothing of any of them."""
_FARTHEST = 4.0
"""Errors in the picture count up to so many half crops: a joint behind the camera projects anywhere."""


@dataclass(frozen=True)
class FeaturePixels:
    """N pixels of a batch's feature maps, with what the volume has there."""

    features: Tensor
    """(N, D) unit length."""
    kernels: Tensor
    """(N, n) int64: the kernels that weigh most there."""
    shares: Tensor
    """(N, n): their weights, a row adding up to 1."""
    orientations: Tensor
    """(N, n, O): p(o | limb) of each of these kernels; adds up to 1 over O."""


def contrast(pixels: FeaturePixels, bank: Tensor, clutter: Tensor, temperature: float) -> Tensor:
    """InfoNCE of body pixels (3DNBF eqs. 10–12 in their inner-product form).

    A pixel's feature must match its own kernels at their own orientations against all other kernels, all other
    orientations of the same kernels, and the clutter. bank: (K, O, D), clutter: (C, D), unit length. Kernels that share
    a pixel are no negatives of each other: they share its probability as they share its weight.
    """
    orientations = bank.shape[1]
    scores = (pixels.features / temperature) @ torch.cat([bank.flatten(0, 1), clutter]).T
    wanted = pixels.kernels[..., None] * orientations + torch.arange(orientations, device=bank.device)
    target = pixels.shares[..., None] * pixels.orientations
    own = scores.gather(1, wanted.flatten(1))
    return (torch.logsumexp(scores, dim=1) - (target.flatten(1) * own).sum(1)).mean()


def clutter_contrast(features: Tensor, bank: Tensor, clutter: Tensor, temperature: float) -> Tensor:
    """InfoNCE of pixels (N, D) where no body is seen: they must match some clutter feature against every kernel."""
    scaled = features / temperature
    body = scaled @ bank.flatten(0, 1).T
    other = torch.logsumexp(scaled @ clutter.T, dim=1)
    return (torch.logaddexp(torch.logsumexp(body, dim=1), other) - other).mean()


@dataclass(frozen=True)
class RenderedPixels:
    """The pixels of B × R bodies' maps that are compared, with what each body's volume has there."""

    features: Tensor
    """(B, s, s, D) unit length: what is observed."""
    bank: Tensor
    """(B, R, K, D): the kernels' features in each pose."""
    index: Tensor
    """(B, R, s, s, n) int64: the kernels that weigh most; where there are none, any."""
    weight: Tensor
    """(B, R, s, s, n): their weights, 0 where there are none."""
    coverage: Tensor
    """(B, R, s, s) 0..1."""


def pose_costs(pixels: RenderedPixels, clutter: Tensor, temperature: float) -> Tensor:
    """(B, R) negative log-likelihood of the maps in each pose, as the fit has it (3DNBF eqs. 3–6): differentiable in
    the features, the bank, and the clutter (C, D) of unit length."""
    batch, row, column = torch.nonzero(pixels.coverage.amax(1) > _COVERED, as_tuple=True)
    observed = pixels.features[batch, row, column]
    base = unit_base(observed, clutter.T / temperature)
    costs = []
    for rival in range(pixels.coverage.shape[1]):
        index, weight = pixels.index[batch, rival, row, column], pixels.weight[batch, rival, row, column]
        drawn = (weight[..., None] * pixels.bank[batch[:, None], rival, index]).sum(1)
        cosine = (observed * functional.normalize(drawn, dim=1)).sum(1)
        cost = covered_cost(base + cosine / temperature, pixels.coverage[batch, rival, row, column])
        costs.append(torch.zeros_like(pixels.coverage[:, 0, 0, 0]).index_add(0, batch, cost))
    return torch.stack(costs, dim=1)


def pose_contrast(costs: Tensor, errors: Tensor, weight: float, spread: float) -> Tensor:
    """Cross-entropy of poses by their costs (B, R), against how near they are to the truth.

    errors: (B, R) m, joints from the true ones; a pose is wanted as exp(−error / spread). weight: what a nat counts.
    One pose that is the true one, among others far from it, makes the usual contrast; between two wrong ones the nearer
    is to cost less.
    """
    return functional.cross_entropy(-weight * costs, torch.softmax(-errors / spread, dim=1))


def rotation_loss(predicted: Tensor, truth: Tensor, trusted: Tensor) -> Tensor:
    """Mean squared difference of rotation matrices (B, 24, 3, 3)."""
    return (((predicted - truth) ** 2).sum(dim=(2, 3)).mean(1) * trusted).mean()


def joint_loss(predicted: Tensor, truth: Tensor, trusted: Tensor) -> Tensor:
    """Mean distance in m between joints (B, J, 3), both seen from their roots (the first)."""
    off = (predicted - predicted[:, :1]) - (truth - truth[:, :1])
    return (off.norm(dim=2).mean(1) * trusted).mean()


def projection_loss(predicted: Tensor, truth: Tensor, cameras: Tensor, half: float) -> Tensor:
    """Mean distance in half crops between the projections of joints (B, J, 3); cameras: (B, 4) px."""
    off = (project(predicted, cameras) - project(truth, cameras)).norm(dim=2) / half
    return off.clamp(max=_FARTHEST).mean()


def project(points: Tensor, cameras: Tensor) -> Tensor:
    """(B, n, 3) m → (B, n, 2) px."""
    return points[..., :2] / points[..., 2:].clamp(min=NEAREST_Z) * cameras[:, None, :2] + cameras[:, None, 2:]


def depth_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute error of the logarithm of the roots' (B, 3) depth: scale and distance cannot be told apart."""
    return (predicted[:, 2].clamp(min=NEAREST_Z).log() - truth[:, 2].clamp(min=NEAREST_Z).log()).abs().mean()


def part_loss(logits: Tensor, parts: Tensor) -> Tensor:
    """Cross-entropy of the part maps: logits (B, 25, s, s), parts (B, s, s)."""
    return functional.cross_entropy(logits, parts.long())
