"""Settings of the whole process for work in real time on a few cores."""

from __future__ import annotations

import ctypes
import sys

import cv2
from threadpoolctl import threadpool_limits

from tracker.runtime.garbage import keep_what_is_loaded

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""glibc's mallopt."""
_KEPT_BYTES = 1 << 25
"""The most that glibc takes for it: a picture of 4K fits."""
_SWITCH_SECONDS = 5e-4
"""Python lets a thread run for ten times as long before it gives way to a waiting one."""


def compute_in_one_thread() -> None:
    """Call it before anything is computed: a sum that several threads share comes out different in its last bits with
    each number of them, and results are to be the same on any machine and in any worker.

    The tracker's matrices are small and its stages run in threads of their own: inside a stage more threads gain a
    millisecond where the machine is idle, and lose many, spinning, where it is not. Libraries that are loaded later
    are not reached; torch is not loaded for it, which a process that only draws goes without.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
    threadpool_limits(1)
    cv2.setNumThreads(1)


def prepare_for_real_time() -> None:
    """Call it once, after what is heavy to load was loaded."""
    compute_in_one_thread()
    sys.setswitchinterval(_SWITCH_SECONDS)
    _keep_freed_memory()
    keep_what_is_loaded()


def _keep_freed_memory() -> None:
    """Pictures are freed and made anew in every frame: their pages need not go back to the system in between."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's; other C libraries keep freed memory anyway
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
