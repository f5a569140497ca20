"""The sender's clock: timestamps of a stream placed on this machine's, also when the sender starts anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

PARTED_SECONDS = 1.5
"""Sender and arrivals may part by this much, which networks delay at times, before the sender's clock is set anew."""
_SMALLEST_STEP = 1e-3
"""s between the last picture before the clock is set anew and the first one after, where arrivals lag behind."""


@dataclass(frozen=True)
class _Placed:
    """A picture: by the sender's clock, its arrival, and the moment it was given."""

    sent: float
    arrival: float
    moment: float


class SenderClock:
    """Places the pictures of one connection after another on the monotonic clock, each later than the one before.

    The first picture is placed at its arrival and the following ones by the sender's timestamps: networks delay
    unevenly, senders do not. Pictures may run ahead of their arrivals: many senders begin with some seconds at once.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        """warn: is told when the clock is set anew."""
        self._warn = warn
        self._last: _Placed | None = None
        self._anchor: float | None = None

    def reconnect(self) -> None:
        """The next picture is the first of a connection."""
        self._anchor = None

    def moment(self, sent: float | None, arrival: float) -> float:
        """When a picture was taken, monotonic s. sent: its timestamp, s; None without one; arrival: monotonic s."""
        if sent is None:
            self._anchor = None
            return self._give(arrival, arrival, self._start(arrival))
        if self._anchor is None or self._last is None:
            self._anchor = self._start(arrival) - sent
        elif (parted := self._parted(sent, arrival)) or sent <= self._last.sent:
            self._anchor = self._start(arrival) - sent
            if parted:
                self._warn(f"the sender's clock jumped by {parted:.1f} s against this one (was it restarted?)")
        return self._give(sent, arrival, self._anchor + sent)

    def _give(self, sent: float, arrival: float, moment: float) -> float:
        self._last = _Placed(sent, arrival, moment)
        return moment

    def _parted(self, sent: float, arrival: float) -> float:
        """By how much sender and arrivals have parted, s, where that is too much; else 0."""
        assert self._last is not None and self._anchor is not None
        step, passed = sent - self._last.sent, arrival - self._last.arrival
        if step < -PARTED_SECONDS or step > passed + PARTED_SECONDS:
            return step - passed
        late = arrival - (self._anchor + sent)
        return -late if late > PARTED_SECONDS else 0.0

    def _start(self, arrival: float) -> float:
        return arrival if self._last is None else max(arrival, self._last.moment + _SMALLEST_STEP)
