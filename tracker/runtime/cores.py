"""How many cores a process may keep busy."""

from __future__ import annotations

import os

_share: int | None = None


def available_cores() -> int:
    """Those that this process may run on, which is what a cluster's scheduler has given it."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def core_share() -> int | None:
    """Cores for this process, where it is one of several that share them; None where it has all."""
    return _share


def set_core_share(cores: int) -> None:
    """From now on this process starts no more threads for one task than this."""
    global _share
    _share = max(1, cores)
