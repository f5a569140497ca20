"""What the tests have a cluster's workers do. They import this module, so it imports little."""

from __future__ import annotations

import os
import signal
import time

from tracker.core.errors import InputError
from tracker.runtime.cores import core_share
from tracker.runtime.worker_processes import task_interrupt


def fault(kind: str) -> int | None:
    """Fails in this way; else the share of the cores."""
    if kind == "input":
        raise InputError("the value is wrong")
    if kind == "death":
        os.kill(os.getpid(), signal.SIGKILL)
    return core_share()


def gpu_of(seconds: float) -> tuple[int, str]:
    """Which process this is, and which GPU it may see; after a while, or when it is asked to stop."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not task_interrupt().requested:
        time.sleep(0.02)
    return os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"]
