"""The camera's pose in the world, from a calibration file: where it stands over the floor, and how it is held."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tracker.core.arrays import Array, require_shape
from tracker.core.geometry import matrix_from_axis_angle
from tracker.core.input_file import read_bytes, reading
from tracker.core.npz_file import read_npz
from tracker.core.strict_yaml import read_yaml
from tracker.core.transforms import is_rigid
from tracker.world.world_frame import WorldFrame

_EXPECTED = (
    "expected R (3×3, or a rotation vector) and t (3, m) with x_camera = R x_world + t, or T_camera_world or "
    "T_world_camera (4×4), and up: y, z, -y or -z where that is not y"
)
_R_YUP_WORLD = {
    "y": np.eye(3),
    "z": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]),
    "-y": np.diag([1.0, -1.0, -1.0]),
    "-z": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]),
}
"""From the file's world to one with y up, by the file's axis against gravity."""
_KEYS = ("R", "t", "T", "T_camera_world", "T_world_camera", "up")
_HIGHEST = 100.0
"""m over the floor."""


def has_camera_pose(path: Path) -> bool:
    """Whether a file of intrinsics holds the camera's pose too. Raises InputError where it cannot be read."""
    return bool(_values(path).keys() & {"R", "T_camera_world", "T_world_camera"})


@lru_cache(maxsize=8)
def read_camera_pose(path: Path) -> WorldFrame:
    """The world of a calibration file, with its axes turned so that y is up. Raises InputError naming what is wrong."""
    values = _values(path)
    with reading(f"--intrinsics {path}", _EXPECTED):
        up = str(values.get("up", "y"))
        if up not in _R_YUP_WORLD:
            raise ValueError(f"has up: {up}")
        transform = _world_camera(values)
        transform[:3] = _R_YUP_WORLD[up] @ transform[:3]
        world = WorldFrame(transform)
        if not 0 < world.camera_height < _HIGHEST:
            raise ValueError(f"has the camera {world.camera_height:.2f} m over the floor, in metres and with {up} up")
        return world


def _values(path: Path) -> dict[str, Any]:
    """What of the pose is in a file; nothing where its kind has no names."""
    with reading(f"--intrinsics {path}", _EXPECTED):
        if path.suffix == ".npy":
            return {}
        values = read_npz(read_bytes(path), _KEYS) if path.suffix == ".npz" else read_yaml(read_bytes(path))
        return values if isinstance(values, dict) else {}


def _world_camera(values: dict[str, Any]) -> Array:
    """(4, 4): from the camera's frame to the file's world."""
    if "T_world_camera" in values:
        return _rigid(np.asarray(values["T_world_camera"], float), "T_world_camera")
    if "T_camera_world" in values:
        T_camera_world = _rigid(np.asarray(values["T_camera_world"], float), "T_camera_world")
    else:
        rotation = np.asarray(values["R"], float)
        T_camera_world = np.eye(4)
        T_camera_world[:3, :3] = matrix_from_axis_angle(rotation.ravel()) if rotation.size == 3 else rotation
        T_camera_world[:3, 3] = np.asarray(values["t"] if "t" in values else values["T"], float).reshape(3)
        T_camera_world = _rigid(T_camera_world, "R")
    T_world_camera = np.eye(4)
    T_world_camera[:3, :3] = T_camera_world[:3, :3].T
    T_world_camera[:3, 3] = -T_camera_world[:3, :3].T @ T_camera_world[:3, 3]
    return T_world_camera


def _rigid(transform: Array, name: str) -> Array:
    """(4, 4) with a rotation that is one exactly."""
    require_shape(name, transform, (4, 4))
    if not is_rigid(transform):
        raise ValueError(f"has a {name} that is no rotation")
    u, _, v = np.linalg.svd(transform[:3, :3])
    done = np.eye(4)
    done[:3, :3], done[:3, 3] = u @ v, transform[:3, 3]
    return done
