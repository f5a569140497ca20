"""MPI-INF-3DHP's test set: TS1…TS6 with annot_data.mat (Matlab 7.3, which is HDF5) and imageSequence/."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tracker.core.errors import RunError
from tracker.evaluation.datasets.recording import JOINT_SETS, Origin, Recording

ORIGIN = Origin("MPI-INF-3DHP", "https://vcai.mpi-inf.mpg.de/3dhp-dataset")
_MM = 1000.0
_RATE = 25.0
"""Hz; the files do not say it."""


def read(folder: Path) -> Iterator[Recording]:
    """The test sequences that are there, in the order of their numbers."""
    tried = folder / "TS*" / "annot_data.mat"
    for path in ORIGIN.first_existing(sorted(folder.glob("TS*/annot_data.mat")), str(tried)):
        yield _recording(path)


def _recording(path: Path) -> Recording:
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise RunError("MPI-INF-3DHP's files need h5py: pip install 'body-tracker[eval]'") from error
    with ORIGIN.reading(path), h5py.File(path, "r") as file:
        # Matlab's axes come out in reverse: (T, 1, 17, 3)
        joints3d = np.asarray(file["annot3"], float)[:, 0] / _MM
        joints2d = np.asarray(file["annot2"], float)[:, 0]
        valid = np.asarray(file["valid_frame"]).ravel() > 0
        pictures = (path.parent / "imageSequence" / f"img_{i + 1:06d}.jpg" for i in range(len(valid)))
        return Recording(
            name=path.parent.name,
            pictures=tuple(pictures),
            joint_set=JOINT_SETS["mpi17"],
            joints3d=joints3d,
            # Matlab's first pixel has its centre at 1
            joints2d=joints2d - 0.5,
            valid=np.repeat(valid[:, None], joints3d.shape[1], axis=1),
            rate=_RATE,
            still_camera=True,
        )
