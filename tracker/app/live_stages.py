"""The threads between a live source and the loop: detecting, extracting, fitting, each in one of its own.

Each hands on what it has done before it begins anew, and two frames at most are under way, so that none grows old in a
queue: the first thread takes the newest frame there is, and those that came in between are dropped and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import takewhile
from threading import Semaphore
from typing import TypeVar

from tracker.core.person import Person
from tracker.pipeline import DetectedFrame, Tracker
from tracker.runtime.interrupt import Interrupt
from tracker.runtime.worker import read_ahead
from tracker.source.latest_frames import Captured

Before = TypeVar("Before")
After = TypeVar("After")
_PATIENCE = 0.1
"""s between two signs of life while nothing comes."""


@dataclass(frozen=True)
class CapturedPeople:
    """A captured frame and the people in it."""

    captured: Captured
    people: list[Person]


@dataclass(frozen=True)
class _CapturedDetections:
    captured: Captured
    detected: DetectedFrame


def tracked_frames(
    tracker: Tracker, frames: Iterable[Captured | None], interrupt: Interrupt, stack: ExitStack
) -> Iterator[CapturedPeople | None]:
    """The newest frames, tracked in threads that end with the stack.

    Gives None every now and then while no frame comes. No frame is taken after the user's interrupt.
    """
    entrance = _Entrance(frames)
    captured = takewhile(lambda _: not interrupt.requested, entrance)
    detected = _stage(stack, "detect", captured, lambda one: _CapturedDetections(one, tracker.detect(one.frame)))
    extracted = _stage(stack, "extract", detected, lambda one: replace(one, detected=tracker.extract(one.detected)))

    def fitted(one: _CapturedDetections) -> CapturedPeople:
        return entrance.left(CapturedPeople(one.captured, tracker.fit(one.detected)))

    return _stage(stack, "fit", extracted, fitted)


def _stage(
    stack: ExitStack, name: str, items: Iterable[Before | None], work: Callable[[Before], After]
) -> Iterator[After | None]:
    """Each item worked on in a thread of its own, which ends with the stack. None, for no frame, passes through."""
    done = (None if item is None else work(item) for item in items)
    return stack.enter_context(closing(read_ahead(done, size=0, name=name)))


class _Entrance:
    """The newest frames, each given out when fewer than two are under way: a third would only wait, and grow old."""

    def __init__(self, frames: Iterable[Captured | None]) -> None:
        self._frames = frames
        self._room = Semaphore(1)

    def __iter__(self) -> Iterator[Captured | None]:
        for captured in self._frames:
            yield captured
            while captured is not None and not self._room.acquire(timeout=_PATIENCE):
                yield None

    def left(self, tracked: CapturedPeople) -> CapturedPeople:
        """Makes room for another one."""
        self._room.release()
        return tracked
