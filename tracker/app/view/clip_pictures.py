"""Small pictures of a video at any time, for showing them behind a timeline: forwards they are cheap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_WIDTH = 480
"""px"""
_AHEAD = 2.0
"""s that are read over rather than sought."""


class ClipPictures:
    """One video, opened when the first picture is asked for."""

    def __init__(self, path: Path, width: int | None = _WIDTH) -> None:
        """width: px, of the pictures; None leaves them as they are."""
        self._path, self._width = path, width
        self._capture: cv2.VideoCapture | None = None
        self._time = -np.inf
        self._picture: NDArray[np.uint8] | None = None

    def at(self, time: float) -> NDArray[np.uint8] | None:
        """(h, w, 3) RGB: the picture at a time, s, from the video's start; None where there is none."""
        if self._capture is None:
            self._capture = cv2.VideoCapture(str(self._path))
        rate = self._capture.get(cv2.CAP_PROP_FPS) or 30.0
        if time < self._time or time > self._time + _AHEAD:
            self._capture.set(cv2.CAP_PROP_POS_MSEC, 1e3 * max(time, 0.0))
            self._time = -np.inf
        while self._time + 0.5 / rate < time:
            moment = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
            whole, picture = self._capture.read()
            if not whole:
                break
            self._time, self._picture = moment, self._shown(picture)
        return self._picture

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()

    def _shown(self, bgr: NDArray[Any]) -> NDArray[np.uint8]:
        picture = bgr if self._width is None else small(bgr, self._width)
        return np.ascontiguousarray(picture[..., ::-1], np.uint8)


def small(picture: NDArray[Any], width: int = _WIDTH) -> NDArray[np.uint8]:
    """(h, width, 3) of a picture of the same shape."""
    height = round(width * picture.shape[0] / picture.shape[1])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
