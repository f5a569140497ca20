"""The motion predictor: what it sees of the past, what it says of the future, and that training and tracker agree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.predict import Question, constant_velocity, errors, fitted_fades, hold, learned
from tests.motion.test_motion import made_clip
from tracker.core.arrays import Array
from tracker.core.errors import InputError
from tracker.core.geometry import matrix_from_axis_angle
from tracker.initialise.motion_predictor import (
    FEATURES,
    HORIZONS,
    OUTPUTS,
    SPANS,
    Course,
    Glimpse,
    MotionPredictor,
    Past,
    carried,
)
from tracker.motion import MotionClip, MotionLibrary
from tracker.networks.motion_network import PredictorNetwork
from tracker.training.train_motion_predictor import Moments, PredictorTraining, save_predictor, train_predictor

UP = np.array([0.0, 1.0, 0.0])
SPIN = np.random.default_rng(3).normal(size=(24, 3)) * 0.5
"""rad/s"""
DRIFT = np.array([0.4, 0.0, -0.2])
"""m/s"""


def spinning(times: Array) -> Past:
    """Every joint turns at its own constant speed, the body drifts."""
    rotations = [matrix_from_axis_angle(SPIN * t) for t in times]
    return Past(tuple(times), tuple(rotations), tuple(DRIFT * t for t in times))


@pytest.mark.parametrize("rate", [5.0, 15.0, 29.97, 60.0])
def test_speeds_are_per_second_at_any_frame_rate(rate: float) -> None:
    glimpse = spinning(np.arange(0, 0.8, 1 / rate)).glimpse
    np.testing.assert_allclose(glimpse.turning, np.broadcast_to(SPIN, (len(SPANS), 24, 3)), atol=1e-6)
    np.testing.assert_allclose(glimpse.moving, np.broadcast_to(DRIFT, (len(SPANS), 3)), atol=1e-9)


def test_a_single_moment_stands_still() -> None:
    glimpse = spinning(np.array([0.0])).glimpse
    assert not glimpse.turning.any() and not glimpse.moving.any()


def test_the_past_is_as_short_as_it_may_be() -> None:
    past = spinning(np.array([0.0]))
    for time in np.arange(1, 60) / 30:
        past = past.then(float(time), matrix_from_axis_angle(SPIN * time), DRIFT * time)
    assert past.times[-1] - past.times[0] == pytest.approx(SPANS[-1], abs=1.1 / 30)
    np.testing.assert_allclose(past.glimpse.turning[-1], SPIN, atol=1e-6)
    gap = past.then(5.0, past.rotations[-1], past.places[-1])
    assert len(gap.times) == 2, "what lies before a long gap is told by the moment before it"


def test_a_course_starts_here_and_ends_at_the_last_horizon() -> None:
    turns = np.cumsum(np.ones((len(HORIZONS), 24, 3)), axis=0)
    course = Course(turns, turns[:, 0])
    assert not course.after(0.0)[0].any()
    np.testing.assert_allclose(course.after(float(HORIZONS[0]) / 2)[0], 0.5)
    np.testing.assert_allclose(course.after(float(HORIZONS[2]))[1], 3.0)
    np.testing.assert_allclose(course.after(100.0)[0], len(HORIZONS))


def test_heading_and_place_are_not_seen() -> None:
    past = spinning(np.arange(0, 0.4, 1 / 30))
    turn = matrix_from_axis_angle(np.array([0, 2.0, 0]))
    rotations = []
    for rotation in past.rotations:
        whole = rotation.copy()
        whole[0] = turn @ rotation[0]
        rotations.append(whole)
    elsewhere = Past(past.times, tuple(rotations), tuple(turn @ p + 5 for p in past.places))
    np.testing.assert_allclose(elsewhere.glimpse.features(UP), past.glimpse.features(UP), atol=1e-5)


def library() -> MotionLibrary:
    return MotionLibrary(tuple(made_clip(f"clip{i}", 140, i) for i in range(8)), 30.0)


def test_training_sees_the_past_as_the_tracker_does() -> None:
    motion = library()
    rotations = motion.clips[0].rotations()
    now, back = 20, np.array([1, 2, 4, 8])
    rows = np.r_[now, now - back]
    moments = Moments(
        rotations[rows][None],
        np.zeros((1, 5, 3)),
        rotations[[now + 1] * len(HORIZONS)][None],
        np.zeros((1, len(HORIZONS), 3)),
        back[None] / 30,
    )
    past = Past(tuple(np.arange(now + 1) / 30), tuple(rotations[: now + 1]), (np.zeros(3),) * (now + 1))
    np.testing.assert_allclose(moments.glimpse().features(UP)[0], past.glimpse.features(UP), atol=1e-3)
    target = moments.targets()[0].reshape(len(HORIZONS), OUTPUTS)[0, :-3].reshape(-1, 3)
    there = carried(rotations[now], np.concatenate([target, np.zeros((2, 3))]))
    np.testing.assert_allclose(there[:22], rotations[now + 1][:22], atol=1e-5)


def test_numpy_and_torch_agree(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = PredictorNetwork(FEATURES, len(HORIZONS) * OUTPUTS, 16, 0.5).eval()
    torch.nn.init.normal_(network.layers[-1].weight, std=0.05)
    save_predictor(tmp_path / "p.safetensors", network, {})
    glimpse = spinning(np.arange(0, 0.4, 1 / 30)).glimpse
    course = MotionPredictor.load(tmp_path / "p.safetensors").course(glimpse, UP)
    with torch.no_grad():
        said = network(torch.from_numpy(glimpse.features(UP)[None]))[0].numpy().reshape(len(HORIZONS), -1)
    np.testing.assert_allclose(course.turns[:, :22].reshape(len(HORIZONS), -1), said[:, :-3], atol=1e-5)
    np.testing.assert_allclose(course.moves, said[:, -3:] @ glimpse.rotations[0].T, atol=1e-5)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_predictor(tmp_path / "p.safetensors", PredictorNetwork(7, 5, 4, 0.0), {})
    with pytest.raises(InputError, match=r"p\.safetensors.*features"):
        MotionPredictor.load(tmp_path / "p.safetensors")


def steady(name: str, seed: int) -> MotionClip:
    """Every joint turns steadily: what comes next can be told."""
    speed = np.random.default_rng(seed).normal(size=(24, 3)) * 0.15
    theta = speed * np.arange(120)[:, None, None] / 30
    return MotionClip(name, theta.astype(np.float32), np.zeros((120, 3), np.float32), 30.0)


def test_training_learns_to_go_on(tmp_path: Path) -> None:
    motion = MotionLibrary(tuple(steady(f"c{i}", i) for i in range(10)), 30.0)
    quiet = PredictorTraining(
        width=64, dropout=0.0, steps=400, batch=128, pool=800, uses=100, joint_noise=0, place_noise=0, depth_noise=0
    )
    save_predictor(tmp_path / "p.safetensors", train_predictor(motion, quiet), {})
    question = Question.of(motion, 0.0, np.random.default_rng(0))
    mine = errors(learned(MotionPredictor.load(tmp_path / "p.safetensors")), question)
    still = errors(hold, question)
    assert all(a[0] < 0.5 * b[0] for a, b in zip(mine[2:], still[2:], strict=True))


def test_the_same_seed_gives_the_same_weights() -> None:
    few = replace(PredictorTraining(), width=8, steps=4, batch=16, pool=40, uses=10)
    first, second = (train_predictor(library(), few).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_constant_velocity_is_exact_where_it_holds() -> None:
    question = Question.of(MotionLibrary((steady("c", 1),), 30.0), 0.0, np.random.default_rng(0))
    assert max(relative for relative, _ in errors(constant_velocity, question)) < 0.5
    fades, _ = fitted_fades(question)
    assert (fades[1:22] == 0.5).all(), "what goes on for ever fades as slowly as can be"


def test_the_shipped_predictor_neither_freezes_nor_flies_off() -> None:
    """Arms that swing as in walking, then two seconds of silence."""
    predictor = MotionPredictor.load()
    rotations = []
    for time in np.arange(12) / 30:
        theta = np.zeros((24, 3))
        swing = 2.2 * (time - 0.2)
        theta[16], theta[17] = [0.5 * swing, 0, -1.2], [-0.5 * swing, 0, 1.2]
        theta[1, 0], theta[2, 0], theta[4, 0], theta[5, 0] = -swing, swing, 0.4, 0.2
        rotations.append(matrix_from_axis_angle(theta))
    past = Past(tuple(np.arange(12) / 30), tuple(rotations), tuple(np.array([0, 0, 1.2 * t / 30]) for t in range(12)))
    course = predictor.course(past.glimpse, UP)
    early, late = course.after(0.1)[0], course.after(2.0)
    assert early[1, 0] < -0.015 and early[2, 0] > 0.015, "the legs go on"
    assert np.abs(late[0]).max() < 1.5
    assert np.linalg.norm(late[1]) < 3.0
    still = Glimpse(np.tile(np.eye(3), (24, 1, 1)), np.zeros((4, 24, 3)), np.zeros((4, 3)))
    assert np.linalg.norm(predictor.course(still, UP).after(0.1)[1]) < 0.05
    assert "CMU" in predictor.metadata["data"]
