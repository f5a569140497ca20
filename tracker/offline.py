"""The `track` job: one input from beginning to end into one folder of results.

Streams and cameras are drawn as they come. Files are read twice when they are to be smoothed without lag: once to
track, once to draw the smoothed people.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Literal

import numpy as np
from tqdm import tqdm

from tracker.camera import Camera
from tracker.export import ExportConfig, FrameRecord, RunContext, RunHeader, RunResult, RunSummary, RunWriter
from tracker.export.files import OVERLAY_NAME
from tracker.interrupt import Interrupt
from tracker.overlay import MeshOverlay
from tracker.pipeline import Tracker
from tracker.smooth import smooth_zero_phase
from tracker.source import Clip, Source, open_source
from tracker.types import Array, Frame, Person
from tracker.video_writer import VideoWriter

Smoothing = Literal["none", "causal", "offline"]


@dataclass(frozen=True)
class TrackJob:
    """What is to be tracked, and what is to be left of it."""

    spec: str
    folder: Path
    clip: Clip = field(default_factory=Clip)
    export: ExportConfig = field(default_factory=ExportConfig)
    overlay: bool = True
    smooth: Smoothing = "offline"


def track(job: TrackJob, tracker: Tracker, interrupt: Interrupt) -> RunResult:
    """Runs a fresh tracker over the job's input and writes the job's folder.

    Raises InputError or RunError as its parts do; whatever was finished by then is kept. Raises KeyboardInterrupt, with
    everything so far saved, when the user asks to stop.
    """
    started = perf_counter()
    with ExitStack() as stack:
        source = stack.enter_context(open_source(job.spec, job.clip))
        camera = tracker.config.camera.for_size(source.info.width, source.info.height)
        rate = float(source.info.rate) if source.info.rate else None
        context = RunContext(camera, tracker.body, rate)
        header = RunHeader(tracker.config, "cpu", tracker.engine, source.info)
        writer = stack.enter_context(RunWriter(job.folder, job.export, context, header))
        run = _Run(job, tracker, interrupt, writer)
        try:
            if job.smooth == "offline" and source.info.path is not None:
                run.two_passes(source)
            else:
                run.one_pass(source)
        except KeyboardInterrupt:
            writer.close(run.summary(source.warnings, perf_counter() - started))
            raise
        return writer.finish(run.summary(source.warnings, perf_counter() - started))


class _Run:
    """One job under way."""

    def __init__(self, job: TrackJob, tracker: Tracker, interrupt: Interrupt, writer: RunWriter) -> None:
        self._job, self._tracker, self._interrupt, self._writer = job, tracker, interrupt, writer
        self._stage_ms: dict[str, list[float]] = {"read": [], "draw": [], "write": []}

    def one_pass(self, source: Source) -> None:
        """Tracks, draws and writes each frame as it comes."""
        with ExitStack() as stack:
            video = stack.enter_context(self._video(source)) if self._job.overlay else None
            overlay = stack.enter_context(MeshOverlay()) if self._job.overlay else None
            for frame in self._frames(source, f"tracking {source.info.name}"):
                people = self._tracker.step(frame)
                self._writer.write(FrameRecord(frame.index, frame.time, people))
                if video is not None and overlay is not None:
                    self._draw(frame, people, overlay, video)

    def two_passes(self, source: Source) -> None:
        """Tracks everything, smooths without lag, then draws."""
        for frame in self._frames(source, f"tracking {source.info.name}"):
            self._writer.write(FrameRecord(frame.index, frame.time, self._tracker.step(frame)))
        camera = self._tracker.config.camera.for_size(source.info.width, source.info.height)
        self._writer.replace_people(smoothed_frames(list(self._writer.frames()), self._tracker, camera))
        if not self._job.overlay:
            return
        with (
            open_source(self._job.spec, self._job.clip) as again,
            self._video(again) as video,
            MeshOverlay() as overlay,
        ):
            frames = self._frames(again, f"drawing  {source.info.name}")
            for frame, record in zip(frames, self._writer.frames(), strict=False):
                self._draw(frame, record.people, overlay, video)

    def summary(self, warnings: list[str], wall_seconds: float) -> RunSummary:
        stages = {name: [1e3 * s for s in times] for name, times in self._tracker.stage_seconds.items()}
        return RunSummary(stages | self._stage_ms, warnings, wall_seconds)

    def _frames(self, source: Source, label: str) -> Iterator[Frame]:
        """The source's frames under a progress bar, timed, until the user asks to stop."""
        with tqdm(total=source.expected_frames, desc=label, unit="frame", disable=None) as bar:
            before = perf_counter()
            for frame in source:
                self._stage_ms["read"].append(1e3 * (perf_counter() - before))
                yield frame
                bar.update()
                self._interrupt.check()
                before = perf_counter()

    def _video(self, source: Source) -> VideoWriter:
        info = source.info
        path = self._job.folder / OVERLAY_NAME
        audio = info.path if info.has_audio else None
        return VideoWriter(path, (info.width, info.height), info.rate, audio_from=audio)

    def _draw(self, frame: Frame, people: Iterable[Person], overlay: MeshOverlay, video: VideoWriter) -> None:
        start = perf_counter()
        camera = self._tracker.config.camera.for_size(*frame.size)
        picture = overlay.draw(frame.image, camera, list(people), self._tracker.body)
        drawn = perf_counter()
        video.write(frame.time, picture)
        self._stage_ms["draw"].append(1e3 * (drawn - start))
        self._stage_ms["write"].append(1e3 * (perf_counter() - drawn))


def smoothed_frames(records: list[FrameRecord], tracker: Tracker, camera: Camera) -> Iterator[FrameRecord]:
    """The frames with every identity's poses smoothed without lag and its last, best known β throughout."""
    smoothed: dict[tuple[int, int], Person] = {}
    for key in sorted({person.person_id for record in records for person in record.people}):
        seen = [(i, p) for i, record in enumerate(records) for p in record.people if p.person_id == key]
        times = np.array([records[i].time for i, _ in seen])
        for (i, _), person in zip(seen, _smoothed_person(times, [p for _, p in seen], tracker, camera), strict=True):
            smoothed[i, key] = person
    for i, record in enumerate(records):
        yield replace(record, people=[smoothed[i, person.person_id] for person in record.people])


def _smoothed_person(times: Array, people: list[Person], tracker: Tracker, camera: Camera) -> list[Person]:
    """One identity's people, (T,) s ascending, smoothed and given the last β."""
    confidence = np.stack([person.joint_confidence for person in people])
    poses = smooth_zero_phase(times, [person.pose for person in people], confidence, tracker.config.zero_phase)
    betas = people[-1].pose.betas
    return [
        tracker.person_at(tracker.reshaped(pose, betas), camera, person)
        for person, pose in zip(people, poses, strict=True)
    ]
