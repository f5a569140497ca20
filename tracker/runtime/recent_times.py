"""How long the calls of a stage took, of as many as are worth keeping."""

from __future__ import annotations

from collections import deque

_KEPT = 100_000
"""So that a camera that runs for days does not fill the memory."""


def recent_times() -> deque[float]:
    """Keeps the newest of what is appended."""
    return deque(maxlen=_KEPT)
