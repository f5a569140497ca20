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

    def __init__(self, path: Path) -> None:
        self._path = path
        self._capture: cv2.VideoCapture | None = None
        self._time = -np.inf
        self._picture: NDArray[np.uint8] | None = None

    def at(self, time: float) -> NDArray[np.uint8] | None:
        """(h, 480, 3) RGB: the picture at a time, s, from the video's start; None where there is none."""
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
            self._time, self._picture = moment, _small(picture)
        return self._picture

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()


def _small(bgr: NDArray[Any]) -> NDArray[np.uint8]:
    height = round(_WIDTH * bgr.shape[0] / bgr.shape[1])
    small = cv2.resize(bgr, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small[..., ::-1], np.uint8)
