"""LSP: joints.mat and images/im0001.jpg; the last thousand of its two thousand pictures are the test set.

Six body parts come from Unite the People's data/lsp/im0001_part_segmentation.png, unpacked into the same folder, where
that is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tracker.evaluation.datasets.recording import JOINT_SETS, Origin, Recording

ORIGIN = Origin("LSP", "https://sam.johnson.io/research/lsp.html")
_TRAINING = 1000


def read(folder: Path) -> Iterator[Recording]:
    """The test pictures, in the order of their numbers; those of a smaller copy from the middle on."""
    from scipy.io import loadmat

    path = ORIGIN.require(folder / "joints.mat", "the content of lsp_dataset.zip")
    with ORIGIN.reading(path):
        joints = np.asarray(loadmat(path)["joints"], float)
        if joints.shape[:2] != (3, 14):
            raise ValueError(f"joints: expected (3, 14, N), got {joints.shape}")
    count = joints.shape[2]
    for index in range(min(_TRAINING, count // 2), count):
        yield Recording(
            name=f"im{index + 1:04d}",
            pictures=(folder / "images" / f"im{index + 1:04d}.jpg",),
            joint_set=JOINT_SETS["lsp14"],
            joints3d=None,
            # Matlab's first pixel has its centre at 1
            joints2d=joints[:2, :, index].T[None] - 0.5,
            # the third row tells hidden joints (1): they are clicked all the same
            valid=np.ones((1, 14), bool),
            parts=(_parts(folder, index),) if _parts(folder, index).exists() else None,
        )


def _parts(folder: Path, index: int) -> Path:
    return folder / "data" / "lsp" / f"im{index + 1:04d}_part_segmentation.png"
