"""Small trained perceptrons for the hot loop: no torch, no engine, a fraction of a millisecond."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernels import perceptron
from tracker.core.arrays import Array


@dataclass(frozen=True)
class Perceptron(perceptron.DenseLayers):
    """Linear layers with SiLU between them."""

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

    def __call__(self, x: Array) -> NDArray[np.float32]:
        """(..., inputs) → (..., outputs)."""
        return perceptron.forward(self, x)

    def with_jacobian(self, x: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(inputs,) → (outputs,) and (outputs, inputs)."""
        return perceptron.with_jacobian(self, x)

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
        return self.first.inputs

    @property
    def outputs(self) -> int:
        return self.last.outputs

    def __call__(self, x: Array) -> Array:
        """(..., inputs) → (..., outputs)."""
        hidden = self.first(x)
        hidden = hidden * perceptron.sigmoid(hidden)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.last(hidden)
