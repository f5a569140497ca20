"""A tracker beside one's own loop: pictures are handed over, people come back, and late pictures are left out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import NoneType, TracebackType

import numpy as np
from numpy.typing import NDArray

from tracker.core.errors import InputError, RunError, require_kind
from tracker.core.frame import Channels, Frame
from tracker.core.person import Person
from tracker.pipeline import Tracker

Callback = Callable[[Frame, list[Person]], None]


class AsyncTracker:
    """Tracks the newest picture that was submitted in a thread of its own, as `live` does.

    >>> with AsyncTracker(print) as tracker:
    ...     tracker.submit(image, time=t)
    """

    def __init__(self, callback: Callback, tracker: Tracker | None = None) -> None:
        """callback: is given each tracked frame with its people, in the tracking thread. tracker: is closed with this
        one; None opens one with the defaults. Raises InputError as `Tracker.open` does."""
        if not callable(callback):
            raise InputError(f"callback: expected a function of (frame, people), got {type(callback).__name__}")
        self.dropped = 0
        """Pictures that were replaced by a newer one before their turn came."""
        require_kind("tracker", tracker, Tracker, NoneType)
        self._callback, self._tracker = callback, tracker or Tracker.open()
        self._submitted = 0
        self._waiting: Frame | None = None
        self._closing = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="track", daemon=True)
        self._thread.start()

    def submit(self, image: NDArray[np.uint8], time: float, channels: Channels = "rgb") -> None:
        """Hands over a picture and returns at once; arguments and errors as `Tracker.step`'s. The array is kept until
        its turn: the caller does not write into it. Raises what tracking or the callback has raised."""
        frame = Frame.of(image, self._submitted, time, channels)
        with self._changed:
            self._raise_error()
            if self._closing:
                raise RunError("submit: the tracker is closed")
            self._submitted += 1
            self.dropped += self._waiting is not None
            self._waiting = frame
            self._changed.notify()

    def close(self) -> None:
        """Waits for the picture that was submitted last, then frees the networks. Raises what went wrong."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._tracker.close()
        self._raise_error()

    def __enter__(self) -> AsyncTracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        try:
            while (frame := self._next()) is not None:
                self._callback(frame, self._tracker.step(frame))
        except BaseException as error:  # it is raised in the thread that submits
            with self._changed:
                self._error, self._closing = error, True

    def _next(self) -> Frame | None:
        """The newest picture; None when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is not None or self._closing)
            frame, self._waiting = self._waiting, None
            return frame
