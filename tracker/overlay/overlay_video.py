"""The video of a run: frames and the people in them go in, their meshes are drawn over them and encoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np

from tracker.body.drawn_body import DrawnBody
from tracker.body.person_builder import PersonPoser
from tracker.core.camera import CameraConfig
from tracker.core.person import TrackedFrame
from tracker.overlay.mesh_overlay import MeshOverlay, OverlayConfig, OverlayStyle, Picture
from tracker.overlay.picture_writer import PictureWriter
from tracker.overlay.renderers import RENDERERS
from tracker.overlay.video_writer import VideoWriter
from tracker.runtime.recent_times import RecentTimes
from tracker.runtime.worker import Worker
from tracker.smooth.delayed_smoother import DelayedSmoother, smoothed_with_delay
from tracker.smooth.filters import SavitzkyConfig

PICTURE_SUFFIX = ".png"


@dataclass(frozen=True)
class OverlayVideoJob:
    """What video is to be made."""

    path: Path
    """A .png holds the last picture only."""
    size: tuple[int, int]
    """(width, height) px."""
    rate: Fraction | None
    """Frames per second."""
    audio: Path | str | None
    """Where its sound comes from."""
    renderer: str
    """Among RENDERERS."""
    body: DrawnBody
    persons: PersonPoser
    cameras: CameraConfig
    smooth: SavitzkyConfig | None
    """Draw everybody smoothed without lag; None draws them as they come."""
    style: OverlayStyle = "mesh"
    side_by_side: bool = False
    """Whether the picture as it came stands to the left of what is drawn."""

    @property
    def drawn_size(self) -> tuple[int, int]:
        """(width, height) px of the video."""
        return (2 * self.size[0] if self.side_by_side else self.size[0]), self.size[1]


@dataclass(frozen=True)
class OverlayVideoTimes:
    """Milliseconds that each picture took."""

    draw_ms: RecentTimes = field(default_factory=RecentTimes)
    write_ms: RecentTimes = field(default_factory=RecentTimes)


def _writer(job: OverlayVideoJob) -> VideoWriter | PictureWriter:
    if job.path.suffix == PICTURE_SUFFIX:
        return PictureWriter(job.path)
    return VideoWriter(job.path, job.drawn_size, job.rate, audio_from=job.audio)


@dataclass(frozen=True)
class _Drawn:
    """A picture that is ready to be encoded."""

    time: float
    picture: Picture


def make_overlay_video(job: OverlayVideoJob, frames: Iterator[TrackedFrame], times: OverlayVideoTimes) -> None:
    """Draws and encodes until the frames end; encoding goes on in a thread of its own.

    What was finished by then is kept when something fails. Raises RunError when a picture cannot be drawn or written.
    """

    def encode(pictures: Iterator[_Drawn]) -> None:
        with _writer(job) as video:
            for drawn in pictures:
                start = perf_counter()
                video.write(drawn.time, drawn.picture)
                times.write_ms.append(1e3 * (perf_counter() - start))

    if job.smooth is not None:
        frames = smoothed_with_delay(frames, DelayedSmoother(job.persons, job.cameras, job.smooth))
    drawing = MeshOverlay(OverlayConfig(style=job.style), partial(RENDERERS[job.renderer], "cpu"))
    with Worker("encode", encode) as encoding, drawing as overlay:
        for shown in frames:
            start = perf_counter()
            camera = job.cameras.for_size(*shown.frame.size)
            picture = overlay.draw(shown.frame.image, camera, shown.people, job.body)
            if job.side_by_side:
                picture = np.hstack([shown.frame.image, picture])
            times.draw_ms.append(1e3 * (perf_counter() - start))
            encoding.put(_Drawn(shown.frame.time, picture))
