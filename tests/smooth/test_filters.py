"""Both filters: less jitter, little lag, rotations treated as rotations, any frame rate."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.core.person import Pose
from tracker.smooth.filters import CausalFilter, OneEuroConfig, SavitzkyConfig, smooth_zero_phase

ELBOW = 18


def poses_of(times: np.ndarray, noise: float, speed: float = 1.0) -> tuple[list[Pose], list[Pose]]:
    """A swinging elbow while the body turns right round (through π, where axis-angle wraps); truth and noisy."""
    rng = np.random.default_rng(0)
    truth, noisy = [], []
    for time in times:
        theta = np.zeros((24, 3))
        theta[ELBOW, 1] = np.sin(2 * speed * time)
        theta[0] = axis_angle_from_matrix(matrix_from_axis_angle(np.array([0, speed * time, 0])))
        place = np.array([np.sin(speed * time), 0.0, 3.0])
        truth.append(Pose(theta[0], theta[1:].reshape(-1), np.zeros(10), place))
        shaken = matrix_from_axis_angle(theta) @ matrix_from_axis_angle(rng.normal(size=(24, 3)) * noise)
        turned = axis_angle_from_matrix(shaken)
        moved = place + rng.normal(size=3) * noise * np.array([0.3, 0.3, 3.0])
        noisy.append(Pose(turned[0], turned[1:].reshape(-1), np.zeros(10), moved))
    return truth, noisy


def angle_errors(a: list[Pose], b: list[Pose]) -> np.ndarray:
    """(T, 24) rad."""
    first, second = (matrix_from_axis_angle(np.stack([p.theta for p in poses])) for poses in (a, b))
    return np.linalg.norm(axis_angle_from_matrix(np.swapaxes(first, -1, -2) @ second), axis=-1)


def jitter(poses: list[Pose]) -> float:
    """Mean size of the second differences of the elbow's rotation."""
    return float(np.abs(np.diff([p.theta[ELBOW] for p in poses], n=2, axis=0)).mean())


def causal(times: np.ndarray, poses: list[Pose], confidence: float = 1.0) -> list[Pose]:
    smooth = CausalFilter(OneEuroConfig())
    return [smooth(float(t), pose, np.full(24, confidence)) for t, pose in zip(times, poses, strict=True)]


@pytest.mark.parametrize("rate", [10.0, 30.0, 60.0])
def test_causal_filter_calms_noise_without_losing_the_motion(rate: float) -> None:
    times = np.arange(0, 6, 1 / rate)
    truth, noisy = poses_of(times, noise=0.03)
    smooth = causal(times, noisy)
    assert jitter(smooth) < 0.8 * jitter(noisy)
    assert angle_errors(truth, smooth)[len(times) // 4 :, ELBOW].mean() < 0.2


def test_causal_filter_looks_back_only() -> None:
    times = np.arange(0, 2, 1 / 30)
    _, noisy = poses_of(times, noise=0.05)
    whole, part = causal(times, noisy), causal(times[:30], noisy[:30])
    np.testing.assert_array_equal(whole[29].theta, part[29].theta)


def test_hidden_joints_are_smoothed_harder() -> None:
    times = np.arange(0, 4, 1 / 30)
    _, noisy = poses_of(times, noise=0.05)
    assert jitter(causal(times, noisy, confidence=0.0)) < 0.8 * jitter(causal(times, noisy, confidence=1.0))


def test_causal_filter_keeps_a_still_pose_exactly() -> None:
    still, _ = poses_of(np.zeros(1), noise=0.0)
    smooth = causal(np.arange(5) / 30, still * 5)
    np.testing.assert_allclose(smooth[-1].theta, still[0].theta, atol=1e-9)
    np.testing.assert_allclose(smooth[-1].transl, still[0].transl, atol=1e-9)


def test_a_repeated_time_starts_the_filter_anew() -> None:
    _, noisy = poses_of(np.arange(2) / 30, noise=0.2)
    smooth = CausalFilter(OneEuroConfig())
    smooth(1.0, noisy[0], np.ones(24))
    assert smooth(1.0, noisy[1], np.ones(24)) is noisy[1]


def test_zero_phase_filter_has_no_lag_and_calms_more() -> None:
    times = np.arange(0, 6, 1 / 30)
    truth, noisy = poses_of(times, noise=0.03)
    smooth = smooth_zero_phase(times, noisy, np.ones((len(times), 24)), SavitzkyConfig())
    assert jitter(smooth) < 0.35 * jitter(noisy)
    assert angle_errors(truth, smooth).mean() < 0.6 * angle_errors(truth, noisy).mean()
    depth = np.array([p.transl[2] for p in smooth])
    assert depth.std() < 0.5 * np.std([p.transl[2] for p in noisy])


def test_zero_phase_filter_reproduces_a_parabola_at_uneven_times() -> None:
    """What the local polynomial can express it must leave alone, whatever the spacing of the frames."""
    times = np.cumsum(np.random.default_rng(3).uniform(0.01, 0.08, size=40))
    poses = []
    for time in times:
        theta = np.zeros((24, 3))
        theta[ELBOW, 1] = 0.3 + 0.2 * time + 0.1 * time**2
        poses.append(Pose(theta[0], theta[1:].reshape(-1), np.zeros(10), np.array([0.0, 0.0, 3.0])))
    smooth = smooth_zero_phase(times, poses, np.ones((40, 24)), SavitzkyConfig())
    assert angle_errors(poses, smooth).max() < 1e-5


def test_zero_phase_filter_takes_one_and_two_frames() -> None:
    for count in (1, 2):
        times = np.arange(count) / 30
        _, noisy = poses_of(times, noise=0.1)
        smooth = smooth_zero_phase(times, noisy, np.ones((count, 24)), SavitzkyConfig())
        assert len(smooth) == count
        assert np.isfinite(smooth[-1].theta).all()


def test_shape_passes_through() -> None:
    times = np.arange(3) / 30
    _, noisy = poses_of(times, noise=0.1)
    for smooth in (causal(times, noisy), smooth_zero_phase(times, noisy, np.ones((3, 24)), SavitzkyConfig())):
        np.testing.assert_array_equal(smooth[-1].betas, noisy[-1].betas)
