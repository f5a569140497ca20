"""Rotation vectors and matrices in C++ against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kernels.implementation import Implementation
from kernels.rotations import matrices_from_vectors, vectors_from_matrices
from tests.kernels.test_landmarks import needs_compiler

CPU, REFERENCE = Implementation.CPU, Implementation.REFERENCE


def vectors_of(angle: float) -> np.ndarray:
    """(2, 50, 3) of this length."""
    directions = np.random.default_rng(0).normal(size=(2, 50, 3))
    directions[0, :3] = np.eye(3)
    return angle * directions / np.linalg.norm(directions, axis=-1, keepdims=True)


@needs_compiler
@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-7, 1e-3, 0.5, 1.6, 2.6, 2.7, 3.1, np.pi - 1e-5, np.pi - 1e-9])
def test_cpu_equals_the_reference(angle: float) -> None:
    vectors = vectors_of(angle)
    matrices = matrices_from_vectors(vectors, CPU)
    np.testing.assert_allclose(matrices, matrices_from_vectors(vectors, REFERENCE), atol=1e-12)
    np.testing.assert_allclose(vectors_from_matrices(matrices, CPU), vectors, atol=1e-7 if angle > 3 else 1e-10)


@needs_compiler
def test_angles_beyond_half_a_turn_come_back_as_the_shorter_way() -> None:
    vectors = vectors_of(5.0)
    found = vectors_from_matrices(matrices_from_vectors(vectors, CPU), CPU)
    np.testing.assert_allclose(
        found, Rotation.from_rotvec(vectors.reshape(-1, 3)).as_rotvec().reshape(2, 50, 3), atol=1e-9
    )


@needs_compiler
@pytest.mark.parametrize("axis", range(3))
def test_exactly_half_a_turn_has_one_of_two_answers(axis: int) -> None:
    matrix = 2 * np.outer(np.eye(3)[axis], np.eye(3)[axis]) - np.eye(3)
    np.testing.assert_allclose(np.abs(vectors_from_matrices(matrix, CPU)), np.pi * np.eye(3)[axis], atol=1e-9)


@pytest.mark.parametrize("implementation", [REFERENCE, pytest.param(CPU, marks=needs_compiler)])
def test_any_layout_and_none_at_all(implementation: Implementation) -> None:
    vectors = vectors_of(1.0)
    turned = matrices_from_vectors(vectors.transpose(1, 0, 2)[::2].astype(np.float32), implementation)
    np.testing.assert_allclose(turned, matrices_from_vectors(vectors, REFERENCE).transpose(1, 0, 2, 3)[::2], atol=1e-6)
    assert matrices_from_vectors(np.zeros((0, 3)), implementation).shape == (0, 3, 3)
    assert vectors_from_matrices(np.zeros((4, 0, 3, 3)), implementation).shape == (4, 0, 3)
    with pytest.raises(ValueError, match=r"got \(3, 2\)"):
        matrices_from_vectors(np.zeros((3, 2)), implementation)
    with pytest.raises(ValueError, match=r"got \(3, 3, 2\)"):
        vectors_from_matrices(np.zeros((3, 3, 2)), implementation)
