"""The joint ranges: what they allow, what they refuse, and that the right side mirrors the left."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.landmarks import pull
from tracker.body.joint_limits import JointPrior
from tracker.body.smpl_joints import smpl_index
from tracker.core.geometry import matrix_from_axis_angle

PRIOR = JointPrior.anatomical()


def costs(pose: np.ndarray) -> tuple[float, float]:
    """What the usual values and the limits charge for joints 1..23 turned by `pose` (23, 3)."""
    rotations = np.concatenate([np.eye(3)[None], matrix_from_axis_angle(pose)])
    pulls = (PRIOR.usual(1.0, rotations), PRIOR.limits(1.0))
    usual, limits = (2 * pull(rotations, p, np.zeros(72), np.zeros((72, 72))) for p in pulls)
    return usual, limits


def cost(joint: str, rotvec: tuple[float, float, float]) -> tuple[float, float]:
    """What the usual values and the limits charge for one joint turned, all others at their means."""
    pose = PRIOR.mean.copy()
    pose[smpl_index(joint) - 1] = rotvec
    return costs(pose)


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
    turned = np.random.default_rng(0).normal(size=(4, 3))
    left, right = (
        [smpl_index(f"{side}_{n}") - 1 for n in ("hip", "knee", "elbow", "wrist")] for side in ("left", "right")
    )
    one, other = PRIOR.mean.copy(), PRIOR.mean.copy()
    one[left], other[right] = turned, turned * np.array([1, -1, -1])
    np.testing.assert_allclose(costs(one), costs(other))


def test_the_weight_scales_the_cost_and_the_root_is_free() -> None:
    pose = np.random.default_rng(1).normal(size=(24, 3))
    without_root = np.concatenate([np.zeros((1, 3)), pose[1:]])
    once, twice, unturned = (
        [
            pull(matrix_from_axis_angle(p), towards, np.zeros(72), np.zeros((72, 72)))
            for towards in (PRIOR.usual(weight, matrix_from_axis_angle(p)), PRIOR.limits(weight))
        ]
        for p, weight in ((pose, 1.0), (pose, 2.0), (without_root, 1.0))
    )
    np.testing.assert_allclose(twice, 2 * np.array(once))
    np.testing.assert_allclose(unturned, once)


def test_samples_are_inside_the_limits_and_differ() -> None:
    rng = np.random.default_rng(2)
    first, second = PRIOR.sample(rng), PRIOR.sample(rng)
    for pose in (first, second):
        assert (pose[1:] >= PRIOR.lower - 1e-12).all()
        assert (pose[1:] <= PRIOR.upper + 1e-12).all()
    assert np.abs(first - second).max() > 0.1


def test_the_usual_trunk_is_upright() -> None:
    """Captured people whose knees are straight bend it forward by 1.8° in all."""
    trunk = PRIOR.mean[[smpl_index(name) - 1 for name in ("spine1", "spine2", "spine3")], 0]
    assert 0 <= np.degrees(trunk.sum()) < 4


def test_legs_are_drawn_straight_where_they_nearly_are_and_let_go_where_they_are_folded() -> None:
    knee = smpl_index("left_knee")

    def drawn(degrees: float) -> float:
        """1/rad: the gradient of the knee's cost where it is bent by that."""
        turned = np.zeros((24, 3))
        turned[knee, 0] = np.radians(degrees)
        usual = PRIOR.usual(1.0, matrix_from_axis_angle(turned))
        return float(usual.slope[knee, 0] ** 2 * (turned[knee, 0] - PRIOR.mean[knee - 1, 0]))

    width = np.degrees(PRIOR.heavy_tail[knee - 1, 0])
    middle = np.degrees(PRIOR.mean[knee - 1, 0])
    assert drawn(middle + width) == pytest.approx(0.5 / np.radians(width), rel=1e-3), "strongest where off by its width"
    assert drawn(middle) == pytest.approx(0.0, abs=1e-9)
    assert drawn(100.0) < 0.25 * drawn(middle + width)
