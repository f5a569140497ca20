"""Puts the pieces of one video together into its result."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from tracker.app.clip_job import ClipJob, ClipReport
from tracker.app.pieces import SeamMatcher, SharedBetas, VideoPiece
from tracker.app.place import Place
from tracker.app.track import TrackJob, film_job, finish_people
from tracker.body import load_body
from tracker.body.person_builder import PersonBuilder
from tracker.core.camera import Camera
from tracker.core.errors import InputError, RunError
from tracker.core.person import FrameRecord, Person, TrackedFrame
from tracker.export import RunContext, RunHeader, RunSummary, RunWriter
from tracker.export.contact_sheet import ContactSheet, Snapshot
from tracker.export.earlier_run import EarlierRun
from tracker.export.files import OBSERVATIONS_NAME
from tracker.export.frame_store import FrameStore, load_frame_records
from tracker.overlay.overlay_process import overlay_video_of
from tracker.pipeline import TrackerConfig
from tracker.runtime.interrupt import Interrupt
from tracker.runtime.worker_processes import count_item, task_interrupt
from tracker.smooth.filters import CausalFilter
from tracker.source import LiveConfig, Source, open_source
from tracker.world.camera_path import CameraMotion

_PICTURES = 12
"""In the report."""


@dataclass(frozen=True)
class TrackedPiece:
    """A piece and the folder that holds its frames."""

    piece: VideoPiece
    folder: Path

    def frames(self) -> list[FrameRecord]:
        """All that was tracked, what came before its start too."""
        return load_frame_records(self.folder / OBSERVATIONS_NAME)


@dataclass(frozen=True)
class JoinJob:
    """A video whose pieces have been tracked."""

    whole: ClipJob
    pieces: tuple[TrackedPiece, ...]
    """In the order of time."""

    @property
    def track(self) -> TrackJob:
        return self.whole.track

    @property
    def place(self) -> Place:
        return self.whole.place

    def run(self) -> ClipReport:
        """Joins the pieces, and removes them. Whatever goes wrong is in the report."""
        export = replace(self.track.export, overwrite=self.track.export.overwrite or self.whole.resume)
        try:
            with self.place.working(export.overwrite) as folder:
                job = replace(self.track, folder=folder, export=export)
                join(job, self.whole.config, self.pieces, task_interrupt())
            run = self.place.earlier()
        except KeyboardInterrupt:
            return ClipReport(self.track.spec, self.place.name, "interrupted")
        except (InputError, RunError) as error:
            return ClipReport.failure(self, error)
        shutil.rmtree(self.pieces[0].folder.parent, ignore_errors=True)
        assert run is not None, "the writer has just left it"
        return ClipReport.on(self, "tracked", run.document)


def join(job: TrackJob, config: TrackerConfig, pieces: Sequence[TrackedPiece], interrupt: Interrupt) -> None:
    """Writes the result of a whole video from its pieces.

    Raises InputError or RunError as its parts do, and KeyboardInterrupt when the user asks to stop.
    """
    started = perf_counter()
    body = load_body(config.body)
    persons = PersonBuilder(body)
    runs = [_document(piece) for piece in pieces]
    with ExitStack() as stack:
        source = stack.enter_context(open_source(job.spec, job.clip, LiveConfig(trust=job.trust)))
        camera = config.camera.or_focal(source.info.focal).for_size(source.info.width, source.info.height)
        rate = float(source.info.rate) if source.info.rate else None
        header = RunHeader(config, runs[0]["device"], runs[0]["engine"], source.info, job.record)
        context = RunContext(camera, body, rate, config.world, config.files, source.info.path)
        writer = stack.enter_context(RunWriter(job.folder, job.export, context, header))
        for frame in _Joined(pieces, persons, camera).frames(config):
            writer.write(frame)
            interrupt.check()
        moved = min((run["camera_moved"] for run in runs if run["camera_moved"] is not None), default=None)
        motion = CameraMotion(moved, followed=False)
        if config.smooth.mode == "offline":
            finish_people(writer, config, persons, camera, motion)
        fault: Exception | None = None
        if job.overlay:
            film = replace(film_job(job, config, persons, source.info), smooth=None)
            with overlay_video_of(film, source.expected_frames) as video:
                for tracked in _with_pictures(source, writer.recorded.frames()):
                    video.put(tracked)
                    count_item()
                    interrupt.check()
            fault = video.fault
        warnings = dict.fromkeys(warning for run in runs for warning in run["warnings"])
        if fault is not None:
            warnings[str(fault)] = None
        seconds = sum(run["wall_seconds"] for run in runs) + perf_counter() - started
        pictures = _pictures(job, writer.recorded) if config.files.report else []
        writer.finish(RunSummary({}, [*warnings], seconds, pictures=pictures, camera=motion))
        if fault is not None:
            raise fault


def _document(tracked: TrackedPiece) -> dict[str, Any]:
    run = EarlierRun.of(tracked.folder)
    if run is None or not run.finished:
        raise RunError(f"{tracked.folder}: this piece of the video is not there; track it again")
    return dict(run.document)


def _pictures(job: TrackJob, recorded: FrameStore) -> list[Snapshot]:
    """A few of the video, evenly over its time, with the people in them."""
    sheet = ContactSheet()
    for row in sorted({round(each) for each in np.linspace(0, len(recorded) - 1, _PICTURES)}) if recorded else ():
        (record,) = recorded.frames(slice(row, row + 1))
        clip = replace(job.clip, start=record.time, end=None)
        with open_source(job.spec, clip, LiveConfig(trust=job.trust)) as source:
            sheet.show(next(iter(source)), record.people)
    return sheet.pictures()


def _with_pictures(source: Source, records: Iterator[FrameRecord]) -> Iterator[TrackedFrame]:
    """The source's pictures with the people in them; both come in the same order."""
    record = next(records, None)
    for frame in source:
        while record is not None and record.index < frame.index:
            record = next(records, None)
        if record is not None and record.index == frame.index:
            yield TrackedFrame(frame, list(record.people))


