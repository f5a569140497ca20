"""The landmark rig against the full body model, and its derivatives against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kernels import landmarks_reference
from kernels.landmarks_values import BodyPlace
from tracker.body import load_body
from tracker.body.joint_limits import JointPrior
from tracker.body.kinematics import LandmarkRig
from tracker.body.landmark_set import MEDIAPIPE, bone_points
from tracker.body.smpl_joints import LIMB_SMPL, SMPL_JOINTS
from tracker.core.geometry import matrix_from_axis_angle


@pytest.fixture(scope="module")
def rig() -> LandmarkRig:
    return LandmarkRig.from_body(load_body(None))


@pytest.fixture
def theta() -> np.ndarray:
    rng = np.random.default_rng(3)
    theta = JointPrior.anatomical().sample(rng)
    theta[0] = rng.normal(size=3)
    return theta


BETAS = np.linspace(-1.5, 1.5, 10)


def test_points_on_the_skin_follow_the_skinned_mesh(rig: LandmarkRig, theta: np.ndarray) -> None:
    body = load_body(None)
    skin = [name for name in MEDIAPIPE.names if name not in bone_points()]
    posed = body.to(torch.float64).with_shape(torch.from_numpy(BETAS)).with_pose(torch.from_numpy(theta))
    rows = [MEDIAPIPE.index(name) for name in skin]
    got = rig.pose_from_theta(theta, BETAS)
    # the detector's points lie beside the named ones, and move with the same bones
    blend = (body.landmark_regressor(skin) @ body.weights).double().numpy()
    height = float(np.ptp(body.v_template[:, 1].numpy()))
    beside = np.einsum("ki,icd,kd->kc", blend, got.world_rotations, MEDIAPIPE.offsets[rows] * height / 1.7)
    expected = posed.landmarks(skin).numpy() + beside
    np.testing.assert_allclose(got.points[rows], expected, atol=6e-3)  # the pose correctives, which the rig leaves out
    np.testing.assert_allclose(got.joints, posed.joints.numpy(), atol=1e-6)


def test_the_derivatives_kernel_poses_the_same_points(rig: LandmarkRig, theta: np.ndarray) -> None:
    rotations = matrix_from_axis_angle(theta)
    posed = rig.pose(rotations, BETAS)
    expected = landmarks_reference.pose(rig.carried, BodyPlace(rotations, BETAS, np.zeros(3)))
    np.testing.assert_allclose(posed.points, expected.points, atol=1e-12)
    np.testing.assert_allclose(posed.joints, expected.joints, atol=1e-12)
    np.testing.assert_allclose(posed.world_rotations, expected.world, atol=1e-12)


def test_poses_that_are_known_have_the_joints_of_another_shape(rig: LandmarkRig, theta: np.ndarray) -> None:
    poses = [rig.pose_from_theta(each, np.zeros(10)) for each in (theta, -0.5 * theta)]
    got = rig.joints_of(np.stack([pose.world_rotations for pose in poses]), BETAS)
    for joints, each in zip(got, (theta, -0.5 * theta), strict=True):
        np.testing.assert_allclose(joints, rig.pose_from_theta(each, BETAS).joints, atol=1e-12)


def test_landmarks_lie_where_their_names_say(rig: LandmarkRig) -> None:
    """The map, checked on the free body in its T-pose: y up, z to the front, x to the body's left."""
    rest = rig.pose_from_theta(np.zeros((24, 3)), np.zeros(10)).points
    at = {name: rest[MEDIAPIPE.index(name)] for name in MEDIAPIPE.names}
    assert at["left_wrist"][0] > at["left_elbow"][0] > at["left_shoulder"][0] > 0
    assert at["left_index"][0] > at["left_wrist"][0]
    assert at["left_index"][2] > at["left_pinky"][2], "palms down: the index finger is in front"
    assert at["left_hip"][1] > at["left_knee"][1] > at["left_ankle"][1] > at["left_heel"][1]
    assert at["left_foot_index"][2] > at["left_ankle"][2] > at["left_heel"][2]
    assert at["nose"][2] > at["left_eye"][2] > at["left_ear"][2]
    assert at["left_ear"][0] > at["left_eye_outer"][0] > at["left_eye"][0] > at["left_eye_inner"][0] > 0
    assert at["left_eye"][1] > at["nose"][1] > at["mouth_left"][1] > at["left_shoulder"][1]


def test_landmarks_are_symmetric(rig: LandmarkRig) -> None:
    rest = rig.pose_from_theta(np.zeros((24, 3)), np.zeros(10)).points
    np.testing.assert_allclose(rest[MEDIAPIPE.mirror], rest * np.array([-1.0, 1.0, 1.0]), atol=4e-3)


def test_mirroring_twice_is_nothing_and_keeps_the_nose() -> None:
    np.testing.assert_array_equal(MEDIAPIPE.mirror[MEDIAPIPE.mirror], np.arange(33))
    assert MEDIAPIPE.mirror[MEDIAPIPE.index("nose")] == MEDIAPIPE.index("nose")
    assert MEDIAPIPE.mirror[MEDIAPIPE.index("mouth_left")] == MEDIAPIPE.index("mouth_right")


def test_joint_maps_are_complete() -> None:
    matrix = MEDIAPIPE.joint_evidence
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0)
    for smpl, landmark in zip(LIMB_SMPL, MEDIAPIPE.limbs, strict=True):
        assert SMPL_JOINTS[smpl] == MEDIAPIPE.names[landmark]
        assert matrix[smpl, landmark] == 1.0
