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
from tracker.networks.extractor import Standardised
from tracker.networks.guide import GUIDE_CHANNELS
from tracker.networks.head import NUM_PARTS, RegressedPose, crop_rays, root_from_place, turn_to_ray
from tracker.networks.landmark_network import LANDMARKS

_LARGEST_BETA = 6.0
"""A child's; what lies beyond is no body, and once came of a hidden one."""


@dataclass(frozen=True)
class PartAttentionConfig:
    """Sizes of the part-attention head."""

    channels: int = 64
    """Of each joint's pooled feature."""
    whole: int = 256
    """Of what is known of the person as a whole."""


class PartAttentionHead(nn.Module):
    """Pose, shape and place of the person in the crop."""

    reads = ("embedding", "landmarks", "metric")
    """What it takes of the guide."""

    def __init__(self, trunk: int, config: PartAttentionConfig) -> None:
        super().__init__()
        self.parts = nn.Conv2d(trunk, NUM_PARTS, 1)
        self.pose = nn.Conv2d(trunk, config.channels, 1)
        channels, side = GUIDE_CHANNELS["embedding"]
        known = channels * side * side + 5 * LANDMARKS + 3 * LANDMARKS
        self.known = Standardised(known)
        self.whole = nn.Sequential(
            nn.Linear(known + NUM_JOINTS * config.channels, config.whole),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(config.whole, config.whole),
            nn.ReLU(),
        )
        size = config.channels + config.whole
        self.rotation = nn.Parameter(torch.randn(NUM_JOINTS, size, 6) * 0.3 / size**0.5)
        self.rest = nn.Parameter(torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(NUM_JOINTS, 1))
        self.shape = nn.Linear(config.whole, NUM_BETAS)
        self.place = nn.Linear(config.whole, 3)

    def forward(self, trunk: Tensor, guide: Mapping[str, Tensor], cameras: Tensor) -> RegressedPose:
        """trunk: (B, C, 64, 64); guide: with landmarks and metric; cameras: (B, 4) fx, fy, cx, cy px of the crops."""
        parts = self.parts(trunk)
        # pixels before channels: most engines have them so in memory
        attention = torch.softmax(parts.permute(0, 2, 3, 1).flatten(1, 2)[:, :, 1:], dim=1)
        pooled = attention.transpose(1, 2) @ self.pose(trunk).permute(0, 2, 3, 1).flatten(1, 2)
        known = self.known(torch.cat([guide[name].flatten(1) for name in self.reads], dim=1))
        whole = self.whole(torch.cat([known, pooled.flatten(1)], dim=1))
        own, shared = self.rotation.split([pooled.shape[2], whole.shape[1]], dim=1)
        six = (pooled[:, :, None] @ own)[:, :, 0] + torch.einsum("bc,jcr->bjr", whole, shared) + self.rest
        rotations = rotations_from_6d(six)
        # what a joint's part looks like says how it is turned towards the viewer, so the root is predicted as seen from
        # straight ahead and turned to where the crop is
        turn = turn_to_ray(crop_rays(cameras))
        rotations = torch.cat([(turn @ rotations[:, 0])[:, None], rotations[:, 1:]], dim=1)
        betas = self.shape(whole).clamp(-_LARGEST_BETA, _LARGEST_BETA)
        return RegressedPose(rotations, betas, root_from_place(self.place(whole), cameras), parts)
