"""Dense maps (Best of Both Worlds, §3.1): what each pixel of a person says of the surface and of its joint.

A small encoder–decoder on the extractor's trunk. Per pixel: whether the person is seen there, where on the body's
texture it is (u, v), and, root-relative, the place of its joint, its own place, and the displacement between the two.
Metres, in the axes of a camera that looks straight at the crop. Every visible pixel of a part votes for its joint, so
that a joint is known as long as some of its part is seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tracker.body.uv_atlas import UvAtlas
from tracker.networks.extractor import Residual

_CHANNELS = (1, 2, 3, 3, 3)
"""Of mask, uv, joints, locations, displacements."""
_SEEN = 0.5


@dataclass(frozen=True)
class DenseMapConfig:
    """Sizes of the encoder–decoder."""

    width: tuple[int, int, int] = (64, 96, 128)
    """Channels at 1/4, 1/8 and 1/16 of the crop."""
    dropout: float = 0.1
    """Of the coarsest maps' channels."""


@dataclass(frozen=True)
class DenseMaps:
    """Maps of B crops, 64² each; 0 where nobody is seen."""

    mask: Tensor
    """(B, 64, 64) logits that the person is seen."""
    uv: Tensor
    """(B, 2, 64, 64) in 0..1, v up."""
    joints: Tensor
    """(B, 3, 64, 64) m: where the pixel's joint is, from the pelvis."""
    locations: Tensor
    """(B, 3, 64, 64) m: where the surface is."""
    displacements: Tensor
    """(B, 3, 64, 64) m: from the joint to the surface."""

    @property
    def person(self) -> Tensor:
        """(B, 64, 64) where the person is seen."""
        return torch.sigmoid(self.mask) > _SEEN


@dataclass(frozen=True)
class JointVotes:
    """What the pixels say of J joints of B people."""

    places: Tensor
    """(B, J, 3) m from the pelvis; 0 where nobody votes."""
    voters: Tensor
    """(B, J): pixels that voted."""


class DenseMapNetwork(nn.Module):
    """DMP, on an extractor's trunk."""

    def __init__(self, trunk: int, config: DenseMapConfig) -> None:
        super().__init__()
        self.config = config
        fine, middle, coarse = config.width
        self.fine = nn.Sequential(_conv(trunk, fine, 1), Residual(fine))
        self.middle = nn.Sequential(_conv(fine, middle, 2), Residual(middle))
        self.coarse = nn.Sequential(_conv(middle, coarse, 2), Residual(coarse), nn.Dropout2d(config.dropout))
        self.up_middle = nn.Sequential(_conv(coarse + middle, middle, 1), Residual(middle))
        self.up_fine = nn.Sequential(_conv(middle + fine, fine, 1), Residual(fine))
        self.out = nn.Conv2d(fine, sum(_CHANNELS), 1)

    def forward(self, trunk: Tensor) -> DenseMaps:
        """trunk: (B, C, 64, 64)."""
        return self.read(trunk)[0]

    def read(self, trunk: Tensor) -> tuple[DenseMaps, Tensor]:
        """The maps, and the local features (B, F, 64, 64) that they are read from."""
        fine = self.fine(trunk)
        middle = self.middle(fine)
        up = self.up_middle(torch.cat([_twice(self.coarse(middle)), middle], dim=1))
        features = self.up_fine(torch.cat([_twice(up), fine], dim=1))
        mask, uv, *rest = self.out(features).split(_CHANNELS, dim=1)
        return DenseMaps(mask[:, 0], torch.sigmoid(uv), *rest), features


def joint_votes(maps: DenseMaps, atlas: UvAtlas) -> JointVotes:
    """The mean of the joint maps over the visible pixels of each joint's part."""
    voting = maps.person.flatten(1).to(maps.joints)
    index = atlas.joint.flatten().to(maps.uv.device)[atlas.texels(maps.uv.permute(0, 2, 3, 1))].flatten(1)
    count = len(atlas.joints)
    voters = voting.new_zeros(len(voting), count).scatter_add(1, index, voting)
    votes = maps.joints.flatten(2) * voting[:, None]
    sums = voting.new_zeros(len(voting), 3, count).scatter_add(2, index[:, None].expand(-1, 3, -1), votes)
    return JointVotes((sums / voters[:, None].clamp(min=1)).transpose(1, 2), voters)


def _conv(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def _twice(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)
