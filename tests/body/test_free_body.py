"""The built-in body as it is baked: what a person's body must satisfy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tracker.body import JOINT_NAMES, LANDMARK_NAMES, PARENTS, BodyModel, load_base_mesh, load_body, vertex_normals
from tracker.body.free_body_file import FREE_BODY_FILE

MIRROR = torch.tensor([-1.0, 1.0, 1.0])
CHILD_BETAS = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 4.3, 0.0])
"""About seven years old."""


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body(None)


def other_side(name: str) -> str:
    return name.replace("left", "?").replace("right", "left").replace("?", "right")


def stature(body: BodyModel, betas: torch.Tensor) -> float:
    heights = body.with_shape(betas).rest_vertices[:, 1]
    return float(heights.max() - heights.min())


def winding_number(points: torch.Tensor, vertices: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """About 1 inside a closed surface, 0 outside, from the solid angles of the faces (van Oosterom and Strackee)."""
    a, b, c = (vertices[faces[:, i]][None] - points[:, None] for i in range(3))
    la, lb, lc = (x.norm(dim=-1) for x in (a, b, c))
    triple = (a * torch.linalg.cross(b, c, dim=-1)).sum(dim=-1)
    below = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    return torch.atan2(triple, below).sum(dim=1) / (2 * torch.pi)


def test_shapes_and_types(body: BodyModel) -> None:
    count = len(body.v_template)
    assert body.name == "free-body" and body.parents == PARENTS
    assert body.shapedirs.shape == (count, 3, 10) and body.weights.shape == (count, 24)
    assert body.joint_regressor.shape == (24, count)
    assert body.faces.max() == count - 1 and body.faces.min() == 0
    assert body.uv is not None and body.faces_uv is not None and body.base_vertex_index is not None
    assert body.faces_uv.shape == body.faces.shape and body.faces_uv.max() == len(body.uv) - 1
    assert 0 <= body.uv.min() and body.uv.max() <= 1


def test_file_is_plain_arrays_of_a_few_megabytes() -> None:
    assert FREE_BODY_FILE.stat().st_size < 4e6
    with np.load(FREE_BODY_FILE, allow_pickle=False) as file:
        assert all(file[key].dtype.kind in "fiuU" for key in file.files)


def test_stands_upright_facing_forward_in_a_t_pose(body: BodyModel) -> None:
    joints = dict(zip(JOINT_NAMES, body.joint_regressor @ body.v_template, strict=True))
    landmarks = dict(zip(LANDMARK_NAMES, body.landmark_regressor(LANDMARK_NAMES) @ body.v_template, strict=True))
    assert joints["left_wrist"][0] > 0.5
    arm = torch.stack([joints[f"left_{name}"] for name in ("shoulder", "elbow", "wrist", "hand")])
    assert (arm[:, 1:] - arm[0, 1:]).abs().max() < 0.01, "arms straight out"
    assert landmarks["nose"][2] > joints["head"][2] + 0.08
    assert landmarks["left_thumb"][2] > landmarks["left_index"][2] > landmarks["left_pinky"][2]
    assert landmarks["left_foot_index"][2] > joints["left_ankle"][2] + 0.15 > landmarks["left_heel"][2]
    order = ["left_foot", "left_ankle", "left_knee", "left_hip", "pelvis", "spine1", "spine2", "spine3", "neck", "head"]
    heights = [float(joints[name][1]) for name in order]
    assert heights == sorted(heights)


def test_left_and_right_mirror_each_other(body: BodyModel) -> None:
    flipped = torch.tensor([JOINT_NAMES.index(other_side(name)) for name in JOINT_NAMES])
    rows = torch.tensor([LANDMARK_NAMES.index(other_side(name)) for name in LANDMARK_NAMES])
    regressor = body.landmark_regressor(LANDMARK_NAMES)
    for betas in (torch.zeros(10), torch.linspace(-2, 2, 10)):
        shaped = body.with_shape(betas)
        torch.testing.assert_close(shaped.rest_joints[flipped] * MIRROR, shaped.rest_joints, atol=2e-4, rtol=0)
        places = regressor @ shaped.rest_vertices
        torch.testing.assert_close(places[rows] * MIRROR, places, atol=2e-4, rtol=0)


def test_weights_and_regressors_are_convex_and_local(body: BodyModel) -> None:
    for rows in (body.weights, body.joint_regressor, body.landmark_regressor(LANDMARK_NAMES)):
        assert rows.min() >= 0
        torch.testing.assert_close(rows.sum(dim=1), torch.ones(len(rows)), atol=1e-4, rtol=0)
    joints = body.joint_regressor @ body.v_template
    for joint, row in enumerate(body.joint_regressor):
        assert (body.v_template[row > 0] - joints[joint]).norm(dim=1).max() < 0.25, JOINT_NAMES[joint]
    assert set(body.part_labels.tolist()) == set(range(24))


@pytest.mark.parametrize("betas", [torch.zeros(10), CHILD_BETAS, torch.tensor([2.0, 2.0, -2.0] + [0.0] * 7)])
def test_joints_lie_inside(body: BodyModel, betas: torch.Tensor) -> None:
    shaped = body.with_shape(betas)
    eyes = body.base_vertex_index is not None and body.base_vertex_index[body.faces[:, 0]] >= 14598
    winding = winding_number(shaped.rest_joints, shaped.rest_vertices, body.faces[~eyes])
    assert (winding > 0.9).all(), dict(zip(JOINT_NAMES, winding.tolist(), strict=True))


def test_normals_point_outwards(body: BodyModel) -> None:
    normals = vertex_normals(body.v_template, body.faces)
    skin = (body.part_labels != JOINT_NAMES.index("head")).nonzero()[::40, 0]
    for distance, inside in ((0.002, False), (-0.002, True)):
        winding = winding_number(body.v_template[skin] + distance * normals[skin], body.v_template, body.faces)
        assert ((winding > 0.5) == inside).float().mean() > 0.97


def test_statures(body: BodyModel) -> None:
    assert 1.65 < stature(body, torch.zeros(10)) < 1.75
    for direction in range(10):
        low, high = (stature(body, value * torch.eye(10)[direction]) for value in (-2.0, 2.0))
        assert 1.45 < low < high + 1e-3 < 1.95 or 1.45 < high < 1.95, direction
    assert stature(body, 2 * torch.eye(10)[0]) > stature(body, -2 * torch.eye(10)[0]) + 0.3


def test_a_child_is_within_the_shape_space(body: BodyModel) -> None:
    """1.2 m tall, with a head that is larger in proportion than an adult's."""
    assert 1.15 < stature(body, CHILD_BETAS) < 1.25

    def head_share(betas: torch.Tensor) -> float:
        shaped = body.with_shape(betas)
        top = shaped.rest_vertices[:, 1].max() - shaped.rest_joints[JOINT_NAMES.index("head"), 1]
        return float(top) / stature(body, betas)

    assert head_share(CHILD_BETAS) > 1.1 * head_share(torch.zeros(10))


