"""What a place in the picture looks like, so that it can be said whether something has moved there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array
from tracker.core.mask import IN_MASK
from tracker.detect.candidate import Candidate

_NOISE = 5.0
"""Levels of 255, within which bare walls differ anyway."""
_EDGE = 7
"""px of the small pictures, by which people are wider than their masks: hair, shadows."""
_PLACES = 8
"""Squares in a row, of which each is compared."""
_WIDTH = 320
"""px of the small pictures that are compared."""


@dataclass(frozen=True)
class View:
    """A frame, small and grey, and where in it people stand before whatever may be behind them."""

    grey: NDArray[np.uint8]
    people: NDArray[np.bool_]
    """(h, w) px like the picture's."""
    scale: float
    """Its size over the frame's."""

    @classmethod
    def of(cls, image: NDArray[np.uint8], people: Sequence[Candidate]) -> View:
        """image: (h, w, 3) RGB."""
        height, width = image.shape[:2]
        size = (_WIDTH, max(1, round(_WIDTH * height / width)))
        grey = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        covered = np.zeros(grey.shape, bool)
        for each in people:
            covered |= cv2.resize(each.mask.picture(), size, interpolation=cv2.INTER_AREA) >= IN_MASK
        wider = cv2.dilate(covered.view(np.uint8), np.ones((_EDGE, _EDGE), np.uint8)) > 0
        return cls(np.asarray(grey, np.uint8), wider, _WIDTH / width)

    def changed(self, other: View, box: Array) -> float:
        """How much of an xyxy px box of the frame looks otherwise in the other view, 0..2: one less the correlation,
        for which the light makes no difference. People before it are left aside."""
        left, top, right, bottom = np.round(np.clip(box * self.scale, 0, None)).astype(int)
        piece = np.s_[top : bottom + 1, left : right + 1]
        bare = ~(self.people | other.people)[piece]
        if not bare.any():
            return 0.0
        now, before = (_centred(view.grey[piece][bare].astype(float)) for view in (self, other))
        noise = _NOISE**2 * len(now)
        return float(1 - (now @ before + noise) / np.sqrt((now @ now + noise) * (before @ before + noise)))

    def differs(self, other: View, much: float) -> bool:
        """Whether any place in the other view looks otherwise by that much."""
        height, width = (extent / self.scale for extent in self.grey.shape)
        side = width / _PLACES
        corners = (np.array([x, y]) for y in np.arange(0, height, side) for x in np.arange(0, width, side))
        return any(self.changed(other, np.concatenate([corner, corner + side])) >= much for corner in corners)


def _centred(values: Array) -> Array:
    return values - values.mean()
