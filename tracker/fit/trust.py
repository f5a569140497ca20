"""How far a fit may be believed: whether it explains its observations, and covers the person whom the detector sees.

Where the landmark network is lost (somebody lying, cut off, blurred) it often gives a small tangled body that sits on
part of the person. Its landmarks fit together, so the fit's own cost does not always tell; the person's mask does: much
of it is left bare. The reverse, a body that reaches beyond the mask, says nothing: whatever is in front of somebody
cuts their mask.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array
from tracker.core.errors import InputError
from tracker.core.mask import IN_MASK, PlacedMask

_GRID = 64
"""Cells along the longer side of the mask."""
_CLOSING = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
"""Fills the gaps that joints leave between the parts."""
_FARTHEST_CELL = 10_000.0


@dataclass(frozen=True)
class TrustConfig:
    """Between the two values of a pair belief goes from none to full.

    On real clips good fits cover 0.7 to 0.9 of the mask, children in wide clothes 0.55 to 0.7, tangled ones 0.3 to 0.6;
    they cost up to 1.3, tangled ones 0.8 to 5.
    """

    cover: tuple[float, float] = (0.46, 0.62)
    """The share of the person's mask that the body covers."""
    cost: tuple[float, float] = (3.3, 1.5)
    """Of the fit, per landmark."""
    restart_below: float = 0.1
    """The next frame's fit does not start from one that is believed less."""

    alone_from: float = 0.65
    """What the landmarks alone say, where the picture says otherwise and is not believed, is believed from here on."""

    def __post_init__(self) -> None:
        if not 0 <= self.cover[0] < self.cover[1]:
            raise InputError(f"cover: expected two increasing values, got {self.cover}")
        if not self.cost[0] > self.cost[1]:
            raise InputError(f"cost: expected two decreasing values, got {self.cost}")


def trust(cost: float, cover: float | None, config: TrustConfig) -> float:
    """0..1. cover: None where there is no mask."""
    by_cover = 1.0 if cover is None else _ramp(cover, config.cover)
    return by_cover * _ramp(cost, config.cost)


def _ramp(value: float, ends: tuple[float, float]) -> float:
    return float(np.clip((value - ends[0]) / (ends[1] - ends[0]), 0.0, 1.0))


def cover_of(points: Array, parts: NDArray[np.integer], mask: PlacedMask) -> float | None:
    """The share of a mask that the body covers; None for an empty one.

    points: (n, 2) px, spread over the body's skin; parts: (n,) the part of the body that each belongs to. A part's
    silhouette is taken to be convex.
    """
    person = mask.in_frame()
    x, y, width, height = cv2.boundingRect((person >= IN_MASK).view(np.uint8))
    if not width or not height:
        return None
    scale = _GRID / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    visible = cv2.resize(person[y : y + height, x : x + width], size, interpolation=cv2.INTER_AREA) >= IN_MASK
    drawn = _silhouette((mask.to_own(points) - (x, y)) * scale, parts, size)
    return float((drawn & visible).sum() / max(visible.sum(), 1))


def _silhouette(points: Array, parts: NDArray[np.integer], size: tuple[int, int]) -> NDArray[np.bool_]:
    """(height, width) of a grid of this (width, height), from points in its cells."""
    body = np.zeros((size[1], size[0]), np.uint8)
    cells = np.clip(np.floor(points), -_FARTHEST_CELL, _FARTHEST_CELL).astype(np.int32)
    by_part = np.argsort(parts, kind="stable")
    for part in np.split(cells[by_part], np.flatnonzero(np.diff(parts[by_part])) + 1):
        if len(part):
            cv2.fillConvexPoly(body, cv2.convexHull(part), (1,))
    return cv2.morphologyEx(body, cv2.MORPH_CLOSE, _CLOSING) > 0
