"""From maps to a first pose: a part-attention head (PARE; 3DNBF §3.5) and the arithmetic around it.

Each joint looks at the picture through its own soft part map. What it finds there, together with what the landmark
network says of the whole person, gives its rotation; everything together gives the shape and the place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tracker.core.arrays import NUM_BETAS, NUM_JOINTS
from tracker.networks.extractor import Standardised
from tracker.networks.guide import GUIDE_CHANNELS
from tracker.networks.landmark_network import LANDMARKS, SIDE

_LARGEST_BETA = 6.0
"""A child's; what lies beyond is no body, and once came of a hidden one."""
NUM_PARTS = NUM_JOINTS + 1
"""0 is the background, 1 + j what joint j moves."""


@dataclass(frozen=True)
class HeadConfig:
    """Sizes of the part-attention head."""

    channels: int = 64
    """Of each joint's pooled feature."""
    whole: int = 256
    """Of what is known of the person as a whole."""


@dataclass(frozen=True)
class FirstPose:
    """B regressed people, in the frame of each crop's camera."""

    rotations: Tensor
    """(B, 24, 3, 3): SMPL's, the root's into the camera frame."""
    betas: Tensor
    """(B, 10)."""
    root: Tensor
    """(B, 3) m: the pelvis in the camera frame."""
    parts: Tensor
    """(B, 25, 64, 64) logits."""


class PartAttentionHead(nn.Module):
    """Pose, shape and place of the person in the crop."""

    reads = ("embedding", "landmarks", "metric")
    """What it takes of the guide."""

    def __init__(self, trunk: int, config: HeadConfig) -> None:
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

    def forward(self, trunk: Tensor, guide: Mapping[str, Tensor], cameras: Tensor) -> FirstPose:
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
        return FirstPose(rotations, betas, root_from_place(self.place(whole), cameras), parts)


def rotations_from_6d(six: Tensor) -> Tensor:
    """(..., 6) → (..., 3, 3): the first two columns, made orthonormal (Zhou et al. 2019)."""
    a, b = six[..., :3], six[..., 3:]
    x = functional.normalize(a, dim=-1)
    y = functional.normalize(b - (x * b).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)


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
