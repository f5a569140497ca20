"""What cameras and streams share: pictures that come at their own pace from something that may go away."""

from __future__ import annotations

import logging
import threading
import time
from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tracker.core.errors import RunError
from tracker.core.frame import Frame
from tracker.source.source import Clip, LiveConfig, Source, SourceInfo

log = logging.getLogger("tracker")

Picture = tuple[float, NDArray[np.uint8]]
"""Monotonic seconds, (height, width, 3) RGB."""

RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.5, 5.0
"""Between the first two attempts to reach a lost camera or stream; doubled each time, up to the second."""
FEWEST_ATTEMPTS = 3
"""Before a source that is waited for at all is given up, however long an attempt takes."""


class ConnectionLost(Exception):
    """The camera or stream cannot be reached or has stopped; the text says how."""


class LiveSource(Source):
    """Iterates over connection after connection, with a wait between them.

    The clip's times count from the first picture. Frames that nobody takes in time are lost, or kept for a moment by
    the driver: read in a thread of its own and keep only the newest.
    """

    def __init__(self, info: SourceInfo, clip: Clip, config: LiveConfig) -> None:
        super().__init__(info, clip)
        self._config = config
        self._lost_since: float | None = None
        self._attempts = 0
        self._reading = threading.Lock()

    @abstractmethod
    def _pictures(self) -> Iterator[Picture]:
        """Connects if need be and gives pictures until `ConnectionLost` is raised."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Lets go of the camera or connection, if there is one."""

    def __iter__(self) -> Iterator[Frame]:
        index, first, last = 0, None, float("-inf")
        pictures = self._pictures()
        while not self._stopped.is_set():
            try:
                moment, image = self._read(pictures)
            except ConnectionLost as lost:
                self._wait(lost)
                pictures = self._pictures()
                continue
            self._found()
            first = moment if first is None else first
            if self.clip.over(moment - first):
                return
            if moment > last and not self.clip.before(moment - first):
                yield Frame(index=index, time=moment, image=image)
                last = moment
            index += 1

    def note(self, text: str) -> None:
        """Tells the user, and run.json."""
        if self.warn(f"{self.info.location}: {text}"):
            log.warning("%s: %s", self.info.location, text)

    def _read(self, pictures: Iterator[Picture]) -> Picture:
        """The next picture; nothing is released under way."""
        with self._reading:
            if self._stopped.is_set():
                raise ConnectionLost("closed")
            return next(pictures)

    def _release(self) -> None:
        """Waits for a read under way in another thread, which its timeout ends: drivers crash otherwise."""
        with self._reading:
            self._disconnect()

    def _found(self) -> None:
        """A picture has come."""
        if self._lost_since is not None:
            log.info("%s: is back after %.0f s", self.info.location, time.monotonic() - self._lost_since)
        self._lost_since, self._attempts, self.waiting = None, 0, ""

    def _wait(self, lost: ConnectionLost) -> None:
        """Lets go of the connection and waits for the next attempt. Raises RunError when it is time to give up."""
        self._release()
        if self._stopped.is_set():
            return
        patience, now = self._config.reconnect_seconds, time.monotonic()
        if self._lost_since is None:
            self._lost_since = now
            self.note(f"{lost}; trying again" if patience else str(lost))
        gone = now - self._lost_since
        self.waiting = f"{self.info.location}: {lost}; trying again for {gone:.0f} s"
        if gone >= patience and (patience == 0 or self._attempts >= FEWEST_ATTEMPTS):
            raise RunError(f"{self.info.location}: {lost}; it did not come back within {gone:.0f} s")
        pause = min(RETRY_SECONDS * 2 ** min(self._attempts, 8), LONGEST_RETRY_SECONDS)
        self._attempts += 1
        self._stopped.wait(max(0.0, min(pause, patience - gone)))
