"""A batch whose long videos are cut: first all pieces and all short videos, then the joining of the pieces."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

from tracker.app.batch import BatchView, run_batch
from tracker.app.clip_job import BatchTask, ClipJob, ClipReport, resumed
from tracker.app.join import JoinJob, TrackedPiece
from tracker.app.pieces import VideoPiece, cut
from tracker.app.place import FolderPlace, SharedPlace, StoredPlace
from tracker.app.track import require_drawable
from tracker.core.errors import InputError, RunError
from tracker.export import ExportConfig
from tracker.export.run_writer import OBSERVATIONS
from tracker.runtime.storage import is_stored
from tracker.source import LiveConfig, open_source

_WORTH_CUTTING = 1.5
"""Lengths of a piece from which on a video is cut."""


def run_chunked(jobs: Sequence[ClipJob], seconds: float, executor: Executor, view: BatchView) -> None:
    """As `run_batch`, with videos longer than 1.5 times `seconds` cut into pieces of about that length.

    Videos on storage, streams, and those whose length is not known are tracked whole.
    """
    tasks: list[BatchTask] = []
    joins: list[JoinJob] = []
    for job in jobs:
        plan = _plan(job, seconds)
        tasks.extend(plan.tasks)
        if plan.join is not None:
            joins.append(plan.join)
    pieces = _PiecesView(view, joins)
    run_batch(tasks, executor, pieces)
    run_batch([join for join in joins if join.place.name not in pieces.failed], executor, view)


@dataclass(frozen=True)
class _Plan:
    """What is to be done for one input."""

    tasks: tuple[ClipJob, ...]
    join: JoinJob | None = None
    """To be done when all tasks are."""


def _plan(job: ClipJob, seconds: float) -> _Plan:
    if is_stored(job.track.spec) or isinstance(job.place, StoredPlace):
        return _Plan((job,))
    in_pieces = replace(job, track=replace(job.track, chunk=seconds))
    try:
        if resumed(in_pieces)[1] is not None:
            return _Plan((in_pieces,))
        pieces = _pieces_of(job, seconds)
    except (InputError, RunError):
        return _Plan((job,))  # it is told when it is tracked
    if len(pieces) < 2:
        return _Plan((job,))
    tasks = tuple(_piece_job(in_pieces, job.place, piece) for piece in pieces)
    tracked = (TrackedPiece(piece, task.track.folder) for piece, task in zip(pieces, tasks, strict=True))
    return _Plan(tasks, JoinJob(in_pieces, tuple(tracked)))


def _pieces_of(job: ClipJob, seconds: float) -> list[VideoPiece]:
    with open_source(job.track.spec, job.track.clip, LiveConfig(trust=job.track.trust)) as source:
        info = source.info
        require_drawable(job.track, info)
    if info.live or info.duration is None:
        return []
    clip = job.track.clip
    start, end = clip.start or 0.0, min(clip.end or info.duration, info.duration)
    if end - start < _WORTH_CUTTING * seconds:
        return []
    pieces = cut(start, end, seconds)
    return [*pieces[:-1], replace(pieces[-1], end=clip.end)]


def _piece_job(job: ClipJob, place: FolderPlace | SharedPlace, piece: VideoPiece) -> ClipJob:
    """Its result lies in a hidden folder beside that of the whole, until that is made of it."""
    folder = place.folder.with_name(f".{place.folder.name}.pieces") / f"{piece.start:.3f}"
    export = ExportConfig((OBSERVATIONS,), job.track.export.overwrite)
    clip = replace(job.track.clip, start=piece.begin, end=piece.end)
    track = replace(job.track, folder=folder, clip=clip, export=export, overlay=False)
    smooth = replace(job.config.smooth, mode="none")
    return ClipJob(track, replace(job.config, smooth=smooth), replace(place, folder=folder), job.resume)


class _PiecesView(BatchView):
    """Lets the view of the whole hear of whole inputs only: of those in pieces that a piece has failed."""

    def __init__(self, outer: BatchView, joins: Sequence[JoinJob]) -> None:
        super().__init__()
        self.failed: set[str] = set()
        """Names of places whose pieces are not all there."""
        self._outer = outer
        self._wholes = {str(each.folder): join for join in joins for each in join.pieces}

    def report(self, report: ClipReport) -> None:
        join = self._wholes.get(report.folder)
        if join is None:
            self._outer.report(report)
        elif not report.done and join.place.name not in self.failed:
            self.failed.add(join.place.name)
            error = RunError(f"{report.error} (in its piece from {Path(report.folder).name} s on)")
            self._outer.report(ClipReport.failure(join, error))

    def look(self) -> None:
        self._outer.look()

    def stop(self) -> None:
        self._outer.stop()
