"""A long run in windows, so that what looks over time holds a minute of it and not all.

What a window says of its own rows depends on a few seconds beside them, which it is given too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tracker.core.arrays import Array

_SECONDS = 60.0
_BESIDE = 5.0
"""s on either side: longer than anything in a body's motion is remembered."""
_FADE = 1.0
"""s about where two windows meet in which one gives way to the other."""


@dataclass(frozen=True)
class TimeWindow:
    """Rows of a run."""

    own: slice
    """Each row is one window's own."""
    known: slice
    """Those, and what lies beside them."""
    fade_in: slice
    """Rows in which the window before gives way to this one: its `fade_out`. Empty where there is none before."""
    fade_out: slice
    """Rows in which this one gives way to the next one."""

    def in_known(self, rows: slice) -> slice:
        """Where rows are among the known ones."""
        return slice(rows.start - self.known.start, rows.stop - self.known.start)


def windows(times: Sequence[float] | Array) -> Iterator[TimeWindow]:
    """Of rows with these times (T,) s, ascending. The last one takes what would be less than half of one, so that
    whatever is not longer than one and a half windows is in a single one."""
    ascending = np.maximum.accumulate(np.asarray(times, np.float64))

    def near(row: int, seconds: float) -> slice:
        """Rows within so many seconds of the row."""
        first, last = ascending[row] - seconds, ascending[row] + seconds
        return slice(int(np.searchsorted(ascending, first)), int(np.searchsorted(ascending, last, side="right")))

    start, fade_in = 0, slice(0, 0)
    while start < len(ascending):
        end = int(np.searchsorted(ascending, ascending[start] + _SECONDS))
        if ascending[-1] < ascending[start] + 1.5 * _SECONDS:
            end = len(ascending)
        fade_out = slice(end, end) if end == len(ascending) else near(end, _FADE / 2)
        known = slice(near(start, _BESIDE).start, max(near(end - 1, _BESIDE).stop, fade_out.stop))
        yield TimeWindow(slice(start, end), known, fade_in, fade_out)
        start, fade_in = end, fade_out
