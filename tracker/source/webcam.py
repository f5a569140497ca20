"""Webcams, through OpenCV."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tracker.core.errors import InputError, RunError
from tracker.source.live_source import ConnectionLost, LiveSource, Picture
from tracker.source.source import Clip, LiveConfig, SourceInfo

DEVICES = Path("/dev")

CAP_PROP_FPS = 5
"""cv2.CAP_PROP_FPS."""

FRAMES_TO_WAKE = 10
"""Some cameras fail to give their first few pictures."""


class Capture(Protocol):
    """The part of cv2.VideoCapture that is used."""

    def isOpened(self) -> bool:
        """Whether the device answered."""

    def grab(self) -> bool:
        """Waits for the next picture; False when none comes."""

    def retrieve(self) -> tuple[bool, Any]:
        """The grabbed picture, (height, width, 3) BGR."""

    def get(self, prop: int, /) -> float:
        """A property by OpenCV's number."""

    def release(self) -> None:
        """Gives the device back."""


def open_capture(device: int | str, config: LiveConfig) -> Capture:
    """Opens a webcam by index or path and asks for the size and rate wanted. Raises RunError without OpenCV."""
    try:
        import cv2
    except ImportError:
        raise RunError(f"camera {device}: reading a webcam needs OpenCV; pip install opencv-python-headless") from None
    cv2.setLogLevel(0)
    capture = cv2.VideoCapture(device)
    if capture.isOpened():
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*("MJPG" if config.camera_mjpg else "YUYV")))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, config.camera_size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, config.camera_size[1])
        capture.set(cv2.CAP_PROP_FPS, config.camera_rate)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


class CameraSource(LiveSource):
    """A webcam. `Frame.time` is the monotonic clock at the moment when the driver handed the picture over."""

    def __init__(
        self,
        device: int | str,
        clip: Clip,
        config: LiveConfig,
        opener: Callable[[int | str, LiveConfig], Capture] = open_capture,
    ) -> None:
        self._device = device
        self._opener = opener
        self._capture: Capture | None = opener(device, config)
        picture = _first_picture(self._capture) if self._capture.isOpened() else None
        if picture is None:
            self._disconnect()
            raise InputError(absent_message(device))
        number = str(device).removeprefix("/dev/video")
        info = SourceInfo(
            name=f"camera{number}",
            kind="camera",
            width=picture.shape[1],
            height=picture.shape[0],
            rate=_rate_of(self._capture),
            frame_count=None,
            duration=None,
            has_audio=False,
            location=f"camera {device}",
            live=True,
        )
        super().__init__(info, clip, config)

    def _pictures(self) -> Iterator[Picture]:
        if self._capture is None:
            self._capture = self._opener(self._device, self._config)
            if not self._capture.isOpened():
                raise ConnectionLost("the camera is gone")
        while (taken := _take(self._capture)) is not None:
            yield taken
        raise ConnectionLost("the camera stopped giving pictures (unplugged?)")

    def _disconnect(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None


def _take(capture: Capture) -> Picture | None:
    """Waits for the next picture: (monotonic seconds, RGB), or None when none comes."""
    if not capture.grab():
        return None
    moment = time.monotonic()
    whole, picture = capture.retrieve()
    if not whole or picture is None:
        return None
    if picture.ndim == 2:
        picture = np.repeat(picture[:, :, None], 3, axis=2)
    return moment, np.ascontiguousarray(picture[:, :, ::-1], dtype=np.uint8)


def _first_picture(capture: Capture) -> NDArray[np.uint8] | None:
    attempts = (_take(capture) for _ in range(FRAMES_TO_WAKE))
    return next((taken[1] for taken in attempts if taken is not None), None)


def _rate_of(capture: Capture) -> Fraction | None:
    rate = capture.get(CAP_PROP_FPS)
    return Fraction(rate).limit_denominator(1001) if 0 < rate < 1000 else None


def absent_message(device: int | str) -> str:
    """The one line for a camera that does not open: which there are instead."""
    devices = sorted(str(path) for path in DEVICES.glob("video*"))
    there = f"cameras here: {', '.join(devices)}" if devices else f"there is no {DEVICES}/video* on this machine"
    path = f"{DEVICES}/video{device}" if isinstance(device, int) else device
    if path in devices:
        mend = "it may be in use by another program, or your user is not in the group 'video'"
    else:
        mend = "plug one in, or give another index, a file or an address"
    return f"camera {device}: gives no picture; {there}; {mend}"
