"""The pose landmarker's model bundle: made from the networks that are here, or the user's own.

MediaPipe's Tasks API wants a `.task` file, which its makers offer only for download. The wheel has the same two
networks without the metadata that says how their input is normalised; adding it and zipping them gives the bundle, so
that nothing has to be fetched, and any landmark network can stand in it. The bundle is handed to MediaPipe as bytes:
the file in the cache only saves the half second that making it takes.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from tracker.core.errors import InputError, RunError
from tracker.core.input_file import fault, read_bytes, reading
from tracker.networks.landmark_files import LARGEST_BUNDLE, landmark_content, landmark_network_file
from tracker.runtime.cache import made_file
from tracker.runtime.lazy_imports import lazy_imports

_HOW_TO_INSTALL = "install it with: pip install 'mediapipe==0.10.21' 'numpy<2'"


@dataclass(frozen=True)
class _Network:
    """One of the two networks: its name in a bundle, (pixel − mean) / std as it wants it."""

    bundle_name: str
    mean: float
    std: float


_DETECTOR = _Network("pose_detector.tflite", 127.5, 127.5)
_LANDMARKS = _Network("pose_landmarks_detector.tflite", 0.0, 255.0)
_NETWORKS = (_DETECTOR, _LANDMARKS)
_DETECTOR_FILE = "modules/pose_detection/pose_detection.tflite"
"""Where the wheel has it."""


def require_mediapipe() -> None:
    """Raises RunError that says how to install MediaPipe unless it can be imported."""
    try:
        # half a second, for drawing helpers that nobody here calls
        with lazy_imports("matplotlib", "matplotlib.pyplot"):
            import mediapipe  # noqa: F401
    except ImportError as error:
        raise RunError(
            f"finding people needs mediapipe, which cannot be imported ({error}); {_HOW_TO_INSTALL}"
        ) from None


def read_task_file(path: Path) -> bytes:
    """A user's own `.task` file. Raises InputError unless it is a pose landmarker's bundle."""
    expected = "expected a MediaPipe pose landmarker bundle (.task)"
    with reading(f"task file {path}", expected):
        content = read_bytes(path, LARGEST_BUNDLE)
        problem = _problem_of(content)
        if problem:
            raise ValueError(problem)
        return content


def built_in_bundle(landmarks: Path | None = None) -> bytes:
    """The bundle made from the wheel's person detector and a landmark network (.tflite or .task; by default the full
    one), from the cache when a whole one lies there.

    Raises InputError when the installed MediaPipe carries no networks.
    """
    import mediapipe

    detector = _wheel_detector(Path(mediapipe.__file__).parent, mediapipe.__version__)
    networks = {_DETECTOR: detector, _LANDMARKS: landmark_content(landmarks or landmark_network_file())}
    digest = hashlib.sha256(b"".join(networks.values())).hexdigest()[:16]
    name = f"pose-{mediapipe.__version__}-{digest}.task"
    return made_file(name, lambda path: _write_bundle(path, networks)).read_bytes()


def _write_bundle(path: Path, networks: dict[_Network, bytes]) -> None:
    path.write_bytes(_zipped({network.bundle_name: _with_metadata(network, raw) for network, raw in networks.items()}))


def _wheel_detector(package: Path, version: str) -> bytes:
    try:
        return (package / _DETECTOR_FILE).read_bytes()
    except OSError:
        raise InputError(
            f"mediapipe {version} carries no pose networks; {_HOW_TO_INSTALL}, or give a pose landmarker's .task file"
        ) from None


def _with_metadata(network: _Network, model: bytes) -> bytes:
    """The network with the metadata that MediaPipe's Tasks require of it: its input is a picture, normalised so."""
    from mediapipe.tasks.python.metadata.metadata_writers.metadata_writer import MetadataWriter
    from mediapipe.tasks.python.metadata.metadata_writers.writer_utils import get_output_tensor_types

    content = bytearray(model)
    writer = MetadataWriter.create(content)
    writer.add_image_input([network.mean], [network.std])
    for _ in get_output_tensor_types(content):
        writer.add_feature_output()
    populated, _ = writer.populate()
    return bytes(populated)


def _zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # MediaPipe maps the files: no compression
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _problem_of(bundle: bytes) -> str | None:
    """What keeps these bytes from being a pose landmarker's bundle; None when nothing does."""
    try:
        with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
            missing = [n.bundle_name for n in _NETWORKS if n.bundle_name not in archive.namelist()]
            if missing:
                return f"has no {missing[0]} in it"
            if sum(info.file_size for info in archive.infolist()) > LARGEST_BUNDLE:
                return f"holds more than the {LARGEST_BUNDLE >> 20} MiB that are read"
            damaged = archive.testzip()
            return f"{damaged} in it is damaged" if damaged else None
    except zipfile.BadZipFile:
        return "not a zip archive"
    except (RuntimeError, NotImplementedError, ValueError, EOFError, zlib.error) as error:
        return fault(error)
