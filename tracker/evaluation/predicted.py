"""Another tracker's answers, or earlier ones of ours: person_NNN.npz files in the place of a running tracker."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np

from tracker.core.camera import Camera
from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.core.person import Person, Pose
from tracker.evaluation.datasets import Recording
from tracker.export.npz import load_person
from tracker.export.person_file import person_files
from tracker.export.sequence import PersonSequence


class PredictedPeople:
    """Gives out the people of one recording, frame by frame, as `Tracker` does."""

    def __init__(self, people: list[PersonSequence]) -> None:
        self._people = people

    @classmethod
    def of(cls, folder: Path, recording: Recording) -> PredictedPeople:
        """From FOLDER/NAME/person_*.npz, NAME the recording's or its picture's, or from FOLDER/person_*.npz.

        Raises InputError when there are none.
        """
        names = dict.fromkeys([recording.name.split("/")[0], *(path.stem for path in recording.pictures[:1])])
        tried = [*(folder / name for name in names), folder]
        existing = next((paths for each in tried if (paths := person_files(each))), None)
        if existing is None:
            raise InputError(f"--predicted {folder}: expected {tried[0] / 'person_*.npz'} for {recording.name}")
        return cls([load_person(path) for path in existing])

    def __enter__(self) -> PredictedPeople:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open."""

    def restart(self) -> None:
        """Nothing is remembered."""

    @property
    def camera(self) -> Camera:
        """The one that they were tracked with."""
        return self._people[0].camera

    def step(self, frame: Frame) -> list[Person]:
        """The people in a frame, by its index."""
        rows = [(person, np.flatnonzero(person.frame_index == frame.index)) for person in self._people]
        return [_person(person, int(at[0])) for person, at in rows if len(at)]


def _person(track: PersonSequence, row: int) -> Person:
    pose = Pose(track.poses[row, :3], track.poses[row, 3:], track.betas, track.trans[row])
    return Person(
        person_id=track.person_id,
        pose=pose,
        joints3d=track.joints3d[row].astype(float),
        joints2d=track.joints2d[row].astype(float),
        joint_confidence=track.joint_confidence[row],
        bbox=track.bbox[row],
        nll=float(track.nll[row]),
    )
