"""One person's landmarks in one frame, with the camera that saw them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.palms import Palms


@dataclass(frozen=True)
class LandmarkObservation:
    """One person's landmarks in one frame, ready for the fit."""

    camera: Camera
    pixels: Array
    """(33, 2) px."""
    metric: Array
    """(33, 3) m, axes of a camera that looks straight at the person."""
    visibility: Array
    """(33,) 0..1."""
    palms: Palms = field(default_factory=Palms)
    """In the camera's frame."""

    @property
    def weight(self) -> Array:
        """(33,) for placing the body roughly: hidden landmarks count a little, blank ones not at all."""
        return np.where(self.visibility > 0, 0.05 + self.visibility, 0.0)

    @property
    def size(self) -> float:
        """px: the larger side of the visible landmarks' box, at least 8."""
        visible = self.pixels[self.visibility > 0.3]
        points = visible if len(visible) >= 4 else self.pixels
        return float(max(np.ptp(points, axis=0).max(), 8.0))
