"""How fast a live run is: rate and latency, as they are now and over the whole run."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from tracker.source.latest_frames import Captured

_RECENT = 300
"""Frames that the shown rate and latencies are taken over."""


@dataclass
class Meter:
    """Counts frames as they are drawn."""

    arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    """s from a frame's arrival to its drawn picture."""
    frames: int = 0

    def add(self, captured: Captured) -> float:
        """The frame's latency, s, now that its picture is drawn."""
        now = perf_counter()
        self.arrivals.append(now)
        self.latencies.append(now - captured.arrival)
        self.frames += 1
        return now - captured.arrival

    @property
    def rate(self) -> float:
        """Frames per second, over the intervals between the recent frames."""
        span = self.arrivals[-1] - self.arrivals[0] if len(self.arrivals) > 1 else 0.0
        return (len(self.arrivals) - 1) / span if span > 0 else 0.0

    def latency_ms(self, percentile: float) -> float:
        return 1e3 * float(np.percentile(self.latencies, percentile)) if self.latencies else 0.0
