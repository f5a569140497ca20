"""run.json: what made the results beside it, and how it went."""

from __future__ import annotations

import dataclasses
import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from tracker import __version__
from tracker.core.shown_text import shown_address
from tracker.export.contact_sheet import Snapshot
from tracker.export.files import atomic_file
from tracker.world.camera_path import CameraMotion, CameraPath
from tracker.world.world_frame import WorldFrame

_PACKAGES = (
    "numpy",
    "scipy",
    "torch",
    "av",
    "mediapipe",
    "opencv-contrib-python",
    "pyrender",
    "onnxruntime",
    "openvino",
)


@dataclass(frozen=True)
class RunHeader:
    """What is known when a run starts."""

    config: Any
    """A mapping or a dataclass, nested as it likes."""
    device: str
    engine: str
    source: Any
    """The source's metadata, a mapping or a dataclass; passwords in URLs are left out of the file."""
    job: Any = None
    """What was asked for besides the configuration, a mapping; None where nothing was."""


@dataclass(frozen=True)
class RunSummary:
    """What is known when a run ends."""

    stage_ms: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Milliseconds of every call of each stage."""
    warnings: Sequence[str] = ()
    wall_seconds: float | None = None
    dropped: int = 0
    """Frames of a camera that were never looked at."""
    pictures: Sequence[Snapshot] = ()
    """For the report."""
    camera: CameraMotion = field(default_factory=CameraMotion)


@dataclass(frozen=True)
class RunCounts:
    """What the writer itself has seen."""

    frames_read: int
    frames_with_people: int
    people: Mapping[int, int]
    """Frames of each identity."""
    interrupted: bool
    failed: bool
    """Whether a file could not be written."""
    gaps: Mapping[int, Sequence[tuple[float, float]]] = field(default_factory=dict)
    """(first, last) s from the run's start, of the rows of each identity's files in which they were not tracked."""
    world: WorldFrame | None = None
    """Around the camera of the first picture; None where the camera travels."""


def write(path: Path, header: RunHeader, summary: RunSummary, counts: RunCounts) -> None:
    """Strict JSON, indented. Raises RunError when it cannot be written."""
    seconds = summary.wall_seconds
    document = {
        "versions": versions(),
        "config": header.config,
        "job": header.job,
        "device": header.device,
        "engine": header.engine,
        "source": header.source,
        "stages": {name: _percentiles(values) for name, values in summary.stage_ms.items()},
        "frames_read": counts.frames_read,
        "frames_dropped": summary.dropped,
        "frames_with_people": counts.frames_with_people,
        "people": counts.people,
        "gaps": counts.gaps,
        "world": None if counts.world is None else _world(counts.world),
        "camera_moved": summary.camera.moved_at,
        "camera_path": None if summary.camera.path is None else _path(summary.camera.path),
        "wall_seconds": None if seconds is None else round(seconds, 3),
        "frames_per_second": round(counts.frames_read / seconds, 3) if seconds else None,
        "finished": not (counts.interrupted or counts.failed),
        "interrupted": counts.interrupted,
        "warnings": summary.warnings,
    }
    text = json.dumps(jsonable(document), indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_file(path) as stream:
        stream.write(text.encode("utf-8", "backslashreplace") + b"\n")  # JSON's own escape of a byte that is not UTF-8


def _world(world: WorldFrame) -> dict[str, Any]:
    return {
        "T_world_camera": world.T_world_camera,
        "camera_height": round(world.camera_height, 4),
        "pitch_degrees": round(math.degrees(world.pitch), 2),
    }


def _path(path: CameraPath) -> dict[str, Any]:
    turned = Rotation.from_matrix(path.R_first_camera[0].T @ path.R_first_camera).magnitude()
    return {
        "most_degrees_from_first": round(float(np.degrees(turned.max())), 2),
        "zoom": [round(float(path.zoom.min()), 3), round(float(path.zoom.max()), 3)],
    }


def versions() -> dict[str, str]:
    """Of the tracker, Python, the platform and the packages that decide the numbers, as far as they are installed."""
    versions_here = {"tracker": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in _PACKAGES:
        try:
            versions_here[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions_here


def _percentiles(milliseconds: Sequence[float]) -> dict[str, Any]:
    if not len(milliseconds):
        return {"calls": 0, "p50_ms": None, "p95_ms": None}
    p50, p95 = np.percentile(np.asarray(milliseconds, np.float64), [50, 95])
    return {"calls": len(milliseconds), "p50_ms": round(float(p50), 3), "p95_ms": round(float(p95), 3)}


def jsonable(value: Any) -> Any:
    """Plain JSON values from configs: dataclasses, mappings, arrays, paths; what is not finite becomes null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return jsonable(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    return shown_address(str(value))
