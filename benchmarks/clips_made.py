"""Clips for benchmarks: a given one, or one made up, at any size, with its people several times over, in a loop."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import count
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tracker.core.frame import Frame
from tracker.overlay.video_writer import VideoWriter
from tracker.source import Clip, Source, open_source
from tracker.synth.demo_clip import ClipConfig, DemoClip

Size = tuple[int, int]
"""(width, height) px."""


def make_demo(path: Path, seconds: float) -> Path:
    """Films the demo's person."""
    config = ClipConfig(seconds=max(seconds, 4.0))  # its motions need so long
    clip = DemoClip(config)
    with VideoWriter(path, (config.width, config.height), config.rate) as video:
        frames = min(len(clip), round(seconds * config.rate))
        for index in tqdm(range(frames), desc="making a clip", unit="frame", disable=None):
            video.write(clip.truth.times[index], clip.draw(index).image)
    return path


def tile(clip: Path, target: Path, size: Size, people: int, seconds: float) -> Path:
    """The beginning of `clip` at another size, in a grid of as many copies as there are to be people."""
    with open_source(str(clip), Clip(end=seconds)) as source:
        rate = source.info.rate or Fraction(30)
        with VideoWriter(target, size, rate) as video:
            for frame in source:
                video.write(frame.time, tiled(frame.image, size, people))
    return target


def tiled(image: NDArray[np.uint8], size: Size, people: int) -> NDArray[np.uint8]:
    """(height, width, 3): `people` copies of the picture beside and below each other, as large as fits, on black."""
    columns = math.ceil(math.sqrt(people))
    rows = math.ceil(people / columns)
    cell = size[0] // columns, size[1] // rows
    scale = min(cell[0] / image.shape[1], cell[1] / image.shape[0])
    shown = max(1, int(image.shape[1] * scale)), max(1, int(image.shape[0] * scale))
    small = cv2.resize(image, shown, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    for k in range(people):
        x = k % columns * cell[0] + (cell[0] - shown[0]) // 2
        y = k // columns * cell[1] + (cell[1] - shown[1]) // 2
        canvas[y : y + shown[1], x : x + shown[0]] = small
    return canvas


class Looped(Source):
    """A file played over and over for so many seconds of its own time; times go on increasing."""

    def __init__(self, clip: Path, seconds: float) -> None:
        self._clip, self._seconds = clip, seconds
        with open_source(str(clip)) as source:
            info = source.info
        super().__init__(replace(info, duration=seconds, frame_count=None), Clip())
        self._period = float(1 / (info.rate or Fraction(30)))

    def __iter__(self) -> Iterator[Frame]:
        numbers, start, last = count(), 0.0, 0.0
        while start < self._seconds:
            with open_source(str(self._clip)) as source:
                for frame in source:
                    last = start + frame.time
                    if last >= self._seconds or self._stopped.is_set():
                        return
                    yield replace(frame, index=next(numbers), time=last)
            start = last + self._period

    def _release(self) -> None:
        """Nothing is held between passes."""
