"""What a regression head is, what it gives, and the arithmetic that heads share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from tracker.core.arrays import NUM_JOINTS
from tracker.networks.landmark_network import SIDE

NUM_PARTS = NUM_JOINTS + 1
"""0 is the background, 1 + j what joint j moves."""


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
