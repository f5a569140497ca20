"""How tall a body of a given shape is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.body.model import BodyModel
from tracker.core.arrays import NUM_BETAS, Array

UPRIGHT = 1
"""The axis of the template that points from the soles to the crown."""


@dataclass(frozen=True)
class Stature:
    """Height as a linear function of the shape: between the template's lowest and highest vertex."""

    mean: float
    """m, of β = 0."""
    slope: Array
    """(10,) m for each unit of β."""

    @classmethod
    def of(cls, body: BodyModel) -> Stature:
        """As the template stands: in the T-pose, barefoot."""
        heights = body.v_template[:, UPRIGHT].numpy().astype(float)
        low, high = int(heights.argmin()), int(heights.argmax())
        directions = body.shapedirs[:, UPRIGHT, :NUM_BETAS].numpy().astype(float)
        return cls(float(heights[high] - heights[low]), np.asarray(directions[high] - directions[low]))

    def of_shape(self, betas: Array) -> float:
        """m. betas: (10,)."""
        return self.mean + float(self.slope @ betas)
