"""Metrics on cases whose answers are known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tracker.core.arrays import Array
from tracker.evaluation.metrics import (
    acceleration_errors,
    aligned_errors,
    angle_errors,
    foot_sliding,
    jerks,
    joint_errors,
    keypoint_distances,
    mean,
    relative_errors,
)


@pytest.fixture
def body() -> Array:
    """(2, 5, 3) m: two frames of five points that span space."""
    return np.random.default_rng(4).normal(size=(2, 5, 3))


def test_one_joint_off_counts_once(body: Array) -> None:
    predicted = body.copy()
    predicted[1, 3] += [0.0, 0.03, 0.04]
    errors = joint_errors(predicted, body)
    assert errors.root_relative == pytest.approx(np.array([[0, 0, 0, 0, 0], [0, 0, 0, 50.0, 0]]), abs=1e-9)
    assert errors.mpjpe == pytest.approx(5.0)
    assert errors.per_joint == pytest.approx([0, 0, 0, 25.0, 0], abs=1e-9)
    assert errors.aligned[0] == pytest.approx(np.zeros(5), abs=1e-9)
    assert errors.aligned[1].min() > 0


def test_a_shift_is_the_root_s_error_alone(body: Array) -> None:
    errors = joint_errors(body + np.array([0.01, -0.02, 0.3]), body)
    assert errors.root == pytest.approx(np.tile([10.0, -20.0, 300.0], (2, 1)))
    assert errors.mpjpe == pytest.approx(0.0, abs=1e-9)
    assert errors.pa_mpjpe == pytest.approx(0.0, abs=1e-9)


def test_the_root_joint_carries_its_error_to_all_others(body: Array) -> None:
    predicted = body.copy()
    predicted[:, 0] += [0.02, 0.0, 0.0]
    assert joint_errors(predicted, body).root_relative == pytest.approx(np.tile([0, 20, 20, 20, 20.0], (2, 1)))
    assert joint_errors(predicted, body, root=1).mpjpe == pytest.approx(20 / 5)


def test_alignment_takes_out_scale_rotation_and_place(body: Array) -> None:
    turn = Rotation.from_rotvec([0.3, -1.0, 2.0]).as_matrix()
    moved = 1.7 * body @ turn.T + [1.0, 2.0, 3.0]
    assert aligned_errors(moved, body) == pytest.approx(np.zeros((2, 5)), abs=1e-9)
    assert joint_errors(moved, body).mpjpe > 500


def test_alignment_does_not_mirror(body: Array) -> None:
    """A person with left and right exchanged is wrong, although a reflection would make them right."""
    assert aligned_errors(body * [-1.0, 1.0, 1.0], body).mean() > 100


def test_alignment_by_hand() -> None:
    """A square and the same made wider: the best fit shrinks it, and every corner is off in both directions."""
    square = np.array([[[1.0, 1, 0], [-1, 1, 0], [-1, -1, 0], [1, -1, 0]]])
    wide = square * [1.1, 1.0, 1.0]
    # best scale of `wide` onto `square`: Σ wide·square / Σ wide² = (1.1 + 1) / (1.21 + 1)
    scale = 2.1 / 2.21
    expected = 1000 * math.hypot(1.1 * scale - 1, scale - 1)
    assert aligned_errors(wide, square) == pytest.approx(np.full((1, 4), expected))


def test_frames_are_chosen_before_the_mean(body: Array) -> None:
    predicted = body.copy()
    predicted[1, 1:] += [0.1, 0.0, 0.0]
    errors = joint_errors(predicted, body)
    assert errors.of(np.array([True, False])).mpjpe == pytest.approx(0.0, abs=1e-9)
    assert errors.of(np.array([False, True])).mpjpe == pytest.approx(80.0)
    assert math.isnan(errors.of(np.array([False, False])).mpjpe)


def test_vertices_relative_to_given_roots(body: Array) -> None:
    roots, away = np.zeros((2, 3)), np.array([0.0, 0.0, 0.5])
    assert relative_errors(body + away, body, roots + away, roots) == pytest.approx(np.zeros((2, 5)))
    assert relative_errors(body + away, body, roots, roots) == pytest.approx(np.full((2, 5), 500.0))


def test_acceleration_of_a_parabola_at_uneven_times() -> None:
    times = np.array([0.0, 0.1, 0.15, 0.4, 0.5])
    still = np.zeros((5, 1, 3))
    falling = still.copy()
    falling[:, 0, 1] = 0.5 * 9.81 * times**2 + 3 * times - 1
    assert acceleration_errors(times, falling, still, 1.0) == pytest.approx(np.full((3, 1), 9810.0))


def test_acceleration_leaves_out_gaps() -> None:
    times = np.array([0.0, 0.1, 0.2, 1.0, 1.1, 1.2])
    places = np.zeros((6, 1, 3))
    places[3:, 0, 0] = 5.0
    assert acceleration_errors(times, places, np.zeros_like(places), 0.15) == pytest.approx(np.zeros((2, 1)))


def test_too_few_frames_have_no_acceleration() -> None:
    one = np.zeros((1, 4, 3))
    assert acceleration_errors(np.zeros(1), one, one, 0.1).shape == (0, 4)


def test_shapes_that_differ_are_named() -> None:
    with pytest.raises(ValueError, match=r"predicted: expected shape \(2, 5, 3\), got \(2, 4, 3\)"):
        joint_errors(np.zeros((2, 4, 3)), np.zeros((2, 5, 3)))


def test_alignment_of_the_visible_points_only(body: Array) -> None:
    """A hidden point that is far off changes nothing for the others, and is not judged."""
    turn = Rotation.from_rotvec([0.1, 0.4, -0.2]).as_matrix()
    predicted = 0.9 * body @ turn.T + 0.3
    predicted[:, 2] += 10.0
    visible = np.ones(body.shape[:2], bool)
    visible[:, 2] = False
    errors = aligned_errors(predicted, body, visible)
    assert errors[:, [0, 1, 3, 4]] == pytest.approx(np.zeros((2, 4)), abs=1e-9)
    assert np.isnan(errors[:, 2]).all()
    assert aligned_errors(predicted, body)[:, 0].min() > 100
    visible[0, :3] = False
    assert np.isnan(aligned_errors(predicted, body, visible)[0]).all()


def test_alignment_agrees_with_an_independent_formula(body: Array) -> None:
    """scipy's Kabsch rotation of centred points, and the scale by least squares, give the same errors."""
    rng = np.random.default_rng(1)
    predicted = body + 0.3 * rng.normal(size=body.shape)
    for frame in range(len(body)):
        true, points = (each[frame] - each[frame].mean(axis=0) for each in (body, predicted))
        rotation, _ = Rotation.align_vectors(true, points)
        turned = rotation.apply(points)
        scale = (turned * true).sum() / (turned**2).sum()
        expected = 1000 * np.linalg.norm(scale * turned - true, axis=1)
        assert aligned_errors(predicted, body)[frame] == pytest.approx(expected)


