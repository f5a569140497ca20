"""The `track` job: one input from beginning to end into one folder of results.

Decoding, detecting, extracting, fitting and writing go on at once, each in a thread of its own, in order, nothing
dropped; the overlay video is made by another process (`overlay/overlay_process.py`). Zero-phase smoothing looks
both ways in time: the files are smoothed when the last frame has come, while the last pictures are drawn; pictures wait
a second for that, which is as far as the filter sees.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tracker.body.drawn_body import drawn_body
from tracker.body.person_builder import PersonBuilder
from tracker.core.camera import Camera
from tracker.core.frame import Frame
from tracker.core.person import BELIEVED, FrameRecord, TrackedFrame
from tracker.core.shown_text import printable, shown_address, warnings_hint
from tracker.export import ExportConfig, RunContext, RunHeader, RunResult, RunSummary, RunWriter
from tracker.export.contact_sheet import ContactSheet
from tracker.export.files import OVERLAY_NAME, PICTURE_NAME
from tracker.export.frame_store import FrameStore
from tracker.export.one_camera import OneCamera
from tracker.export.run_json import jsonable
from tracker.export.sequence import row_blocks
from tracker.overlay.mesh_overlay import OverlayStyle
from tracker.overlay.overlay_process import OverlayVideo, overlay_video_of
from tracker.overlay.overlay_video import OverlayVideoJob
from tracker.overlay.video_writer import require_encodable
from tracker.pipeline import DetectedFrame, Tracker, TrackerConfig
from tracker.runtime.interrupt import Interrupt
from tracker.runtime.recent_times import RecentTimes
from tracker.runtime.worker import Worker, read_ahead
from tracker.smooth.apparitions import apparitions
from tracker.smooth.smoothed_frames import smoothed_frames
from tracker.source import Clip, InputTrust, LiveConfig, Source, SourceInfo, guessed_focal, open_source
from tracker.world.body_track import contact_body
from tracker.world.camera_path import CameraMotion
from tracker.world.camera_watch import CameraWatch
from tracker.world.grounded import grounded_frames, surroundings
from tracker.world.turning import as_seen_first, as_seen_then

log = logging.getLogger("tracker")

_AHEAD = 4
"""Frames that each stage may be ahead of the next one."""
_AHEAD_BYTES = 1 << 28
"""Of pictures: four of 4K and more, one of 8192 × 8192."""


def _frames_ahead(info: SourceInfo) -> int:
    return min(_AHEAD, _AHEAD_BYTES // (3 * info.width * info.height))


@dataclass(frozen=True)
class TrackJob:
    """What is to be tracked, and what is to be left of it."""

    spec: str
    folder: Path
    clip: Clip = field(default_factory=Clip)
    export: ExportConfig = field(default_factory=ExportConfig)
    overlay: bool = True
    renderer: str = "raster"
    """Among RENDERERS."""
    style: OverlayStyle = "mesh"
    side_by_side: bool = False
    """Whether the overlay has the picture as it came beside it."""
    location: str | None = None
    """What the source is called in run.json, where `spec` is a copy of it."""
    chunk: float | None = None
    """Seconds of the pieces that the source is tracked in; None: all in one."""
    trust: InputTrust = field(default_factory=InputTrust)

    @property
    def record(self) -> dict[str, Any]:
        """What of it the results depend on, for run.json."""
        drawn = {"overlay": self.overlay, "renderer": self.renderer, "style": self.style}
        return jsonable(
            {
                "clip": self.clip,
                "formats": self.export.formats,
                **drawn,
                "side_by_side": self.side_by_side,
                "chunk": self.chunk,
            }
        )


def track(
    job: TrackJob, tracker: Tracker, interrupt: Interrupt, on_frame: Callable[[], None] | None = None
) -> RunResult:
    """Runs a fresh tracker over the job's input and writes the job's folder.

    on_frame: called after each frame, in the place of a progress bar. Raises InputError or RunError as its parts do;
    whatever was finished by then is kept. An overlay that cannot be made is raised when everything else is written.
    Raises KeyboardInterrupt, with everything so far saved, when the user asks to stop.
    """
    started = perf_counter()
    with ExitStack() as stack:
        source = stack.enter_context(open_source(job.spec, job.clip, LiveConfig(trust=job.trust)))
        require_drawable(job, source.info)
        tracker.look_through(source.info)
        camera = tracker.cameras.for_size(source.info.width, source.info.height)
        rate = float(source.info.rate) if source.info.rate else None
        config = tracker.config
        context = RunContext(camera, tracker.body, rate, config.world, config.files, source.info.path)
        info = source.info if job.location is None else replace(source.info, location=shown_address(job.location))
        header = RunHeader(config, tracker.device, tracker.engine, info, job.record)
        writer = stack.enter_context(RunWriter(job.folder, job.export, context, header))
        run = _Run(job, tracker, writer, camera, on_frame)
        with run.drawing(source) as drawing:
            run.all_frames(source, interrupt, drawing)
            if config.smooth.mode == "offline":
                finish_people(writer, config, tracker.persons, camera, run.camera_motion)
        warnings = [warning.replace(job.spec, info.location) for warning in source.warnings]
        warnings += guessed_focal(config.camera, info)
        if run.film_fault is not None:
            warnings.append(str(run.film_fault))
        summary = run.summary([*warnings, *run.sizes.warnings], perf_counter() - started)
        if interrupt.requested:
            result = writer.close(summary)
            log.info("%s%s", job.folder, warnings_hint(result.warnings))
            kept = "everything so far is saved" if run.film_fault is None else run.film_fault
            raise KeyboardInterrupt(f"interrupted; {kept}")
        result = writer.finish(summary)
        if run.film_fault is not None:
            raise run.film_fault
        return result


class _Run:
    """One job under way."""

    def __init__(
        self,
        job: TrackJob,
        tracker: Tracker,
        writer: RunWriter,
        camera: Camera,
        on_frame: Callable[[], None] | None,
    ) -> None:
        """camera: of the files. on_frame: None shows a progress bar."""
        self._job, self._tracker, self._writer, self._on_frame = job, tracker, writer, on_frame
        self.sizes = OneCamera(tracker.persons, camera)
        self._watch, self._sheet = CameraWatch(camera), ContactSheet()
        self.film_fault: Exception | None = None
        """Why there is no overlay, or only its beginning."""
        self._stage_ms = {name: RecentTimes() for name in ("read", "draw", "write")}

    def all_frames(self, source: Source, interrupt: Interrupt, drawing: OverlayVideo | None) -> None:
        """Until the source ends or the user asks to stop; every frame that was tracked is written then."""
        with Worker("write files", self._write, max(1, _frames_ahead(source.info))) as writing:
            for detected in self._with_features(source, interrupt):
                tracked = TrackedFrame(detected.frame, self._tracker.fit(detected))
                writing.put(tracked)
                if drawing is not None:
                    drawing.put(tracked)

    def _write(self, frames: Iterator[TrackedFrame]) -> None:
        for tracked in frames:
            self._watch.show(tracked.frame, tracked.people)
            self._sheet.show(tracked.frame, tracked.people)
            people = self.sizes.of_files(tracked.frame, tracked.people)
            self._writer.write(FrameRecord(tracked.frame.index, tracked.frame.time, people))

    def summary(self, warnings: list[str], wall_seconds: float) -> RunSummary:
        """What run.json tells of the run."""
        stages = {name: [1e3 * s for s in times] for name, times in self._tracker.stage_seconds.items()}
        return RunSummary(
            {**stages, **{name: list(times) for name, times in self._stage_ms.items()}},
            warnings,
            wall_seconds,
            pictures=self._sheet.pictures(),
            camera=self._watch.motion,
        )

    @property
    def camera_motion(self) -> CameraMotion:
        """As far as it was watched."""
        return self._watch.motion

    def _with_features(self, source: Source, interrupt: Interrupt) -> Iterator[DetectedFrame]:
        """The source's frames with the people in them, under a progress bar, until the user asks to stop."""
        ahead = _frames_ahead(source.info)
        label, hidden = f"tracking {printable(source.info.name)}", None if self._on_frame is None else True
        with (
            tqdm(total=source.expected_frames, desc=label, unit="frame", disable=hidden) as bar,
            closing(read_ahead(self._timed(source), ahead, "decode")) as frames,
            closing(read_ahead(self._detected(frames, source.info.live), ahead, "detect")) as detected,
            closing(read_ahead(map(self._tracker.extract, detected), ahead, "extract")) as extracted,
        ):
            for each in extracted:
                yield each
                bar.update()
                if self._on_frame is not None:
                    self._on_frame()
                if interrupt.requested:
                    return

    def _detected(self, frames: Iterable[Frame], live: bool) -> Iterator[DetectedFrame]:
        detected = map(self._tracker.detect, frames)
        return detected if live else self._tracker.look_back(detected)

    def _timed(self, source: Source) -> Iterator[Frame]:
        before = perf_counter()
        for frame in source:
            self._stage_ms["read"].append(1e3 * (perf_counter() - before))
            yield frame
            before = perf_counter()

    @contextmanager
    def drawing(self, source: Source) -> Iterator[OverlayVideo | None]:
        """Where frames are put to be drawn; None where nothing is. Whatever was put is in the video when the block is
        left."""
        if not self._job.overlay:
            yield None
            return
        film = film_job(self._job, self._tracker.config, self._tracker.persons, source.info)
        with overlay_video_of(film, source.expected_frames) as video:
            yield video
        self._stage_ms["draw"], self._stage_ms["write"] = video.times.draw_ms, video.times.write_ms
        self.film_fault = video.fault


