"""A recorded file in the place of a camera: its frames come when they would have been filmed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from tracker.core.frame import Frame
from tracker.source.source import Source

LATE_SECONDS = 0.1
"""A reader that falls back further than this makes the playing pause instead of hurrying after it."""


class PacedSource(Source):
    """Plays a source in real time. `Frame.time` is the monotonic clock's time at which the frame was due.

    Intervals between frames are those of the file, except where the reading could not keep up. Closing it closes the
    source that it plays.
    """

    def __init__(self, played: Source) -> None:
        super().__init__(replace(played.info, live=True), played.clip)
        self._played = played
        self.warnings = played.warnings

    def __iter__(self) -> Iterator[Frame]:
        offset: float | None = None
        for frame in self._played:
            now = time.monotonic()
            if offset is None or now - (frame.time + offset) > LATE_SECONDS:
                offset = now - frame.time
            due = frame.time + offset
            if self._stopped.wait(max(0.0, due - now)):
                return
            yield replace(frame, time=due)

    def _release(self) -> None:
        self._played.close()


def paced(source: Source) -> Source:
    """The source as a camera would give it: real-time pace, monotonic capture times; live ones are so already."""
    return source if source.info.live else PacedSource(source)
