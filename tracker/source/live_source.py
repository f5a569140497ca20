"""What cameras and streams share: pictures that come at their own pace from something that may go away."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tracker.core.errors import RunError
from tracker.core.frame import Frame
from tracker.source.source import Clip, LiveConfig, Source, SourceInfo

Picture = tuple[float, NDArray[np.uint8]]
"""Monotonic seconds, (height, width, 3) RGB."""

RETRY_SECONDS = 0.5
"""Between two attempts to reach a lost camera or stream."""


class ConnectionLost(Exception):
    """The camera or stream cannot be reached or has stopped; the text says how."""


class LiveSource(Source):
    """Iterates over connection after connection, with a bounded wait between them.

    The clip's times count from the first picture. Frames that nobody takes in time are lost, or kept for a moment by
    the driver: read in a thread of its own and keep only the newest.
    """

    def __init__(self, info: SourceInfo, clip: Clip, config: LiveConfig) -> None:
        super().__init__(info, clip)
        self._config = config
        self._lost_since: float | None = None
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
            self._lost_since = None
            first = moment if first is None else first
            if self.clip.over(moment - first):
                return
            if moment > last and not self.clip.before(moment - first):
                yield Frame(index=index, time=moment, image=image)
                last = moment
            index += 1

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

    def _wait(self, lost: ConnectionLost) -> None:
        """Lets go of the connection and waits for the next attempt. Raises RunError when it is time to give up."""
        self._release()
        if self._stopped.is_set():
            return
        now = time.monotonic()
        if self._lost_since is None:
            self._lost_since = now
            self.warnings.append(f"{self.info.location}: {lost}")
        gone = now - self._lost_since
        if gone >= self._config.reconnect_seconds:
            raise RunError(f"{self.info.location}: {lost}; it did not come back within {gone:.0f} s")
        self._stopped.wait(min(RETRY_SECONDS, self._config.reconnect_seconds - gone))
