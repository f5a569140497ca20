"""Threads whose work may wait."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

_NICE = 10


def give_way() -> None:
    """Lets every other thread go before the calling one, for as long as that lives. It may hold Python's lock for
    moments only: whoever waits for the lock would wait for it, too.

    Where a system gives priorities to whole processes alone, nothing happens.
    """
    if sys.platform.startswith("linux"):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
