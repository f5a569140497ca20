"""How long the calls of a stage took, of as many as are worth keeping."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from threading import Lock

_KEPT = 100_000
"""So that a camera that runs for days does not fill the memory."""


class RecentTimes:
    """The newest of the times that were added. One thread may add while another reads: who reads gets a copy."""

    def __init__(self, times: Iterable[float] = ()) -> None:
        self._times: deque[float] = deque(times, maxlen=_KEPT)
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[RecentTimes], tuple[list[float]]]:
        """Another process gets what is there by now."""
        return RecentTimes, (list(self),)

    def append(self, time: float) -> None:
        with self._lock:
            self._times.append(time)

    def extend(self, times: Iterable[float]) -> None:
        new = list(times)
        with self._lock:
            self._times.extend(new)

    def clear(self) -> None:
        with self._lock:
            self._times.clear()

    def __len__(self) -> int:
        return len(self._times)

    def __iter__(self) -> Iterator[float]:
        with self._lock:
            return iter(tuple(self._times))
