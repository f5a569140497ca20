"""The live picture in a window on the desktop, which takes the keys too."""

from __future__ import annotations

import os
from collections.abc import Sequence

import cv2
import numpy as np

from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.core.person import Person
from tracker.outputs.output import Picture, StatusFeed
from tracker.overlay.hud import draw_hud

WINDOW = "body-tracker"
_STALE = 0.3
"""Brightness of the last picture while no other comes."""


class Window(StatusFeed):
    """A window; lives in the main thread."""

    name, wants_picture = "window", True

    def __init__(self) -> None:
        """Raises InputError where there is no display."""
        if os.name == "posix" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise InputError("live: there is no display to open a window on; pass --headless (with --record or --web)")
        cv2.namedWindow(WINDOW, cv2.WINDOW_NORMAL)
        self._sized = False
        self._last: Picture | None = None

    def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
        assert picture is not None
        if not self._sized:
            cv2.resizeWindow(WINDOW, picture.shape[1], picture.shape[0])
            self._sized = True
        self._last = picture
        cv2.imshow(WINDOW, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def wait(self) -> None:
        if self._last is not None:
            dim = (_STALE * self._last).astype(np.uint8)
            cv2.imshow(WINDOW, cv2.cvtColor(draw_hud(dim, [self.status().waiting]), cv2.COLOR_RGB2BGR))

    def key(self) -> str:
        """See `Keys`; also keeps the window alive."""
        pressed = cv2.waitKey(1)
        if self._sized and self._is_closed():
            return "q"
        return chr(pressed & 0xFF).lower() if pressed >= 0 else ""

    def _is_closed(self) -> bool:
        try:
            return cv2.getWindowProperty(WINDOW, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error:  # with its last window Qt goes altogether
            return True

    def close(self) -> None:
        cv2.destroyAllWindows()
