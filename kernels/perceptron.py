"""Small perceptrons, a row of input at a time: what a frame asks of networks of a few hundred neurons.

They are too small for an engine, and for numpy, whose calls and whose matrix library (on processors that it does not
know) take several times as long. Arrays are numpy float32; the C++ runs where it can be built, numpy is the definition.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels import build
from kernels.implementation import Implementation
from kernels.landmarks_values import address, array_pointer

Single = NDArray[np.float32]


class _PerceptronData(ctypes.Structure):
    _fields_ = (*((name, ctypes.c_void_p) for name in ("weights", "biases", "sizes")), ("layers", ctypes.c_int))


@dataclass(frozen=True)
class DenseLayers:
    """Linear layers with SiLU between them. Raises ValueError that names an array which does not fit."""

    weights: tuple[Single, ...]
    """(outputs, inputs) of each layer."""
    biases: tuple[Single, ...]
    """(outputs,)"""

    def __post_init__(self) -> None:
        inputs = self.weights[0].shape[-1]
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            for name, value, shape in (("weights", weight, (len(bias), inputs)), ("biases", bias, (len(bias),))):
                if value.shape != shape or value.dtype != np.float32 or not value.flags.c_contiguous:
                    raise ValueError(
                        f"{name}[{k}]: expected contiguous float32 {shape}, got {value.dtype} {value.shape}"
                    )
            inputs = len(bias)

    @property
    def inputs(self) -> int:
        """How many numbers go in."""
        return self.weights[0].shape[1]

    @property
    def outputs(self) -> int:
        """How many come out."""
        return len(self.biases[-1])

    @cached_property
    def _sizes(self) -> NDArray[np.int32]:
        return np.array([self.inputs, *(len(bias) for bias in self.biases)], np.int32)

    @cached_property
    def _addresses(self) -> tuple[ctypes.Array[ctypes.c_void_p], ...]:
        pointers = ctypes.c_void_p * len(self.weights)
        return tuple(pointers(*map(address, arrays)) for arrays in (self.weights, self.biases))

    @cached_property
    def c_struct(self) -> _PerceptronData:
        """As C++ reads it; lives as long as this does."""
        weights, biases = map(ctypes.addressof, self._addresses)
        return _PerceptronData(weights, biases, address(self._sizes), len(self.weights))


def forward(layers: DenseLayers, x: ArrayLike, implementation: Implementation | None = None) -> Single:
    """(..., inputs) → (..., outputs)."""
    given = _given(layers, x)
    if (implementation or build.cpu_implementation()) is Implementation.REFERENCE:
        return _forward_reference(layers, given)
    out = np.empty((*given.shape[:-1], layers.outputs), np.float32)
    rows = given.size // layers.inputs
    build.quick_library().perceptron_forward(
        ctypes.byref(layers.c_struct), array_pointer(given), rows, array_pointer(out)
    )
    return out


def with_jacobian(
    layers: DenseLayers, x: ArrayLike, implementation: Implementation | None = None
) -> tuple[Single, Single]:
    """(inputs,) → (outputs,) and (outputs, inputs)."""
    given = _given(layers, x)
    if given.ndim != 1:
        raise ValueError(f"x: expected shape ({layers.inputs},), got {given.shape}")
    if (implementation or build.cpu_implementation()) is Implementation.REFERENCE:
        return _with_jacobian_reference(layers, given)
    out, jacobian = np.empty(layers.outputs, np.float32), np.empty((layers.outputs, layers.inputs), np.float32)
    pointers = map(array_pointer, (given, out, jacobian))
    build.quick_library().perceptron_jacobian(ctypes.byref(layers.c_struct), *pointers)
    return out, jacobian


def sigmoid(x: Single) -> Single:
    """1 / (1 + e^-x), which does not overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)), np.float32)


def _forward_reference(layers: DenseLayers, x: Single) -> Single:
    for k, (weight, bias) in enumerate(zip(layers.weights, layers.biases, strict=True)):
        x = x @ weight.T + bias
        if k < len(layers.weights) - 1:
            x = x * sigmoid(x)
    return x


def _with_jacobian_reference(layers: DenseLayers, x: Single) -> tuple[Single, Single]:
    slopes = []
    for k, (weight, bias) in enumerate(zip(layers.weights, layers.biases, strict=True)):
        x = weight @ x + bias
        if k < len(layers.weights) - 1:
            gate = sigmoid(x)
            slopes.append(gate * (1 + x * (1 - gate)))
            x = x * gate
    jacobian = layers.weights[-1]
    for weight, slope in zip(layers.weights[-2::-1], slopes[::-1], strict=True):
        jacobian = (jacobian * slope) @ weight
    return x, jacobian


def _given(layers: DenseLayers, x: ArrayLike) -> Single:
    given = np.ascontiguousarray(x, np.float32)
    if given.shape[-1:] != (layers.inputs,):
        raise ValueError(f"x: expected shape (..., {layers.inputs}), got {given.shape}")
    return given