class _Joined:
    """The frames of all pieces, each once, with identities and β that hold for the whole."""

    def __init__(self, pieces: Sequence[TrackedPiece], persons: PersonBuilder, camera: Camera) -> None:
        self._pieces, self._persons, self._camera = pieces, persons, camera
        matcher = SeamMatcher()
        self._identities: list[dict[int, int]] = []
        betas = SharedBetas()
        for tracked in pieces:
            frames = tracked.frames()
            self._identities.append(matcher.identities(tracked.piece, frames))
            betas.add(self._identities[-1], frames)
        self._betas = betas.values()

    def frames(self, config: TrackerConfig) -> Iterator[FrameRecord]:
        """In the order of time; filtered where the configuration asks for a filter that looks back only."""
        filters: dict[int, CausalFilter] = {}
        for tracked, identities in zip(self._pieces, self._identities, strict=True):
            for frame in tracked.frames():
                if not tracked.piece.counts(frame):
                    continue
                people = [self._person(person, identities[person.person_id]) for person in frame.people]
                if config.smooth.mode == "causal":
                    for person in people:
                        filters.setdefault(person.person_id, CausalFilter(config.smooth.causal))
                    people = [self._filtered(person, frame.time, filters[person.person_id]) for person in people]
                yield replace(frame, people=sorted(people, key=lambda person: person.person_id))

    def _person(self, person: Person, identity: int) -> Person:
        pose = self._persons.reshaped(person.pose, self._betas[identity])
        return self._persons.posed(pose, self._camera, replace(person, person_id=identity))

    def _filtered(self, person: Person, time: float, causal: CausalFilter) -> Person:
        return self._persons.posed(causal(time, person.pose, person.joint_confidence), self._camera, person)
