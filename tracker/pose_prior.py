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
from safetensors import SafetensorError, safe_open

from tracker.errors import InputError
from tracker.types import Array

WEIGHTS = Path(__file__).parent / "weights" / "prior.safetensors"
BODY = slice(1, 22)
"""Joints of SMPL that the prior speaks of."""


@dataclass(frozen=True)
class Perceptron:
    """Linear layers with SiLU between them."""

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]

    def __call__(self, x: Array) -> Array:
        """(..., inputs) → (..., outputs)."""
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = x @ weight.T + bias
            if k < len(self.weights) - 1:
                x = x * _sigmoid(x)
        return x

    def with_jacobian(self, x: Array) -> tuple[Array, Array]:
        """(inputs,) → (outputs,) and (outputs, inputs)."""
        jacobian = None
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = weight @ x + bias
            jacobian = weight if jacobian is None else weight @ jacobian
            if k < len(self.weights) - 1:
                gate = _sigmoid(x)
                jacobian = (gate * (1 + x * (1 - gate)))[:, None] * jacobian
                x = x * gate
        assert jacobian is not None
        return x, jacobian


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
        try:
            with safe_open(path, framework="np") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}
                metadata = file.metadata() or {}
            latent = int(json.loads(metadata["config"])["latent"])
            encoder, decoder = (_layers(tensors, part) for part in ("encoder", "decoder"))
            noise = float(metadata["noise"])
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise InputError(
                f"{path}: expected weights of the pose prior; make them with `run.py train prior`: {error}"
            ) from error
        last = len(encoder.weights) - 1
        mean = Perceptron(
            (*encoder.weights[:last], encoder.weights[last][:latent]),
            (*encoder.biases[:last], encoder.biases[last][:latent]),
        )
        return cls(mean, decoder, noise, metadata)

    @cached_property
    def latent(self) -> int:
        return len(self.encoder.biases[-1])

    def encode(self, rotations: Array) -> Array:
        """(..., 24, 3, 3) → μ (..., latent)."""
        return self.encoder(_first_columns(rotations))

    def decode(self, latent: Array) -> Array:
        """(..., latent) → (..., 21, 3, 3) of joints 1..21."""
        return _from_columns(self.decoder(latent))

    def penalty(self, rotations: Array) -> Array:
        """(..., 24, 3, 3) → (...,): latent and reconstruction penalty together, as this module's head says."""
        x = _first_columns(rotations)
        mean = self.encoder(x)
        off = x - _first_columns_of(_from_columns(self.decoder(mean)))
        return 0.5 * (mean**2).sum(axis=-1) + 0.5 * (off**2).sum(axis=-1) / self.noise**2

    def latent_residuals(self, rotations: Array) -> tuple[Array, Array]:
        """(24, 3, 3) → μ (latent,), whose half square is the latent penalty, and its derivative (latent, 24, 3) by a
        small rotation δ of each joint in its own frame, R_j ← R_j exp(δ). Root and hands have none."""
        mean, by_number = self.encoder.with_jacobian(_first_columns(rotations))
        body = rotations[BODY]
        by_turn = np.zeros((self.latent, len(rotations), 3))
        # R skew(δ) has the columns R(δ × e_x) and R(δ × e_y)
        columns = by_number.reshape(self.latent, -1, 2, 3)
        first, second = columns[:, :, 0], columns[:, :, 1]
        x, y, z = body[:, :, 0], body[:, :, 1], body[:, :, 2]
        by_turn[:, BODY, 0] = (second * z).sum(axis=-1)
        by_turn[:, BODY, 1] = -(first * z).sum(axis=-1)
        by_turn[:, BODY, 2] = (first * y).sum(axis=-1) - (second * x).sum(axis=-1)
        return mean, by_turn


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _layers(tensors: dict[str, Array], part: str) -> Perceptron:
    names = sorted(name for name in tensors if name.startswith(f"{part}.") and name.endswith(".weight"))
    return Perceptron(
        tuple(tensors[name].astype(np.float32) for name in names),
        tuple(tensors[name.replace(".weight", ".bias")].astype(np.float32) for name in names),
    )


def _first_columns(rotations: Array) -> Array:
    """(..., 24, 3, 3) → (..., 126)."""
    return _first_columns_of(rotations[..., BODY, :, :])


def _first_columns_of(body: Array) -> Array:
    return np.swapaxes(body[..., :2], -1, -2).reshape(*body.shape[:-3], -1)


def _from_columns(numbers: Array) -> Array:
    pairs = numbers.reshape(*numbers.shape[:-1], -1, 2, 3)
    x = pairs[..., 0, :] / np.linalg.norm(pairs[..., 0, :], axis=-1, keepdims=True)
    y = pairs[..., 1, :] - (x * pairs[..., 1, :]).sum(axis=-1, keepdims=True) * x
    y = y / np.linalg.norm(y, axis=-1, keepdims=True)
    return np.stack([x, y, np.cross(x, y)], axis=-1)
