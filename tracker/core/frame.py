"""One picture of a source, with its time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, SupportsFloat

import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import require_shape
from tracker.core.errors import InputError

Channels = Literal["rgb", "bgr"]
"""The order of a picture's colours; OpenCV's is bgr."""


@dataclass(frozen=True)
class Frame:
    """One picture of a source."""

    index: int
    """Position in the source, from 0, counting frames that were dropped or skipped."""
    time: float
    """Seconds: the container's timestamp for a file, the moment of capture for a camera."""
    image: NDArray[np.uint8]
    """(height, width, 3) RGB, upright: the rotation tag has been applied."""

    def __post_init__(self) -> None:
        require_shape("Frame.image", self.image, (-1, -1, 3))
        if self.image.dtype != np.uint8:
            raise ValueError(f"Frame.image: expected uint8, got {self.image.dtype}")
        if not math.isfinite(self.time):
            raise InputError(f"time: expected a finite number of seconds, got {self.time}")

    @classmethod
    def of(cls, image: NDArray[np.uint8], index: int, time: float, channels: Channels = "rgb") -> Frame:
        """The frame of somebody's own picture. Raises InputError that says what is wrong with it."""
        if not isinstance(image, np.ndarray):
            raise InputError(f"image: expected a numpy array (height, width, 3) of uint8, got {type(image).__name__}")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise InputError(
                f"image: expected (height, width, 3) of uint8, got {image.shape} of {image.dtype}; "
                "grey pictures and pictures with alpha have to be converted to three channels"
            )
        if channels not in ("rgb", "bgr"):
            raise InputError(f"channels: expected rgb or bgr, got {channels!r}")
        return cls(index, _seconds(time), np.ascontiguousarray(image if channels == "rgb" else image[..., ::-1]))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) px."""
        return self.image.shape[1], self.image.shape[0]


def _seconds(time: SupportsFloat) -> float:
    try:
        return float(time)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"time: expected a number of seconds, got {time!r:.80}") from None
