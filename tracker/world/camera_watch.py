"""Whether the camera stands still: corners of the background are followed from a key picture, a few times a second."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array
from tracker.core.frame import Frame
from tracker.core.person import Person

_SECONDS = 0.25
"""Between pictures that are looked at."""
_WIDTH = 320
"""px of the small picture."""
_CORNERS = 120
_FEWEST = 12
"""Corners without which nothing can be said of a picture."""
_MARGIN = 0.15
"""Of a person's box around it that is not background either."""
_MOVED = 0.012
"""Share of the picture's width by which the background of a camera that moves has gone from its place."""
_AGREEING = 0.6
"""Share of the corners that have to have moved: the rest may be on somebody or something that moves."""
_TIMES = 3
"""Pictures in a row that say so."""


class CameraWatch:
    """Is shown frames in order; says when the camera has begun to move."""

    def __init__(self) -> None:
        self.moved_at: float | None = None
        """s: when the camera was first found to have left its place; None while it stands still."""
        self._next = -np.inf
        self._key: NDArray[np.uint8] | None = None
        self._corners: Array = np.zeros((0, 1, 2), np.float32)
        self._in_a_row = 0
        self._began = 0.0

    def show(self, frame: Frame, people: Sequence[Person]) -> None:
        """people: those of this frame, whose boxes are not background."""
        if self.moved_at is not None or frame.time < self._next:
            return
        self._next = frame.time + _SECONDS
        small = _small(frame.image)
        if self._key is None or self._key.shape != small.shape:
            self._restart(frame, small, people)
            return
        if len(self._corners) < _FEWEST:
            return
        self._judge(frame.time, self._shares_moved(small))

    def _restart(self, frame: Frame, small: NDArray[np.uint8], people: Sequence[Person]) -> None:
        """The picture of another size, as the first one, is a key to compare with."""
        mask = np.full(small.shape, 255, np.uint8)
        scale = small.shape[1] / frame.size[0]
        for person in people:
            x0, y0, x1, y1 = person.bbox * scale
            dx, dy = _MARGIN * (x1 - x0), _MARGIN * (y1 - y0)
            left, top, right, bottom = (max(0, int(v)) for v in (x0 - dx, y0 - dy, x1 + dx, y1 + dy))
            mask[top:bottom, left:right] = 0
        corners = cv2.goodFeaturesToTrack(small, _CORNERS, 0.01, 6, mask=mask)
        self._key, self._in_a_row = small, 0
        self._corners = np.zeros((0, 1, 2), np.float32) if corners is None else np.asarray(corners, np.float32)

    def _shares_moved(self, small: NDArray[np.uint8]) -> float:
        """Of the corners that are found again, those that have left their place; 0 where too few are found."""
        assert self._key is not None
        there, ok = _followed(self._key, small, self._corners)
        back, ok_back = _followed(small, self._key, there)
        returned = np.linalg.norm((back - self._corners)[:, 0], axis=1) < 1.0
        known = ok & ok_back & returned
        if known.sum() < _FEWEST:
            return 0.0
        distance = np.linalg.norm((there - self._corners)[known, 0], axis=1)
        return float((distance > _MOVED * small.shape[1]).mean())

    def _judge(self, time: float, share: float) -> None:
        if share < _AGREEING:
            self._in_a_row = 0
            return
        if self._in_a_row == 0:
            self._began = time
        self._in_a_row += 1
        if self._in_a_row >= _TIMES:
            self.moved_at = self._began


def _followed(src: NDArray[np.uint8], dst: NDArray[np.uint8], corners: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Where corners (n, 1, 2) px of one picture are in another, and whether they were found."""
    guess = corners.copy()
    places, ok, _ = cv2.calcOpticalFlowPyrLK(src, dst, corners, guess, winSize=(21, 21), maxLevel=4)
    return np.asarray(places), np.asarray(ok)[:, 0] == 1


def _small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    size = (min(width, _WIDTH), max(1, round(height * min(width, _WIDTH) / width)))
    grey = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    return np.asarray(grey, np.uint8)
