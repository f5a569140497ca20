"""person_NNN.npz: one identity with AMASS's keys plus ours, readable without pickle."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tracker.body.model import BodyModel
from tracker.core.camera import Camera
from tracker.core.input_file import read_bytes, reading
from tracker.core.npz_file import read_npz
from tracker.export.sequence import PersonSequence, Timeline

COORDINATE_SYSTEM = "camera: x right, y down, z forward (OpenCV); metres"

_ARRAYS = {
    "poses": np.float32,
    "betas": np.float32,
    "trans": np.float32,
    "timestamps": np.float64,
    "frame_index": np.int64,
    "joints3d": np.float32,
    "joints2d": np.float32,
    "joint_confidence": np.float32,
    "bbox": np.float32,
    "nll": np.float32,
}


_FINITE = ("poses", "betas", "trans", "timestamps", "joints3d")
_SLOWEST, _FASTEST = 1e-3, 1e5
"""Hz: a picture in a quarter of an hour, and the fastest camera."""


def write(stream: BinaryIO, person: PersonSequence, _body: BodyModel) -> None:
    """The keys are the file's contract: `poses betas trans mocap_framerate gender` as AMASS, then ours."""
    arrays = {name: np.asarray(getattr(person, name), dtype) for name, dtype in _ARRAYS.items()}
    camera = person.camera
    whole = io.BytesIO()  # numpy leaves a zip file behind that complains, out of reach, when the disk is full
    np.savez(
        whole,
        **arrays,
        mocap_framerate=np.float64(person.timeline.frame_rate),
        gender=np.array("neutral"),
        camera_matrix=camera.matrix,
        image_size=np.array([camera.width, camera.height], np.int64),
        body_model=np.array(person.body_model),
        coordinate_system=np.array(COORDINATE_SYSTEM),
    )
    stream.write(whole.getbuffer())


def load_person(path: str | Path) -> PersonSequence:
    """Reads person_NNN.npz back; its clock starts at its own first frame. Raises InputError naming what is wrong."""
    path = Path(path)
    with reading(path, "expected a person_NNN.npz that the tracker wrote"):
        return _person(_person_id(path), read_npz(read_bytes(path)))


def _person_id(path: Path) -> int:
    digits = path.stem.removeprefix("person_")
    return int(digits) if digits.isdecimal() else 0


def _person(person_id: int, content: dict[str, np.ndarray]) -> PersonSequence:
    pickled = [name for name in _ARRAYS if not isinstance(content[name], np.ndarray)]
    if pickled:
        raise ValueError(f"{pickled[0]} is a pickle and no array")
    matrix = content["camera_matrix"]
    width, height = (int(v) for v in content["image_size"])
    fx, fy, cx, cy = (float(matrix[i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    camera = Camera(fx, fy, cx, cy, width, height)
    arrays = {name: content[name].astype(dtype) for name, dtype in _ARRAYS.items()}
    rate = float(content["mocap_framerate"])
    if not _SLOWEST <= rate <= _FASTEST:
        raise ValueError(f"mocap_framerate is {rate:g}; expected {_SLOWEST} to {_FASTEST}")
    for name in _FINITE:
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} has numbers that are not finite")
    start = float(arrays["timestamps"][0]) if arrays["timestamps"].size else 0.0
    return PersonSequence(
        person_id=person_id,
        camera=camera,
        timeline=Timeline(start, rate),
        body_model=str(content["body_model"]),
        **arrays,
    )
