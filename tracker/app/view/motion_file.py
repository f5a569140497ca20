"""The files that a viewer shows, read without trust: whatever is wrong with one is an InputError that names it.

Nothing here takes torch, which `export/npz.py` does: a page would wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array, require_shape
from tracker.core.camera import Camera
from tracker.core.errors import InputError
from tracker.core.input_file import read_bytes, reading
from tracker.core.npz_file import read_npz
from tracker.core.transforms import is_rigid
from tracker.export.person_file import FASTEST, LARGEST, SLOWEST, person_files
from tracker.world.contact_parts import CONTACT_PARTS

_DEFAULT_RATE = 30.0
_BEFORE_FINGERS = 66
_LEAST_BYTES = 4
"""Of a number: smaller ones would take up to eight times the memory that the file was counted for."""
_USED = (
    "poses", "trans", "betas", "joints3d", "joint_confidence", "contacts", "timestamps", "mocap_framerate",
    "mocap_frame_rate", "T_world_camera", "coordinate_system", "camera_matrix", "image_size", "body_model",
)  # fmt: skip
"""What is read of a file."""


@dataclass(frozen=True)
class MotionFile:
    """What one file says of one person; everything is finite and has T rows."""

    times: Array
    """(T,) s, ascending."""
    theta: Array
    """(T, 24, 3) rad"""
    trans: Array
    """(T, 3) m"""
    betas: Array
    """(10,)"""
    joints3d: Array | None
    """(T, 24, 3) m, in the camera's frame where there is one."""
    confidence: Array
    """(T, 24) 0..1; 1 where the file says nothing."""
    contacts: NDArray[np.bool_]
    """(T, 9): which of CONTACT_PARTS touch the floor."""
    T_world_camera: Array | None
    """(4, 4), or (T, 4, 4) where the camera turns."""
    camera: Camera | None
    system: str
    """What poses and trans are in."""
    body_model: str | None

    @property
    def in_world(self) -> bool:
        """Whether poses and trans are in the world's frame."""
        return self.T_world_camera is not None and self.system.startswith("world")


def result_files(path: Path) -> list[Path]:
    """The files of a result's folder, or one file. Raises InputError where there are none."""
    if not path.exists():
        raise InputError(f"{path}: there is no such result")
    files = person_files(path) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: holds no person_NNN.npz; expected a folder that `track` has left, or such a file")
    return files


def read_motion_file(path: Path) -> MotionFile:
    """person_NNN.npz, the truth beside a made-up clip, or a file of AMASS. Raises InputError naming what is wrong."""
    with reading(path, "expected an .npz with poses, betas and trans"):
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise ValueError("is no regular file")
        return _motion(read_npz(read_bytes(path), _USED))


def _motion(content: Mapping[str, Any]) -> MotionFile:
    for name, value in content.items():
        if not isinstance(value, np.ndarray):
            raise ValueError(f"{name} is a pickle and no array")
    theta = _theta(_numbers(content, "poses"))
    count = len(theta)
    if count == 0:
        raise ValueError("holds no frames")
    times = _times(content, count)
    order = slice(None) if (np.diff(times) >= 0).all() else np.argsort(times, kind="stable")
    joints3d = _numbers(content, "joints3d", (count, NUM_JOINTS, 3)) if "joints3d" in content else None
    transform = _transform(content, count)
    return MotionFile(
        times[order],
        theta[order],
        _numbers(content, "trans", (count, 3))[order],
        _betas(_numbers(content, "betas").ravel()),
        None if joints3d is None else joints3d[order],
        _confidence(content, count)[order],
        _contacts(content, count)[order],
        transform if transform is None or transform.ndim == 2 else transform[order],
        _camera(content),
        str(content.get("coordinate_system", "z up")),
        str(content["body_model"]) if "body_model" in content else None,
    )