def test_clothes_follow_the_skin() -> None:
    """MakeHuman's clothes hang on vertices just outside the skin (15328 … 18001): they must stay there as it moves."""
    base, body = load_base_mesh(), load_body(None)
    theta = torch.zeros(24, 3)
    theta[JOINT_NAMES.index("left_shoulder")] = torch.tensor([0.0, 0.0, -1.2])
    theta[JOINT_NAMES.index("left_hip")] = torch.tensor([-1.5, 0.0, 0.0])
    tights = torch.arange(15328, 18002, 5)
    nearest = torch.cdist(base.v_template[tights], body.v_template).argmin(dim=1)
    posed = base.with_shape(torch.zeros(10)).with_pose(theta).skin(tights)
    skin = body.with_shape(torch.zeros(10)).with_pose(theta).vertices()[nearest]
    at_rest = (base.v_template[tights] - body.v_template[nearest]).norm(dim=1)
    assert ((posed - skin).norm(dim=1) - at_rest).abs().quantile(0.98) < 0.005


def test_base_mesh_holds_the_body(body: BodyModel) -> None:
    base = load_base_mesh()
    assert base.v_template.shape == (19158, 3)
    assert body.base_vertex_index is not None
    theta = 0.3 * torch.randn(24, 3, generator=torch.Generator().manual_seed(0))
    betas = torch.ones(10)
    whole = base.with_shape(betas).with_pose(theta).vertices()
    part = body.with_shape(betas).with_pose(theta).vertices()
    torch.testing.assert_close(whole[body.base_vertex_index], part, atol=1e-5, rtol=0)
