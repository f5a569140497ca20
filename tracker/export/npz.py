"""person_NNN.npz: one identity with AMASS's keys plus ours, readable without pickle."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tracker.body.model import BodyModel
from tracker.core.camera import Camera
from tracker.core.errors import InputError
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
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return _person(_person_id(path), {name: file[name] for name in file.files})
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; expected a person_NNN.npz that the tracker wrote") from error
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: expected a person_NNN.npz that the tracker wrote: {error}") from error


def _person_id(path: Path) -> int:
    digits = path.stem.removeprefix("person_")
    return int(digits) if digits.isdecimal() else 0


def _person(person_id: int, content: dict[str, np.ndarray]) -> PersonSequence:
    matrix = content["camera_matrix"]
    width, height = (int(v) for v in content["image_size"])
    fx, fy, cx, cy = (float(matrix[i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    camera = Camera(fx, fy, cx, cy, width, height)
    arrays = {name: content[name].astype(dtype) for name, dtype in _ARRAYS.items()}
    start = float(arrays["timestamps"][0]) if arrays["timestamps"].size else 0.0
    return PersonSequence(
        person_id=person_id,
        camera=camera,
        timeline=Timeline(start, float(content["mocap_framerate"])),
        body_model=str(content["body_model"]),
        **arrays,
    )