def require_drawable(job: TrackJob, info: SourceInfo) -> None:
    """Raises InputError, before hours of tracking, where no video can be of the size that the job's overlay has."""
    if job.overlay and info.kind != "image":
        width = 2 * info.width if job.side_by_side else info.width
        require_encodable((width, info.height), info.location)


def finish_people(
    writer: RunWriter, config: TrackerConfig, persons: PersonBuilder, camera: Camera, motion: CameraMotion
) -> None:
    """Puts everybody smoothed both ways in time and, under a camera that stays in its place, set on the floor in the
    place of those that have been written; without those who turn out to be nobody."""
    observed, path = writer.recorded, motion.path
    steady = _without_apparitions(observed)
    if path is not None:
        steady = as_seen_first(steady, path, persons, camera)
    with FrameStore(writer.folder) as smoothed:
        for frame in smoothed_frames(steady, observed.last_betas(), persons, camera, config.smooth.offline):
            smoothed.append(frame)
        people = len(smoothed.person_ids())
        if motion.refused_at is not None or not people:
            writer.replace_people(smoothed.frames())
            return
        around = surroundings(smoothed.frames(), people, contact_body(persons.body), config.world)
        held = grounded_frames(smoothed, around, persons, camera) if config.world.lock_feet else smoothed.frames()
        if path is not None:
            held = as_seen_then(held, path, persons, camera)
        writer.replace_people(held, replace(around.estimate, path=path))


