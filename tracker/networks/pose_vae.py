"""A variational auto-encoder of body poses: which of all joint rotations people take (VPoser's role, HKMR's prior).

21 joints (1..21: no root, no hands) as 6D → 32 latent numbers with q(z|θ) = N(μ, diag e^v) → 6D. Trained to maximise
the evidence lower bound, it maps plausible poses near N(0, I); `tracker.fit.pose_prior` evaluates it without torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tracker.core.rotation6d import rotations_from_6d, six_from_rotations

BODY_JOINTS = 21
POSE_NUMBERS = 6 * BODY_JOINTS


@dataclass(frozen=True)
class PoseVaeConfig:
    """Sizes of the network."""

    latent: int = 32
    encoder_width: int = 256
    decoder_width: int = 512


@dataclass(frozen=True)
class Encoded:
    """q(z|θ): mean and logarithm of the variance, (B, latent) each."""

    mean: Tensor
    log_variance: Tensor

    def sample(self) -> Tensor:
        return self.mean + torch.randn_like(self.mean) * (0.5 * self.log_variance).exp()

    def divergence(self) -> Tensor:
        """(B,) KL(q ‖ N(0, I)), nats: ½ Σ (μ² + e^v − v − 1)."""
        return 0.5 * (self.mean**2 + self.log_variance.exp() - self.log_variance - 1).sum(dim=1)


class PoseVae(nn.Module):
    """Plain perceptrons, so that numpy can evaluate them."""

    def __init__(self, config: PoseVaeConfig | None = None) -> None:
        super().__init__()
        config = config or PoseVaeConfig()
        self.config = config
        self.encoder = _perceptron(POSE_NUMBERS, config.encoder_width, 2 * config.latent)
        self.decoder = _perceptron(config.latent, config.decoder_width, POSE_NUMBERS)

    def encode(self, rotations: Float[Tensor, "B 21 3 3"]) -> Encoded:
        mean, log_variance = self.encoder(six_from_rotations(rotations).flatten(start_dim=1)).chunk(2, dim=1)
        return Encoded(mean, log_variance.clamp(-12.0, 6.0))

    def decode(self, latent: Float[Tensor, "B Z"]) -> Float[Tensor, "B 21 3 3"]:
        return rotations_from_6d(self.decoder(latent).unflatten(1, (-1, 6)))


def _perceptron(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, outputs)
    )
