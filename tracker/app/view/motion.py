"""People in motion as a viewer wants them: in a world with a floor, the pose and every joint's place at any time.

Nothing here takes torch: a page would wait for it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracker.app.view.motion_file import MotionFile, read_motion_file, result_files
from tracker.body.free_body_file import FREE_BODY_NAME
from tracker.body.skeletal_mesh import SkeletalMesh
from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.errors import InputError
from tracker.core.input_file import read_text
from tracker.core.transforms import moved_by
from tracker.export.files import OVERLAY_NAME, RUN_NAME
from tracker.world.world_frame import T_YUP_CAMERA

_FEET = [smpl_index("left_foot"), smpl_index("right_foot")]
SOLE = 0.027
"""m from the foot's joint down to the sole of the built-in body at rest."""
_R_YUP_ZUP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
_TOGETHER = 4096
"""Rows that are posed at a time: their rotations take three times the memory of the joints."""
_ONE_ROW = 1 / 30
"""s between rows, where there is but one."""
_LONGEST_BRIDGE = 2.5
"""Intervals between rows: further away from any of them the person is absent."""


@dataclass(frozen=True)
class MovingPerson:
    """One person over time; vertices = SMPL(theta, betas) + transl."""

    name: str
    times: Array
    """(T,) s, ascending."""
    betas: Array
    """(10,)"""
    theta: Array
    """(T, 24, 3) rad, axis-angle: each joint relative to its parent, the pelvis to the frame of the file."""
    rest_pelvis: Array
    """(3,) m: where the pelvis of this shape is at rest."""
    R_scene_file: Array
    """(3, 3), or (T, 3, 3) where the camera turns."""
    joints: Array
    """(T, 24, 3) m, in the scene."""
    confidence: Array
    """(T, 24) 0..1; 1 where a file says nothing, 0 throughout in rows of a gap."""
    contacts: NDArray[np.bool_]
    """(T, 9): which of CONTACT_PARTS touch the floor."""

    def row(self, time: float) -> int | None:
        """The row nearest to a time, s; None where the person is absent."""
        i = int(np.clip(np.searchsorted(self.times, time), 1, max(len(self.times) - 1, 1)))
        nearest = min((i - 1, min(i, len(self.times) - 1)), key=lambda row: abs(self.times[row] - time))
        present = abs(self.times[nearest] - time) <= self._bridge and bool(self.confidence[nearest].any())
        return nearest if present else None

    @cached_property
    def _bridge(self) -> float:
        """s"""
        return _LONGEST_BRIDGE * (float(np.median(np.diff(self.times))) if len(self.times) > 1 else _ONE_ROW)

    def moved(self, transform: Array) -> MovingPerson:
        """In another frame of the scene, by one transform (4, 4) or one a row (T, 4, 4)."""
        R = transform[..., :3, :3] @ self.R_scene_file
        return replace(self, R_scene_file=R, joints=moved_by(transform, self.joints))


@dataclass(frozen=True)
class ViewedRun:
    """One result: its people, its camera, its video. y up, the floor at y = 0."""

    name: str
    people: tuple[MovingPerson, ...]
    T_world_camera: Array | None
    """(4, 4), as the camera was held at first; None where the files know no camera."""
    camera: Camera | None
    video: Path | None
    """The clip that was tracked, where it still is; else the one with the meshes over it."""
    comparable: bool
    """Whether that is the clip itself, before a camera that stands still, with the built-in body in it."""

    @property
    def fov(self) -> float:
        """Of the camera, vertical, rad."""
        assert self.camera is not None
        return 2 * math.atan(self.camera.height / 2 / self.camera.fy)

    @property
    def span(self) -> tuple[float, float]:
        """First and last time of anybody, s."""
        return min(p.times[0] for p in self.people), max(p.times[-1] for p in self.people)

    @property
    def extent(self) -> tuple[float, float]:
        """Least and largest x of anybody's pelvis, m."""
        x = np.concatenate([person.joints[:, 0, 0] for person in self.people])
        return float(x.min()), float(x.max())


