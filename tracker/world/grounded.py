"""A whole run set on its floor: the world's frame is told from everybody, then planted feet are held.

Both go through the run a part at a time, so that its length costs time and no memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from tracker.body.person_builder import PersonBuilder
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.core.person import FrameRecord, Person, Pose
from tracker.world.body_track import BodyTrack, ContactBody, contact_body
from tracker.world.contacts import contacts_of, standing_lengths
from tracker.world.estimate import WorldEstimate, estimate_world, rows_wanted
from tracker.world.foot_lock import locked
from tracker.world.gravity import Plane
from tracker.world.windows import windows
from tracker.world.world_config import WorldConfig


class RecordedFrames(Protocol):
    """A run's frames, as often as they are wanted. Each identity has one β throughout."""

    @property
    def times(self) -> Sequence[float]:
        """s, of every frame."""
        ...

    def frames(self, chosen: slice = ...) -> Iterator[FrameRecord]:
        """Those frames, in order."""
        ...


@dataclass(frozen=True)
class Surroundings:
    """What a first look at a run tells of it."""

    estimate: WorldEstimate
    standing: Mapping[int, float]
    """Identity → m from neck to ankles at their farthest."""


def surroundings(frames: Iterable[FrameRecord], people: int, body: ContactBody, config: WorldConfig) -> Surroundings:
    """Of a run with so many people, of each of whom the first few minutes are taken."""
    beginnings: dict[int, _Rows] = {}
    standing: dict[int, float] = {}
    for frame in frames:
        for person in frame.people:
            rows = beginnings.setdefault(person.person_id, _Rows())
            if len(rows.times) < rows_wanted(people):
                rows.add(frame.time, person)
            length = float(standing_lengths(np.asarray(person.joints3d)))
            standing[person.person_id] = max(length, standing.get(person.person_id, 0.0))
    tracks = [rows.track(body) for _, rows in sorted(beginnings.items())]
    return Surroundings(estimate_world(tracks, config), standing)


def grounded_frames(
    recorded: RecordedFrames, around: Surroundings, persons: PersonBuilder, camera: Camera
) -> Iterator[FrameRecord]:
    """The frames with everybody's feet held where they are planted, under a camera that stands still."""
    body, floor = contact_body(persons.body), around.estimate.floor
    fading: list[dict[int, Pose]] = []
    for window in windows(recorded.times):
        frames = list(recorded.frames(window.known))
        held = _held(frames, around.standing, floor, body)
        rows = window.in_known(slice(window.fade_in.start, window.fade_out.start))
        for number, (frame, poses) in enumerate(zip(frames[rows], held[rows], strict=True)):
            if number < len(fading):
                share = (number + 1) / (len(fading) + 1)
                poses = {key: _between(fading[number][key], pose, share) for key, pose in poses.items()}
            people = [persons.posed(poses[person.person_id], camera, person) for person in frame.people]
            yield replace(frame, people=people)
        fading = held[window.in_known(window.fade_out)]


def _held(
    frames: Sequence[FrameRecord], standing: Mapping[int, float], floor: Plane, body: ContactBody
) -> list[dict[int, Pose]]:
    """Of each frame, identity → pose with the feet held."""
    everybody: dict[int, _Rows] = {}
    for number, frame in enumerate(frames):
        for person in frame.people:
            everybody.setdefault(person.person_id, _Rows()).add(frame.time, person, number)
    held: list[dict[int, Pose]] = [{} for _ in frames]
    for key, rows in everybody.items():
        track = replace(rows.track(body), standing=standing[key])
        done = locked(track, contacts_of(track, floor), floor, body)
        for number, theta, transl in zip(rows.numbers, done.theta, done.transl, strict=True):
            held[number][key] = Pose(theta[0], theta[1:].reshape(-1), rows.betas, transl)
    return held


def _between(one: Pose, other: Pose, share: float) -> Pose:
    """So far (0..1) on the way from one to the other."""
    share = share * share * (3 - 2 * share)
    start = matrix_from_axis_angle(one.theta)
    turn = axis_angle_from_matrix(start.swapaxes(-1, -2) @ matrix_from_axis_angle(other.theta))
    theta = axis_angle_from_matrix(start @ matrix_from_axis_angle(share * turn))
    transl = (1 - share) * np.asarray(one.transl) + share * np.asarray(other.transl)
    return Pose(theta[0], theta[1:].reshape(-1), other.betas, transl)


@dataclass
class _Rows:
    """One identity's poses in some frames."""

    times: list[float] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    """Of the frames."""
    people: list[_PosedRow] = field(default_factory=list)

    def add(self, time: float, person: Person, number: int = 0) -> None:
        self.times.append(time)
        self.numbers.append(number)
        self.people.append(_PosedRow(person.pose, person.joint_confidence))

    @property
    def betas(self) -> Array:
        """(10,)"""
        return self.people[-1].pose.betas

    def track(self, body: ContactBody) -> BodyTrack:
        return body.track(
            times=np.array(self.times),
            theta=np.stack([row.pose.theta for row in self.people]),
            betas=self.betas,
            transl=np.stack([row.pose.transl for row in self.people]),
            confidence=np.stack([row.confidence for row in self.people]),
        )


@dataclass(frozen=True)
class _PosedRow:
    pose: Pose
    confidence: Array
    """(24,)"""
