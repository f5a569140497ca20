"""Gaussians in their precision: by hand, and the C++ against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kernels import gaussian
from kernels.implementation import Implementation
from tests.kernels.test_landmarks import needs_compiler

CPU, REFERENCE = Implementation.CPU, Implementation.REFERENCE
BOTH = [REFERENCE, pytest.param(CPU, marks=needs_compiler)]


def precision_of(size: int) -> np.ndarray:
    rows = np.random.default_rng(size).normal(size=(2 * size, size)) * np.geomspace(0.1, 30, size)
    return rows.T @ rows


@pytest.mark.parametrize("implementation", BOTH)
def test_what_is_left_of_one_of_two(implementation: Implementation) -> None:
    precision = np.array([[2.0, 1.0], [1.0, 4.0]])
    np.testing.assert_allclose(gaussian.marginal(precision, slice(1, 2), implementation), [[4 - 1 / 2]])
    np.testing.assert_allclose(gaussian.marginal(precision, slice(0, 1), implementation), [[2 - 1 / 4]])


@needs_compiler
@pytest.mark.parametrize("kept", [slice(72, 82), slice(0, 3), slice(80, 85), slice(0, 85)])
def test_marginals_in_cpp_as_in_the_reference(kept: slice) -> None:
    precision = precision_of(85)
    right = gaussian.marginal(precision, kept, REFERENCE)
    np.testing.assert_allclose(gaussian.marginal(precision, kept, CPU), right, rtol=1e-9, atol=1e-9 * right.max())


@pytest.mark.parametrize("implementation", BOTH)
def test_small_turns_become_axis_angles(implementation: Implementation) -> None:
    precision, angles = precision_of(8), np.array([[0.3, -2.0, 0.4], [0.0, 0.0, 0.0]])
    root, units = gaussian.standard_form(precision, angles, implementation)
    np.testing.assert_array_equal(root, np.triu(root))
    np.testing.assert_allclose(root @ units, np.eye(8), atol=1e-9)
    step = 1e-6 * np.arange(1.0, 9)
    stepped = Rotation.from_rotvec(angles + step[:6].reshape(2, 3))
    turns = (Rotation.from_rotvec(angles).inv() * stepped).as_rotvec().reshape(-1)
    small = np.concatenate([turns, step[6:]])
    # Linear for small steps: an error of their square.
    np.testing.assert_allclose(np.sum((root @ step) ** 2), small @ precision @ small, rtol=1e-4)


@needs_compiler
def test_standard_form_in_cpp_as_in_the_reference() -> None:
    angles = np.random.default_rng(0).normal(size=(24, 3))
    angles[:3] = [[0, 0, 0], [1e-9, 0, 0], [1e-5, 1e-5, 0]]
    given = precision_of(85), angles
    for mine, right in zip(*(gaussian.standard_form(*given, each) for each in (CPU, REFERENCE)), strict=True):
        np.testing.assert_allclose(mine, right, rtol=1e-6, atol=1e-9 * np.abs(right).max())


@pytest.mark.parametrize("implementation", BOTH)
def test_what_is_no_precision_is_named(implementation: Implementation) -> None:
    with pytest.raises(ValueError, match="precision: expected a positive definite matrix"):
        gaussian.standard_form(np.diag([1.0, 1.0, -1.0]), np.zeros((1, 3)), implementation)
    with pytest.raises(ValueError, match="precision: expected at least 6 unknowns for 2 joints, got 3"):
        gaussian.standard_form(np.eye(3), np.zeros((2, 3)), implementation)


@pytest.mark.parametrize("angle", [0.0, 1e-8, 1e-5, 1e-3, 0.7, 3.0])
def test_right_jacobian_is_the_derivative(angle: float) -> None:
    omega = angle * np.array([[0.6, -0.8, 0.0]])
    jacobian, step = gaussian.right_jacobian(omega)[0], 1e-6
    for axis in range(3):
        moved = Rotation.from_rotvec(omega[0] + step * np.eye(3)[axis])
        turned = (Rotation.from_rotvec(omega[0]).inv() * moved).as_rotvec()
        # Differences over 1e-6: worst seen 1e-6.
        np.testing.assert_allclose(turned / step, jacobian[:, axis], atol=1e-5)
