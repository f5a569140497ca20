"""UV inpainting (Best of Both Worlds, §3.3): the whole surface of somebody who is partly visible.

What the dense maps say is carried over to the body's texture, where it covers what is visible; what inverse kinematics
makes of the votes covers all of it. A light U-Net of the texture, 64² → 128², joins the two. It starts from a guess
that is exact where the body is symmetric and its pose is right: what is hidden is displaced from its joint as the other
side is from its own, each turned with its bone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tracker.body.model import BodyModel
from tracker.body.uv_atlas import UvAtlas, mirrored_joints
from tracker.networks.dense_maps import DenseMaps
from tracker.networks.extractor import Residual


@dataclass(frozen=True)
class UvInpaintingConfig:
    """Sizes of the U-Net."""

    side: int = 64
    """px of the texture that goes in; twice as many come out."""
    width: tuple[int, int, int] = (32, 48, 64)
    """Channels at `side`, its half and its quarter."""


@dataclass(frozen=True)
class AtlasPair:
    """What goes in and what comes out."""

    coarse: UvAtlas
    fine: UvAtlas

    @classmethod
    def of(cls, body: BodyModel, config: UvInpaintingConfig) -> AtlasPair:
        """Raises InputError for a body without texture coordinates."""
        return cls(UvAtlas.of(body, config.side), UvAtlas.of(body, 2 * config.side))


@dataclass(frozen=True)
class UvMaps:
    """The surface of B people on S × S texels; 0 outside of the body. Root-relative metres, as `DenseMaps`."""

    locations: Tensor
    """(B, 3, S, S)."""
    joints: Tensor
    displacements: Tensor
    known: Tensor
    """(B, S, S): where it is known, rather than guessed."""

    def to(self, device: torch.device | str) -> UvMaps:
        return UvMaps(*(each.to(device) for each in (self.locations, self.joints, self.displacements, self.known)))


def warped(maps: DenseMaps, atlas: UvAtlas) -> UvMaps:
    """The dense maps on the texture: the mean of the pixels that show each texel."""
    values, counts = warp(torch.cat([maps.joints, maps.displacements], dim=1), maps, atlas)
    joints, displacements = values.split(3, dim=1)
    return UvMaps(joints + displacements, joints, displacements, counts > 0)


def posed_maps(vertices: Tensor, joints: Tensor, atlas: UvAtlas) -> UvMaps:
    """A whole body's: vertices (B, V, 3) and joints (B, 24, 3), both from the pelvis."""
    locations, places = atlas.locations(vertices), atlas.joint_map(joints[:, list(atlas.joints)])
    return UvMaps(locations, places, locations - places, atlas.inside.expand(len(vertices), -1, -1))


def warp(values: Tensor, maps: DenseMaps, atlas: UvAtlas) -> tuple[Tensor, Tensor]:
    """(B, C, 64, 64) of the crop → (B, C, S, S) of the texture, and how many pixels (B, S, S) each texel has."""
    texel = atlas.texels(maps.uv.permute(0, 2, 3, 1)).flatten(1)
    weight = maps.person.flatten(1).to(values)
    size = atlas.side**2
    counts = weight.new_zeros(len(values), size).scatter_add(1, texel, weight)
    index = texel[:, None].expand(-1, values.shape[1], -1)
    sums = weight.new_zeros(len(values), values.shape[1], size).scatter_add(
        2, index, values.flatten(2) * weight[:, None]
    )
    means = sums / counts[:, None].clamp(min=1)
    return means.unflatten(2, (atlas.side, atlas.side)), counts.unflatten(1, (atlas.side, atlas.side))


def unwarp(values: Tensor, maps: DenseMaps, atlas: UvAtlas) -> Tensor:
    """(B, C, S, S) of the texture → (B, C, 64, 64): what each pixel shows of it; 0 where nobody is visible."""
    texel = atlas.texels(maps.uv.permute(0, 2, 3, 1)).flatten(1)
    taken = values.flatten(2).gather(2, texel[:, None].expand(-1, values.shape[1], -1))
    return taken.view(len(values), -1, *maps.mask.shape[1:]) * maps.person[:, None]


