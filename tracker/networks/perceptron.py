"""Small trained perceptrons in plain numpy, for the hot loop: no torch, no engine, a fraction of a millisecond."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.core.arrays import Array


@dataclass(frozen=True)
class Perceptron:
    """Linear layers with SiLU between them."""

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]

    @classmethod
    def of(cls, tensors: dict[str, Array], part: str) -> Perceptron:
        """From a torch `Sequential` called `part`: its linear layers, in their order."""
        names = sorted(name for name in tensors if name.startswith(f"{part}.") and name.endswith(".weight"))
        if not names:
            raise ValueError(f"no layers called {part}")
        return cls(
            tuple(tensors[name].astype(np.float32) for name in names),
            tuple(tensors[name.replace(".weight", ".bias")].astype(np.float32) for name in names),
        )

    def __call__(self, x: Array) -> Array:
        """(..., inputs) → (..., outputs)."""
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = x @ weight.T + bias
            if k < len(self.weights) - 1:
                x = x * _sigmoid(x)
        return x

    def with_jacobian(self, x: Array) -> tuple[Array, Array]:
        """(inputs,) → (outputs,) and (outputs, inputs); backwards, since the outputs are few."""
        slopes = []
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = weight @ x + bias
            if k < len(self.weights) - 1:
                gate = _sigmoid(x)
                slopes.append(gate * (1 + x * (1 - gate)))
                x = x * gate
        jacobian = self.weights[-1]
        for weight, slope in zip(self.weights[-2::-1], slopes[::-1], strict=True):
            jacobian = (jacobian * slope) @ weight
        return x, jacobian

    def first_outputs(self, count: int) -> Perceptron:
        """The same without its later outputs."""
        return Perceptron((*self.weights[:-1], self.weights[-1][:count]), (*self.biases[:-1], self.biases[-1][:count]))


@dataclass(frozen=True)
class ResidualPerceptron:
    """x → first layer → SiLU → blocks h + B SiLU(A h) → last layer."""

    first: Perceptron
    blocks: tuple[Perceptron, ...]
    last: Perceptron

    @classmethod
    def of(cls, tensors: dict[str, Array], part: str) -> ResidualPerceptron:
        """From a torch `networks.inverse_kinematics.ResidualMlp` called `part`."""
        count = len({name.split(".")[2] for name in tensors if name.startswith(f"{part}.blocks.")})
        blocks = tuple(Perceptron.of(tensors, f"{part}.blocks.{k}") for k in range(count))
        return cls(Perceptron.of(tensors, f"{part}.first"), blocks, Perceptron.of(tensors, f"{part}.last"))

    @property
    def inputs(self) -> int:
        return self.first.weights[0].shape[1]

    @property
    def outputs(self) -> int:
        return len(self.last.biases[-1])

    def __call__(self, x: Array) -> Array:
        """(..., inputs) → (..., outputs)."""
        hidden = self.first(x)
        hidden = hidden * _sigmoid(hidden)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.last(hidden)


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * x))
