"""The `track` job: one input from beginning to end into one folder of results.

Decoding, finding people, looking at them, posing them, writing, drawing and encoding go on at once, each in a thread of
its own, in order, nothing dropped. Zero-phase smoothing looks both ways in time: the files are smoothed when the last
frame has come, while the last pictures are drawn; pictures wait a second for that, which is as far as the filter sees.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Literal

import numpy as np
from tqdm import tqdm

from tracker.camera import Camera
from tracker.export import ExportConfig, FrameRecord, RunContext, RunHeader, RunResult, RunSummary, RunWriter
from tracker.export.files import OVERLAY_NAME
from tracker.interrupt import Interrupt
from tracker.overlay import MeshOverlay, Picture
from tracker.pipeline import Found, Tracker
from tracker.renderer import RENDERERS
from tracker.sizes import OneSize
from tracker.smooth import reach, smooth_zero_phase, smoothed_at
from tracker.source import Clip, Source, open_source
from tracker.stages import Stage, read_ahead
from tracker.types import Array, Frame, Person
from tracker.video_writer import VideoWriter

Smoothing = Literal["none", "causal", "offline"]

_LOOKAHEAD_SECONDS = 1.0
_LOOKAHEAD_BYTES = 400_000_000
"""Pictures that wait to be drawn may fill so much memory; beyond it they are drawn with less of a look ahead."""


@dataclass(frozen=True)
class TrackJob:
    """What is to be tracked, and what is to be left of it."""

    spec: str
    folder: Path
    clip: Clip = field(default_factory=Clip)
    export: ExportConfig = field(default_factory=ExportConfig)
    overlay: bool = True
    smooth: Smoothing = "offline"
    renderer: str = "raster"
    """Among RENDERERS."""


@dataclass(frozen=True)
class Shown:
    """A frame that is ready to be drawn."""

    frame: Frame
    people: list[Person]


@dataclass(frozen=True)
class Drawn:
    """A picture that is ready to be encoded."""

    time: float
    picture: Picture


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
        header = RunHeader(tracker.config, tracker.device, tracker.engine, source.info)
        writer = stack.enter_context(RunWriter(job.folder, job.export, context, header))
        run = _Run(job, tracker, writer, camera)
        with run.drawing(source) as drawing:
            run.all_frames(source, interrupt, drawing)
            if job.smooth == "offline":
                writer.replace_people(smoothed_frames(list(writer.frames()), tracker, camera))
        summary = run.summary([*source.warnings, *run.sizes.warnings], perf_counter() - started)
        if interrupt.requested:
            writer.close(summary)
            raise KeyboardInterrupt
        return writer.finish(summary)


class _Run:
    """One job under way."""

    def __init__(self, job: TrackJob, tracker: Tracker, writer: RunWriter, camera: Camera) -> None:
        """camera: of the files."""
        self._job, self._tracker, self._writer = job, tracker, writer
        self.sizes = OneSize(tracker, camera)
        self._stage_ms: dict[str, list[float]] = {"read": [], "draw": [], "write": []}

    def all_frames(self, source: Source, interrupt: Interrupt, drawing: Stage[Shown] | None) -> None:
        """Until the source ends or the user asks to stop; every frame that was tracked is written then."""
        with Stage("write files", self._write) as writing:
            for found in self._found(source, interrupt):
                shown = Shown(found.frame, self._tracker.pose(found))
                writing.put(shown)
                if drawing is not None:
                    drawing.put(shown)

    def _write(self, frames: Iterator[Shown]) -> None:
        for shown in frames:
            people = self.sizes.of_files(shown.frame, shown.people)
            self._writer.write(FrameRecord(shown.frame.index, shown.frame.time, people))

    def summary(self, warnings: list[str], wall_seconds: float) -> RunSummary:
        stages = {name: [1e3 * s for s in times] for name, times in self._tracker.stage_seconds.items()}
        return RunSummary(stages | self._stage_ms, warnings, wall_seconds)

    def _found(self, source: Source, interrupt: Interrupt) -> Iterator[Found]:
        """The source's frames with those who were found in them, under a progress bar, until the user asks to stop."""
        label = f"tracking {source.info.name}"
        with (
            tqdm(total=source.expected_frames, desc=label, unit="frame", disable=None) as bar,
            closing(read_ahead(self._timed(source), name="decode")) as frames,
            closing(read_ahead(map(self._tracker.find, frames), name="find")) as located,
            closing(read_ahead(map(self._tracker.look, located), name="look")) as everybody,
        ):
            for found in everybody:
                yield found
                bar.update()
                if interrupt.requested:
                    return

    def _timed(self, source: Source) -> Iterator[Frame]:
        before = perf_counter()
        for frame in source:
            self._stage_ms["read"].append(1e3 * (perf_counter() - before))
            yield frame
            before = perf_counter()

    @contextmanager
    def drawing(self, source: Source) -> Iterator[Stage[Shown] | None]:
        """The stage that draws, and behind it the one that encodes; None where nothing is to be drawn. Whatever was put
        is in the video when the block is left."""
        if not self._job.overlay:
            yield None
            return
        with Stage("encode", partial(self._encode, source)) as encoding:
            with Stage("draw", partial(self._draw_all, encoding)) as drawing:
                yield drawing

    def _encode(self, source: Source, pictures: Iterator[Drawn]) -> None:
        info, path = source.info, self._job.folder / OVERLAY_NAME
        audio = info.path if info.has_audio else None
        with VideoWriter(path, (info.width, info.height), info.rate, audio_from=audio) as video:
            for drawn in pictures:
                start = perf_counter()
                video.write(drawn.time, drawn.picture)
                self._stage_ms["write"].append(1e3 * (perf_counter() - start))

    def _draw_all(self, encoding: Stage[Drawn], frames: Iterator[Shown]) -> None:
        with MeshOverlay(make_renderer=RENDERERS[self._job.renderer]) as overlay:
            for shown in lookahead(frames, self._tracker) if self._job.smooth == "offline" else frames:
                encoding.put(self._draw(shown, overlay))

    def _draw(self, shown: Shown, overlay: MeshOverlay) -> Drawn:
        start = perf_counter()
        frame = shown.frame
        camera = self._tracker.config.camera.for_size(*frame.size)
        picture = overlay.draw(frame.image, camera, shown.people, self._tracker.body)
        self._stage_ms["draw"].append(1e3 * (perf_counter() - start))
        return Drawn(frame.time, picture)


