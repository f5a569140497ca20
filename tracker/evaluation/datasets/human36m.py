"""Human3.6M: S9 and S11, as its owners pack them: D3_Positions_mono and D2_Positions in CDF files, videos beside.

Protocol 1 takes all four cameras, protocol 2 the frontal one only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tracker.core.arrays import Array
from tracker.core.errors import RunError
from tracker.evaluation.datasets.recording import JOINT_SETS, Origin, Recording

ORIGIN = Origin("Human3.6M", "http://vision.imar.ro/human3.6m")
SUBJECTS = ("S9", "S11")
FRONTAL = "60457274"
_RATE = 50.0
_MM = 1000.0
_KEPT = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
"""The 17 of its 32 joints that are not doubled."""


def read_protocol1(folder: Path) -> Iterator[Recording]:
    """All cameras."""
    yield from _read(folder, "*")


def read_protocol2(folder: Path) -> Iterator[Recording]:
    """The frontal camera."""
    yield from _read(folder, FRONTAL)


def _read(folder: Path, camera: str) -> Iterator[Recording]:
    for subject in SUBJECTS:
        positions = folder / subject / "MyPoseFeatures" / "D3_Positions_mono"
        ORIGIN.require(positions, f"the unpacked Poses_D3_Positions_mono of {subject}")
        pattern = f"*.{camera}.cdf"
        # the takes named _ALL hold all actions once more
        paths = [path for path in sorted(positions.glob(pattern)) if not path.name.startswith("_ALL")]
        for path in ORIGIN.first_existing(paths, str(positions / pattern)):
            yield _recording(folder / subject, path)


def _recording(subject: Path, path: Path) -> Recording:
    joints3d = _poses(path, 3) / _MM
    flat = ORIGIN.require(
        subject / "MyPoseFeatures" / "D2_Positions" / path.name, f"the unpacked Poses_D2_Positions of {subject.name}"
    )
    # its pixel centres are at integers
    joints2d = _poses(flat, 2) + 0.5
    return Recording(
        name=f"{subject.name}/{path.stem}",
        pictures=(subject / "Videos" / f"{path.stem}.mp4",),
        joint_set=JOINT_SETS["h36m17"],
        joints3d=joints3d,
        joints2d=joints2d,
        valid=np.ones(joints3d.shape[:2], bool),
        rate=_RATE,
        still_camera=True,
    )


def _poses(path: Path, axes: int) -> Array:
    """(T, 17, axes) as the file has them."""
    with ORIGIN.reading(path):
        pose: Any = _cdf(path)["Pose"]
        return np.asarray(pose, float).reshape(-1, 32, axes)[:, _KEPT]


def _cdf(path: Path) -> dict[str, Any]:
    try:
        import cdflib
    except ModuleNotFoundError as error:
        raise RunError("Human3.6M's files need cdflib: pip install 'body-tracker[eval]'") from error
    file = cdflib.CDF(path)
    return {name: file.varget(name) for name in file.cdf_info().zVariables}
