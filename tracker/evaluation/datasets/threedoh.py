"""3DOH50K: testset/annots.json and testset/images/, one person a picture, behind objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tracker.core.arrays import NUM_BETAS, NUM_JOINTS
from tracker.core.camera import Camera
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.evaluation.datasets.recording import JOINT_SETS, Origin, Recording, SmplTruth

ORIGIN = Origin("3DOH50K", "https://www.yangangwang.com/papers/ZHANG-OOH-2020-03.html")


def read(folder: Path) -> Iterator[Recording]:
    """The test set, a recording a picture, in the order of their numbers."""
    path = ORIGIN.require(folder / "testset" / "annots.json", "the content of testset.zip")
    with ORIGIN.reading(path):
        content: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        recordings = [_still(path.parent, name, content[name]) for name in sorted(content)]
    yield from recordings


def _still(folder: Path, name: str, content: dict[str, Any]) -> Recording:
    """The body is scaled by `scale` before it is moved by `trans`, so SMPL has no transl of its own here."""
    T_camera_world = np.array(content["extri"], float).reshape(-1, 4)
    world = np.array(content["smpl_joints_3d"], float).reshape(NUM_JOINTS, 3)
    joints = world @ T_camera_world[:3, :3].T + T_camera_world[:3, 3]
    theta = np.array(content["pose"], float).reshape(NUM_JOINTS, 3)
    theta[0] = axis_angle_from_matrix(T_camera_world[:3, :3] @ matrix_from_axis_angle(theta[0]))
    matrix = np.array(content["intri"], float)
    size = (max(1, round(2 * matrix[0, 2])), max(1, round(2 * matrix[1, 2])))
    # its pixel centres are at integers
    camera = Camera(matrix[0, 0], matrix[1, 1], matrix[0, 2] + 0.5, matrix[1, 2] + 0.5, *size)
    return Recording(
        name=name,
        pictures=(folder / str(content["img_path"]).replace("\\", "/"),),
        joint_set=JOINT_SETS["smpl24"],
        joints3d=joints[None],
        joints2d=np.array(content["smpl_joints_2d"], float).reshape(1, NUM_JOINTS, -1)[..., :2] + 0.5,
        valid=np.ones((1, NUM_JOINTS), bool),
        camera=camera,
        smpl=SmplTruth(theta[None], np.array(content["betas"], float).reshape(1, NUM_BETAS), None, "neutral"),
    )