def lookahead(frames: Iterable[Shown], tracker: Tracker) -> Iterator[Shown]:
    """The same frames, each when what follows it is known, with everybody smoothed without lag."""
    waiting = Lookahead(tracker)
    for shown in frames:
        yield from waiting.push(shown)
    yield from waiting.rest()


class Lookahead:
    """Holds frames back until what follows them is known, then gives them out with everybody smoothed without lag.

    The pose is that of `smoothed_frames`. β is the one that the track knows by then, a second later than the frame;
    it has seldom still to change.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._waiting: deque[Shown] = deque()
        self._bytes = 0
        self._seen: dict[int, deque[tuple[float, Person]]] = {}

    def push(self, shown: Shown) -> Iterator[Shown]:
        """The frames that have waited long enough now that this one has come."""
        self._waiting.append(shown)
        self._bytes += shown.frame.image.nbytes
        for person in shown.people:
            self._seen.setdefault(person.person_id, deque()).append((shown.frame.time, person))
        while self._waited_enough(shown.frame.time) or self._bytes > _LOOKAHEAD_BYTES:
            yield self._next()

    def rest(self) -> Iterator[Shown]:
        """What still waits when no frame will follow."""
        while self._waiting:
            yield self._next()

    def _waited_enough(self, now: float) -> bool:
        return bool(self._waiting) and now - self._waiting[0].frame.time >= _LOOKAHEAD_SECONDS

    def _next(self) -> Shown:
        shown = self._waiting.popleft()
        self._bytes -= shown.frame.image.nbytes
        camera = self._tracker.config.camera.for_size(*shown.frame.size)
        people = [self._smoothed(person, shown.frame.time, camera) for person in shown.people]
        self._forget(shown.frame.time - reach(self._tracker.config.zero_phase))
        return replace(shown, people=people)

    def _smoothed(self, person: Person, time: float, camera: Camera) -> Person:
        history = self._seen[person.person_id]
        times = np.array([t for t, _ in history])
        confidence = np.stack([p.joint_confidence for _, p in history])
        middle = int(np.searchsorted(times, time))
        poses = [p.pose for _, p in history]
        pose = smoothed_at(middle, times, poses, confidence, self._tracker.config.zero_phase)
        return self._tracker.person_at(self._tracker.reshaped(pose, poses[-1].betas), camera, person)

    def _forget(self, before: float) -> None:
        for key in list(self._seen):
            history = self._seen[key]
            while history and history[0][0] < before:
                history.popleft()
            if not history:
                del self._seen[key]


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
