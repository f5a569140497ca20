"""frames.jsonl: a line a frame, written as the run goes, so that a killed run leaves every finished line.

Everything is in the camera's frame. The values are the tracker's own of that moment, before β has settled for the whole
track (see `sequence.py`), rounded to what a camera can tell: hundredths of a pixel, hundredths of a millimetre,
microradians.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tracker.core.arrays import Array
from tracker.core.errors import InputError
from tracker.core.person import Person
from tracker.export.files import append_whole, write_error
from tracker.world.world_frame import WorldFrame

_LONGEST_LINE = 1 << 26
"""Bytes; a person takes three thousand."""
_METRES, _RADIANS, _PIXELS, _SHAPE, _CONFIDENCE, _SECONDS = 5, 6, 2, 5, 3, 6


def encode_frame(index: int, time: float, people: Sequence[Person], world: WorldFrame | None = None) -> bytes:
    """One line of strict JSON with its newline; a value that is not finite becomes null.

    world: as it is believed at that moment.
    """
    line = {
        "frame": int(index),
        "time": round(float(time), _SECONDS),
        "T_world_camera": None if world is None else _numbers(world.T_world_camera, _RADIANS),
        "people": [_encode_person(p) for p in people],
    }
    return json.dumps(line, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _encode_person(person: Person) -> dict[str, Any]:
    return {
        "id": int(person.person_id),
        "bbox": _numbers(person.bbox, _PIXELS),
        "poses": _numbers(person.pose.theta.reshape(-1), _RADIANS),
        "betas": _numbers(person.pose.betas, _SHAPE),
        "trans": _numbers(person.pose.transl, _METRES),
        "joints2d": _numbers(person.joints2d, _PIXELS),
        "joints3d": _numbers(person.joints3d, _METRES),
        "joint_confidence": _numbers(person.joint_confidence, _CONFIDENCE),
    }


def _numbers(values: Array, decimals: int) -> list[Any]:
    rounded = np.round(np.asarray(values, np.float64), decimals)
    if np.isfinite(rounded).all():
        return rounded.tolist()
    holes = rounded.astype(object)
    holes[~np.isfinite(rounded)] = None
    return holes.tolist()


class FrameStream:
    """Appends whole lines to a file under its final name; each line has left the process when `append` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("xb", buffering=0)
        except OSError as error:
            raise write_error(path, error) from error

    def append(self, line: bytes) -> None:
        """Raises RunError when the line cannot be written whole; the file then ends with the line before it."""
        append_whole(self._file, line, self._path)

    def close(self) -> None:
        self._file.close()


def load_frames(path: str | Path) -> Iterator[dict[str, Any]]:
    """The finished lines of a frames.jsonl; a last line that a killed run left unfinished is passed over.

    Raises InputError, naming file and line, where a finished line is not JSON.
    """
    try:
        with Path(path).open("rb") as file:
            number = 0
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if line.endswith(b"\n"):
                    yield _decode_line(path, number, line)
                elif len(line) == _LONGEST_LINE:
                    raise InputError(f"{path}, line {number}: longer than the {_LONGEST_LINE >> 20} MiB that are read")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a frames.jsonl") from error


def _decode_line(path: str | Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        frame = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}, line {number}: expected one JSON object, got {line[:40]!r}") from error
    if not isinstance(frame, dict):
        raise InputError(f"{path}, line {number}: expected one JSON object, got {line[:40]!r}")
    return frame
