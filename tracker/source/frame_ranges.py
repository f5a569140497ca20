"""Which frames of a video something is to be said of, in a line that stays short."""

from __future__ import annotations

_MOST = 20
"""Ranges that are named."""


class FrameRanges:
    """Frame numbers that come in ascending order; in as much memory for a day as for a minute."""

    def __init__(self) -> None:
        self.count = 0
        self._ranges: list[tuple[int, int]] = []
        self._more = False

    def add(self, first: int, last: int) -> None:
        """From one to another, both included."""
        self.count += last - first + 1
        if self._ranges and not self._more and self._ranges[-1][1] + 1 == first:
            self._ranges[-1] = self._ranges[-1][0], last
        elif len(self._ranges) < _MOST:
            self._ranges.append((first, last))
        else:
            self._more = True

    def __str__(self) -> str:
        """As in "frames 3, 10–12"."""
        shown = ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in self._ranges)
        return f"{'frame' if self.count == 1 else 'frames'} {shown}{', …' if self._more else ''}"
