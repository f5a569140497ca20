"""Colours that say how far a picture supports something."""

from __future__ import annotations

import numpy as np

from tracker.core.arrays import Array

_UNSURE, _HALF_SURE, _SURE = (0.84, 0.16, 0.30), (0.95, 0.85, 0.25), (0.25, 0.72, 0.40)
"""RGB of confidence 0, ½ and 1."""


def confidence_colours(confidence: Array) -> Array:
    """(n,) 0..1 → (n, 3) RGB in 0..1: from red over yellow to green."""
    steps = np.array([_UNSURE, _HALF_SURE, _SURE])
    return np.stack([np.interp(confidence, [0.0, 0.5, 1.0], steps[:, channel]) for channel in range(3)], axis=1)
