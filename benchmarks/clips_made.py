"""Clips for benchmarks: a given one, or one made up, at any size, with its people several times over, in a loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import count
from pathlib import Path

from tqdm import tqdm

from benchmarks.grid import Grid, Size
from tracker.core.frame import Frame
from tracker.overlay.video_writer import VideoWriter
from tracker.source import Clip, Source, open_source
from tracker.synth.demo_clip import ClipConfig, DemoClip


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
                video.write(frame.time, Grid(people, frame.size, size).drawn(frame.image))
    return target


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
