"""A variational auto-encoder of body poses: which of all joint rotations people take (VPoser's role, HKMR's prior).

21 joints (1..21: no root, no hands) as 6D → 32 latent numbers with q(z|θ) = N(μ, diag e^v) → 6D. Trained to maximise
the evidence lower bound, it maps plausible poses near N(0, I); `tracker.fit.pose_prior` evaluates it without torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tracker.core.errors import InputError
from tracker.core.rotation6d import rotations_from_6d, six_from_rotations
from tracker.core.tensor_file import load_arrays
from tracker.weights import weights_file

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

    @classmethod
    def load(cls, path: Path | None = None) -> PoseVae:
        """The weights that come with the project, or a user's own, frozen. Raises InputError that names the file."""
        path = weights_file("prior") if path is None else path
        arrays, metadata = load_arrays(path, "weights of the pose prior (`run.py train prior` makes them)")
        try:
            network = cls(PoseVaeConfig(**json.loads(metadata["config"])))
            network.load_state_dict({name: torch.from_numpy(each).float() for name, each in arrays.items()})
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{path}: expected weights of the pose prior: {str(error).splitlines()[0]}") from error
        return network.requires_grad_(False).eval()

    def encode(self, rotations: Float[Tensor, "B 21 3 3"]) -> Encoded:
        mean, log_variance = self.encoder(six_from_rotations(rotations).flatten(start_dim=1)).chunk(2, dim=1)
        return Encoded(mean, log_variance.clamp(-12.0, 6.0))

    def decode(self, latent: Float[Tensor, "B Z"]) -> Float[Tensor, "B 21 3 3"]:
        return rotations_from_6d(self.decoder(latent).unflatten(1, (-1, 6)))


def _perceptron(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, outputs)
    )