def _numbers(content: Mapping[str, Any], name: str, shape: tuple[int, ...] | None = None) -> Array:
    """float64. Raises ValueError, naming the array, where it has another shape or a number that no run has."""
    value = content[name]
    if value.dtype.kind not in "fiu" or value.dtype.itemsize < _LEAST_BYTES:
        raise ValueError(f"{name} has {value.dtype!s:.40} in it; expected numbers of 32 or 64 bits")
    if shape is not None:
        require_shape(name, value, shape)
    if not np.isfinite(value).all():
        raise ValueError(f"{name} has numbers that are not finite")
    if value.size and max(float(value.max()), -float(value.min())) > LARGEST[name]:
        raise ValueError(f"{name} has numbers beyond {LARGEST[name]:g}")
    return np.asarray(value, float)


def _theta(poses: Array) -> Array:
    """(T, 24, 3) rad of SMPL's poses, or of those of its kin with fingers."""
    if poses.ndim != 2 or poses.shape[1] == 0 or poses.shape[1] % 3:
        raise ValueError(f"poses: expected shape (-1, {3 * NUM_JOINTS}), got {poses.shape}")
    if poses.shape[1] > 3 * NUM_JOINTS:  # SMPL-H: after 22 joints come fingers
        poses = poses[:, :_BEFORE_FINGERS]
    theta = np.zeros((len(poses), 3 * NUM_JOINTS))
    theta[:, : poses.shape[1]] = poses
    return theta.reshape(-1, NUM_JOINTS, 3)


def _betas(given: Array) -> Array:
    betas = np.zeros(NUM_BETAS)
    betas[: len(given)] = given[:NUM_BETAS]
    return betas


def _times(content: Mapping[str, Any], count: int) -> Array:
    rate = content.get("mocap_framerate", content.get("mocap_frame_rate", np.array(_DEFAULT_RATE)))
    if rate.size != 1 or rate.dtype.kind not in "fiu" or not SLOWEST <= float(rate.item()) <= FASTEST:
        raise ValueError(f"mocap_framerate is {rate!s:.40}; expected {SLOWEST} to {FASTEST}")
    return _numbers(content, "timestamps", (count,)) if "timestamps" in content else np.arange(count) / rate.item()


def _confidence(content: Mapping[str, Any], count: int) -> Array:
    shape = (count, NUM_JOINTS)
    return _numbers(content, "joint_confidence", shape) if "joint_confidence" in content else np.ones(shape)


def _contacts(content: Mapping[str, Any], count: int) -> NDArray[np.bool_]:
    """Files of feet alone have the first few of CONTACT_PARTS."""
    contacts = np.zeros((count, len(CONTACT_PARTS)), bool)
    if "contacts" in content:
        given = content["contacts"]
        if (
            given.ndim != 2
            or len(given) != count
            or given.shape[1] > contacts.shape[1]
            or given.dtype.kind not in "bfiu"
        ):
            raise ValueError(f"contacts: expected shape {contacts.shape}, got {given.shape} of {given.dtype!s:.40}")
        contacts[:, : given.shape[1]] = given.astype(bool)
    return contacts


def _transform(content: Mapping[str, Any], count: int) -> Array | None:
    if "T_world_camera" not in content:
        return None
    transform = content["T_world_camera"]
    if transform.shape not in ((4, 4), (count, 4, 4)):
        raise ValueError(f"T_world_camera: expected shape (4, 4) or {(count, 4, 4)}, got {transform.shape}")
    if transform.dtype.kind not in "fiu" or not is_rigid(transform.astype(float)):
        raise ValueError("T_world_camera is no rigid motion")
    return np.asarray(transform, float)


def _camera(content: Mapping[str, Any]) -> Camera | None:
    if "camera_matrix" not in content or "image_size" not in content:
        return None
    matrix, (width, height) = _numbers(content, "camera_matrix", (3, 3)), _numbers(content, "image_size", (2,))
    return Camera(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2], int(width), int(height))
