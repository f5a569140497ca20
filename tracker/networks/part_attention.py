"""A part-attention head (PARE; 3DNBF §3.5).

Each joint sees the picture through its own soft part map. What it finds there, together with what the landmark network
knows of the whole person, gives its rotation; everything together gives the shape and the place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tracker.core.arrays import NUM_BETAS, NUM_JOINTS
from tracker.core.rotation6d import rotations_from_6d
from tracker.networks.head import (
    PersonReader,
    PersonReading,
    RegressedPose,
    crop_rays,
    root_from_place,
    turn_to_ray,
    within_reach,
)


@dataclass(frozen=True)
class PartAttentionConfig:
    """Sizes of the part-attention head."""

    channels: int = 64
    """Of each joint's pooled feature."""
    whole: int = 256
    """Of what is known of the person as a whole."""


class PartAttentionHead(PersonReader):
    """Pose, shape and place of the person in the crop."""

    def __init__(self, trunk: int, config: PartAttentionConfig) -> None:
        super().__init__(trunk, config.channels, config.whole)
        size = config.channels + config.whole
        self.rotation = nn.Parameter(torch.randn(NUM_JOINTS, size, 6) * 0.3 / size**0.5)
        self.rest = nn.Parameter(torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(NUM_JOINTS, 1))
        self.shape = nn.Linear(config.whole, NUM_BETAS)
        self.place = nn.Linear(config.whole, 3)

    def forward(self, trunk: Tensor, guide: Mapping[str, Tensor], cameras: Tensor) -> RegressedPose:
        """trunk: (B, C, 64, 64); guide: with landmarks and metric; cameras: (B, 4) fx, fy, cx, cy px of the crops."""
        return self.estimates(self.read(trunk, guide), cameras)[-1]

    def estimates(self, reading: PersonReading, cameras: Tensor) -> list[RegressedPose]:
        """One, since it does not iterate."""
        # what a joint's part looks like says how it is turned towards the viewer, so the root is predicted as seen from
        # straight ahead and turned to where the crop is
        rotations = self._rotations(reading)
        turn = turn_to_ray(crop_rays(cameras))
        rotations = torch.cat([(turn @ rotations[:, 0])[:, None], rotations[:, 1:]], dim=1)
        root = root_from_place(self.place(reading.whole), cameras)
        return [RegressedPose(rotations, within_reach(self.shape(reading.whole)), root, reading.parts)]

    def _rotations(self, reading: PersonReading) -> Tensor:
        """(B, 24, 3, 3), the root's as seen from straight ahead."""
        pooled, whole = reading.pooled, reading.whole
        own, shared = self.rotation.split([pooled.shape[2], whole.shape[1]], dim=1)
        six = (pooled[:, :, None] @ own)[:, :, 0] + torch.einsum("bc,jcr->bjr", whole, shared) + self.rest
        return rotations_from_6d(six)
