"""SMPL tracking of people in video: `from tracker import Tracker`.

`Tracker` and `TrackerConfig` are loaded when first asked for, so that parts of the package can be used where the
person detector is not installed.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["Tracker", "TrackerConfig", "__version__"]


def __getattr__(name: str) -> Any:
    if name in ("Tracker", "TrackerConfig"):
        from tracker import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module 'tracker' has no attribute '{name}'")
