"""Which landmark networks there are, and where their files lie.

MediaPipe has three of the same make, lite, full and heavy. Full comes with its wheel. The others are got by
`body-tracker models get`, or are a file of the user's; nothing of them is part of the project.
"""

from __future__ import annotations

import hashlib
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from tracker.core.errors import InputError
from tracker.core.input_file import read_bytes, reading
from tracker.runtime.cache import cache_folder

FULL = "full"
LIKELY_BEST = ("heavy", FULL, "lite")
"""The built-in names, the most accurate first."""
_IN_A_BUNDLE = "pose_landmarks_detector.tflite"
_LARGEST_BUNDLE = 1 << 28
"""Bytes; the heavy one has 30 MB."""
_SUFFIXES = (".tflite", ".task")


def models_folder() -> Path:
    """Of the networks that were got. Raises RuntimeError for a user without a home."""
    return cache_folder() / "models"


@dataclass(frozen=True)
class LandmarkFile:
    """A landmark network as its makers publish it."""

    name: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"pose_landmark_{self.name}.tflite"

    @property
    def kept_at(self) -> Path:
        """Where `models get` puts it. Raises RuntimeError for a user without a home."""
        return models_folder() / self.file_name

    def is_its(self, content: bytes) -> bool:
        """Whether these bytes are the published ones."""
        return hashlib.sha256(content).hexdigest() == self.sha256


LANDMARK_FILES = {
    each.name: each
    for each in (
        LandmarkFile("heavy", "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe"),
        LandmarkFile(FULL, "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f"),
        LandmarkFile("lite", "f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61"),
    )
}


def landmark_network_file(name: str = FULL) -> Path:
    """The file of a network: a name of LANDMARK_FILES, or the path of a .tflite or .task file.

    Raises InputError that says how to get it where it is not here.
    """
    known = LANDMARK_FILES.get(name)
    if known is None:
        return _users_file(name)
    with suppress(RuntimeError):
        if known.kept_at.is_file():
            return known.kept_at
    in_wheel = wheel_network(f"pose_landmark/{known.file_name}")
    if in_wheel.is_file():
        return in_wheel
    raise InputError(
        f"the landmark network '{name}' ({known.file_name}) is not on this machine; get it with: "
        f"body-tracker models get {name}" + ("" if name != FULL else ", or: pip install 'mediapipe==0.10.21' 'numpy<2'")
    )


def _users_file(name: str) -> Path:
    path = Path(name)
    if path.suffix not in _SUFFIXES:
        raise InputError(
            f"landmarks: expected auto, {', '.join(LIKELY_BEST)}, or a {' or '.join(_SUFFIXES)} file, got '{name}'"
        )
    if not path.is_file():
        raise InputError(f"landmarks: {path}: {'a folder' if path.is_dir() else 'no such file'}")
    return path


def wheel_network(name: str) -> Path:
    """Where the installed mediapipe has a network, if it has it: name, as `pose_landmark/pose_landmark_full.tflite`.

    MediaPipe itself is not used. Raises InputError that says what to install without it.
    """
    spec = find_spec("mediapipe")
    if spec is None or spec.origin is None:
        raise InputError(
            "finding people needs mediapipe's networks; install it with: pip install 'mediapipe==0.10.21' 'numpy<2'"
        )
    return Path(spec.origin).parent / "modules" / name


def installed_landmarks() -> list[str]:
    """The names of LANDMARK_FILES that can be used here, the most accurate first."""
    names = []
    for name in LIKELY_BEST:
        try:
            landmark_network_file(name)
        except InputError:
            continue
        names.append(name)
    return names


def landmark_content(path: Path) -> bytes:
    """The .tflite landmark network in a file, which may be a .task bundle. Raises InputError when it cannot be read."""
    return tflite_content(path, _IN_A_BUNDLE, "a landmark network")


def tflite_content(path: Path, bundled: str, what: str) -> bytes:
    """The .tflite network in a file: the file itself, or, of a .task bundle, what has the name `bundled` in it.

    Raises InputError, which says that `what` was expected, when it cannot be read.
    """
    with reading(path, f"expected {what} (.tflite) or MediaPipe's pose landmarker bundle (.task)"):
        content = read_bytes(path, _LARGEST_BUNDLE)
        if path.suffix != ".task":
            return content
        with zipfile.ZipFile(BytesIO(content)) as archive:
            if archive.getinfo(bundled).file_size > _LARGEST_BUNDLE:
                raise ValueError(f"holds more than the {_LARGEST_BUNDLE >> 20} MiB that are read")
            return archive.read(bundled)
