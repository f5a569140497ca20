"""The video of a run: frames and the people in them go in, their meshes are drawn over them and encoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from time import perf_counter

from tracker.body import BodyModel
from tracker.camera import CameraConfig
from tracker.lookahead import Lookahead, Shown, lookahead
from tracker.overlay import MeshOverlay, Picture
from tracker.persons import PersonMaker
from tracker.renderer import RENDERERS
from tracker.smooth import SavitzkyConfig
from tracker.stages import Stage
from tracker.video_writer import VideoWriter


@dataclass(frozen=True)
class FilmJob:
    """What video is to be made."""

    path: Path
    size: tuple[int, int]
    """(width, height) px."""
    rate: Fraction | None
    """Frames per second."""
    audio: Path | str | None
    """Where its sound comes from."""
    renderer: str
    """Among RENDERERS."""
    body: BodyModel
    cameras: CameraConfig
    smooth: SavitzkyConfig | None
    """Draw everybody smoothed without lag; None draws them as they come."""


@dataclass(frozen=True)
class FilmTimes:
    """Milliseconds that each picture took."""

    draw_ms: list[float] = field(default_factory=list)
    write_ms: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class _Drawn:
    """A picture that is ready to be encoded."""

    time: float
    picture: Picture


def make_film(job: FilmJob, frames: Iterator[Shown], times: FilmTimes) -> None:
    """Draws and encodes until the frames end; encoding goes on in a thread of its own.

    What was finished by then is kept when something fails. Raises RunError when a picture cannot be drawn or written.
    """

    def encode(pictures: Iterator[_Drawn]) -> None:
        with VideoWriter(job.path, job.size, job.rate, audio_from=job.audio) as video:
            for drawn in pictures:
                start = perf_counter()
                video.write(drawn.time, drawn.picture)
                times.write_ms.append(1e3 * (perf_counter() - start))

    if job.smooth is not None:
        frames = lookahead(frames, Lookahead(PersonMaker(job.body), job.cameras, job.smooth))
    with Stage("encode", encode) as encoding, MeshOverlay(make_renderer=RENDERERS[job.renderer]) as overlay:
        for shown in frames:
            start = perf_counter()
            camera = job.cameras.for_size(*shown.frame.size)
            picture = overlay.draw(shown.frame.image, camera, shown.people, job.body)
            times.draw_ms.append(1e3 * (perf_counter() - start))
            encoding.put(_Drawn(shown.frame.time, picture))
