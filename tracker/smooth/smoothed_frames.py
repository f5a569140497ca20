"""A whole run smoothed without lag, frame by frame: only a few seconds of it are in memory at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from tracker.body.person_builder import PersonBuilder
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.person import FrameRecord, Person, Pose
from tracker.smooth.filters import SavitzkyConfig, reach, smoothed_confidence, smoothed_rows

_TOGETHER = 256
"""Frames that are smoothed at a time: more only take memory."""


def last_betas(records: Iterable[FrameRecord]) -> dict[int, Array]:
    """Identity → β (10,) of its last frame, the best known."""
    return {person.person_id: person.pose.betas for record in records for person in record.people}


def smoothed_frames(
    records: Iterable[FrameRecord],
    betas: Mapping[int, Array],
    persons: PersonBuilder,
    camera: Camera,
    config: SavitzkyConfig,
) -> Iterator[FrameRecord]:
    """The frames with every identity's poses smoothed without lag and one β throughout.

    betas: identity → (10,), of everybody in the frames. Poses are given it before they are smoothed: under each frame's
    own, what it gets wrong of the size would be smoothed as if it were a step in the distance.
    """
    smoother = _BlockSmoother(betas, persons, camera, config)
    for record in records:
        yield from smoother.push(record)
    yield from smoother.rest()


class _BlockSmoother:
    """Holds frames back until what follows a block of them is known."""

    def __init__(
        self, betas: Mapping[int, Array], persons: PersonBuilder, camera: Camera, config: SavitzkyConfig
    ) -> None:
        self._betas, self._persons, self._camera, self._config = betas, persons, camera, config
        self._reach = reach(config)
        self._waiting: deque[FrameRecord] = deque()
        self._histories: dict[int, _History] = {}

    def push(self, record: FrameRecord) -> Iterator[FrameRecord]:
        """The frames that have waited long enough now that this one has come."""
        self._waiting.append(record)
        for person in record.people:
            pose = self._persons.reshaped(person.pose, self._betas[person.person_id])
            history = self._histories.setdefault(person.person_id, _History())
            history.add(record.time, pose, person.joint_confidence)
        if len(self._waiting) > _TOGETHER and record.time - self._waiting[_TOGETHER - 1].time > self._reach:
            yield from self._smoothed(_TOGETHER)

    def rest(self) -> Iterator[FrameRecord]:
        """What still waits when no frame will follow."""
        yield from self._smoothed(len(self._waiting))

    def _smoothed(self, count: int) -> Iterator[FrameRecord]:
        """The first so many that wait; what no later frame depends on is forgotten."""
        records = [self._waiting.popleft() for _ in range(count)]
        appearances: dict[int, int] = {}
        for record in records:
            for person in record.people:
                appearances[person.person_id] = appearances.get(person.person_id, 0) + 1
        smoothed = {key: self._histories[key].smoothed(number, self._config) for key, number in appearances.items()}
        for record in records:
            people = [self._posed(person, *next(smoothed[person.person_id])) for person in record.people]
            yield replace(record, people=people)
        for key in list(self._histories):
            if not self._histories[key].forget(records[-1].time - self._reach):
                del self._histories[key]

    def _posed(self, person: Person, pose: Pose, confidence: Array) -> Person:
        return self._persons.posed(pose, self._camera, replace(person, joint_confidence=confidence))


@dataclass
class _History:
    """One identity's poses, all in one shape, from those on that still matter."""

    times: list[float] = field(default_factory=list)
    """s, ascending."""
    poses: list[Pose] = field(default_factory=list)
    confidence: list[Array] = field(default_factory=list)
    """(24,) each."""
    done: int = 0
    """Of them, those that have been given out smoothed."""

    def add(self, time: float, pose: Pose, confidence: Array) -> None:
        self.times.append(time)
        self.poses.append(pose)
        self.confidence.append(confidence)

    def smoothed(self, count: int, config: SavitzkyConfig) -> Iterator[tuple[Pose, Array]]:
        """The next so many, each with its confidence (24,)."""
        rows, times = range(self.done, self.done + count), np.array(self.times)
        self.done = rows.stop
        poses = smoothed_rows(rows, times, self.poses, self.confidence, config)
        return zip(poses, smoothed_confidence(rows, times, self.confidence, config), strict=True)

    def forget(self, before: float) -> bool:
        """Drops what lies before a time, s, and has been given out. Whether anything is left."""
        old = min(int(np.searchsorted(self.times, before)), self.done)
        del self.times[:old], self.poses[:old], self.confidence[:old]
        self.done -= old
        return bool(self.times)
