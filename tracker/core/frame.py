"""One picture of a source, with its time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import require_shape


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

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) px."""
        return self.image.shape[1], self.image.shape[0]
