"""Several copies of one picture on a larger one: a crowd out of a single person."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
"""(width, height) px."""


@dataclass(frozen=True)
class Grid:
    """`copies` of a picture beside and below each other on black, as large as fits."""

    copies: int
    picture: Size
    canvas: Size

    @property
    def _columns(self) -> int:
        return math.ceil(math.sqrt(self.copies))

    @property
    def _cell(self) -> Size:
        return self.canvas[0] // self._columns, self.canvas[1] // math.ceil(self.copies / self._columns)

    @property
    def scale(self) -> float:
        """Of each copy."""
        return min(self._cell[0] / self.picture[0], self._cell[1] / self.picture[1])

    @property
    def shown(self) -> Size:
        """(width, height) px of each copy."""
        return max(1, int(self.picture[0] * self.scale)), max(1, int(self.picture[1] * self.scale))

    @property
    def corners(self) -> list[tuple[int, int]]:
        """x, y px of each copy's upper left corner."""
        (width, height), (shown_width, shown_height) = self._cell, self.shown
        return [
            (
                k % self._columns * width + (width - shown_width) // 2,
                k // self._columns * height + (height - shown_height) // 2,
            )
            for k in range(self.copies)
        ]

    def drawn(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(height, width, 3): the canvas."""
        small = cv2.resize(image, self.shown, interpolation=cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR)
        canvas = np.zeros((self.canvas[1], self.canvas[0], 3), np.uint8)
        for x, y in self.corners:
            canvas[y : y + self.shown[1], x : x + self.shown[0]] = small
        return canvas
