"""How far off landmarks and a regressed pose are, told from how they disagree: a small network on sets of landmarks.

Every landmark is read by the same layers, and sees besides itself the mean and the maximum over all of them, as in
PointNet (Qi et al., 2017): one that is wrong is seldom wrong alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tracker.core.arrays import NUM_JOINTS, NUM_LANDMARKS


def _layers(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, outputs))


class ReliabilityNetwork(nn.Module):
    """Signs of each landmark → logarithms of standard deviations."""

    def __init__(self, signs: int, width: int) -> None:
        super().__init__()
        self.register_buffer("names", torch.eye(NUM_LANDMARKS), persistent=False)
        self.register_buffer("joints", torch.eye(NUM_JOINTS), persistent=False)
        self.token = _layers(signs + NUM_LANDMARKS, width, width)
        self.landmark = _layers(3 * width, width, 2)
        self.joint = _layers(2 * width + NUM_JOINTS, width, 1)

    def forward(self, signs: Tensor) -> tuple[Tensor, Tensor]:
        """signs: (B, 33, S) → (B, 33, 2) of pixels and metres, and (B, 24) of the regressed rotations."""
        batch = len(signs)
        names, joints = (each.expand(batch, -1, -1) for each in (self.names, self.joints))
        tokens = nn.functional.silu(self.token(torch.cat([signs, names], dim=2)))
        whole = torch.cat([tokens.mean(1), tokens.amax(1)], dim=1)[:, None]
        landmarks = self.landmark(torch.cat([tokens, whole.expand(-1, NUM_LANDMARKS, -1)], dim=2))
        return landmarks, self.joint(torch.cat([joints, whole.expand(-1, NUM_JOINTS, -1)], dim=2))[..., 0]
