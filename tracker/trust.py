"""How far a fit may be believed: whether it explains its observations, and covers the person whom the detector sees.

Where the landmark network is lost (somebody lying, cut off, blurred) it often gives a small tangled body that sits on
part of the person. Its landmarks fit together, so the fit's own cost does not always tell; the person's mask does.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.errors import InputError
from tracker.types import Array

_GRID = 64
"""Cells along the longer side of the box in which silhouette and mask are compared."""
_CLOSING = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
"""Fills the gaps that joints leave between the parts."""
_FARTHEST_CELL = 10_000.0
_IN_MASK = 128


@dataclass(frozen=True)
class TrustConfig:
    """Between the two values of a pair belief goes from none to full.

    On real clips good fits overlap their masks by 0.74 to 0.9, children in wide clothes by 0.55 to 0.65, tangled ones
    by 0.3 to 0.55; they cost up to 1.3, tangled ones 0.8 to 3.5.
    """

    overlap: tuple[float, float] = (0.42, 0.58)
    """Of silhouette and mask, intersection over union."""
    cost: tuple[float, float] = (3.5, 1.5)
    """Of the fit, per landmark."""
    restart_below: float = 0.2
    """The next frame's fit does not start from one that is believed less."""

    def __post_init__(self) -> None:
        if not 0 <= self.overlap[0] < self.overlap[1]:
            raise InputError(f"overlap: expected two increasing values, got {self.overlap}")
        if not self.cost[0] > self.cost[1]:
            raise InputError(f"cost: expected two decreasing values, got {self.cost}")


def trust(cost: float, overlap: float | None, config: TrustConfig) -> float:
    """0..1. overlap: None where there is no mask."""
    by_overlap = 1.0 if overlap is None else _ramp(overlap, config.overlap)
    return by_overlap * _ramp(cost, config.cost)


def _ramp(value: float, ends: tuple[float, float]) -> float:
    return float(np.clip((value - ends[0]) / (ends[1] - ends[0]), 0.0, 1.0))


def silhouette_overlap(points: Array, parts: NDArray[np.integer], mask: NDArray[np.uint8]) -> float | None:
    """Intersection over union of the body and a mask (height, width) in the picture; None where neither is in it.

    points: (n, 2) px, spread over the body's skin; parts: (n,) the part of the body that each belongs to. A part's
    silhouette is taken to be convex.
    """
    height, width = mask.shape
    box = _box_around(points[((points >= 0) & (points < (width, height))).all(axis=1)], mask)
    if box is None:
        return None
    x0, y0, x1, y1 = box
    scale = _GRID / max(x1 - x0, y1 - y0)
    size = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
    seen = cv2.resize(mask[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA) >= _IN_MASK
    drawn = _silhouette((points - (x0, y0)) * scale, parts, size)
    return float((drawn & seen).sum() / max((drawn | seen).sum(), 1))


def _silhouette(points: Array, parts: NDArray[np.integer], size: tuple[int, int]) -> NDArray[np.bool_]:
    """(height, width) of a grid of this (width, height), from points in its cells."""
    body = np.zeros((size[1], size[0]), np.uint8)
    cells = np.clip(np.floor(points), -_FARTHEST_CELL, _FARTHEST_CELL).astype(np.int32)
    for part in np.unique(parts):
        cv2.fillConvexPoly(body, cv2.convexHull(cells[parts == part]), (1,))
    return cv2.morphologyEx(body, cv2.MORPH_CLOSE, _CLOSING) > 0


def _box_around(points: Array, mask: NDArray[np.uint8]) -> tuple[int, int, int, int] | None:
    """xyxy px of what holds both."""
    x, y, w, h = cv2.boundingRect((mask >= _IN_MASK).view(np.uint8))
    corners = [np.array([[x, y], [x + w, y + h]], float)] if w and h else []
    corners += [points] if len(points) else []
    if not corners:
        return None
    every = np.concatenate(corners)
    low, high = np.floor(every.min(axis=0)).astype(int), np.ceil(every.max(axis=0)).astype(int) + 1
    low, high = np.maximum(low, 0), np.minimum(high, (mask.shape[1], mask.shape[0]))
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
