"""Skinning a whole mesh: by hand, and the C++ against the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kernels import skin
from kernels.implementation import Implementation
from kernels.skin import Skin

IMPLEMENTATIONS = [Implementation.REFERENCE, Implementation.CPU]
QUARTER_TURN = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
"""About z: x becomes y."""


def arm() -> Skin:
    """Two joints along x, a metre apart; a vertex on each bone, and one between them on both. β lengthens the arm."""
    return Skin(
        rest=np.array([[1, 0, 0], [2, 0, 0], [1, 0, 1]], np.float32),
        shapes=np.array([[[0, 0, 0], [0.5, 0, 0], [0, 0, 0]]], np.float32),
        starts=np.array([0, 1, 2, 4], np.int32),
        bones=np.array([0, 1, 0, 1], np.int32),
        weights=np.array([1, 1, 0.25, 0.75], np.float32),
        touched=np.array([1], np.int32),
        bends=np.array([1], np.int32),
        offsets=np.eye(27, dtype=np.float32).reshape(27, 3, 9)[1:2] * 2,
        joints=np.array([[0.0, 0, 0], [1, 0, 0]]),
        joint_shapes=np.zeros((2, 3, 1)),
        parents=np.array([-1, 0], np.int32),
    )


def random_skin(rng: np.random.Generator, vertices: int = 700, joints: int = 9, shapes: int = 4) -> Skin:
    """More numbers than a chunk, vertices on one to four bones, some corrected by two joints."""
    counts = rng.integers(1, 5, vertices)
    weights = np.concatenate([w / w.sum() for w in (rng.uniform(0.1, 1, n) for n in counts)])
    touched = rng.integers(0, vertices, 90)
    return Skin(
        rest=rng.normal(size=(vertices, 3)).astype(np.float32),
        shapes=rng.normal(scale=0.05, size=(shapes, vertices, 3)).astype(np.float32),
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        bones=rng.integers(0, joints, counts.sum()).astype(np.int32),
        weights=weights.astype(np.float32),
        touched=touched.astype(np.int32),
        bends=rng.integers(1, joints, 90).astype(np.int32),
        offsets=rng.normal(scale=0.02, size=(90, 3, 9)).astype(np.float32),
        joints=rng.normal(size=(joints, 3)),
        joint_shapes=rng.normal(scale=0.05, size=(joints, 3, shapes)),
        parents=np.array([-1, *(rng.integers(0, j) for j in range(1, joints))], np.int32),
    )


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_an_arm_bends_at_its_joint(implementation: Implementation) -> None:
    bent = np.stack([np.eye(3), QUARTER_TURN])
    found = skin.vertices(arm(), bent, np.array([1.0]), np.array([0.0, 0, 5]), implementation)
    # The hand, 1.5 m from the joint with its β, points up, moved by 2 × (R - I)[0, 1] = -2 m along the bone's own x.
    np.testing.assert_allclose(found[0], [1, 0, 5], atol=1e-6)
    np.testing.assert_allclose(found[1], [1, 1.5 - 2, 5], atol=1e-6)
    np.testing.assert_allclose(found[2], [1, 0, 6], atol=1e-6)


def test_cpp_as_reference() -> None:
    rng = np.random.default_rng(3)
    body = random_skin(rng)
    rotations = np.linalg.qr(rng.normal(size=(9, 3, 3)))[0]
    given = rotations, rng.normal(size=4), np.array([0.2, -0.1, 3.0])
    found, right = (skin.vertices(body, *given, implementation) for implementation in IMPLEMENTATIONS)
    # Single precision at some metres; worst seen 2e-6.
    np.testing.assert_allclose(found, right, atol=2e-5)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"rest": np.zeros((3, 3))}, "rest"),
        ({"shapes": np.zeros((1, 2, 3), np.float32)}, "shapes"),
        ({"bones": np.array([0, 1, 0, 2], np.int32)}, "bones"),
        ({"starts": np.array([0, 2, 1, 4], np.int32)}, "starts"),
        ({"touched": np.array([3], np.int32)}, "touched"),
        ({"bends": np.array([-1], np.int32)}, "bends"),
        ({"parents": np.array([-1, 1], np.int32)}, "parents"),
    ],
)
def test_bad_meshes_are_named(change: dict[str, np.ndarray], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}:"):
        replace(arm(), **change)


def test_bad_poses_are_named() -> None:
    turns, betas, place = np.stack([np.eye(3)] * 2), np.zeros(1), np.zeros(3)
    with pytest.raises(ValueError, match=r"^rotations:"):
        skin.vertices(arm(), turns[:1], betas, place)
    with pytest.raises(ValueError, match=r"^betas:"):
        skin.vertices(arm(), turns, betas.astype(np.float32), place)
    with pytest.raises(ValueError, match=r"^transl:"):
        skin.vertices(arm(), turns, betas, np.zeros(6)[::2])