def read_run(path: Path, body: SkeletalMesh) -> ViewedRun:
    """A result's folder, or one file. Raises InputError where there is nothing to see."""
    paths = result_files(path)
    files = [read_motion_file(each) for each in paths]
    for each, file in zip(paths, files, strict=True):
        if file.body_model not in (None, body.name):
            raise InputError(
                f"{each}: made with the body {file.body_model}, not {body.name}; pass its file with --body"
            )
    people = [_person(each.stem, file, body) for each, file in zip(paths, files, strict=True)]
    worlds = [_world(file, people) for file in files]
    people = [person.moved(to_world) for person, (_, to_world) in zip(people, worlds, strict=True)]
    known = worlds[0][0]
    T_world_camera = known if known is None or known.ndim == 2 else known[0]
    video = _video(path) if path.is_dir() else None
    camera = files[0].camera
    comparable = (
        camera is not None and known is not None and known.ndim == 2 and body.name == FREE_BODY_NAME
        and video is not None and video.name != OVERLAY_NAME
    )  # fmt: skip
    return ViewedRun(path.resolve().name, tuple(people), T_world_camera, camera, video, comparable)


def _person(name: str, file: MotionFile, body: SkeletalMesh) -> MovingPerson:
    rest = body.at_rest(file.betas)[1]
    joints = _joints(file, rest, body.parents)
    return MovingPerson(
        name, file.times, file.betas, file.theta, rest[0], np.eye(3), joints, file.confidence, file.contacts
    )


def _joints(file: MotionFile, rest: Array, parents: Sequence[int]) -> Array:
    """(T, 24, 3) m in the frame of the file: as the file has them, else computed."""
    if file.joints3d is None:
        blocks = [file.theta[first : first + _TOGETHER] for first in range(0, len(file.theta), _TOGETHER)]
        return np.concatenate([_posed_joints(block, rest, parents) for block in blocks]) + file.trans[:, None]
    known = file.T_world_camera
    return moved_by(known, file.joints3d) if known is not None and file.in_world else file.joints3d


def _posed_joints(theta: Array, rest: Array, parents: Sequence[int]) -> Array:
    """(T, 24, 3) rad → (T, 24, 3) m, the root where it rests."""
    from scipy.spatial.transform import Rotation

    rotations = Rotation.from_rotvec(theta.reshape(-1, 3)).as_matrix().reshape(*theta.shape, 3)
    joints = np.tile(rest, (len(theta), 1, 1))
    for joint, parent in enumerate(parents[1:], start=1):
        joints[:, joint] = joints[:, parent] + rotations[:, parent] @ (rest[joint] - rest[parent])
        rotations[:, joint] = rotations[:, parent] @ rotations[:, joint]
    return joints


def _world(file: MotionFile, people: Sequence[MovingPerson]) -> tuple[Array | None, Array]:
    """T_world_camera, and what takes the person of this file to the world; (T, 4, 4) where the camera turns."""
    if file.T_world_camera is not None:
        return file.T_world_camera, np.eye(4) if file.in_world else file.T_world_camera
    if file.system.startswith("camera"):
        level = _on_the_floor(T_YUP_CAMERA[:3, :3], people)
        return level, level
    return None, _on_the_floor(_R_YUP_ZUP, people)


def _on_the_floor(R: Array, people: Sequence[MovingPerson]) -> Array:
    """(4, 4): turned by R, the lower foot at its typical height over the floor, the origin under the first place."""
    transform = np.eye(4)
    transform[:3, :3] = R
    feet = np.concatenate([(person.joints[:, _FEET] @ R.T)[..., 1].min(axis=1) for person in people])
    first = R @ people[0].joints[0, 0]
    transform[:3, 3] = -first[0], SOLE - float(np.median(feet)), -first[2]
    return transform


def _video(folder: Path) -> Path | None:
    """The clip that was tracked, where it still lies where it lay; else the one with the meshes over it."""
    try:
        run = json.loads(read_text(folder / RUN_NAME))
        clip = Path(run["source"]["location"])
        if clip.is_file():
            return clip
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass  # an unfinished run has no run.json, a camera no place, and a stranger's may say anything
    overlay = folder / OVERLAY_NAME
    return overlay if overlay.is_file() else None
