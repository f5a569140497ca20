"""A run's person_NNN.npz: their names, and the numbers that can be in them. Nothing here takes torch."""

from __future__ import annotations

import re
from pathlib import Path

_NAME = re.compile(r"person_(\d{3}|[1-9]\d{3,})\.npz", re.ASCII)
LARGEST = {
    "poses": 1e3,
    "betas": 1e3,
    "trans": 1e6,
    "timestamps": 1e12,
    "frame_index": 1e15,
    "joints3d": 1e6,
    "joints2d": 1e9,
    "joint_confidence": 1.001,
    "bbox": 1e9,
    "camera_matrix": 1e9,
    "image_size": 1e6,
}
"""What no number of a run is beyond, in its unit."""
SLOWEST, FASTEST = 1e-3, 1e5
"""Hz: a picture in a quarter of an hour, and the fastest camera."""


def person_files(folder: Path) -> list[Path]:
    """Of everybody in a run's folder, by identity; copies under other names are nobody's."""
    return sorted((path for path in folder.glob("person_*.npz") if _NAME.fullmatch(path.name)), key=person_id)


def person_id(path: Path) -> int:
    """0 for a file that somebody has given another name."""
    named = _NAME.fullmatch(path.name)
    return int(named[1]) if named else 0
