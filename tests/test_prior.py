"""The joint ranges: what they allow, what they refuse, and that the right side mirrors the left."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.keypoints import smpl_index
from tracker.prior import JointPrior

PRIOR = JointPrior.anatomical()


def cost(joint: str, rotvec: tuple[float, float, float]) -> tuple[float, float]:
    """What the Gaussian and the limits charge for one joint turned, all others at their means."""
    pose = PRIOR.mean.copy()
    pose[smpl_index(joint) - 1] = rotvec
    values, _ = PRIOR.residuals(pose)
    gaussian, limits = (values**2).sum(axis=(1, 2))
    return gaussian, limits


@pytest.mark.parametrize(
    ("joint", "rotvec"),
    [
        ("left_knee", (-0.5, 0, 0)),
        ("right_knee", (-0.5, 0, 0)),
        ("left_elbow", (0, 0.5, 0)),
        ("right_elbow", (0, -0.5, 0)),
        ("neck", (0, 2.0, 0)),
        ("left_hip", (1.5, 0, 0)),
    ],
)
def test_impossible_joints_cost_dearly(joint: str, rotvec: tuple[float, float, float]) -> None:
    assert cost(joint, rotvec)[1] > 20.0


@pytest.mark.parametrize(
    ("joint", "rotvec"),
    [
        ("left_knee", (2.2, 0, 0)),
        ("left_elbow", (0, -2.0, 0)),
        ("right_elbow", (0, 2.0, 0)),
        ("left_shoulder", (0, 0, 1.4)),
        ("right_shoulder", (0, 0, -1.4)),
        ("left_hip", (-1.9, 0, 0)),
        ("head", (0, 0.6, 0)),
    ],
)
def test_deep_but_possible_joints_stay_inside_the_limits(joint: str, rotvec: tuple[float, float, float]) -> None:
    assert cost(joint, rotvec)[1] == 0.0


def test_the_right_side_mirrors_the_left() -> None:
    pose = np.random.default_rng(0).normal(size=(23, 3))
    right = [smpl_index(f"right_{n}") - 1 for n in ("hip", "knee", "elbow", "wrist")]
    left = [smpl_index(f"left_{n}") - 1 for n in ("hip", "knee", "elbow", "wrist")]
    mirrored = pose.copy()
    mirrored[right] = pose[left] * np.array([1, -1, -1])
    values, _ = PRIOR.residuals(mirrored)
    np.testing.assert_allclose((values[:, left] ** 2).sum(), (values[:, right] ** 2).sum())


def test_slopes_match_finite_differences() -> None:
    pose, h = np.random.default_rng(1).normal(size=(23, 3)), 1e-6
    _, slopes = PRIOR.residuals(pose)
    ahead, _ = PRIOR.residuals(pose + h)
    behind, _ = PRIOR.residuals(pose - h)
    np.testing.assert_allclose(slopes, (ahead - behind) / (2 * h), atol=1e-5)


def test_samples_are_inside_the_limits_and_differ() -> None:
    rng = np.random.default_rng(2)
    first, second = PRIOR.sample(rng), PRIOR.sample(rng)
    for pose in (first, second):
        assert (pose[1:] >= PRIOR.lower - 1e-12).all()
        assert (pose[1:] <= PRIOR.upper + 1e-12).all()
    assert np.abs(first - second).max() > 0.1
