"""How somebody's hands are turned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.core.arrays import Array


@dataclass(frozen=True, eq=False)
class Palms:
    """The axes of each palm, columns of (3, 3), in the frame of a camera; None where a hand is not seen."""

    left: Array | None = None
    right: Array | None = None


def palm_axes(wrist: Array, index: Array, pinky: Array) -> Array:
    """(3, 3): columns to the middle between where index finger and little finger begin, across the palm's plane, and
    across both. All are (3,), along any axes."""
    forward = (index + pinky) / 2 - wrist
    forward = forward / np.linalg.norm(forward)
    across = np.cross(index - wrist, pinky - wrist)
    across = across - (across @ forward) * forward
    across = across / np.linalg.norm(across)
    return np.stack([forward, across, np.cross(forward, across)], axis=1)
