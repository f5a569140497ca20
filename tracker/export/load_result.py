"""Reads back what a run has left: people, frames, and their meshes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.body import BodyModel, load_body
from tracker.body.skinner import Skinner, skinner_of
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.errors import InputError, require_kind
from tracker.core.input_file import read_text, reading
from tracker.core.person import FrameRecord, Person, Pose
from tracker.export.files import FRAMES_NAME, RUN_NAME
from tracker.export.jsonl import load_frames
from tracker.export.npz import load_person
from tracker.export.person_file import person_files
from tracker.export.sequence import PersonSequence


@dataclass(frozen=True)
class TrackResult:
    """One run's folder. Metres, radians, seconds, pixels; the camera's frame."""

    folder: Path
    people: dict[int, PersonSequence]
    """Identity → all that is known of them over time."""
    run: dict[str, Any]
    """run.json: versions, settings, timings, warnings."""
    body: BodyModel

    @property
    def camera(self) -> Camera:
        """Of the files' pixels. Raises InputError in a run without people, which has none."""
        for person in self.people.values():
            return person.camera
        raise InputError(f"{self.folder}: nobody was found in this run, so that its files hold no camera")

    @property
    def T_world_camera(self) -> Array:
        """(4, 4): to the world's frame (y up, floor at y = 0). Raises InputError where the camera moves (of one that
        only turns each person has its own, row by row), or in a run without people: then there is none."""
        for person in self.people.values():
            if person.path is not None:
                raise InputError(
                    f"{self.folder}: the camera turns; people[{person.person_id}].T_world_camera has it row by row"
                )
            if person.world is not None:
                return person.world.T_world_camera
        raise InputError(
            f"{self.folder}: this run knows no still world around its camera; see its warnings in run.json"
        )

    @property
    def faces(self) -> NDArray[np.int32]:
        """(F, 3): triangles of the meshes."""
        return self._skinner.faces

    @cached_property
    def frames(self) -> list[FrameRecord]:
        """Every frame of the run in the order of time, with the people in it by identity."""
        rows = {key: {int(index): row for row, index in enumerate(p.frame_index)} for key, p in self.people.items()}
        path = self.folder / FRAMES_NAME
        if not path.is_file():
            raise InputError(
                f"{self.folder}: has no {FRAMES_NAME}, which says what frames there are; track again with jsonl"
            )
        with reading(path, "expected the frames that a run has written"):
            frames = [self._frame(line, rows) for line in load_frames(path)]
            return sorted(frames, key=lambda frame: frame.time)

    def _frame(self, line: Mapping[str, Any], rows: Mapping[int, Mapping[int, int]]) -> FrameRecord:
        """rows: each person's, by the frame's index. Where frames come unevenly some have no row of their own: then the
        nearest in time is theirs."""
        index, time, people = int(line["frame"]), float(line["time"]), []
        if not math.isfinite(time):
            raise ValueError(f"frame {index} has the time {time}")
        there = {int(each["id"]) for each in line["people"]}
        for key in sorted(self.people):
            row = rows[key].get(index)
            if row is None and key in there:
                row = int(np.abs(self.people[key].timestamps - time).argmin())
            if row is not None:
                people.append(self.person(key, row))
        return FrameRecord(index, time, people)

    def person(self, person_id: int, row: int) -> Person:
        """One identity in one row of its arrays, as the tracker gave it out. Raises InputError for an unknown one."""
        sequence = self._sequence(person_id)
        theta = sequence.theta[row]
        pose = Pose(theta[0], theta[1:].reshape(-1), sequence.betas, sequence.trans[row])
        return Person(
            person_id, pose, sequence.joints3d[row], sequence.joints2d[row], sequence.joint_confidence[row],
            sequence.bbox[row], float(sequence.nll[row]), self._skinner.vertices,
        )  # fmt: skip

    def vertices(self, person_id: int) -> NDArray[np.float32]:
        """(T, V, 3) m: the mesh of one identity in each of its frames. Raises InputError for an unknown one."""
        count = len(self._sequence(person_id).timestamps)
        return np.stack([self.person(person_id, row).vertices for row in range(count)])

    def _sequence(self, person_id: int) -> PersonSequence:
        if person_id not in self.people:
            known = ", ".join(map(str, sorted(self.people))) or "nobody"
            raise InputError(f"person {person_id}: not in {self.folder}, which has {known}")
        return self.people[person_id]

    @cached_property
    def _skinner(self) -> Skinner:
        return skinner_of(self.body)


def load_result(folder: str | Path, body: str | Path | None = None) -> TrackResult:
    """What `track`, `live` or `demo` left in a folder.

    body: the SMPL file that the run was made with; None is the built-in body. Raises InputError when the folder holds
    no result, a file is damaged, or the run was made with another body.
    """
    require_kind("folder", folder, str, Path)
    require_kind("body", body, str, Path, NoneType)
    folder = Path(folder)
    if not (folder / RUN_NAME).is_file():
        raise InputError(f"{folder}: no result of a run; expected a folder with {RUN_NAME}, such as out/<video's name>")
    with reading(folder / RUN_NAME, "expected what a run has written"):
        run = json.loads(read_text(folder / RUN_NAME))
        if not isinstance(run, dict):
            raise ValueError(f"holds a {type(run).__name__}")
    files = person_files(folder)
    if run.get("people") and not files:
        raise InputError(f"{folder}: has no person_NNN.npz; track again with npz among --format")
    people = {person.person_id: person for person in map(load_person, files)}
    model = load_body(None if body is None else Path(body))
    others = {person.body_model for person in people.values()} - {model.name}
    if others:
        raise InputError(f"{folder}: made with the body {', '.join(sorted(others))}; pass its file as `body`")
    return TrackResult(folder, people, run, model)
