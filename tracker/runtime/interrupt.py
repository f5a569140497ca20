"""Ctrl-C at a safe point: asked for at any moment, it takes effect between two frames, when every file can be
closed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_HANG_UP: int | None = getattr(signal, "SIGHUP", None)
"""The terminal was closed; Windows has no such signal."""


class Interrupt:
    """Whether the user has asked to stop."""

    def __init__(self) -> None:
        self.requested = False

    def check(self) -> None:
        """Raises KeyboardInterrupt if it was asked for. Call it where stopping is safe."""
        if self.requested:
            raise KeyboardInterrupt


@contextmanager
def deferred_interrupt() -> Iterator[Interrupt]:
    """Within the block the first Ctrl-C (or SIGTERM) only sets `requested`; a second one interrupts at once.

    A terminal that is closed (SIGHUP) says so several times, and never interrupts at once. Main thread only; the
    handlers that were there before come back at the end.
    """
    interrupt = Interrupt()

    def on_signal(number: int, _: FrameType | None) -> None:
        if interrupt.requested and number != _HANG_UP:
            raise KeyboardInterrupt("interrupted at once; what was under way may be unfinished")
        interrupt.requested = True

    before = {number: signal.signal(number, on_signal) for number in _stopping_signals()}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stopping_signals() -> Iterator[int]:
    yield from (signal.SIGINT, signal.SIGTERM)
    if _HANG_UP is not None and signal.getsignal(_HANG_UP) is not signal.SIG_IGN:  # as under nohup
        yield _HANG_UP
