"""Joint inpainting and GIK-Net in torch, for training (Best of Both Worlds, §3.2);
`tracker.initialise.inverse_kinematics` evaluates them in numpy and says what goes in and out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_linear_bn_eval

from tracker.core.arrays import NUM_BETAS, NUM_JOINTS
from tracker.core.rotation6d import rotations_from_6d
from tracker.networks.inverse_kinematics_inputs import Inputs

_ROTATIONS = 6 * NUM_JOINTS


@dataclass(frozen=True)
class InverseKinematicsConfig:
    """Sizes of the two networks."""

    inpainting_width: int = 384
    kinematics_width: int = 512
    blocks: int = 2
    inputs: Inputs = "landmarks"
    dropout: float = 0.0
    """After every layer of the blocks; the paper has it, with batch normalisation and 256 wide."""
    batch_norm: bool = False


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

    def __init__(self, inputs: int, width: int, outputs: int, config: InverseKinematicsConfig) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(inputs, width))
        self.blocks = nn.ModuleList(_block(width, config) for _ in range(config.blocks))
        self.last = nn.Sequential(nn.Linear(width, outputs))

    def forward(self, x: Float[Tensor, "B I"]) -> Float[Tensor, "B O"]:
        hidden = nn.functional.silu(self.first(x))
        for block in self.blocks:
            hidden = hidden + block(hidden)
        out: Tensor = self.last(hidden)
        return out


class InverseKinematicsNetwork(nn.Module):
    """Features and confidences → points → rotations, shape and how sure they are."""

    def __init__(
        self, features: int, confidences: int, points: int, config: InverseKinematicsConfig | None = None
    ) -> None:
        """points: P, joints and landmarks that inpainting gives."""
        super().__init__()
        self._sizes = features, confidences, points
        self.config = config = config or InverseKinematicsConfig()
        self.inpainting = ResidualMlp(features, config.inpainting_width, 3 * points, config)
        outputs = _ROTATIONS + NUM_BETAS + NUM_JOINTS
        self.kinematics = ResidualMlp(3 * points + confidences, config.kinematics_width, outputs, config)

    def folded(self) -> InverseKinematicsNetwork:
        """The same function in evaluation mode, of linear layers alone: what numpy can evaluate."""
        plain = InverseKinematicsNetwork(*self._sizes, replace(self.config, dropout=0.0, batch_norm=False)).eval()
        for mine, theirs in ((self.inpainting, plain.inpainting), (self.kinematics, plain.kinematics)):
            theirs.first.load_state_dict(mine.first.state_dict())
            theirs.last.load_state_dict(mine.last.state_dict())
            for block, target in zip(mine.blocks, theirs.blocks, strict=True):
                for layer, into in zip(_folded_layers(cast(nn.Sequential, block)), (0, 2), strict=True):
                    cast(nn.Sequential, target)[into].load_state_dict(layer.state_dict())
        return plain

    def forward(self, features: Float[Tensor, "B F"], confidence: Float[Tensor, "B C"]) -> InverseKinematicsOutput:
        points = self.inpainting(features)
        outputs = self.kinematics(torch.cat([points, confidence], dim=1))
        numbers, betas, log_spread = outputs.split([_ROTATIONS, NUM_BETAS, NUM_JOINTS], dim=1)
        return InverseKinematicsOutput(
            points.unflatten(1, (-1, 3)), rotations_from_6d(numbers.unflatten(1, (-1, 6))), betas, log_spread
        )


def _block(width: int, config: InverseKinematicsConfig) -> nn.Sequential:
    """Two linear layers with SiLU between them."""

    def layer() -> list[nn.Module]:
        return [nn.Linear(width, width), *([nn.BatchNorm1d(width)] if config.batch_norm else [])]

    def after() -> list[nn.Module]:
        return [nn.Dropout(config.dropout)] if config.dropout else []

    return nn.Sequential(*layer(), nn.SiLU(), *after(), *layer(), *after())


def _folded_layers(block: nn.Sequential) -> list[nn.Linear]:
    """The linear layers of a block in evaluation mode, each with the normalisation behind it."""
    layers: list[nn.Linear] = []
    for module in block:
        if isinstance(module, nn.Linear):
            layers.append(module)
        elif isinstance(module, nn.BatchNorm1d):
            layers[-1] = fuse_linear_bn_eval(layers[-1].eval(), module.eval())
    return layers
