"""How plausible a whole body's pose is, by the trained auto-encoder, in numpy: what the fit needs, without torch.

Of a pose x (21 joints as 6D) the encoder gives μ(x) and the decoder x̂ = D(μ(x)). Two penalties come of it:

    latent         ½ ‖μ‖²                     distance from N(0, I), where training put the poses that people take
    reconstruction ½ ‖x − x̂‖² / σ²            what the latent space cannot say, σ the usual error on real poses

Together they are the negative lower bound of the log-likelihood, up to constants, with q(z|x) taken at its mean.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tracker.core.arrays import Array
from tracker.core.errors import InputError
from tracker.core.rotation6d import rotations_from_6d_numpy
from tracker.core.tensor_file import load_arrays
from tracker.networks.perceptron import Perceptron
from tracker.weights import weights_file

WEIGHTS = weights_file("prior")
_WHAT = "the pose prior (`run.py train prior` makes them)"
BODY = slice(1, 22)
"""Joints of SMPL that the prior speaks of."""


@dataclass(frozen=True)
class PosePrior:
    """The trained prior."""

    encoder: Perceptron
    """6D → μ."""
    decoder: Perceptron
    noise: float
    """σ, of one 6D number."""
    metadata: dict[str, str]

    @classmethod
    def load(cls, path: Path | None = None) -> PosePrior:
        """The weights that come with the project, or a user's own. Raises InputError that names the file."""
        path = WEIGHTS if path is None else path
        tensors, metadata = load_arrays(path, f"weights of {_WHAT}")
        try:
            latent, noise = int(json.loads(metadata["config"])["latent"]), float(metadata["noise"])
            encoder, decoder = Perceptron.of(tensors, "encoder"), Perceptron.of(tensors, "decoder")
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(f"{path}: expected weights of {_WHAT}: {error}") from error
        return cls(encoder.first_outputs(latent), decoder, noise, metadata)

    @cached_property
    def latent(self) -> int:
        return len(self.encoder.biases[-1])

    def encode(self, rotations: Array) -> Array:
        """(..., 24, 3, 3) → μ (..., latent)."""
        return self.encoder(_first_columns(rotations))

    def decode(self, latent: Array) -> Array:
        """(..., latent) → (..., 21, 3, 3) of joints 1..21."""
        return _rotations(self.decoder(latent))

    def penalty(self, rotations: Array) -> Array:
        """(..., 24, 3, 3) → (...,): latent and reconstruction penalty together, as this module's head says."""
        x = _first_columns(rotations)
        mean = self.encoder(x)
        off = x - _first_columns_of(_rotations(self.decoder(mean)))
        return 0.5 * (mean**2).sum(axis=-1) + 0.5 * (off**2).sum(axis=-1) / self.noise**2

    def latent_residuals(self, rotations: Array) -> tuple[Array, Array]:
        """(24, 3, 3) → μ (latent,), whose half square is the latent penalty, and its derivative (latent, 24, 3) by a
        small rotation δ of each joint in its own frame, R_j ← R_j exp(δ). Root and hands have none."""
        mean, by_number = self.encoder.with_jacobian(_first_columns(rotations).astype(np.float32))
        body = rotations[BODY]
        # R skew(δ) has the columns R(δ × e_x) and R(δ × e_y): (21, 6, 3), what the 6D numbers turn by
        turned = np.zeros((len(body), 6, 3), np.float32)
        turned[:, :3, 1], turned[:, :3, 2] = -body[:, :, 2], body[:, :, 1]
        turned[:, 3:, 0], turned[:, 3:, 2] = body[:, :, 2], -body[:, :, 0]
        by_turn = np.zeros((self.latent, len(rotations), 3))
        by_turn[:, BODY] = (by_number.reshape(self.latent, -1, 6).swapaxes(0, 1) @ turned).swapaxes(0, 1)
        return mean.astype(np.float64), by_turn


def _first_columns(rotations: Array) -> Array:
    """(..., 24, 3, 3) → (..., 126)."""
    return _first_columns_of(rotations[..., BODY, :, :])


def _first_columns_of(body: Array) -> Array:
    return np.swapaxes(body[..., :2], -1, -2).reshape(*body.shape[:-3], -1)


def _rotations(numbers: Array) -> Array:
    """(..., 126) → (..., 21, 3, 3)."""
    return rotations_from_6d_numpy(numbers.reshape(*numbers.shape[:-1], -1, 6))
