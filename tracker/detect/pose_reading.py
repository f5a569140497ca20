"""One pose as a landmark network sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.body.landmark_set import MEDIAPIPE
from tracker.core.arrays import Array
from tracker.core.mask import PlacedMask
from tracker.detect.crop_landmarks import CropLandmarks
from tracker.detect.similarity import BODY_POINTS

HIPS = [MEDIAPIPE.index("left_hip"), MEDIAPIPE.index("right_hip")]
SHOULDERS = [MEDIAPIPE.index("left_shoulder"), MEDIAPIPE.index("right_shoulder")]
_SEEN = 0.5


@dataclass(frozen=True)
class PoseReading(CropLandmarks):
    """A pose, and where the person is, in the picture that the network was given."""

    mask: PlacedMask
    """Of that picture."""

    def inside(self, width: float, height: float) -> NDArray[np.bool_]:
        """(33,) whether each landmark lies in the picture."""
        points = self.landmarks2d
        return ((points >= 0) & (points < [width, height])).all(axis=1)

    def quality(self, width: float, height: float) -> float:
        """Mean presence of the landmarks in the picture; legs below its edge say nothing against a person."""
        inside = self.inside(width, height)
        return float(self.presence[inside].mean()) if inside.any() else 0.0

    def visible_points(self, width: float, height: float) -> Array:
        """(n, 2) px: those of the 13 body points that lie in the picture and are not hidden."""
        visible = (self.inside(width, height) & (self.visibility >= _SEEN))[BODY_POINTS]
        return self.landmarks2d[BODY_POINTS][visible]
