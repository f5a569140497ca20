"""3D landmarks are brought to our body however a person is turned, alike on both sides, and stay finite."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from benchmarks.landmark_readings import Readings
from benchmarks.metric_landmarks import off_bones, usual_offset
from tracker.body import load_body
from tracker.body.kinematics import LandmarkRig
from tracker.body.landmark_set import MEDIAPIPE
from tracker.body.metric_landmarks import FULL_SKELETON, HEAVY_SKELETON, NetworkSkeleton, bone_frames, hanging
from tracker.core.arrays import Array

RIG = LandmarkRig.from_body(load_body(None))
HIPS = MEDIAPIPE.indices(("left_hip", "right_hip"))
LEFT_KNEE, LEFT_HIP = MEDIAPIPE.index("left_knee"), MEDIAPIPE.index("left_hip")


def standing(seed: int = 0) -> Array:
    """(33, 3) m about the hips, SMPL's axes, of somebody who stands with some bends."""
    theta = np.random.default_rng(seed).normal(size=(24, 3)) * 0.15
    theta[0] = 0.0
    theta[16, 2], theta[17, 2] = -1.0, 1.0
    points = RIG.pose_from_theta(theta, np.zeros(10)).points
    return points - points[HIPS].mean(axis=0)


def without_depth(skeleton: NetworkSkeleton) -> NetworkSkeleton:
    """Only what does not depend on where the camera is."""
    return replace(skeleton, nearer=np.zeros(len(MEDIAPIPE.names)))


both_networks = pytest.mark.parametrize("skeleton", [FULL_SKELETON, HEAVY_SKELETON], ids=["full", "heavy"])


@both_networks
def test_but_for_what_is_nearer_to_the_camera_it_does_not_depend_on_how_the_person_is_turned(
    skeleton: NetworkSkeleton,
) -> None:
    points, bones = standing(), without_depth(skeleton)
    turn = Rotation.from_rotvec([0.4, -2.0, 0.7]).as_matrix()
    np.testing.assert_allclose(bones.on_our_body(points @ turn.T), bones.on_our_body(points) @ turn.T, atol=1e-12)


@pytest.mark.parametrize("turned", [0.0, np.pi], ids=["face", "back"])
def test_heads_that_the_heavy_network_sees_too_near_are_put_back_along_the_line_of_sight(turned: float) -> None:
    upright = Rotation.from_euler("xy", [np.pi, turned]).as_matrix()
    points, bones = standing() @ upright.T, without_depth(HEAVY_SKELETON)
    nose = (HEAVY_SKELETON.on_our_body(points) - bones.on_our_body(points))[MEDIAPIPE.index("nose")]
    assert nose[:2] == pytest.approx(0.0)
    assert nose[2] == pytest.approx(0.089 - 0.015), "with the shoulders, which are too far away"


@both_networks
def test_both_sides_are_moved_alike(skeleton: NetworkSkeleton) -> None:
    points, flip = standing(), np.array([-1.0, 1.0, 1.0])
    mirrored = points[MEDIAPIPE.mirror] * flip
    np.testing.assert_allclose(
        skeleton.on_our_body(mirrored), skeleton.on_our_body(points)[MEDIAPIPE.mirror] * flip, atol=1e-12
    )


def test_hips_come_together_and_what_hangs_on_them_follows() -> None:
    points = standing()
    moved = without_depth(FULL_SKELETON).on_our_body(points)
    np.testing.assert_allclose(moved[HIPS].mean(axis=0), 0.0, atol=1e-12)
    apart = np.linalg.norm(np.diff(points[HIPS], axis=0)) - np.linalg.norm(np.diff(moved[HIPS], axis=0))
    assert apart == pytest.approx(0.044, abs=0.002)
    thigh = np.linalg.norm(points[LEFT_KNEE] - points[LEFT_HIP]) - np.linalg.norm(moved[LEFT_KNEE] - moved[LEFT_HIP])
    assert thigh == pytest.approx(0.045, abs=0.004), "the network's thighs are longer"
    ankle, heel = MEDIAPIPE.index("left_ankle"), MEDIAPIPE.index("left_heel")
    np.testing.assert_allclose(
        (moved[heel] - moved[ankle]) - (points[heel] - points[ankle]),
        -bone_frames(points)[heel] @ np.array([0.012, 0.013, 0.034]),
        atol=1e-9,
    )


