"""person_NNN.npz: one identity with AMASS's keys plus ours, readable without pickle.

`poses` and `trans` are in the frame that `coordinate_system` names, `joints3d` and `joints2d` always in the camera's.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from scipy.spatial.transform import Rotation

from tracker.body.model import BodyModel
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.input_file import read_bytes, reading
from tracker.core.npz_file import read_npz
from tracker.core.transforms import is_rigid, moved_by
from tracker.export.npz_stream import NpzStream
from tracker.export.person_file import FASTEST, LARGEST, SLOWEST, person_id
from tracker.export.sequence import PersonSequence, Timeline
from tracker.world.camera_path import CameraPath
from tracker.world.contact_parts import CONTACT_PARTS
from tracker.world.world_frame import WorldFrame

_PLACED = ("poses", "trans")
"""In the frame of the file, float32."""
_ROWS = {
    "timestamps": np.float64,
    "frame_index": np.int64,
    "joints3d": np.float32,
    "joints2d": np.float32,
    "joint_confidence": np.float32,
    "bbox": np.float32,
    "nll": np.float32,
    "contacts": np.bool_,
}


_CHECKED = (
    "poses", "betas", "trans", "timestamps", "frame_index", "joints3d", "joints2d", "joint_confidence", "bbox",
)  # fmt: skip
"""`nll` alone may be no number, where nobody was looked at."""
_LARGEST_ZOOM = 1e3


def write(stream: BinaryIO, person: PersonSequence, _body: BodyModel) -> None:
    """The keys are the file's contract: `poses betas trans mocap_framerate gender` as AMASS, then ours."""
    with NpzStream(stream) as file:
        file.array("betas", np.asarray(person.betas, np.float32))
        for name, dtype in (_ROWS | dict.fromkeys(_PLACED, np.float32)).items():
            blocks = (_written(block, name) for block in person.blocks())
            file.rows(name, getattr(person, name).shape, dtype, blocks)
        if person.path is not None:
            file.array("zoom", person.path.zoom_at(person.timestamps))
        for name, value in _described(person).items():
            file.array(name, value)


def _written(person: PersonSequence, name: str) -> Array:
    """An array in the file's frame."""
    if name not in _PLACED:
        return getattr(person, name)
    return person.in_frame(person.T_file_camera)[_PLACED.index(name)]


def _described(person: PersonSequence) -> dict[str, Any]:
    """What there is besides the rows."""
    camera = person.camera
    known = person.T_world_camera
    placed = {} if known is None else {"T_world_camera": known}
    return placed | {
        "mocap_framerate": np.float64(person.timeline.frame_rate),
        "gender": "neutral",
        "camera_matrix": camera.matrix,
        "image_size": np.array([camera.width, camera.height], np.int64),
        "body_model": person.body_model,
        "coordinate_system": person.coordinate_system,
        "contact_names": CONTACT_PARTS,
    }


def load_person(path: str | Path) -> PersonSequence:
    """The rows of a person_NNN.npz in which the person was tracked, in the camera's frame whatever the file's is; its
    clock starts at its own first frame. Raises InputError naming what is wrong."""
    path = Path(path)
    with reading(path, "expected a person_NNN.npz that the tracker wrote"):
        if path.exists() and not path.is_file():
            raise ValueError("is no regular file")  # one that waits for a writer would be waited for
        return _person(person_id(path), read_npz(read_bytes(path)))


def _person(person_id: int, content: dict[str, np.ndarray]) -> PersonSequence:
    pickled = [name for name, value in content.items() if not isinstance(value, np.ndarray)]
    if pickled:
        raise ValueError(f"{pickled[0]} is a pickle and no array")
    matrix = content["camera_matrix"]
    width, height = (int(v) for v in content["image_size"])
    fx, fy, cx, cy = (float(matrix[i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    camera = Camera(fx, fy, cx, cy, width, height)
    tracked = content["joint_confidence"].any(axis=1)
    content.setdefault("contacts", np.zeros((len(tracked), len(CONTACT_PARTS)), bool))  # older files have none
    _check_numbers(content)
    arrays = {name: content[name].astype(dtype) for name, dtype in _ROWS.items()}
    arrays |= {name: content[name].astype(np.float32) for name in ("betas", *_PLACED)}
    in_world = str(content["coordinate_system"]).startswith("world")
    rate = float(content["mocap_framerate"])
    if not SLOWEST <= rate <= FASTEST:
        raise ValueError(f"mocap_framerate is {rate:g}; expected {SLOWEST} to {FASTEST}")
    start = float(arrays["timestamps"][0]) if arrays["timestamps"].size else 0.0
    world, path = _surroundings(content, arrays["timestamps"])
    person = PersonSequence(
        person_id=person_id,
        camera=camera,
        timeline=Timeline(start, rate),
        body_model=str(content["body_model"]),
        tracked=tracked,
        frame="world" if in_world else "camera",
        world=world,
        path=path,
        **arrays,
    )
    return (_from_world(person) if in_world else person).rows(tracked)


def _check_numbers(content: dict[str, np.ndarray]) -> None:
    """Raises ValueError where one is not finite, or so large that what is computed with it would not be."""
    for name in _CHECKED:
        most = LARGEST[name]
        if content[name].dtype.kind not in "fiu" or not np.isfinite(content[name]).all():
            raise ValueError(f"{name} has numbers that are not finite")
        if content[name].size and np.abs(content[name]).max() > most:
            raise ValueError(f"{name} has the number {np.abs(content[name]).max():g}; expected at most {most:g}")
    if (content["joint_confidence"] < 0).any():
        raise ValueError("joint_confidence has numbers below 0")


def _surroundings(content: dict[str, np.ndarray], times: Array) -> tuple[WorldFrame | None, CameraPath | None]:
    """`world` and `path` of a sequence, as far as its file knows them. times: (T,) s of its rows."""
    if "T_world_camera" not in content:
        return None, None
    known = content["T_world_camera"].astype(float)
    if known.ndim == 2:
        return WorldFrame(known), None
    if known.shape != (len(times), 4, 4) or content["zoom"].shape != times.shape:
        raise ValueError(f"T_world_camera {known.shape} and zoom {content['zoom'].shape} do not fit {len(times)} rows")
    zoom = content["zoom"].astype(float)
    if not is_rigid(known):
        raise ValueError("T_world_camera has a row that is no rigid motion")
    if not ((zoom > 1 / _LARGEST_ZOOM) & (zoom < _LARGEST_ZOOM)).all():
        raise ValueError(f"zoom has numbers outside {1 / _LARGEST_ZOOM:g} to {_LARGEST_ZOOM:g}")
    turns = known[0, :3, :3].T @ known[:, :3, :3]
    return WorldFrame(known[0]), CameraPath(times, turns, zoom)


def _from_world(person: PersonSequence) -> PersonSequence:
    """poses and trans as a file in the world's frame has them → in the camera's; the joints are there already."""
    known = person.T_file_camera
    rotation, poses = known[..., :3, :3], person.poses.astype(float)
    poses[:, :3] = (Rotation.from_matrix(rotation.swapaxes(-1, -2)) * Rotation.from_rotvec(poses[:, :3])).as_rotvec()
    pelvis = person.joints3d[:, 0].astype(float)
    rest = (moved_by(known, pelvis) - person.trans).mean(axis=0)
    return replace(person, poses=poses.astype(np.float32), trans=(pelvis - rest).astype(np.float32))