def _without_apparitions(observed: FrameStore) -> Iterator[FrameRecord]:
    """The frames without those who are nobody."""
    nobody = apparitions(_sightings(observed.observations()))
    if nobody:
        log.info("left out, as nobody whom the pictures show: %s", ", ".join(f"person {key}" for key in sorted(nobody)))
    for frame in observed.frames():
        yield replace(frame, people=[person for person in frame.people if person.person_id not in nobody])


def _sightings(observations: NDArray[np.void]) -> Iterator[tuple[int, float, bool]]:
    """Of everybody in every frame: identity, s, whether they are believed. A minute at a time is in memory."""
    for rows in row_blocks(len(observations)):
        block = observations[rows]
        columns = (block["person_id"], block["time"], block["joint_confidence"].max(axis=1) > BELIEVED)
        yield from zip(*(column.tolist() for column in columns), strict=True)


def film_job(job: TrackJob, config: TrackerConfig, persons: PersonBuilder, info: SourceInfo) -> OverlayVideoJob:
    """The overlay of a job. Whoever is put into it comes as they were observed, to be smoothed as they are drawn."""
    return OverlayVideoJob(
        path=job.folder / (PICTURE_NAME if info.kind == "image" else OVERLAY_NAME),
        size=(info.width, info.height),
        rate=info.rate,
        audio=info.path if info.has_audio else None,
        renderer=job.renderer,
        style=job.style,
        side_by_side=job.side_by_side,
        body=drawn_body(persons.body),
        persons=persons.without_body(),
        cameras=config.camera.or_focal(info.focal),
        smooth=config.smooth.offline if config.smooth.mode == "offline" else None,
    )
