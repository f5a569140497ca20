"""3DPW: sequenceFiles/{train,validation,test}/NAME.pkl and imageFiles/NAME/image_00000.jpg."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tracker.body.smpl_pickle import as_array
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.camera import Camera
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.core.input_file import read_bytes
from tracker.core.safe_pickle import read_pickle
from tracker.evaluation.datasets.recording import JOINT_SETS, Origin, Recording, SmplTruth

ORIGIN = Origin("3DPW", "https://virtualhumans.mpi-inf.mpg.de/3DPW")
_RATE = 30.0
_GENDERS = {"m": "male", "f": "female"}

# The sequences with a person behind objects that 3DPW-OCC's authors chose, from all three splits.
OCCLUDED = (
    "courtyard_backpack", "courtyard_basketball", "courtyard_bodyScannerMotions", "courtyard_box", "courtyard_golf",
    "courtyard_jacket", "courtyard_laceShoe", "downtown_stairs", "flat_guitar", "flat_packBags", "outdoors_climbing",
    "outdoors_crosscountry", "outdoors_fencing", "outdoors_freestyle", "outdoors_golf", "outdoors_parcours",
    "outdoors_slalom",
)  # fmt: skip


def read_test_split(folder: Path) -> Iterator[Recording]:
    """The test split, one recording a person, in the order of their names."""
    tried = folder / "sequenceFiles" / "test"
    ORIGIN.require(tried, "the folder of sequenceFiles.zip")
    for path in ORIGIN.first_existing(sorted(tried.glob("*.pkl")), str(tried / "*.pkl")):
        yield from _sequence(folder, path)


def read_occluded(folder: Path) -> Iterator[Recording]:
    """3DPW-OCC: the sequences with objects in front of people, whatever their split."""
    sequences = ORIGIN.require(folder / "sequenceFiles", "the folder of sequenceFiles.zip")
    paths = [path for path in sorted(sequences.glob("*/*.pkl")) if path.stem.rpartition("_")[0] in OCCLUDED]
    for path in ORIGIN.first_existing(paths, str(sequences / "*" / f"{OCCLUDED[0]}_*.pkl and the like")):
        yield from _sequence(folder, path)


def _sequence(folder: Path, path: Path) -> Iterator[Recording]:
    with ORIGIN.reading(path):
        content: dict[str, Any] = read_pickle(io.BytesIO(read_bytes(path)))
        people = [_person(folder, path.stem, content, number) for number in range(len(content["poses"]))]
    yield from people


def _person(folder: Path, name: str, content: dict[str, Any], number: int) -> Recording:
    T_camera_world = as_array(content["cam_poses"]).astype(float)
    world = as_array(content["jointPositions"][number]).astype(float).reshape(-1, NUM_JOINTS, 3)
    joints = np.einsum("tij,tkj->tki", T_camera_world[:, :3, :3], world) + T_camera_world[:, None, :3, 3]
    camera = _camera(as_array(content["cam_intrinsics"]).astype(float))
    valid = as_array(content["campose_valid"][number]).astype(bool)
    pictures = (folder / "imageFiles" / name / f"image_{index:05d}.jpg" for index in range(len(world)))
    return Recording(
        name=f"{name}/{number}",
        pictures=tuple(pictures),
        joint_set=JOINT_SETS["smpl24"],
        joints3d=joints,
        joints2d=camera.project(joints),
        valid=np.repeat(valid[:, None], NUM_JOINTS, axis=1),
        camera=camera,
        smpl=_smpl(content, number, T_camera_world, joints),
        rate=_RATE,
    )


def _camera(matrix: Array) -> Camera:
    """3DPW's pictures are 1920×1080 or 1080×1920, with the principal point in the middle."""
    width, height = (1080, 1920) if matrix[0, 2] < matrix[1, 2] else (1920, 1080)
    # its pixel centres are at integers
    return Camera(matrix[0, 0], matrix[1, 1], matrix[0, 2] + 0.5, matrix[1, 2] + 0.5, width, height)


def _smpl(content: dict[str, Any], number: int, T_camera_world: Array, joints: Array) -> SmplTruth:
    """The parameters turned into the camera frame.

    transl is such that the pelvis joint stays where it is: SMPL turns about the pelvis, which is not at its origin. In
    the world frame pelvis = rest pelvis + trans.
    """
    theta = as_array(content["poses"][number]).astype(float).reshape(-1, NUM_JOINTS, 3)
    world = as_array(content["jointPositions"][number]).astype(float).reshape(-1, NUM_JOINTS, 3)
    rest_pelvis = world[:, 0] - as_array(content["trans"][number]).astype(float)
    turned = theta.copy()
    turned[:, 0] = axis_angle_from_matrix(T_camera_world[:, :3, :3] @ matrix_from_axis_angle(theta[:, 0]))
    betas = as_array(content["betas"][number]).astype(float).ravel()[:10]
    gender = _GENDERS[str(content["genders"][number])]
    return SmplTruth(turned, np.tile(betas, (len(theta), 1)), joints[:, 0] - rest_pelvis, gender)
