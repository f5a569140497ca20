"""Joint inpainting and GIK-Net in torch, for training (Best of Both Worlds, §3.2);
`tracker.initialise.inverse_kinematics` evaluates them in numpy and says what goes in and out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tracker.core.arrays import NUM_BETAS, NUM_JOINTS
from tracker.core.rotation6d import rotations_from_6d

_ROTATIONS = 6 * NUM_JOINTS


@dataclass(frozen=True)
class InverseKinematicsConfig:
    """Sizes of the two networks."""

    inpainting_width: int = 384
    kinematics_width: int = 512
    blocks: int = 2


@dataclass(frozen=True)
class InverseKinematicsOutput:
    """What the networks say of a batch, in the axes of the camera that looks straight at each person."""

    points: Float[Tensor, "B P 3"]
    """m about the pelvis: joints, then landmarks."""
    rotations: Float[Tensor, "B J 3 3"]
    betas: Float[Tensor, "B S"]
    log_spread: Float[Tensor, "B J"]
    """Of the joints' rotations, log rad."""


class ResidualMlp(nn.Module):
    """x → first → SiLU → blocks h + B SiLU(A h) → last."""

    def __init__(self, inputs: int, width: int, blocks: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(inputs, width))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)) for _ in range(blocks)
        )
        self.last = nn.Sequential(nn.Linear(width, outputs))

    def forward(self, x: Float[Tensor, "B I"]) -> Float[Tensor, "B O"]:
        hidden = nn.functional.silu(self.first(x))
        for block in self.blocks:
            hidden = hidden + block(hidden)
        out: Tensor = self.last(hidden)
        return out


class InverseKinematicsNetwork(nn.Module):
    """Features and confidences → points → rotations, shape and how sure they are."""

    def __init__(self, features: int, landmarks: int, config: InverseKinematicsConfig | None = None) -> None:
        super().__init__()
        self.config = config or InverseKinematicsConfig()
        numbers, blocks = 3 * (NUM_JOINTS + landmarks), self.config.blocks
        self.inpainting = ResidualMlp(features, self.config.inpainting_width, blocks, numbers)
        outputs = _ROTATIONS + NUM_BETAS + NUM_JOINTS
        self.kinematics = ResidualMlp(numbers + landmarks, self.config.kinematics_width, blocks, outputs)

    def forward(self, features: Float[Tensor, "B F"], confidence: Float[Tensor, "B L"]) -> InverseKinematicsOutput:
        points = self.inpainting(features)
        outputs = self.kinematics(torch.cat([points, confidence], dim=1))
        numbers, betas, log_spread = outputs.split([_ROTATIONS, NUM_BETAS, NUM_JOINTS], dim=1)
        return InverseKinematicsOutput(
            points.unflatten(1, (-1, 3)), rotations_from_6d(numbers.unflatten(1, (-1, 6))), betas, log_spread
        )
