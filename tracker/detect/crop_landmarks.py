"""What a landmark network's numbers say of the person in its crop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tracker.body.metric_landmarks import FULL_SKELETON, HEAVY_SKELETON, NetworkSkeleton
from tracker.core.affine import apply_affine, turn_of
from tracker.core.arrays import NUM_LANDMARKS, Array

_CELL = 4
"""Crop pixels that one cell of the heatmaps covers."""
_REFINE_REACH = 3
"""Cells around a landmark whose heat corrects it."""
_REFINE_CONFIDENCE = 0.5
LandmarksT = TypeVar("LandmarksT", bound="CropLandmarks")

READ = ("landmarks", "metric", "heatmaps")
"""Of a network's outputs, what `CropLandmarks.read` reads."""


@dataclass(frozen=True)
class Calibration:
    """What a network's numbers mean: its metres on our body, its confidences beside those of the full one, by which all
    rules were measured."""

    skeleton: NetworkSkeleton
    presence_power: float = 1.0
    visible_logit: float = 0.0
    """Added to the logits of visibility."""

    def presence(self, probability: float) -> float:
        """0..1: how sure the full network would be of somebody."""
        return probability**self.presence_power

    def visibility(self, logits: Array) -> Array:
        """0..1: how visible the full network would say that landmarks with these logits are."""
        return _sigmoid(logits + self.visible_logit)


FULL = Calibration(FULL_SKELETON)
HEAVY = Calibration(HEAVY_SKELETON, presence_power=3.0, visible_logit=1.0)
"""It is as sure as 0.8 of what is hardly anybody any more, a flat heap in the place of a somersault, of which the full
one says 0.5. Joints that are seen have logits that are 0.8 to 1.4 lower, hidden ones up to 1.9."""


@dataclass(frozen=True)
class CropLandmarks:
    """The 33 landmarks of one person, in the pixels and along the axes of a crop or of its frame."""

    landmarks2d: Array
    """(33, 2) px; pixel centres at integers + 0.5."""
    landmarks3d: Array
    """(33, 3) m, the hips' midpoint at the origin."""
    visibility: Array
    """(33,) 0..1."""
    presence: Array
    """(33,) 0..1: how likely the point lies in the crop."""

    @classmethod
    def read(cls, maps: Mapping[str, NDArray[np.float32]], calibration: Calibration) -> CropLandmarks:
        """maps: READ of one crop, as the network gives them."""
        points = maps["landmarks"].astype(float)
        return cls(
            landmarks2d=refined(points[:, :2], maps["heatmaps"])[:NUM_LANDMARKS],
            landmarks3d=calibration.skeleton.on_our_body(maps["metric"][:NUM_LANDMARKS].astype(float)),
            visibility=calibration.visibility(points[:NUM_LANDMARKS, 3]),
            presence=_sigmoid(points[:NUM_LANDMARKS, 4]),
        )

    def in_frame(self: LandmarksT, T_frame_crop: Array) -> LandmarksT:
        """The same in the frame's pixels and along its camera's axes."""
        turned = self.landmarks3d @ turn_of(T_frame_crop).T
        return replace(self, landmarks2d=apply_affine(T_frame_crop, self.landmarks2d), landmarks3d=turned)


def refined(points: Array, heatmaps: NDArray[np.float32]) -> Array:
    """(39, 2) crop px, drawn to the mean of the heat (64, 64, 39 in 0..1) around each of them where that is hot.

    MediaPipe does the same after its network. A landmark in the corner of a cell heats that cell most: cells are
    numbered, and their numbers averaged, from their corners.
    """
    rows, columns, channels = heatmaps.shape
    offsets = np.arange(-_REFINE_REACH, _REFINE_REACH + 1)
    column = (points[:, 0, None] // _CELL).astype(int) + offsets
    row = (points[:, 1, None] // _CELL).astype(int) + offsets
    inside = ((row >= 0) & (row < rows))[:, :, None] & ((column >= 0) & (column < columns))[:, None, :]
    picked = heatmaps[
        row.clip(0, rows - 1)[:, :, None], column.clip(0, columns - 1)[:, None, :], np.arange(channels)[:, None, None]
    ]
    heat = np.where(inside, picked.astype(float), 0.0)
    total = heat.sum(axis=(1, 2))
    hot = (heat.max(axis=(1, 2)) >= _REFINE_CONFIDENCE) & (total > 0)
    safe = np.where(hot, total, 1.0)
    x = (heat.sum(axis=1) * column).sum(axis=1) / safe
    y = (heat.sum(axis=2) * row).sum(axis=1) / safe
    return np.where(hot[:, None], _CELL * np.stack([x, y], axis=1), points)


def _sigmoid(logits: NDArray) -> NDArray:
    return 0.5 * (1 + np.tanh(0.5 * logits))
