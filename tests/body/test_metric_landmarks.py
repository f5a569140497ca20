"""3D landmarks are brought to our body however a person is turned, alike on both sides, and stay finite."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from benchmarks.landmark_readings import Readings
from benchmarks.metric_landmarks import off_along_bones
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


both_networks = pytest.mark.parametrize("skeleton", [FULL_SKELETON, HEAVY_SKELETON], ids=["full", "heavy"])


@both_networks
def test_it_does_not_depend_on_how_the_person_is_turned(skeleton: NetworkSkeleton) -> None:
    points = standing()
    turn = Rotation.from_rotvec([0.4, -2.0, 0.7]).as_matrix()
    np.testing.assert_allclose(
        FULL_SKELETON.on_our_body(points @ turn.T), FULL_SKELETON.on_our_body(points) @ turn.T, atol=1e-12
    )


@both_networks
def test_both_sides_are_moved_alike(skeleton: NetworkSkeleton) -> None:
    points, flip = standing(), np.array([-1.0, 1.0, 1.0])
    mirrored = points[MEDIAPIPE.mirror] * flip
    np.testing.assert_allclose(
        skeleton.on_our_body(mirrored), skeleton.on_our_body(points)[MEDIAPIPE.mirror] * flip, atol=1e-12
    )


def test_hips_come_together_and_what_hangs_on_them_follows() -> None:
    points = standing()
    moved = FULL_SKELETON.on_our_body(points)
    np.testing.assert_allclose(moved[HIPS].mean(axis=0), 0.0, atol=1e-12)
    apart = np.linalg.norm(np.diff(points[HIPS], axis=0)) - np.linalg.norm(np.diff(moved[HIPS], axis=0))
    assert apart == pytest.approx(0.054, abs=0.002)
    thigh = np.linalg.norm(points[LEFT_KNEE] - points[LEFT_HIP]) - np.linalg.norm(moved[LEFT_KNEE] - moved[LEFT_HIP])
    assert thigh == pytest.approx(0.066, abs=0.004), "the network's thighs are longer"
    ankle, heel = MEDIAPIPE.index("left_ankle"), MEDIAPIPE.index("left_heel")
    np.testing.assert_allclose(
        (moved[heel] - moved[ankle]) - (points[heel] - points[ankle]),
        -bone_frames(points)[heel] @ np.array([0.012, 0.011, 0.033]),
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
        np.linalg.norm(np.diff(each.on_our_body(points)[ends], axis=0)) for each in (HEAVY_SKELETON, FULL_SKELETON)
    ]
    assert shins[0] - shins[1] == pytest.approx(-0.058, abs=0.01)


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
    off = np.median(off_along_bones(seen, RIG), axis=0)
    assert off[LEFT_KNEE, 1] == pytest.approx(-0.04, abs=0.004)
    assert np.abs(off[MEDIAPIPE.index("right_knee")]).max() < 0.004
    assert hanging(metric[0])[LEFT_KNEE] == pytest.approx(metric[0][LEFT_KNEE] - metric[0][LEFT_HIP])
