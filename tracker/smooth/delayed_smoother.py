"""Smoothing without lag: every pose looks both ways in time, so it waits until what follows it is known."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tracker.body.person_builder import PersonPoser, SightedPose
from tracker.core.arrays import Array
from tracker.core.camera import Camera, CameraConfig
from tracker.core.person import Person, Pose, TrackedFrame
from tracker.smooth.apparitions import Credit
from tracker.smooth.filters import SavitzkyConfig, reach, smoothed_confidence, smoothed_rows

_LOOKAHEAD_SECONDS = 1.0
_LOOKAHEAD_BYTES = 400_000_000
"""Pictures that wait to be drawn may fill so much memory; beyond it they are drawn with less of a look ahead."""
_SAME_BETAS = 0.02
"""Shape coefficients that differ by less show the same body: a millimetre of its height."""


def smoothed_with_delay(frames: Iterable[TrackedFrame], waiting: DelayedSmoother) -> Iterator[TrackedFrame]:
    """The same frames, each when what follows it is known, with everybody smoothed without lag."""
    for tracked in frames:
        yield from waiting.push(tracked)
    yield from waiting.rest()


class DelayedSmoother:
    """Holds frames back until what follows them is known, then gives them out with everybody smoothed without lag.

    The pose is that of `smoothed_frames`. β is the one that the track knows by then, a second later than the frame;
    it has seldom still to change. Who is nobody, as far as that is known by then, is not believed at all.
    """

    def __init__(self, persons: PersonPoser, cameras: CameraConfig, config: SavitzkyConfig) -> None:
        self._persons, self._cameras, self._config = persons, cameras, config
        self._waiting: deque[TrackedFrame] = deque()
        self._bytes = 0
        self._seen: dict[int, _History] = {}
        self._credits: defaultdict[int, Credit] = defaultdict(Credit)

    def push(self, tracked: TrackedFrame) -> Iterator[TrackedFrame]:
        """The frames that have waited long enough now that this one has come."""
        self._waiting.append(tracked)
        self._bytes += tracked.frame.image.nbytes
        for person in tracked.people:
            self._seen.setdefault(person.person_id, _History(self._persons)).add(tracked.frame.time, person)
            self._credits[person.person_id].add(tracked.frame.time, person.believed)
        while self._waited_enough(tracked.frame.time) or self._bytes > _LOOKAHEAD_BYTES:
            yield self._next()

    def rest(self) -> Iterator[TrackedFrame]:
        """What still waits when no frame will follow."""
        while self._waiting:
            yield self._next()

    def _waited_enough(self, now: float) -> bool:
        return bool(self._waiting) and now - self._waiting[0].frame.time >= _LOOKAHEAD_SECONDS

    def _next(self) -> TrackedFrame:
        tracked = self._waiting.popleft()
        self._bytes -= tracked.frame.image.nbytes
        camera = self._cameras.for_size(*tracked.frame.size)
        people = [self._smoothed(person, tracked.frame.time, camera) for person in tracked.people]
        self._forget(tracked.frame.time - reach(self._config))
        return replace(tracked, people=people)

    def _smoothed(self, person: Person, time: float, camera: Camera) -> Person:
        history = self._seen[person.person_id]
        pose, confidence = history.smoothed_at(time, self._config)
        if self._credits[person.person_id].is_nobody:
            confidence = np.zeros_like(confidence)
        posed = self._persons.posed(pose, camera, replace(person, joint_confidence=confidence))
        return replace(posed, clothing=history.clothing)

    def _forget(self, before: float) -> None:
        for key in list(self._seen):
            self._seen[key].forget(before)
            if not self._seen[key].times:
                del self._seen[key]


class _History:
    """One identity's poses as long as they matter, all in one shape."""

    def __init__(self, persons: PersonPoser) -> None:
        self._persons = persons
        self.times: deque[float] = deque()
        """s, ascending."""
        self.clothing: NDArray[np.float32] | None = None
        """The newest, which is the best known."""
        self._sighted: deque[SightedPose] = deque()
        self._poses: deque[Pose] = deque()
        self._confidence: deque[Array] = deque()

    def add(self, time: float, person: Person) -> None:
        """The shape of the newest pose is the best known; it becomes that of all when it differs visibly."""
        sighted = self._persons.sighted(person.pose)
        self.times.append(time)
        self.clothing = person.clothing
        self._sighted.append(sighted)
        self._confidence.append(person.joint_confidence)
        betas = person.pose.betas
        if self._poses and np.abs(self._poses[-1].betas - betas).max() <= _SAME_BETAS:
            self._poses.extend(self._persons.reshaped_all([sighted], self._poses[-1].betas))
        else:
            self._poses = deque(self._persons.reshaped_all(list(self._sighted), betas))

    def smoothed_at(self, time: float, config: SavitzkyConfig) -> tuple[Pose, Array]:
        """The pose of one of the times, smoothed, and its confidence (24,)."""
        times = np.array(self.times)
        middle = int(np.searchsorted(times, time))
        rows, known = range(middle, middle + 1), list(self._confidence)
        (pose,) = smoothed_rows(rows, times, list(self._poses), known, config)
        (confidence,) = smoothed_confidence(rows, times, known, config)
        return pose, confidence

    def forget(self, before: float) -> None:
        """Drops what lies before a time, s."""
        while self.times and self.times[0] < before:
            self.times.popleft()
            for kept in (self._sighted, self._poses, self._confidence):
                kept.popleft()