def test_jerk_of_a_cubic_at_uneven_times() -> None:
    times = np.array([0.0, 0.1, 0.15, 0.4, 0.5])
    places = np.zeros((5, 2, 3))
    places[:, 1, 0] = 4.0 * times**3 - times**2 + 2
    assert jerks(times, places, 1.0) == pytest.approx(np.tile([0.0, 24.0], (2, 1)), abs=1e-9)


def test_jerk_leaves_out_gaps_and_needs_four_frames() -> None:
    times = np.array([0.0, 0.1, 0.2, 0.3, 1.0])
    places = np.zeros((5, 1, 3))
    places[4] = 7.0
    assert jerks(times, places, 0.15) == pytest.approx(np.zeros((1, 1)))
    assert jerks(times[:3], places[:3], 0.15).shape == (0, 1)


def test_foot_sliding_counts_while_the_true_foot_stands() -> None:
    times = np.array([0.0, 0.5, 1.0, 1.5])
    truth = np.zeros((4, 2, 3))
    truth[:, 1, 0] = [0.0, 1.0, 1.0, 1.0]  # the second foot steps first, then stands
    predicted = truth.copy()
    predicted[:, 0, 2] = [0.0, 0.01, 0.01, 0.04]
    assert sorted(foot_sliding(times, predicted, truth, 1.0)) == pytest.approx([0, 0, 0, 20.0, 60.0])
    assert foot_sliding(times, predicted, truth, 0.4).size == 0


def test_angle_errors() -> None:
    true = Rotation.from_rotvec([[0.2, 0.1, 0.0], [0.0, 0.0, 3.0], [1.0, 1.0, 1.0]])
    off = Rotation.from_rotvec(np.radians([[0.0, 0.0, 0.0], [30.0, 0.0, 0.0], [0.0, 180.0, 0.0]]))
    errors = angle_errors((true * off).as_matrix()[None], true.as_matrix()[None])
    assert errors == pytest.approx(np.array([[0.0, 30.0, 180.0]]), abs=1e-5)


def test_keypoints_in_head_lengths() -> None:
    truth = np.zeros((2, 3, 2))
    predicted = truth + np.array([[3.0, 4.0], [0.0, 10.0], [0.0, 0.0]])
    distances = keypoint_distances(predicted, truth, np.array([10.0, 20.0]))
    assert distances == pytest.approx(np.array([[0.5, 1.0, 0.0], [0.25, 0.5, 0.0]]))
    assert mean((distances < 0.5).astype(float)) == pytest.approx(3 / 6)


def test_the_mean_leaves_out_what_does_not_count() -> None:
    values = np.array([[1.0, 2.0], [np.nan, 6.0]])
    assert mean(values) == pytest.approx(3.0)
    assert mean(values, np.array([[True, False], [True, True]])) == pytest.approx(3.5)
    assert math.isnan(mean(values, np.zeros((2, 2), bool)))