def completed_by_symmetry(visible: UvMaps, posed: UvMaps, world_rotations: Tensor, atlas: UvAtlas) -> UvMaps:
    """What is seen, and for the rest the posed body with the other side's displacements where those are visible.

    posed: of the whole body, from inverse kinematics; world_rotations: (B, 24, 3, 3) of its joints, in the same axes.
    """
    bones = world_rotations[:, list(atlas.joints)]
    turn = bones[:, atlas.joint.flatten()].unflatten(1, (atlas.side, atlas.side))
    other = bones[:, mirrored_joints(atlas.joints)][:, atlas.joint.flatten()].unflatten(1, (atlas.side, atlas.side))
    theirs = atlas.mirrored(visible.displacements).permute(0, 2, 3, 1)[..., None]
    reflection = torch.tensor([-1.0, 1.0, 1.0]).to(theirs)[:, None]
    displacement = (turn @ (reflection * (other.transpose(-1, -2) @ theirs)))[..., 0].permute(0, 3, 1, 2)
    mirrored = atlas.mirrored(visible.known[:, None].to(theirs))[:, 0] > 0
    inside = atlas.inside.to(theirs.device)

    def chosen(own: Tensor, reflected: Tensor, rest: Tensor) -> Tensor:
        return torch.where(visible.known[:, None], own, torch.where(mirrored[:, None], reflected, rest)) * inside

    joints = torch.where(visible.known[:, None], visible.joints, posed.joints) * inside
    displacements = chosen(visible.displacements, displacement, posed.displacements)
    return UvMaps(joints + displacements, joints, displacements, visible.known | (mirrored & inside))


class UvInpaintingNetwork(nn.Module):
    """UVI: corrections to the completed maps."""

    def __init__(self, features: int, config: UvInpaintingConfig) -> None:
        """features: channels of the dense maps' local features, which are warped, too."""
        super().__init__()
        self.config = config
        fine, middle, coarse = config.width
        self.fine = nn.Sequential(_conv(features + 1 + 3 * 6, fine, 1), Residual(fine))
        self.middle = nn.Sequential(_conv(fine, middle, 2), Residual(middle))
        self.coarse = nn.Sequential(_conv(middle, coarse, 2), Residual(coarse))
        self.up_middle = nn.Sequential(_conv(coarse + middle, middle, 1), Residual(middle))
        self.up_fine = nn.Sequential(_conv(middle + fine, fine, 1), Residual(fine))
        self.out = nn.Conv2d(fine, 6, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        assert self.out.bias is not None
        nn.init.zeros_(self.out.bias)

    def forward(self, features: Tensor, start: UvMaps, posed: UvMaps, atlases: AtlasPair) -> UvMaps:
        """features: (B, F, s, s) warped; start: the completed maps; posed: inverse kinematics' body; s × s texels each.

        The result has 2s × 2s texels.
        """
        parts = (start.locations, start.joints, start.displacements, posed.locations, posed.joints, posed.displacements)
        x = torch.cat([features, start.known[:, None].to(features), *parts], dim=1)
        fine = self.fine(x)
        middle = self.middle(fine)
        up = self.up_middle(torch.cat([_twice(self.coarse(middle)), middle], dim=1))
        fine = self.up_fine(torch.cat([_twice(up), fine], dim=1))
        begun = enlarged(start, atlases)
        inside = atlases.fine.inside.to(x.device)
        change, moved = (self.out(_twice(fine)) * inside).split(3, dim=1)
        joints, displacements = begun.joints + change, begun.displacements + moved
        return UvMaps(joints + displacements, joints, displacements, begun.known)


def enlarged(maps: UvMaps, atlases: AtlasPair) -> UvMaps:
    """The same surface on the finer atlas: places are interpolated, each joint is the mean of its texels."""
    coarse, fine = atlases.coarse, atlases.fine
    means, _ = coarse.joint_means(maps.joints, coarse.inside.expand_as(maps.known))
    joints = fine.joint_map(means)
    locations = _twice(coarse.filled(maps.locations)) * fine.inside.to(joints.device)
    known = functional.interpolate(maps.known[:, None].to(joints), scale_factor=2.0)[:, 0] > 0
    return UvMaps(locations, joints, locations - joints, known & fine.inside.to(known.device))


def _conv(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def _twice(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)
