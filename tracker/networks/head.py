"""What a regression head is, what it gives, and the arithmetic that heads share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from tracker.core.arrays import NUM_JOINTS
from tracker.networks.extractor import Standardised
from tracker.networks.guide import GUIDE_CHANNELS
from tracker.networks.landmark_network import LANDMARKS, SIDE

NUM_PARTS = NUM_JOINTS + 1
"""0 is the background, 1 + j what joint j moves."""
_LARGEST_BETA = 6.0
"""A child's; what lies beyond is no body, and once came of a hidden one."""


@dataclass(frozen=True)
class RegressedPose:
    """B regressed people, in the frame of each crop's camera."""

    rotations: Tensor
    """(B, 24, 3, 3): SMPL's, the root's into the camera frame."""
    betas: Tensor
    """(B, 10)."""
    root: Tensor
    """(B, 3) m: the pelvis in the camera frame."""
    parts: Tensor
    """(B, 25, 64, 64) logits."""


class Head(Protocol):
    """From an extractor's maps to a pose; `body_network.HEADS` lists those that there are."""

    reads: tuple[str, ...]
    """What it takes of the guide."""

    def __call__(self, trunk: Tensor, guide: Mapping[str, Tensor], cameras: Tensor) -> RegressedPose:
        """trunk: (B, C, 64, 64); guide: its `reads`; cameras: (B, 4) fx, fy, cx, cy px of the crops."""
        ...


@dataclass(frozen=True)
class PersonReading:
    """What heads read of B crops before they regress."""

    parts: Tensor
    """(B, 25, 64, 64) logits."""
    pooled: Tensor
    """(B, 24, C): of each joint, what is seen through its own soft part map."""
    whole: Tensor
    """(B, W): of the person as a whole."""


class PersonReader(nn.Module):
    """Reads the trunk through part maps, and joins what the landmark network knows: what the heads have in common."""

    reads = ("embedding", "landmarks", "metric")
    """What it takes of the guide."""

    def __init__(self, trunk: int, channels: int, whole: int) -> None:
        super().__init__()
        self.parts = nn.Conv2d(trunk, NUM_PARTS, 1)
        self.pose = nn.Conv2d(trunk, channels, 1)
        size, side = GUIDE_CHANNELS["embedding"]
        known = size * side * side + 5 * LANDMARKS + 3 * LANDMARKS
        self.known = Standardised(known)
        self.whole = nn.Sequential(
            nn.Linear(known + NUM_JOINTS * channels, whole),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(whole, whole),
            nn.ReLU(),
        )

    def read(self, trunk: Tensor, guide: Mapping[str, Tensor]) -> PersonReading:
        """trunk: (B, C, 64, 64); guide: its `reads`."""
        parts = self.parts(trunk)
        # pixels before channels: most engines have them so in memory
        attention = torch.softmax(parts.permute(0, 2, 3, 1).flatten(1, 2)[:, :, 1:], dim=1)
        pooled = attention.transpose(1, 2) @ self.pose(trunk).permute(0, 2, 3, 1).flatten(1, 2)
        known = self.known(torch.cat([guide[name].flatten(1) for name in self.reads], dim=1))
        return PersonReading(parts, pooled, self.whole(torch.cat([known, pooled.flatten(1)], dim=1)))


READER = ("parts", "pose", "known", "whole")
"""The submodules of a `PersonReader`: what heads of the same sizes can take from each other."""


def within_reach(betas: Tensor) -> Tensor:
    """β of a body that there may be."""
    return betas.clamp(-_LARGEST_BETA, _LARGEST_BETA)


def crop_rays(cameras: Tensor) -> Tensor:
    """(B, 3): the direction, z = 1, that each crop's middle is seen in."""
    x = (SIDE / 2 - cameras[:, 2]) / cameras[:, 0]
    y = (SIDE / 2 - cameras[:, 3]) / cameras[:, 1]
    return torch.stack([x, y, torch.ones_like(x)], dim=1)


def turn_to_ray(rays: Tensor) -> Tensor:
    """(B, 3, 3): the smallest rotation that turns the optical axis into each ray."""
    ray = functional.normalize(rays, dim=1)
    x, y, z = ray.unbind(1)
    along = 1 / (1 + z)
    rows = [
        1 - along * x * x, -along * x * y, x,
        -along * x * y, 1 - along * y * y, y,
        -x, -y, z,
    ]  # fmt: skip
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def root_from_place(place: Tensor, cameras: Tensor) -> Tensor:
    """(B, 3) → (B, 3) m: the crop's own units (where in the crop, −1..1; log of depth over focal length in crops) to
    the camera frame. A person fills about the same part of every crop, so these are nearly the same for all."""
    depth = torch.exp(place[:, 2].clamp(-3, 3)) * 2 * cameras[:, 0] / SIDE
    pixel = SIDE / 2 * (1 + place[:, :2])
    x = (pixel[:, 0] - cameras[:, 2]) / cameras[:, 0] * depth
    y = (pixel[:, 1] - cameras[:, 3]) / cameras[:, 1] * depth
    return torch.stack([x, y, depth], dim=1)
