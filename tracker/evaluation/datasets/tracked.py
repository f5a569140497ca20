"""Our own person_NNN.npz as truth: another tracker's answers on the same pictures are compared with it.

With the pictures that it was tracked in, it shows on anybody's own footage how far occlusion moves the answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import NUM_JOINTS, Array
from tracker.evaluation.datasets.recording import JOINT_SETS, Origin, Recording, SmplTruth
from tracker.export.files import RUN_NAME
from tracker.export.npz import load_person
from tracker.export.person_file import person_files

ORIGIN = Origin("person_NNN.npz", "python run.py track")


def read(path: Path) -> Iterator[Recording]:
    """Of one file, or of all in a folder: a recording a person, from the source's first frame on.

    Its pictures are those that run.json beside it names; none if they are not there any more.
    """
    ORIGIN.require(path, "a person_NNN.npz or a folder of them")
    paths = ORIGIN.first_existing(person_files(path) if path.is_dir() else [path], str(path / "person_*.npz"))
    for each in paths:
        person = load_person(each)
        count = int(person.frame_index[-1]) + 1
        valid = np.zeros((count, NUM_JOINTS), bool)
        valid[person.frame_index] = True
        theta, transl, joints3d, joints2d = (
            _spread(values, person.frame_index)
            for values in (person.poses.reshape(-1, NUM_JOINTS, 3), person.trans, person.joints3d, person.joints2d)
        )
        betas = np.tile(person.betas.astype(float), (count, 1))
        yield Recording(
            name=each.stem,
            pictures=_pictures(each.parent),
            joint_set=JOINT_SETS["smpl24"],
            joints3d=joints3d,
            joints2d=joints2d,
            valid=valid,
            camera=person.camera,
            smpl=SmplTruth(theta, betas, transl, "neutral", person.body_model),
            rate=person.timeline.frame_rate if count > 1 else None,
        )


def _spread(values: Array, frames: NDArray[np.int64]) -> Array:
    """(T, ...) float64: the rows at their frames; in frames without the person, those of the frame before."""
    rows = np.searchsorted(frames, np.arange(int(frames[-1]) + 1), side="right") - 1
    return values.astype(float)[np.maximum(rows, 0)]


def _pictures(folder: Path) -> tuple[Path, ...]:
    with suppress(OSError, ValueError, KeyError, TypeError):
        source = Path(str(json.loads((folder / RUN_NAME).read_text(encoding="utf-8"))["source"]["location"]))
        return (source,) if source.exists() else ()
    return ()
