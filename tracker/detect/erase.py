"""Paints known people out of a picture, so that a landmarker that keeps finding them finds the person beside them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_COARSE = 8
"""The colours that are painted in are computed at 1/8 of the size: they are smooth."""
_SURELY_THEIRS = 200
"""Of 255, in a mask. Where people touch, a mask fades out over the other one, who must stay to be found: of people who
are held by somebody a network sees 5 in 6 in their pose, of whom it sees half where the mask ends at 64 and is grown by
4 px. Of nobody beside somebody it sees no more than then."""


def erased(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The (h, w, 3) picture with what the (h, w) mask covers replaced by the colours around it, blurred.

    A flat colour would not do: it leaves a silhouette, and silhouettes are found as people.
    """
    outside = np.where(mask < _SURELY_THEIRS, np.uint8(255), np.uint8(0))
    if outside.all():
        return image
    height, width = mask.shape
    coarse = (max(1, width // _COARSE), max(1, height // _COARSE))
    weight = cv2.resize(outside, coarse, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    colours = cv2.resize(cv2.copyTo(image, outside), coarse, interpolation=cv2.INTER_AREA).astype(np.float32)
    reach = (max(coarse) // 4 * 2 + 1, max(coarse) // 4 * 2 + 1)
    around = cv2.blur(colours, reach) / np.maximum(cv2.blur(weight, reach), 1e-3)[..., None]
    filling = cv2.resize(around.clip(0, 255).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.copyTo(image, outside, filling), dtype=np.uint8)
