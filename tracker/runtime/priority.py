"""Threads whose work may wait."""

from __future__ import annotations

import os
from contextlib import suppress


def give_way() -> None:
    """Lets the calling thread run only where a processor has nothing else to do, for as long as the thread lives. It
    may hold Python's lock for moments only: whoever waits for the lock would wait for it, too.

    Where a system gives priorities to whole processes alone, nothing happens.
    """
    if hasattr(os, "SCHED_IDLE"):  # Linux; a mere nice thread finishes its slice before those that wake up run
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
