"""The formats that are read from strangers: how to make random files of each, and what reads them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import av
import numpy as np

from tests.fuzz.pickles import changed, random_pickle
from tracker.app.view.motion import read_run
from tracker.body.skeletal_mesh import load_skeletal_mesh
from tracker.body.smpl_file import read_smpl_file
from tracker.config import load_config
from tracker.core.camera import read_intrinsics
from tracker.evaluation.datasets.annotation_files import SpinAnnotations
from tracker.export.npz import load_person
from tracker.motion.read import read_motion
from tracker.networks.landmark_network import feature_sizes
from tracker.networks.person_network import read_person_network
from tracker.source import open_source


@dataclass(frozen=True)
class FuzzTarget:
    """One format."""

    suffix: str
    make: Callable[[Random], bytes]
    readers: tuple[Callable[[Path], object], ...]
    """Each gives something, or raises InputError."""


def _pictures(path: Path) -> None:
    with open_source(str(path)) as source:
        for _ in islice(source, 8):
            pass


def _viewed(path: Path) -> object:
    return read_run(path, load_skeletal_mesh())


def _config(path: Path) -> object:
    return load_config(str(path))


def _intrinsics(path: Path) -> object:
    read_intrinsics.cache_clear()
    return read_intrinsics(path).matrix


def _archive(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _npy(values: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(values))
    return buffer.getvalue()


def person_entries(frames: int = 3) -> dict[str, bytes]:
    """A person_NNN.npz, entry by entry, which is also an annotation file."""
    rows = {"poses": (72,), "trans": (3,), "timestamps": (), "frame_index": (), "joints3d": (24, 3)}
    rows |= {"joints2d": (24, 2), "joint_confidence": (24,), "bbox": (4,), "nll": (), "pose": (72,), "part": (24, 3)}
    arrays: dict[str, object] = {name: np.zeros((frames, *shape), np.float32) for name, shape in rows.items()}
    arrays |= {"betas": np.zeros(10, np.float32), "shape": np.zeros((frames, 10)), "mocap_framerate": 30.0}
    arrays |= {"camera_matrix": np.diag([500.0, 500.0, 1.0]) + np.eye(3, k=2), "image_size": np.array([640, 480])}
    arrays |= {"body_model": "free-body", "gender": "neutral", "imgname": np.array(["a.jpg"] * frames)}
    return {f"{name}.npy": _npy(array) for name, array in arrays.items()}


def _make_npz(random: Random) -> bytes:
    """Changes inside of one entry, where the archive's checksum is right again, and in the archive itself."""
    entries = person_entries()
    for _ in range(random.randint(0, 2)):
        name = random.choice(list(entries))
        whole = entries[name]
        cut = random.choice((len(whole), 128))
        entries[name] = changed(random, whole[:cut]) + whole[cut:]
    data = _archive(entries, random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
    return changed(random, data) if random.random() < 0.4 else data


_YAML_PARTS = (
    "fx", "fy", "cx", "cy", "width", "height", "camera_matrix", "image_size", "detect", "fit", "smooth", "mode", ": ",
    ": ", ": ", "\n", "\n", "\n  ", "- ", "[", "]", "{", "}", ", ", "1", "600", "-1", "1e999", ".nan", "0x1F", "7:30",
    "null", "~", "yes", "'", '"', "&a ", "*a", "<<: *a", "!!python/object:os.system ", "!!binary |\n  ", "!!set ", "? ",
    "| \n", "> \n", "#", "%YAML 1.1\n---\n", "---\n", "...\n", "\t", "\x00", "é", "2026-01-01", "9" * 400,
)  # fmt: skip


def _make_yaml(random: Random) -> bytes:
    if random.random() < 0.5:
        text = "".join(random.choice(_YAML_PARTS) for _ in range(random.randint(1, 40)))
    else:
        values = [random.choice(_YAML_PARTS) for _ in range(6)]
        names = ("fx", "fy", "cx", "cy", "width", "height")
        text = "".join(f"{name}: {value}\n" for name, value in zip(names, values, strict=True))
    return text.encode()


_BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT LeftUpLeg
  {
    OFFSET 0.1 -0.1 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 -0.4 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.033
0 1 0 0 0 0 0 0 0
0 1 0 10 0 0 5 0 0
"""
_BVH_PARTS = (
    "{",
    "}",
    "JOINT a",
    "ROOT b",
    "End Site",
    "OFFSET",
    "CHANNELS",
    "-1",
    "0",
    "1e999",
    "nan",
    "1e-300",
    "9" * 30,
)


def _make_bvh(random: Random) -> bytes:
    tokens = _BVH.split(" ")
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(tokens))
        tokens[at : at + random.choice((0, 1, 1))] = [random.choice(_BVH_PARTS)]
    data = " ".join(tokens).encode()
    return changed(random, data) if random.random() < 0.3 else data


def _make_task(random: Random) -> bytes:
    """A bundle whose networks are a few tables of offsets."""
    network = bytearray(random.randbytes(8) + b"\x00" * random.choice((64, 256, 1024)))
    network[4:8] = b"TFL3"
    for _ in range(random.randint(0, 60)):
        at = 4 * random.randrange(len(network) // 4)
        if at != 4:
            network[at : at + 4] = random.choice((0, 1, 4, 8, 12, 32, 2**16, 2**31, 2**32 - 4)).to_bytes(4, "little")
    names = ("pose_detector.tflite", "pose_landmarks_detector.tflite")
    data = _archive({name: bytes(network) for name in names}, random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
    return changed(random, data) if random.random() < 0.4 else data


def _clips() -> list[bytes]:
    """Half a second in containers and codecs that people have."""
    kinds = (("mp4", "mpeg4"), ("avi", "mjpeg"), ("matroska", "libx264"), ("mpegts", "mpeg2video"), ("gif", "gif"))
    return [_clip(container, codec) for container, codec in kinds]


def _clip(container: str, codec: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height = 48, 32
        stream.pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
        for index in range(8):
            picture = np.full((32, 48, 3), 30 * index, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        output.mux(stream.encode())
    return buffer.getvalue()


_CLIPS: list[bytes] = []


def _make_video(random: Random) -> bytes:
    if not _CLIPS:
        _CLIPS.extend(_clips())
    return changed(random, random.choice(_CLIPS))


TARGETS = {
    "pickle": FuzzTarget(".pkl", random_pickle, (read_smpl_file,)),
    "npz": FuzzTarget(
        ".npz", _make_npz, (load_person, _viewed, read_motion, read_smpl_file, _intrinsics, SpinAnnotations.read)
    ),
    "yaml": FuzzTarget(".yaml", _make_yaml, (_config, _intrinsics)),
    "bvh": FuzzTarget(".bvh", _make_bvh, (read_motion,)),
    "task": FuzzTarget(".task", _make_task, (read_person_network, feature_sizes)),
    "video": FuzzTarget(".mp4", _make_video, (_pictures,)),
}
