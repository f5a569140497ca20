"""The filters' benchmark: what it measures on sequences of which that is known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.filters import SMOOTHERS, Figures, Tracked, as_numbers, filtered_joints, measured
from tracker.body import load_body
from tracker.body.kinematics import LandmarkRig
from tracker.core.person import Pose

TIMES = np.arange(0, 4, 1 / 30)
RIG = LandmarkRig.from_body(load_body(None))
ELBOW, WRIST = 18, 20


def waving(times: np.ndarray) -> list[Pose]:
    poses = []
    for time in times:
        theta = np.zeros((24, 3))
        theta[ELBOW, 1] = np.sin(3 * time)
        theta[1, 0] = np.cos(2 * time)
        poses.append(Pose(theta[0], theta[1:].ravel(), np.zeros(10), np.array([0.0, 0.0, 3.0])))
    return poses


def sequence(poses: list[Pose]) -> Tracked:
    """Poses that are wrong about the waving; the wrist is hidden in the second half."""
    hidden = np.zeros((len(TIMES), 24), bool)
    hidden[len(TIMES) // 2 :, WRIST] = True
    return Tracked(TIMES, poses, np.where(hidden, 0.1, 1.0), filtered_joints(RIG, waving(TIMES)), hidden)


def figures(poses: list[Pose]) -> Figures:
    found = sequence(poses)
    return Figures.of([found], [filtered_joints(RIG, found.poses)])


def shaken(poses: list[Pose]) -> list[Pose]:
    rng = np.random.default_rng(0)
    return [
        Pose(p.global_orient, p.body_pose + rng.normal(0, 0.03, 69), p.betas, p.transl + rng.normal(0, 0.01, 3))
        for p in poses
    ]


def test_the_truth_has_neither_error_nor_jitter_nor_lag() -> None:
    found = figures(waving(TIMES))
    values = [found.error_mm, found.error_hidden_mm, found.jitter, found.jitter_hidden, found.lag_ms]
    assert values == pytest.approx([0.0] * 5, abs=1e-6)


def test_a_delay_is_found() -> None:
    late = figures(waving(TIMES - 0.06))
    assert late.lag_ms == pytest.approx(60.0, abs=3.0)
    assert late.error_mm > 3.0


def test_hidden_joints_are_told_apart() -> None:
    """The left wrist alone is wrong, in the first half by nothing, in the second by a right angle."""
    poses = waving(TIMES)
    for pose in poses[len(TIMES) // 2 :]:
        pose.body_pose[3 * (ELBOW - 1) + 2] += np.pi / 2
    found = figures(poses)
    assert found.error_hidden_mm > 150.0
    assert found.error_mm < 0.1 * found.error_hidden_mm


def test_filters_calm_noise() -> None:
    rows = measured([sequence(shaken(waving(TIMES)))])
    assert list(rows) == list(SMOOTHERS)
    off, live, files = rows["off"], rows["live"], rows["zero-phase"]
    assert files.jitter < live.jitter < 0.5 * off.jitter
    assert abs(files.lag_ms) < 5.0 < live.lag_ms < 120.0
    assert live.jitter_hidden < rows["live, confidence ignored"].jitter_hidden
    assert as_numbers(files)["lag_ms"] == round(files.lag_ms, 3)
