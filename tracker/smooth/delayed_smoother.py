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
_AT_A_TIME = 8
"""Frames that are given out together: most of what smoothing one takes are numpy's calls."""
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
        while self._waited_enough(tracked.frame.time):
            yield from self._next(_AT_A_TIME)
        while self._bytes > _LOOKAHEAD_BYTES:
            yield from self._next(1)

    def rest(self) -> Iterator[TrackedFrame]:
        """What still waits when no frame will follow."""
        while self._waiting:
            yield from self._next(_AT_A_TIME)

    def _waited_enough(self, now: float) -> bool:
        """Whether the next few frames have."""
        return len(self._waiting) >= _AT_A_TIME and now - self._waiting[_AT_A_TIME - 1].frame.time >= _LOOKAHEAD_SECONDS

    def _next(self, count: int) -> Iterator[TrackedFrame]:
        """So many frames, or those that there are."""
        frames = [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]
        self._bytes -= sum(tracked.frame.image.nbytes for tracked in frames)
        first, last = frames[0].frame.time, frames[-1].frame.time
        about = {person.person_id for tracked in frames for person in tracked.people}
        smoothed = {key: self._seen[key].smoothed(first, last, self._config) for key in about}
        for tracked in frames:
            camera = self._cameras.for_size(*tracked.frame.size)
            people = [
                self._posed(each, smoothed[each.person_id][tracked.frame.time], camera) for each in tracked.people
            ]
            yield replace(tracked, people=people)
        self._forget(last - reach(self._config))

    def _posed(self, person: Person, smoothed: tuple[Pose, Array], camera: Camera) -> Person:
        pose, confidence = smoothed
        if self._credits[person.person_id].is_nobody:
            confidence = np.zeros_like(confidence)
        posed = self._persons.posed(pose, camera, replace(person, joint_confidence=confidence))
        return replace(posed, clothing=self._seen[person.person_id].clothing)

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
        """Of the first of them, in one shape; the others follow when they are asked for."""
        self._confidence: deque[Array] = deque()

    def add(self, time: float, person: Person) -> None:
        """The next pose."""
        self.times.append(time)
        self.clothing = person.clothing
        self._sighted.append(self._persons.sighted(person.pose))
        self._confidence.append(person.joint_confidence)

    def smoothed(self, first: float, last: float, config: SavitzkyConfig) -> dict[float, tuple[Pose, Array]]:
        """Of each of the times from the first to the last, s: the pose, smoothed, and its confidence (24,)."""
        self._reshape()
        times, known = np.array(self.times), list(self._confidence)
        rows = range(int(np.searchsorted(times, first)), int(np.searchsorted(times, last, side="right")))
        poses = smoothed_rows(rows, times, list(self._poses), known, config)
        confidences = smoothed_confidence(rows, times, known, config)
        return dict(zip(times[rows.start : rows.stop].tolist(), zip(poses, confidences, strict=True), strict=True))

    def _reshape(self) -> None:
        """The shape of the newest pose is the best known; it becomes that of all when it differs visibly."""
        sighted, betas = list(self._sighted), self._sighted[-1].pose.betas
        if self._poses and np.abs(self._poses[-1].betas - betas).max() <= _SAME_BETAS:
            new = sighted[len(self._poses) :]
            self._poses.extend(self._persons.reshaped_all(new, self._poses[-1].betas) if new else [])
        else:
            self._poses = deque(self._persons.reshaped_all(sighted, betas))

    def forget(self, before: float) -> None:
        """Drops what lies before a time, s."""
        while self.times and self.times[0] < before:
            self.times.popleft()
            self._sighted.popleft()
            self._confidence.popleft()
            if self._poses:
                self._poses.popleft()
