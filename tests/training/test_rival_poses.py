"""Rivals look like the pose that they are made from, and are not it."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.body import load_body
from tracker.body.kinematics import LandmarkRig, PosedPoints
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.training.depth_flip import SEGMENTS, local_rotations, towards_camera, turned_over
from tracker.training.rival_poses import depth_flipped, rival

PLACE = np.array([0.3, 0.1, 300.0])
"""m: so far away that perspective hardly foreshortens."""


def posed(rotations: np.ndarray) -> PosedPoints:
    return LandmarkRig.from_body(load_body(None)).pose(rotations, np.zeros(10))


def some_pose(seed: int) -> np.ndarray:
    return matrix_from_axis_angle(np.random.default_rng(seed).normal(0.0, 0.4, (24, 3)))


def test_local_rotations_undo_the_chain() -> None:
    rotations = some_pose(1)
    np.testing.assert_allclose(local_rotations(posed(rotations).world_rotations), rotations, atol=1e-12)


@pytest.mark.parametrize("segment", SEGMENTS)
def test_a_limb_turned_over_looks_the_same_and_lies_elsewhere(segment: tuple[int, int]) -> None:
    before = posed(some_pose(2))
    joints = before.joints + PLACE
    after = posed(local_rotations(turned_over(before.world_rotations, joints, segment))).joints + PLACE
    bones = [each[segment[1]] - each[segment[0]] for each in (joints, after)]
    np.testing.assert_allclose(bones[1][:2], bones[0][:2], atol=0.01)
    assert bones[1][2] == pytest.approx(-bones[0][2], abs=0.01)
    assert towards_camera(after, segment) == pytest.approx(-towards_camera(joints, segment), abs=0.02)
    others = [each for each in SEGMENTS if each != segment]
    for first, last in others:
        np.testing.assert_allclose(after[last] - after[first], joints[last] - joints[first], atol=1e-9)


def test_flipped_people_keep_the_length_of_their_limbs_in_the_picture() -> None:
    before = posed(some_pose(3))
    joints = before.joints + PLACE
    world = depth_flipped(np.random.default_rng(0), before.world_rotations, joints)
    after = posed(local_rotations(world)).joints + PLACE
    flat = [each[:, :2] / each[:, 2:] for each in (joints, after)]
    for first, last in SEGMENTS:
        lengths = [np.linalg.norm(each[last] - each[first]) for each in flat]
        assert lengths[1] == pytest.approx(lengths[0], rel=0.03)
    assert np.abs(after[:, 2] - joints[:, 2]).max() > 0.05


@pytest.mark.parametrize("seed", range(6))
def test_rivals_differ_and_are_rotations(seed: int) -> None:
    before = posed(some_pose(seed))
    wrong = rival(np.random.default_rng(seed), before.world_rotations, before.joints + PLACE)
    np.testing.assert_allclose(wrong @ np.swapaxes(wrong, 1, 2), np.tile(np.eye(3), (24, 1, 1)), atol=1e-9)
    turn = axis_angle_from_matrix(np.swapaxes(before.world_rotations, 1, 2) @ wrong)
    assert np.linalg.norm(turn, axis=1).max() > 0.1
