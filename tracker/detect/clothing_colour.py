"""What a person wears, as colour histograms: how the tracker tells people apart when their places do not.

Colours are read from the torso and from the legs, at points that hang on the landmarks and lie in the person's mask, so
that the background does not vote. A histogram of a few hundred points costs far less than a network, and clothes are
what tells people apart within a clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.body.landmark_set import MEDIAPIPE
from tracker.core.arrays import Array
from tracker.core.detection import Detection
from tracker.core.mask import PlacedMask
from tracker.detect.similarity import body_size

OWN_CLOTHES = 0.35
"""One person's clothes differ by less nine times in ten, those of two people hardly ever."""
OTHER_CLOTHES = 0.5
"""A difference that one person's clothes do not make from one moment to the next."""
_UNKNOWN_DIFFERENCE = 0.3
_BINS = 12
_LOW = np.array([0.0, 88.0, 88.0])
_HIGH = np.array([255.0, 168.0, 168.0])
"""Range of OpenCV's 8-bit L, a, b that the bins divide; more colourful clothes count in the last bin."""
_CHANNEL_WEIGHTS = np.array([0.3, 0.35, 0.35])
"""Lightness counts a little less than hue: shadows change it."""
_SEEN = 0.5
_FEWEST_SAMPLES = 12
_GRID = 12
_LEG_WIDTH = 0.06
"""Half the width of the sampled strip along a leg, in body sizes."""

_TORSO = [MEDIAPIPE.index(n) for n in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")]
_LEGS = np.array(
    [
        (MEDIAPIPE.index(f"{side}_{upper}"), MEDIAPIPE.index(f"{side}_{lower}"))
        for side in ("left", "right")
        for upper, lower in (("hip", "knee"), ("knee", "ankle"))
    ]
)


@dataclass(frozen=True)
class Appearance:
    """Colour histograms of the upper and the lower body, with how well each is known."""

    histograms: Array
    """(2, 3, bins) of L, a, b; each row sums to 1, or to 0 where nothing was seen."""
    samples: Array
    """(2,) how many points the histograms rest on."""


def appearance_of(image: NDArray[np.uint8], detection: Detection) -> Appearance:
    """The appearance of a person in an (h, w, 3) RGB frame."""
    upper, reach = _torso_points(detection), _LEG_WIDTH * body_size(detection.landmarks2d)
    colours, shown = _colours(image, detection.mask, np.concatenate([upper, _leg_points(detection, reach)]))
    above = int(shown[: len(upper)].sum())
    regions = [_histogram(colours[:above]), _histogram(colours[above:])]
    return Appearance(np.stack([h for h, _ in regions]), np.array([float(n) for _, n in regions]))


def appearance_distance(first: Appearance, second: Appearance) -> float | None:
    """0 (alike) to 1: the Hellinger distance over what was seen of both; None when they have no region in common."""
    weights = np.sqrt(first.samples * second.samples)
    if weights.sum() == 0:
        return None
    alike = np.sqrt(first.histograms * second.histograms).sum(axis=2) @ _CHANNEL_WEIGHTS
    return float(np.sqrt(max(0.0, 1.0 - weights @ alike / weights.sum())))


def likely_difference(first: Appearance, second: Appearance) -> float:
    """As `appearance_distance`; that of the same person at worst where nothing of them is seen on both sides."""
    difference = appearance_distance(first, second)
    return _UNKNOWN_DIFFERENCE if difference is None else difference


def blended(old: Appearance, new: Appearance, rate: float) -> Appearance:
    """`old` moved towards `new` by rate (0..1), region by region; a region that was never seen before is taken over."""
    rates = np.where(new.samples == 0, 0.0, np.where(old.samples == 0, 1.0, rate))
    histograms = old.histograms + rates[:, None, None] * (new.histograms - old.histograms)
    return Appearance(histograms, old.samples + rates * (new.samples - old.samples))


@cache
def _unit_grid() -> tuple[Array, Array]:
    """Weights of the two ends for _GRID steps along a segment, its very ends left out; and the same steps as −1..1."""
    steps = (np.arange(_GRID) + 0.5) / _GRID
    return np.stack([1 - steps, steps], axis=1), 2 * steps - 1


def _torso_points(detection: Detection) -> Array:
    """(n, 2) px between shoulders and hips; none unless a shoulder and a hip are seen."""
    visible = detection.visibility[_TORSO] >= _SEEN
    if not (visible[:2].any() and visible[2:].any()):
        return np.zeros((0, 2))
    along, _ = _unit_grid()
    left_shoulder, right_shoulder, left_hip, right_hip = detection.landmarks2d[_TORSO]
    across_shoulders = along @ np.stack([left_shoulder, right_shoulder])
    across_hips = along @ np.stack([left_hip, right_hip])
    return (along[:, :1, None] * across_shoulders + along[:, 1:, None] * across_hips).reshape(-1, 2)


def _leg_points(detection: Detection, reach: float) -> Array:
    """(n, 2) px in strips of twice `reach` px along those thighs and shins whose ends are both seen."""
    along, sideways = _unit_grid()
    ends = detection.landmarks2d[_LEGS[(detection.visibility[_LEGS] >= _SEEN).all(axis=1)]]
    direction = ends[:, 1] - ends[:, 0]
    length = np.maximum(np.hypot(direction[:, 0], direction[:, 1]), 1e-6)
    normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1) / length[:, None]
    offsets = sideways[::4, None] * normal[:, None] * reach
    return ((along @ ends)[:, :, None] + offsets[:, None]).reshape(-1, 2)


def _colours(image: NDArray[np.uint8], mask: PlacedMask | None, points: Array) -> tuple[Array, NDArray[np.bool_]]:
    """(m, 3) L, a, b of the pixels under those points that lie in the picture and in the mask; (n,) which do."""
    pixels = np.floor(points).astype(np.int64)
    shown = ((pixels >= 0) & (pixels < [image.shape[1], image.shape[0]])).all(axis=1)
    if mask is not None:
        shown &= mask.covers(points)
    x, y = pixels[shown].T
    if len(x) == 0:
        return np.zeros((0, 3)), shown
    return np.asarray(cv2.cvtColor(image[y, x][None], cv2.COLOR_RGB2LAB)[0], dtype=np.float64), shown


def _histogram(colours: Array) -> tuple[Array, int]:
    """(3, bins) with each colour shared between its two nearest bins, and how many colours; zeros when too few."""
    count = len(colours)
    if count < _FEWEST_SAMPLES:
        return np.zeros((3, _BINS)), 0
    places = np.clip((colours - _LOW) / (_HIGH - _LOW), 0, 1) * (_BINS - 1)
    lower = np.minimum(places.astype(np.int64), _BINS - 2)
    share = places - lower
    offsets = np.arange(3) * _BINS
    bins = np.concatenate([lower + offsets, lower + offsets + 1]).ravel()
    weights = np.concatenate([1 - share, share]).ravel()
    return np.bincount(bins, weights, 3 * _BINS).reshape(3, _BINS) / count, count
