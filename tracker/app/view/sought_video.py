"""A video in which a viewer jumps about; what it is not trusted with is as in `source/container.py`."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from math import inf
from pathlib import Path

import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from tracker.core.errors import InputError
from tracker.source.container import DecodingProblems, decode, open_container, video_stream
from tracker.source.picture_converter import PictureConverter
from tracker.source.video import DEFAULT_RATE, ContainerClock, nominal_rate

_AHEAD = 2.0
"""s that are read over rather than sought."""


class SoughtVideo:
    """Pictures by their time. `VideoSource` counts every picture before the one it begins with, which takes seconds
    in long files; here nobody asks for their numbers."""

    def __init__(self, path: Path) -> None:
        """Raises InputError where it is no video, or asks for more than it is trusted with."""
        self._container = open_container(str(path))
        self._stream = video_stream(self._container)
        self._stream.thread_type = "AUTO"
        period = 1 / (nominal_rate(self._stream) or DEFAULT_RATE)
        self._pictures = decode(self._container, DecodingProblems())
        first = next(self._pictures, None)
        if first is None:
            self.close()
            raise InputError(f"{path}: not one frame can be decoded; expected a whole video file")
        self._clock = ContainerClock(first, Fraction(self._stream.time_base or 1), period)
        self._convert = PictureConverter(self._stream.sample_aspect_ratio)
        self._early = float(period / 2)
        self._time, self._end = -inf, inf

    def another_at(self, time: float) -> NDArray[np.uint8] | None:
        """(h, w, 3) RGB: the picture at a time, s; None where that is the one that was given last, or there is none."""
        if time < self._end and not self._time - self._early <= time <= self._time + _AHEAD:
            self._seek(time)
        newest = None
        while self._time + self._early < time:
            picture = next(self._pictures, None)
            if picture is None:
                self._end = self._time if self._time > -inf else self._end
                break
            moment = self._clock.place(picture)
            if moment is not None:
                self._time, newest = moment, picture
        return None if newest is None else self._convert(newest)

    def close(self) -> None:
        self._container.close()

    def _seek(self, time: float) -> None:
        with suppress(FFmpegError, OSError):  # a format that cannot seek goes on from where it is
            self._container.seek(self._clock.ticks_at(time), stream=self._stream)
        self._pictures = decode(self._container, DecodingProblems())
        self._clock.rewind()
        self._time = -inf
