"""Our own person_NNN.npz, as truth or as another tracker's answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tracker.evaluation.datasets.recording import JOINT_SETS, Origin, Recording, SmplTruth
from tracker.export.npz import load_person
from tracker.types import NUM_JOINTS

ORIGIN = Origin("person_NNN.npz", "python run.py track")


def read(path: Path) -> Iterator[Recording]:
    """Of one file, or of all in a folder: a recording a person. It holds no pictures."""
    ORIGIN.require(path, "a person_NNN.npz or a folder of them")
    paths = ORIGIN.found(sorted(path.glob("person_*.npz")) if path.is_dir() else [path], str(path / "person_*.npz"))
    for each in paths:
        person = load_person(each)
        theta = person.poses.astype(float).reshape(-1, NUM_JOINTS, 3)
        betas = np.tile(person.betas.astype(float), (len(theta), 1))
        yield Recording(
            name=each.stem,
            pictures=(),
            joint_set=JOINT_SETS["smpl24"],
            joints3d=person.joints3d.astype(float),
            joints2d=person.joints2d.astype(float),
            valid=np.ones((len(theta), NUM_JOINTS), bool),
            camera=person.camera,
            smpl=SmplTruth(theta, betas, person.trans.astype(float), "neutral"),
            rate=person.timeline.frame_rate,
        )
