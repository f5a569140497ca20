"""A person's silhouette where the network that saw it put it: a small picture and its place in the frame.

Few of a frame's pixels are ever asked about, so that the silhouette is looked up where it is and not drawn into a
picture as large as the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.core.affine import apply_affine, chain_affine, invert_affine
from tracker.core.arrays import Array, require_shape
from tracker.core.crop import frame_in_crop, paste_crop, values_at, warp_crop

IN_MASK = 128
"""Value from which a pixel belongs to the person."""


@dataclass(frozen=True)
class PlacedMask:
    """A silhouette in a frame; nothing of it lies outside the small picture."""

    values: NDArray[np.uint8]
    """(h, w) 0..255, 255 where the person is."""
    T_frame_mask: Array
    """(2, 3): pixels of `values` to pixels of the frame."""
    size: tuple[int, int]
    """(width, height) px of the frame."""

    def __post_init__(self) -> None:
        require_shape("PlacedMask.values", self.values, (-1, -1))
        if self.values.dtype != np.uint8:
            raise ValueError(f"PlacedMask.values: expected uint8, got {self.values.dtype}")
        require_shape("PlacedMask.T_frame_mask", self.T_frame_mask, (2, 3))

    @classmethod
    def whole(cls, values: NDArray[np.uint8]) -> PlacedMask:
        """The silhouette in a frame of its own size."""
        return cls(values, np.eye(3)[:2], (values.shape[1], values.shape[0]))

    def moved(self, T_frame_crop: Array, size: tuple[int, int]) -> PlacedMask:
        """The same silhouette for the frame that this one's is a crop of."""
        return PlacedMask(self.values, chain_affine(T_frame_crop, self.T_frame_mask), size)

    def covers(self, points: Array) -> NDArray[np.bool_]:
        """(...) whether the frame's pixels under the points (..., 2) px show the person. Of what lies
        outside the frame it tells the network's guess."""
        return np.asarray(values_at(self.values, self.to_own(np.floor(points) + 0.5)) >= IN_MASK)

    def cropped(self, T_frame_crop: Array, width: int, height: int) -> NDArray[np.uint8]:
        """(height, width) 0..255 of the crop whose pixels show what lies at T_frame_crop of them."""
        return warp_crop(self.values, chain_affine(invert_affine(self.T_frame_mask), T_frame_crop), width, height)

    def picture(self) -> NDArray[np.uint8]:
        """(height, width) 0..255 of the whole frame."""
        return paste_crop(self.values, self.T_frame_mask, self.size)

    def in_frame(self) -> NDArray[np.uint8]:
        """`values` without what lies outside the frame."""
        return np.asarray(cv2.bitwise_and(self.values, frame_in_crop(self.T_frame_mask, self.values.shape, self.size)))

    def to_own(self, points: Array) -> Array:
        """Pixels of `values` (..., 2) that show the frame's."""
        return apply_affine(invert_affine(self.T_frame_mask), points)
