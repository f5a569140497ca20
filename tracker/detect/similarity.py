"""How alike two sets of landmarks are, in units of the body's size, as COCO's object keypoint similarity measures it.

The twelve limb joints and the nose stand for the body: the face's eleven points and the fingers would outvote the rest.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tracker.body.landmark_set import MEDIAPIPE
from tracker.core.arrays import Array
from tracker.core.mask import IN_MASK, PlacedMask

BODY_POINTS = np.append(MEDIAPIPE.limbs, MEDIAPIPE.index("nose"))
"""(13,) the landmarks that poses are compared by."""

_TOLERANCE = 0.25
"""The distance, in body sizes, at which a point counts e^-½: about the width of a torso."""
_STRIDE = 4
_TINY = 1e-9
_SMALLEST = 1.0
"""px: no body is taken to be smaller than this, so that degenerate landmarks stay comparable."""


def body_size(landmarks: Array) -> float:
    """Root mean square distance of (33, 2) px landmarks' body points from their centre: about 0.3 of a standing height.

    It changes little when limbs move or a torso is foreshortened, where a torso's length or a box's side changes much.
    """
    points = landmarks[BODY_POINTS]
    away = (points - points.sum(axis=0) / len(points)).ravel()
    return max(_SMALLEST, math.sqrt(float(away @ away) / len(points)))


def pose_similarity(first: Array, second: Array) -> float:
    """0..1 for two (33, 2) px poses, 1 when equal. Left and right may be exchanged, as detectors do on backs."""
    size = (body_size(first) + body_size(second)) / 2
    return max(_similarity(first, second, size), _similarity(first, second[MEDIAPIPE.mirror], size))


def _similarity(first: Array, second: Array, size: float) -> float:
    squares = ((first - second)[BODY_POINTS] ** 2).sum(axis=1)
    return float(np.exp(-squares / (2 * (_TOLERANCE * size) ** 2)).mean())


def box_overlap(first: Array, second: Array) -> float:
    """Intersection over union of two xyxy boxes."""
    shared = _intersection(first, second)
    return shared / max(_area(first) + _area(second) - shared, _TINY)


def shared_box(first: Array, second: Array) -> float:
    """Intersection of two xyxy boxes over the smaller of them: 1 when one lies in the other."""
    return _intersection(first, second) / max(min(_area(first), _area(second)), _TINY)


def _intersection(first: Array, second: Array) -> float:
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:], second[2:])
    return float(np.prod(np.maximum(high - low, 0)))


def _area(box: Array) -> float:
    return float(np.prod(np.maximum(box[2:] - box[:2], 0)))


def mask_overlap(first: PlacedMask, second: PlacedMask) -> float:
    """Intersection over union of two masks in one frame, at a quarter of its size; 0 when both are empty."""
    one, other = _coarse(first), _coarse(second)
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 0.0


def share_in_mask(part: PlacedMask, whole: PlacedMask) -> float:
    """How much of a mask lies in another of the same frame, at a quarter of its size; 0 for an empty one."""
    inner = _coarse(part)
    return int((inner & _coarse(whole)).sum()) / max(int(inner.sum()), 1)


def _coarse(mask: PlacedMask) -> NDArray[np.bool_]:
    width, height = np.ceil(np.array(mask.size) / _STRIDE).astype(int)
    return mask.cropped(np.diag([_STRIDE, _STRIDE, 1.0])[:2], width, height) >= IN_MASK


def share_on_mask(points: Array, mask: PlacedMask, reach: float) -> float:
    """The share of (n, 2) px points within about `reach` px of a mask; 1 for no points."""
    if len(points) == 0:
        return 1.0
    steps = reach * np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    around = np.clip(points[:, None] + steps, 0.0, np.subtract(mask.size, 1))
    return float(mask.covers(around).any(axis=1).mean())
