"""How fast a live run is: rate and latency of the frames that had somebody in them, which are the work."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from time import perf_counter

import numpy as np

from tracker.source.latest_frames import Captured

_RECENT = 300
"""Frames that the shown rate and latencies are taken over."""
_KEPT = 100_000
"""Frames that those of the whole run are."""


@dataclass(frozen=True)
class _Drawn:
    """A frame whose picture is done."""

    interval: float
    """s since the picture before; nan for the first."""
    latency: float
    """s from the frame's arrival."""
    people: int


@dataclass(frozen=True)
class Pace:
    """Rate and latency of some frames: of those with people, or of all where nobody is in any."""

    rate: float = 0.0
    """Frames per second."""
    latency_p50_ms: float = 0.0
    latency_p95_ms: float = 0.0

    @classmethod
    def of(cls, drawn: Sequence[_Drawn]) -> Pace:
        """Empty frames are quick, and would make the others look so."""
        busy = [each for each in drawn if each.people] or drawn
        if not busy:
            return cls()
        intervals = np.array([each.interval for each in busy if np.isfinite(each.interval)])
        rate = float(len(intervals) / intervals.sum()) if intervals.sum() > 0 else 0.0
        middle, late = np.percentile([1e3 * each.latency for each in busy], [50, 95])
        return cls(rate, float(middle), float(late))


@dataclass
class Meter:
    """Counts frames as they are drawn."""

    frames: int = 0
    frames_with_people: int = 0
    _drawn: deque[_Drawn] = field(default_factory=lambda: deque(maxlen=_KEPT))
    _last: float = float("nan")

    def add(self, captured: Captured, people: int) -> float:
        """The frame's latency, s, now that its picture is drawn; people: how many are in it."""
        now = perf_counter()
        drawn = _Drawn(now - self._last, now - captured.arrival, people)
        self._last = now
        self._drawn.append(drawn)
        self.frames += 1
        self.frames_with_people += people > 0
        return drawn.latency

    def lately(self) -> Pace:
        """As it is now."""
        return Pace.of(list(islice(reversed(self._drawn), _RECENT)))

    def altogether(self) -> Pace:
        """Over the whole run."""
        return Pace.of(self._drawn)
