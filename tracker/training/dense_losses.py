"""What dense maps and UV inpainting are trained for (Best of Both Worlds, eqs. 1–9). Means over the batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tracker.body.uv_atlas import UvAtlas
from tracker.networks.dense_maps import DenseMaps
from tracker.networks.uv_inpainting import UvMaps
from tracker.training.losses import project


@dataclass(frozen=True)
class DenseLossWeights:
    """What each map's loss counts (eq. 1)."""

    mask: float = 1.0
    uv: float = 2.0
    joints: float = 4.0
    locations: float = 4.0
    displacements: float = 4.0


@dataclass(frozen=True)
class InpaintingLossWeights:
    """What each loss of UV inpainting counts (eq. 8)."""

    maps: float = 4.0
    joints3d: float = 4.0
    joints2d: float = 1.0
    symmetry: float = 1.0
    consistency: float = 1.0


@dataclass(frozen=True)
class UvTarget:
    """What UV inpainting should give for B people."""

    maps: UvMaps
    joints: Tensor
    """(B, J, 3) m from the pelvis, of the atlas' joints."""
    root: Tensor
    """(B, 3) m in the camera frame."""
    turn: Tensor
    """(B, 3, 3): from the axes of the maps to the camera's."""
    cameras: Tensor
    """(B, 4) px of the dense maps."""
    visible: DenseMaps
    """Where the surface is seen in the crop."""


def dense_losses(predicted: DenseMaps, truth: DenseMaps) -> dict[str, Tensor]:
    """Cross-entropy of the mask; L1 of the others over the pixels where the person is seen (eq. 2)."""
    person = truth.person
    losses = {"mask": functional.binary_cross_entropy_with_logits(predicted.mask, person.to(predicted.mask))}
    pixels = person.sum().clamp(min=1)
    for name in ("uv", "joints", "locations", "displacements"):
        off = (getattr(predicted, name) - getattr(truth, name)).abs().mean(1)
        losses[name] = (off * person).sum() / pixels
    return losses


def inpainting_losses(predicted: UvMaps, target: UvTarget, atlas: UvAtlas) -> dict[str, Tensor]:
    """Maps (eq. 4), joints in space and in the picture (eqs. 5 and 6), symmetry (eq. 7), and agreement with what is
    seen."""
    means, _ = atlas.joint_means(predicted.joints, atlas.inside.expand_as(predicted.known))
    placed, true = (_placed(joints, target) for joints in (means, target.joints))
    side = target.visible.mask.shape[-1] / 2
    off = (project(placed, target.cameras) - project(true, target.cameras)).abs().sum(2) / side
    return {
        "maps": sum_of_maps(predicted, target.maps, atlas),
        "joints3d": (means - target.joints).abs().mean(),
        "joints2d": off.clamp(max=4.0).mean(),
        "symmetry": symmetry_loss(predicted, atlas),
        "consistency": consistency_loss(predicted, target, atlas),
    }


def sum_of_maps(predicted: UvMaps, truth: UvMaps, atlas: UvAtlas) -> Tensor:
    """m: L1 of the three maps over the body's texels, added up."""
    inside = atlas.inside.to(predicted.joints.device)
    names = ("locations", "joints", "displacements")
    return torch.stack(
        [(getattr(predicted, n) - getattr(truth, n)).abs().mean(1)[:, inside].mean() for n in names]
    ).sum()


def symmetry_loss(predicted: UvMaps, atlas: UvAtlas) -> Tensor:
    """m: how far the surface is from its joint differs between left and right (ℓ_dismag)."""
    lengths = predicted.displacements.norm(dim=1, keepdim=True)
    inside = atlas.inside.to(lengths.device)
    return (lengths - atlas.mirrored(lengths)).abs()[:, 0, inside].mean()


def consistency_loss(predicted: UvMaps, target: UvTarget, atlas: UvAtlas) -> Tensor:
    """Half crops: how far from each visible pixel the surface is projected that the pixel says it shows."""
    visible = target.visible
    texel = atlas.texels(visible.uv.permute(0, 2, 3, 1)).flatten(1)
    shown = predicted.locations.flatten(2).gather(2, texel[:, None].expand(-1, 3, -1)).transpose(1, 2)
    projected = project(_placed(shown, target), target.cameras)
    side = visible.mask.shape[-1]
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    pixels = torch.stack([column, row], dim=2).flatten(0, 1).to(projected) + 0.5
    off = (projected - pixels).abs().sum(2) / (side / 2)
    person = visible.person.flatten(1)
    return (off.clamp(max=4.0) * person).sum() / person.sum().clamp(min=1)


def _placed(points: Tensor, target: UvTarget) -> Tensor:
    """(B, n, 3) m from the pelvis in the maps' axes → camera frame."""
    return points @ target.turn.transpose(1, 2) + target.root[:, None]
