"""Small perceptrons: by hand, the C++ against the reference, and derivatives against differences."""

from __future__ import annotations

import numpy as np
import pytest

from kernels import perceptron
from kernels.implementation import Implementation
from kernels.perceptron import DenseLayers
from tests.kernels.test_landmarks import needs_compiler

CPU, REFERENCE = Implementation.CPU, Implementation.REFERENCE
BOTH = [REFERENCE, pytest.param(CPU, marks=needs_compiler)]


def layers(*sizes: int) -> DenseLayers:
    rng = np.random.default_rng(len(sizes))
    pairs = list(zip(sizes[1:], sizes, strict=False))
    weights = tuple(rng.normal(size=pair).astype(np.float32) / np.sqrt(pair[1], dtype=np.float32) for pair in pairs)
    return DenseLayers(weights, tuple(rng.normal(size=n).astype(np.float32) for n, _ in pairs))


@pytest.mark.parametrize("implementation", BOTH)
def test_two_layers_by_hand(implementation: Implementation) -> None:
    one = np.ones((1, 1), np.float32)
    net = DenseLayers((2 * one, 3 * one), (one[0], -one[0]))
    out, slope = perceptron.with_jacobian(net, [0.5], implementation)  # SiLU(2) = 2 σ(2)
    gate = 1 / (1 + np.exp(-2.0))
    np.testing.assert_allclose(out, [3 * 2 * gate - 1], rtol=1e-6)
    np.testing.assert_allclose(slope, [[2 * 3 * gate * (1 + 2 * (1 - gate))]], rtol=1e-6)
    np.testing.assert_array_equal(perceptron.forward(net, [0.5], implementation), out)


@needs_compiler
@pytest.mark.parametrize("sizes", [(7, 3), (126, 256, 256, 32), (5, 17, 1)])
def test_cpu_equals_the_reference(sizes: tuple[int, ...]) -> None:
    net = layers(*sizes)
    x = np.random.default_rng(1).normal(size=(4, sizes[0]))
    # Sums of some hundred numbers of about 1 in single precision; worst seen 2e-6.
    np.testing.assert_allclose(perceptron.forward(net, x, CPU), perceptron.forward(net, x, REFERENCE), atol=1e-5)
    for mine, right in zip(*(perceptron.with_jacobian(net, x[0], each) for each in (CPU, REFERENCE)), strict=True):
        np.testing.assert_allclose(mine, right, atol=1e-5)


@pytest.mark.parametrize("implementation", BOTH)
def test_jacobian_is_the_derivative(implementation: Implementation) -> None:
    net, x, step = layers(6, 20, 20, 4), np.linspace(-1, 1, 6), 1e-2
    _, jacobian = perceptron.with_jacobian(net, x, implementation)
    ends = [perceptron.forward(net, x + sign * step * np.eye(6), implementation) for sign in (1, -1)]
    # Differences over 0.01 in single precision; worst seen 2e-5.
    np.testing.assert_allclose(jacobian, (ends[0] - ends[1]).T / (2 * step), atol=2e-4)


@pytest.mark.parametrize("implementation", BOTH)
def test_large_values_and_no_rows(implementation: Implementation) -> None:
    one = np.ones((1, 1), np.float32)
    net = DenseLayers((one, one), (0 * one[0], 0 * one[0]))
    np.testing.assert_allclose(perceptron.forward(net, [[-1e4], [1e4]], implementation), [[0], [1e4]], atol=1e-30)
    assert perceptron.forward(net, np.zeros((0, 1)), implementation).shape == (0, 1)


def test_what_does_not_fit_is_named() -> None:
    net = layers(3, 2)
    with pytest.raises(ValueError, match=r"x: expected shape \(\.\.\., 3\), got \(2,\)"):
        perceptron.forward(net, np.zeros(2))
    with pytest.raises(ValueError, match=r"x: expected shape \(3,\), got \(1, 3\)"):
        perceptron.with_jacobian(net, np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"weights\[1\]: expected contiguous float32 \(2, 2\)"):
        DenseLayers((*net.weights, net.weights[0]), (*net.biases, net.biases[0]))
