"""Rotations against scipy, and derivatives against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle, rotation_between, similarity, skew


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_skew_is_the_cross_product(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(2, 5, 3))
    np.testing.assert_allclose(np.einsum("nij,nj->ni", skew(a), b), np.cross(a, b), atol=1e-12)


def test_rodrigues_agrees_with_scipy(rng: np.random.Generator) -> None:
    vectors = np.concatenate([rng.normal(size=(50, 3)), np.zeros((1, 3)), [[1e-12, 0, 0]], [[np.pi, 0, 0]]])
    np.testing.assert_allclose(matrix_from_axis_angle(vectors), Rotation.from_rotvec(vectors).as_matrix(), atol=1e-9)


def test_logarithm_inverts_the_exponential(rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(4, 6, 3)) * 0.8
    np.testing.assert_allclose(axis_angle_from_matrix(matrix_from_axis_angle(vectors)), vectors, atol=1e-9)


@pytest.mark.parametrize(
    ("src", "dst"), [((0, 0, 1), (1, 0, 0)), ((0, 0, 1), (0, 0, 2)), ((0, 0, 1), (0, 0, -1)), ((1, 2, 3), (-3, 0.5, 1))]
)
def test_rotation_between_turns_one_direction_into_the_other(src: tuple, dst: tuple) -> None:
    a, b = np.array(src, float), np.array(dst, float)
    rotation = rotation_between(a, b)
    np.testing.assert_allclose(rotation @ a / np.linalg.norm(a), b / np.linalg.norm(b), atol=1e-7)
    assert np.linalg.det(rotation) == pytest.approx(1.0)


def test_similarity_recovers_a_known_one_and_never_reflects(rng: np.random.Generator) -> None:
    src = rng.normal(size=(12, 3))
    rotation = matrix_from_axis_angle(np.array([0.3, -1.1, 0.7]))
    dst = 1.7 * src @ rotation.T + np.array([1.0, 2.0, 3.0])
    scale, found, shift = similarity(src, dst, np.full(12, 0.5))
    assert scale == pytest.approx(1.7)
    np.testing.assert_allclose(found, rotation, atol=1e-9)
    np.testing.assert_allclose(shift, [1.0, 2.0, 3.0], atol=1e-9)
    _, reflected, _ = similarity(src, dst * np.array([-1.0, 1.0, 1.0]), np.ones(12))
    assert np.linalg.det(reflected) == pytest.approx(1.0)


def test_similarity_heeds_its_weights(rng: np.random.Generator) -> None:
    src = rng.normal(size=(6, 3))
    dst = 2.0 * src
    dst[0] += 100.0
    scale, _, _ = similarity(src, dst, np.array([0.0, 1, 1, 1, 1, 1]))
    assert scale == pytest.approx(2.0)
