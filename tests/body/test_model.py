"""The stages of the body function, on the built-in body."""

from __future__ import annotations

import math

import pytest
import torch

from tracker.body import JOINT_NAMES, BodyModel, load_body, rotation_matrices, vertex_normals


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body(None)


def random_theta(*batch: int, seed: int = 0) -> torch.Tensor:
    return 0.5 * torch.randn(*batch, 24, 3, generator=torch.Generator().manual_seed(seed))


def test_identity_pose_gives_the_template(body: BodyModel) -> None:
    posed = body.with_shape(torch.zeros(10)).with_pose(torch.zeros(24, 3))
    torch.testing.assert_close(posed.vertices(), body.v_template, atol=1e-6, rtol=0)
    torch.testing.assert_close(posed.joints, body.joint_regressor @ body.v_template, atol=1e-6, rtol=0)


def test_root_turns_about_the_pelvis_and_transl_comes_after(body: BodyModel) -> None:
    shaped = body.with_shape(torch.tensor([1.0, -1.0, *[0.0] * 8]))
    theta = torch.zeros(24, 3)
    theta[0] = torch.tensor([0.3, -1.2, 0.5])
    transl = torch.tensor([0.1, 0.2, 3.0])
    posed = shaped.with_pose(theta, transl)
    pelvis, turn = shaped.rest_joints[0], rotation_matrices(theta[0])
    expected = (shaped.rest_vertices - pelvis) @ turn.T + pelvis + transl
    torch.testing.assert_close(posed.vertices(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(posed.joints[0], pelvis + transl)


def test_transforms_carry_the_rest_joints_to_the_joints(body: BodyModel) -> None:
    shaped = body.with_shape(torch.zeros(10))
    posed = shaped.with_pose(random_theta(), torch.tensor([0.0, 0.0, 2.0]))
    rest = torch.cat([shaped.rest_joints, torch.ones(24, 1)], dim=1)
    torch.testing.assert_close((posed.T_world_bone @ rest[..., None])[:, :3, 0], posed.joints, atol=1e-5, rtol=0)


def test_elbow_moves_the_forearm_only(body: BodyModel) -> None:
    theta = torch.zeros(24, 3)
    theta[JOINT_NAMES.index("left_elbow")] = torch.tensor([0.0, -math.pi / 2, 0.0])
    shaped = body.with_shape(torch.zeros(10))
    posed = shaped.with_pose(theta)
    elbow, wrist = (posed.joints[JOINT_NAMES.index(f"left_{name}")] for name in ("elbow", "wrist"))
    assert wrist[2] - elbow[2] > 0.2, "a bent left elbow brings the hand to the front"
    moved = (posed.vertices() - body.v_template).norm(dim=1) > 1e-4
    assert body.v_template[moved][:, 0].min() > shaped.rest_joints[JOINT_NAMES.index("left_shoulder"), 0]


def test_batches_equal_single_calls(body: BodyModel) -> None:
    betas = torch.randn(3, 10, generator=torch.Generator().manual_seed(1))
    theta, transl = random_theta(3), torch.randn(3, 3, generator=torch.Generator().manual_seed(2))
    together = body.with_shape(betas).with_pose(theta, transl).vertices()
    assert together.shape == (3, len(body.v_template), 3)
    for i in range(3):
        alone = body.with_shape(betas[i]).with_pose(theta[i], transl[i])
        torch.testing.assert_close(together[i], alone.vertices(), atol=1e-5, rtol=0)
    one_shape = body.with_shape(betas[0]).with_pose(theta)
    assert one_shape.joints.shape == (3, 24, 3) and one_shape.vertices().shape == together.shape


def test_skinning_some_vertices_gives_the_same(body: BodyModel) -> None:
    posed = body.with_shape(torch.zeros(10)).with_pose(random_theta())
    some = torch.tensor([5, 9000, 12])
    torch.testing.assert_close(posed.skin(some), posed.vertices()[some], atol=1e-6, rtol=0)
    names = ["nose", "right_heel"]
    expected = body.landmark_regressor(names) @ posed.vertices()
    torch.testing.assert_close(posed.landmarks(names), expected, atol=1e-5, rtol=0)


def test_float64_and_gradient_at_the_rest_pose(body: BodyModel) -> None:
    double = body.to(torch.float64)
    assert double.faces.dtype == torch.int64 and double.weights.dtype == torch.float64
    shaped = double.with_shape(torch.zeros(10, dtype=torch.float64))
    theta = torch.zeros(24, 3, dtype=torch.float64, requires_grad=True)

    def hand(theta: torch.Tensor) -> torch.Tensor:
        return shaped.with_pose(theta).joints[22]

    assert torch.autograd.gradcheck(hand, (theta,))
    nearby = random_theta().double().requires_grad_()
    assert torch.autograd.gradcheck(hand, (nearby,))


def test_wrong_shapes_are_named(body: BodyModel) -> None:
    with pytest.raises(ValueError, match=r"betas: expected shape \(..., 10\), got \(300,\)"):
        body.with_shape(torch.zeros(300))
    with pytest.raises(ValueError, match=r"theta: expected shape"):
        body.with_shape(torch.zeros(10)).with_pose(torch.zeros(72))
    with pytest.raises(ValueError, match="left_toe"):
        body.landmark_regressor(["nose", "left_toe"])


def test_rotation_matrices_against_the_exponential() -> None:
    for scale in (1e-6, 1e-3, 1.0, 3.1):
        vector = scale * torch.nn.functional.normalize(torch.tensor([0.3, -0.5, 0.8], dtype=torch.float64), dim=0)
        x, y, z = vector
        zero = torch.zeros_like(x)
        skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).reshape(3, 3)
        torch.testing.assert_close(rotation_matrices(vector), torch.linalg.matrix_exp(skew), atol=1e-12, rtol=0)


def test_normals_of_an_octahedron_point_outwards() -> None:
    vertices = torch.cat([torch.eye(3), -torch.eye(3)])
    faces = torch.tensor([[0, 1, 2], [1, 3, 2], [3, 4, 2], [4, 0, 2], [1, 0, 5], [3, 1, 5], [4, 3, 5], [0, 4, 5]])
    torch.testing.assert_close(vertex_normals(vertices, faces), vertices)
    torch.testing.assert_close(vertex_normals(torch.stack([vertices, vertices + 1]), faces)[1], vertices)
