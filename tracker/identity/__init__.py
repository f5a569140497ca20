"""Who is who over time: identities that survive crossing, absence and a detector that flickers."""

from __future__ import annotations

from tracker.identity.assignment import IdentityConfig, IdentityTracker
from tracker.identity.look_back import BackwardDetector, LookBack, LookBackLimits, SeenFrame
from tracker.identity.meetings import Exchange
from tracker.identity.scenes import SceneWatcher

__all__ = [
    "BackwardDetector",
    "Exchange",
    "IdentityConfig",
    "IdentityTracker",
    "LookBack",
    "LookBackLimits",
    "SceneWatcher",
    "SeenFrame",
]
