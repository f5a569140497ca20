"""Small pictures of a video at any time, for showing them behind a timeline: forwards they are cheap.

They are read as the tracker reads videos: the clock is the same, and a file opens nothing but itself.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.core.errors import InputError

if TYPE_CHECKING:
    from tracker.app.view.sought_video import SoughtVideo

log = logging.getLogger("tracker")

_WIDTH = 480
"""px"""


class ClipPictures:
    """One video or picture, opened when it is first asked for. One that cannot be read is said once."""

    def __init__(self, path: Path, width: int | None = _WIDTH) -> None:
        """width: px, of the pictures; None leaves them as they are."""
        self._path, self._width = path, width
        self._opened = False
        self._video: SoughtVideo | None = None
        self._picture: NDArray[np.uint8] | None = None

    def at(self, time: float) -> NDArray[np.uint8] | None:
        """(h, w, 3) RGB: the picture at a time, s, from the video's start; None where there is none."""
        if not self._opened:
            self._opened = True
            self._open()
        if self._video is not None:
            self._show(self._video.another_at(max(time, 0.0)))
        return self._picture

    def close(self) -> None:
        if self._video is not None:
            self._video.close()

    def _open(self) -> None:
        from tracker.app.view.sought_video import SoughtVideo
        from tracker.source.images import IMAGE_SUFFIXES, read_image
        from tracker.source.source import InputTrust

        try:
            if self._path.suffix.lower() in IMAGE_SUFFIXES:
                self._show(read_image(self._path, InputTrust().max_pixels))
            else:
                self._video = SoughtVideo(self._path)
        except InputError as error:
            log.warning("%s", error)

    def _show(self, rgb: NDArray[np.uint8] | None) -> None:
        if rgb is not None:
            self._picture = rgb if self._width is None else small(rgb, self._width)


def small(picture: NDArray[Any], width: int = _WIDTH) -> NDArray[np.uint8]:
    """(h, width, 3) of a picture of the same shape."""
    height = max(1, round(width * picture.shape[0] / picture.shape[1]))
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
