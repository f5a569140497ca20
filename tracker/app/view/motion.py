"""People in motion as a viewer wants them: in a world with a floor, the pose and every joint's place at any time.

Nothing here takes torch: a page would wait for it. Read from person_NNN.npz, from the truth beside a made-up clip, and
from AMASS' files, which all have SMPL's parameters.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.body.free_body_file import FREE_BODY_NAME
from tracker.body.skeletal_mesh import SkeletalMesh
from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array
from tracker.core.camera import Camera
from tracker.core.errors import InputError
from tracker.core.transforms import moved_by
from tracker.export.files import OVERLAY_NAME, RUN_NAME
from tracker.world.contact_parts import CONTACT_PARTS
from tracker.world.world_frame import T_YUP_CAMERA

_FEET = [smpl_index("left_foot"), smpl_index("right_foot")]
SOLE = 0.027
"""m from the foot's joint down to the sole of the built-in body at rest."""
_R_YUP_ZUP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
_DEFAULT_RATE = 30.0
_BEFORE_FINGERS = 66
_USED = (
    "poses", "trans", "betas", "joints3d", "joint_confidence", "contacts", "timestamps", "mocap_framerate",
    "mocap_frame_rate", "T_world_camera", "coordinate_system", "camera_matrix", "image_size", "body_model",
)  # fmt: skip
"""What is read of a file."""
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
        return _LONGEST_BRIDGE * (float(np.median(np.diff(self.times))) if len(self.times) > 1 else 1 / _DEFAULT_RATE)

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
    files = sorted(path.glob("person_*.npz")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: holds no person_NNN.npz; expected a folder that `track` has left, or such a file")
    contents = [_read(file, body) for file in files]
    people = [_person(file.stem, content, body) for file, content in zip(files, contents, strict=True)]
    worlds = [_world(content, people) for content in contents]
    people = [person.moved(to_world) for person, (_, to_world) in zip(people, worlds, strict=True)]
    known = worlds[0][0]
    T_world_camera = known if known is None or known.ndim == 2 else known[0]
    video = _video(path) if path.is_dir() else None
    camera = _camera(contents[0])
    comparable = (
        camera is not None and known is not None and known.ndim == 2 and body.name == FREE_BODY_NAME
        and video is not None and video.name != OVERLAY_NAME
    )  # fmt: skip
    return ViewedRun(path.resolve().name, tuple(people), T_world_camera, camera, video, comparable)


def _read(path: Path, body: SkeletalMesh) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in _USED if name in file}
        content["poses"], content["trans"], content["betas"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: expected an .npz with poses, betas and trans: {error}") from error
    made_with = str(content.get("body_model", body.name))
    if made_with != body.name:
        raise InputError(f"{path}: made with the body {made_with}, not {body.name}; pass its file with --body")
    if len(content["poses"]) == 0:
        raise InputError(f"{path}: holds no frames")
    return content


def _person(name: str, content: Mapping[str, Any], body: SkeletalMesh) -> MovingPerson:
    theta, betas = _theta(content["poses"]), np.zeros(NUM_BETAS)
    given = content["betas"].ravel()[:NUM_BETAS]
    betas[: len(given)] = given
    rest = body.at_rest(betas)[1]
    joints = _joints(content, theta, rest, body.parents)
    rate = float(content.get("mocap_framerate", content.get("mocap_frame_rate", _DEFAULT_RATE)))
    times = np.asarray(content.get("timestamps", np.arange(len(theta)) / rate), float)
    confidence = np.asarray(content.get("joint_confidence", np.ones(joints.shape[:2])), float)
    contacts = np.asarray(content.get("contacts", np.zeros((len(theta), len(CONTACT_PARTS)))), bool)
    order = np.argsort(times, kind="stable")
    return MovingPerson(
        name, times[order], betas, theta[order], rest[0], np.eye(3), joints[order], confidence[order], contacts[order]
    )


def _theta(poses: Array) -> Array:
    """(T, 24, 3) rad of SMPL's poses, or of those of its kin with fingers."""
    theta = np.zeros((len(poses), 3 * NUM_JOINTS))
    if poses.shape[1] > 3 * NUM_JOINTS:  # SMPL-H: after 22 joints come fingers
        poses = poses[:, :_BEFORE_FINGERS]
    theta[:, : poses.shape[1]] = poses
    return theta.reshape(-1, NUM_JOINTS, 3)


def _joints(content: Mapping[str, Any], theta: Array, rest: Array, parents: Sequence[int]) -> Array:
    """(T, 24, 3) m in the frame of the file: as the file has them, else computed."""
    if "joints3d" in content:
        joints = np.asarray(content["joints3d"], float)
        return moved_by(content["T_world_camera"], joints) if _in_world(content) else joints
    return _posed_joints(theta, rest, parents) + content["trans"][:, None]


def _posed_joints(theta: Array, rest: Array, parents: Sequence[int]) -> Array:
    """(T, 24, 3) rad → (T, 24, 3) m, the root where it rests."""
    from scipy.spatial.transform import Rotation

    rotations = Rotation.from_rotvec(theta.reshape(-1, 3)).as_matrix().reshape(*theta.shape, 3)
    joints = np.tile(rest, (len(theta), 1, 1))
    for joint, parent in enumerate(parents[1:], start=1):
        joints[:, joint] = joints[:, parent] + rotations[:, parent] @ (rest[joint] - rest[parent])
        rotations[:, joint] = rotations[:, parent] @ rotations[:, joint]
    return joints


def _in_world(content: Mapping[str, Any]) -> bool:
    return "T_world_camera" in content and str(content.get("coordinate_system")).startswith("world")


def _world(content: Mapping[str, Any], people: Sequence[MovingPerson]) -> tuple[Array | None, Array]:
    """T_world_camera, and what takes the person of this file to the world; (T, 4, 4) where the camera turns."""
    system = str(content.get("coordinate_system", "z up"))
    if "T_world_camera" in content:
        known = np.asarray(content["T_world_camera"], float)
        return known, np.eye(4) if _in_world(content) else known
    if system.startswith("camera"):
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


def _camera(content: Mapping[str, Any]) -> Camera | None:
    if "camera_matrix" not in content or "image_size" not in content:
        return None
    width, height = (int(v) for v in content["image_size"])
    fx, fy, cx, cy = (float(content["camera_matrix"][i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return Camera(fx, fy, cx, cy, width, height)


def _video(folder: Path) -> Path | None:
    """The clip that was tracked, where it still lies where it lay; else the one with the meshes over it."""
    candidates = [folder / OVERLAY_NAME]
    try:
        run = json.loads((folder / RUN_NAME).read_text(encoding="utf-8"))
        candidates.insert(0, Path(run["source"]["location"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # an unfinished run has no run.json, and a camera no place
    return next((path for path in candidates if path.is_file()), None)
