"""A small body in SMPL's form and people in motion, whose files the export tests can check against the body itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tracker.body.model import PARENTS, BodyModel
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.person import FrameRecord, Person, Pose

CAMERA = Camera(900.0, 880.0, 300.0, 250.0, 640, 481)

REST_JOINTS = np.array(
    [
        [0.00, -0.20, 0.02], [0.07, -0.30, 0.02], [-0.07, -0.30, 0.02], [0.00, -0.09, 0.00], [0.10, -0.70, 0.03],
        [-0.10, -0.70, 0.03], [0.00, 0.04, 0.02], [0.09, -1.10, -0.02], [-0.09, -1.10, -0.02], [0.00, 0.09, 0.02],
        [0.12, -1.15, 0.10], [-0.12, -1.15, 0.10], [0.00, 0.30, -0.02], [0.08, 0.22, 0.00], [-0.08, 0.22, 0.00],
        [0.00, 0.37, 0.03], [0.18, 0.25, 0.00], [-0.18, 0.25, 0.00], [0.43, 0.24, -0.03], [-0.43, 0.24, -0.03],
        [0.68, 0.25, -0.02], [-0.68, 0.25, -0.02], [0.77, 0.24, -0.03], [-0.77, 0.24, -0.03],
    ]
)  # fmt: skip
_CORNERS = 0.06 * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
_SIDES = np.array([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]])


def small_body(influences: int = 6) -> BodyModel:
    """An octahedron around each joint; every vertex follows `influences` joints; β₀ makes the body larger."""
    rng = np.random.default_rng(7)
    vertices = (REST_JOINTS[:, None] + _CORNERS).reshape(-1, 3)
    faces = (6 * np.arange(24)[:, None, None] + _SIDES).reshape(-1, 3)
    weights = np.zeros((144, 24))
    for v in range(144):
        others = rng.choice(np.delete(np.arange(24), v // 6), influences - 1, replace=False)
        weights[v, others] = rng.uniform(0.02, 0.05, influences - 1)
        weights[v, v // 6] = 1 - weights[v].sum()
    # pose correctives of elbows and knees, opposite at opposite corners: the joints stay in the middle
    posedirs = np.zeros((24, 3, 2, 3, 23, 9))
    for joint in (4, 5, 18, 19):
        posedirs[joint, :, 0, :, joint - 1] = rng.normal(0, 0.01, (9, 3, 3)).transpose(1, 2, 0)
    posedirs[:, :, 1] = -posedirs[:, :, 0]
    shapedirs = rng.normal(0, 0.003, (144, 3, 10))
    shapedirs[:, :, 0] = 0.05 * vertices
    return BodyModel(
        name="small-body",
        v_template=torch.tensor(vertices, dtype=torch.float32),
        shapedirs=torch.tensor(shapedirs, dtype=torch.float32),
        posedirs=torch.tensor(posedirs.reshape(144, 3, 207), dtype=torch.float32),
        joint_regressor=torch.kron(torch.eye(24), torch.full((1, 6), 1 / 6)),
        weights=torch.tensor(weights, dtype=torch.float32),
        faces=torch.tensor(faces),
        parents=PARENTS,
    )


def vertices_of(body: BodyModel, poses: Array, betas: Array, trans: Array) -> Array:
    """(T, V, 3) m: SMPL(poses, betas) + trans, the definition that every file is held against."""
    theta = torch.tensor(poses.reshape(-1, 24, 3), dtype=torch.float32)
    posed = body.with_shape(torch.tensor(betas, dtype=torch.float32)).with_pose(theta)
    return posed.vertices().numpy().astype(np.float64) + trans[:, None]


def person_at(body: BodyModel, time: float, person_id: int = 0, betas: Array | None = None) -> Person:
    """Somebody who turns, bends every joint and walks past the camera, as a function of time alone."""
    rng = np.random.default_rng(100 + person_id)
    axes, phases = rng.normal(0, 0.5, (24, 3)), rng.uniform(0, 6, 24)
    theta = axes * np.sin(2 * time + phases)[:, None]
    theta[0] = (np.pi - 0.4) * np.array([np.cos(0.3 * time), 0.1, np.sin(0.3 * time)])
    betas = np.zeros(10) if betas is None else betas
    transl = np.array([0.3 * np.sin(time) - 0.5 * person_id, 0.1, 4.0 + 0.5 * np.cos(time)])
    posed = body.with_shape(torch.tensor(betas).float()).with_pose(torch.tensor(theta).float())
    joints3d = posed.joints.numpy().astype(np.float64) + transl
    joints2d = CAMERA.project(joints3d)
    box = np.concatenate([joints2d.min(axis=0), joints2d.max(axis=0)])
    pose = Pose(theta[0], theta[1:].reshape(-1), betas, transl)
    return Person(person_id, pose, joints3d, joints2d, np.linspace(0, 1, 24), box, -1.5 + time)


def frames_of(body: BodyModel, times: Sequence[float], ids: Sequence[int] = (0,)) -> list[FrameRecord]:
    """A frame at each time with all these people in it."""
    return [FrameRecord(i, t, [person_at(body, t, person_id) for person_id in ids]) for i, t in enumerate(times)]