@both_networks
def test_a_leg_that_points_sideways_and_a_person_in_one_point_stay_finite(skeleton: NetworkSkeleton) -> None:
    split = standing()
    split[LEFT_KNEE] = split[LEFT_HIP] + [0.4, 0.0, 0.0]
    for points in (split, np.zeros((33, 3))):
        assert np.isfinite(skeleton.on_our_body(points)).all()
        assert np.abs(skeleton.on_our_body(points) - points).max() < 0.2


def test_the_heavy_networks_shins_which_are_longer_are_shortened_more() -> None:
    points, ends = standing(), MEDIAPIPE.indices(("left_knee", "left_ankle"))
    shins = [
        np.linalg.norm(np.diff(without_depth(each).on_our_body(points)[ends], axis=0))
        for each in (HEAVY_SKELETON, FULL_SKELETON)
    ]
    assert shins[0] - shins[1] == pytest.approx(-0.04, abs=0.005)


def test_what_is_measured_is_what_the_landmarks_were_moved_by() -> None:
    """People whose metres are exact but for a knee that is 4 cm too low along its thigh."""
    count = 12
    truths = [standing(seed) for seed in range(count)]
    metric = np.array(truths)
    for points in metric:
        points[LEFT_KNEE] -= 0.04 * bone_frames(points)[LEFT_KNEE][:, 1]
    theta = np.array([np.random.default_rng(seed).normal(size=(24, 3)) * 0.15 for seed in range(count)])
    theta[:, 0], theta[:, 16, 2], theta[:, 17, 2] = 0.0, -1.0, 1.0
    seen = Readings(
        theta=theta,
        betas=np.zeros((count, 10)),
        transl=np.tile([0.0, 0.0, 4.0] - RIG.root_at_rest(np.zeros(10)), (count, 1)),
        camera=np.tile([500.0, 500.0, 128.0, 128.0], (count, 1)),
        hidden=np.zeros((count, 33), bool),
        pixels=np.zeros((count, 33, 2)),
        metric=metric,
        visibility=np.full((count, 33), 0.99),
        score=np.ones(count),
    )
    apart, frames = off_bones(seen, RIG)
    knees = [usual_offset(apart[:, k], frames[:, k])[0] for k in (LEFT_KNEE, MEDIAPIPE.index("right_knee"))]
    np.testing.assert_allclose(knees[0], [0.0, -0.04, 0.0, 0.0], atol=0.004)
    np.testing.assert_allclose(knees[1], 0.0, atol=0.004)
    assert hanging(metric[0])[LEFT_KNEE] == pytest.approx(metric[0][LEFT_KNEE] - metric[0][LEFT_HIP])


def test_what_is_nearer_to_the_camera_is_told_from_what_lies_in_front_of_the_body() -> None:
    """Heads that are 9 cm too near to the camera, and 4 cm too far forward on the body, of people who look anywhere."""
    rng = np.random.default_rng(0)
    frames = Rotation.from_euler("xy", np.stack([np.full(200, np.pi), rng.uniform(-np.pi, np.pi, 200)], axis=1))
    off = frames.apply([0.0, 0.0, 0.04]) + np.array([0.0, 0.0, -0.09]) + rng.normal(0.0, 0.01, (200, 3))
    off[:20] += 0.5
    offset, spread = usual_offset(off, frames.as_matrix())
    np.testing.assert_allclose(offset, [0.0, 0.0, 0.04, 0.09], atol=0.005)
    assert spread == pytest.approx(0.01, abs=0.004)
