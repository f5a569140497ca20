"""A person as a landmark detector gives them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import NUM_LANDMARKS, Array, require_shape
from tracker.core.existence import Existence
from tracker.core.mask import PlacedMask
from tracker.core.palms import Palms

_LARGE = 1024
"""Numbers of a map that takes memory, and that no landmarks or poses are."""


@dataclass(frozen=True)
class LandmarkCrop:
    """The crop in which the landmark network saw a person, and what it said besides the landmarks."""

    image: NDArray[np.uint8]
    """(256, 256, 3) RGB."""
    T_frame_crop: Array
    """(2, 3): pixels of the crop to pixels of the frame."""
    maps: Mapping[str, NDArray[np.float32]]
    """The network's outputs: the landmark network's, `landmark_onnx.OUTPUTS`, and what else was asked for, channels
    last."""

    def has(self, names: Collection[str]) -> bool:
        """Whether the network has told all of these."""
        return all(name in self.maps for name in names)

    def packed(self) -> LandmarkCrop:
        """The same in half of the memory: large maps in half precision, which the network was made for."""
        return self._with_maps(np.float32, _halved)

    def unpacked(self) -> LandmarkCrop:
        """What `packed` packed."""
        return self._with_maps(np.float16, _restored)

    def _with_maps(self, dtype: type, change: Callable[[NDArray], NDArray]) -> LandmarkCrop:
        maps = {n: change(v) if v.size >= _LARGE and v.dtype == dtype else v for n, v in self.maps.items()}
        return replace(self, maps=maps)


# OpenCV's conversion is fifty times as fast as numpy's, which takes 7 ms for the heat maps alone.
def _halved(values: NDArray) -> NDArray:
    halves = np.asarray(cv2.convertFp16(values.reshape(len(values), -1)))
    return halves.view(np.float16).reshape(values.shape)


def _restored(halves: NDArray) -> NDArray:
    codes = halves.view(np.int16).reshape(len(halves), -1)
    return np.asarray(cv2.convertFp16(codes)).reshape(halves.shape)


@dataclass(frozen=True)
class Detection:
    """One person as a landmark detector sees them in one frame (MediaPipe's 33 points)."""

    landmarks2d: Array
    """(33, 2) px in the frame."""
    landmarks3d: Array
    """(33, 3) m, the hips' midpoint at the origin, axes along the camera's."""
    visibility: Array
    """(33,) in 0..1: how likely the point is in the picture and not hidden. Exactly 0 is a point that the detector does
    not give: its coordinates do not count."""
    mask: PlacedMask | None = None
    """Where the person is; None when the detector does not say."""
    crop: LandmarkCrop | None = None
    """None when it was not the landmark network alone that saw them."""
    stranger: bool = False
    """Whether the detector saw them come in front of somebody else whom it followed: so they are not that one."""
    agreed: bool = False
    """Whether the detector has looked at them several times, and saw this pose in most of them: so that they need not
    be seen in another frame before they are believed."""
    existence: Existence = field(default_factory=Existence)
    """What the detector knows by now of whether they are there at all."""
    palms: Palms = field(default_factory=Palms)
    """How their hands are turned, in the camera's frame, where that has been seen."""

    def __post_init__(self) -> None:
        require_shape("Detection.landmarks2d", self.landmarks2d, (NUM_LANDMARKS, 2))
        require_shape("Detection.landmarks3d", self.landmarks3d, (NUM_LANDMARKS, 3))
        require_shape("Detection.visibility", self.visibility, (NUM_LANDMARKS,))

    @property
    def bbox(self) -> Array:
        """(4,) xyxy px: the tight box of the landmarks."""
        return np.concatenate([self.landmarks2d.min(axis=0), self.landmarks2d.max(axis=0)])


@dataclass(frozen=True)
class TrackedDetection:
    """A detection that has been given an identity."""

    person_id: int
    detection: Detection
