"""A camera read in its own thread, the newest frame only: what is not taken in time is dropped and counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType

from tracker.core.frame import Frame
from tracker.source import Source

_PATIENCE = 0.1
"""s between two looks at whether the user wants to stop, while no frame comes."""


@dataclass(frozen=True)
class Captured:
    """A frame and when it arrived."""

    frame: Frame
    arrival: float
    """s, `perf_counter`'s clock."""


class LatestFrames:
    """Iterates over a source's frames as they are now; an error in the reading thread is raised where they are
    taken."""

    def __init__(self, source: Source) -> None:
        self.dropped = 0
        self._source = source
        self._slot: Captured | None = None
        self._ended = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="capture", daemon=True)

    def __enter__(self) -> LatestFrames:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.stop()
        self._thread.join(timeout=5.0)

    def _read(self) -> None:
        try:
            for frame in self._source:
                with self._changed:
                    self.dropped += self._slot is not None
                    self._slot = Captured(frame, perf_counter())
                    self._changed.notify()
        except BaseException as error:  # whatever ends the reading must reach the thread that waits for frames
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify()

    def __iter__(self) -> Iterator[Captured | None]:
        """Gives None every now and then while no frame comes, so that a window stays alive and Ctrl-C is heard."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._slot is not None or self._ended, timeout=_PATIENCE)
                captured, self._slot = self._slot, None
                finished = self._ended and captured is None
            if finished:
                break
            yield captured
        if self._error is not None:
            raise self._error
