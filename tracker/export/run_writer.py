"""The folder of one run: frames.jsonl grows while the tracker works, the rest is written from the recording at the end.

Whatever stops a run, what it had finished stays: leaving the `with` block without `finish` saves the people so far and
says `interrupted` in run.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from tracker.core.errors import RunError
from tracker.core.person import FrameRecord
from tracker.export import run_json
from tracker.export.contact_sheet import Snapshot
from tracker.export.files import (
    FRAMES_NAME,
    OBSERVATIONS_NAME,
    REPORT_NAME,
    RUN_NAME,
    FolderWatch,
    atomic_file,
    locked_folder,
)
from tracker.export.formats import JSONL, PERSON_WRITERS, SCENE_FILES, FormatWriters, person_file
from tracker.export.frame_store import FrameStore
from tracker.export.grid import gaps, on_grid
from tracker.export.jsonl import FrameStream, encode_frame
from tracker.export.report import RunReport, report_page
from tracker.export.run_json import RunCounts, RunHeader, RunSummary
from tracker.export.scratch import Scratch
from tracker.export.sequence import (
    PersonSequence,
    RunContext,
    Timeline,
    assemble,
    body_track,
    joined,
    placed_in,
    row_blocks,
)
from tracker.world.camera_path import CameraMotion
from tracker.world.estimate import WorldEstimate, estimate_world, rows_wanted
from tracker.world.world_frame import WorldFrame

OBSERVATIONS = "observations"
"""Every frame as it was recorded, in one file for this package's own use."""


_MOST_WARNINGS = 100
"""In run.json: a folder of thousands of broken pictures has one for each."""


@dataclass(frozen=True)
class ExportConfig:
    """Which files a run leaves."""

    formats: tuple[str, ...] = ("npz", "jsonl")
    """Among FORMATS and OBSERVATIONS; run.json is always written."""
    overwrite: bool = False


@dataclass(frozen=True)
class RunResult:
    """What a run left, for the summary line."""

    folder: Path
    files: tuple[Path, ...]
    frames: int
    frames_with_people: int
    people: int
    warnings: int = 0
    """That run.json has."""


def _bounded(warnings: list[str]) -> list[str]:
    left_out = len(warnings) - _MOST_WARNINGS
    return warnings if left_out <= 0 else [*warnings[:_MOST_WARNINGS], f"and {left_out} more warnings"]


def _refusal(motion: CameraMotion, wanted: bool) -> str:
    """Why there is no world around a camera that moves. wanted: whether files were to be in its frame."""
    instead = "the files are in the camera's frame" if wanted else ""
    if motion.path is not None:
        then = f": {instead}; --smooth offline follows its turns" if wanted else ""
        return f"the camera turns from {motion.moved_at:.2f} s on{then}"
    if not motion.followed:
        then = f", which is not followed in pieces: {instead}; without --chunk its turns are" if wanted else ""
        return f"the camera moves from {motion.moved_at:.2f} s on{then}"
    because = ", other than by turning and zooming, so that there is no still world to be in: " + instead
    return f"the camera moves from {motion.moved_at:.2f} s on" + (because if wanted else "")


class RunWriter:
    """Writes one run's folder; use as a context manager, from one thread.

    Raises InputError where the folder cannot be used or holds a result already, RunError where the disk gives out.
    """

    def __init__(self, folder: Path, config: ExportConfig, context: RunContext, header: RunHeader) -> None:
        self._writers = FormatWriters(context.files, context.video)
        self._writers.require(config.formats)
        self._lock = locked_folder(folder, config.overwrite)
        self._folder, self._config, self._context, self._header = folder, config, context, header
        try:
            self._watch = FolderWatch(folder)
            self._recording = FrameStore(folder)
            self._scratch = Scratch(folder)
            self._stream = FrameStream(folder / FRAMES_NAME) if JSONL in config.formats else None
        except BaseException:
            self._lock.release()
            raise
        self._open = True
        self._clothing: dict[int, NDArray[np.float32]] = {}
        self._estimate: WorldEstimate | None = None
        self._result: RunResult | None = None

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self._folder

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # a full disk has usually raised the error that is under way already
            with nullcontext() if error is None else suppress(RunError):
                self.close()
        finally:
            self.release()

    def release(self) -> None:
        """Lets the folder go, for whoever writes without a `with` block: `finish` and `close` do so only where they
        succeed. May be called twice."""
        self._lock.release()

    def write(self, frame: FrameRecord, world: WorldFrame | None = None) -> None:
        """Records one frame. When it returns, the frame's line in frames.jsonl survives the process.

        world: as it is believed at that moment.
        """
        if not self._open:
            raise RuntimeError(f"{self._folder}: a frame was written after the run's frames were complete")
        self._watch.check()
        self._clothing |= {each.person_id: each.clothing for each in frame.people if each.clothing is not None}
        if self._stream is not None:
            self._stream.append(encode_frame(frame.index, frame.time, frame.people, world))
        self._recording.append(frame)

    @property
    def recorded(self) -> FrameStore:
        """The frames written so far, for filters that look both ways in time."""
        return self._recording

    def replace_people(self, frames: Iterable[FrameRecord], estimate: WorldEstimate | None = None) -> None:
        """Puts these frames in the place of all written so far (`recorded` may be their source) and ends the writing.

        estimate: of the world that the frames are in, where it is known already.

        frames.jsonl changes in one step, when the last frame has come; until then the old one stays.
        """
        self._end_stream()
        self._estimate = estimate
        recording = FrameStore(self._folder)
        try:
            self._record_anew(frames, recording)
        except BaseException:
            recording.close()
            raise
        self._recording.close()
        self._recording = recording

    def _record_anew(self, frames: Iterable[FrameRecord], recording: FrameStore) -> None:
        if JSONL not in self._config.formats:
            for frame in frames:
                recording.append(frame)
            return
        estimate = self._estimate
        with atomic_file(self._folder / FRAMES_NAME) as stream:
            for frame in frames:
                world = None if estimate is None else estimate.world_at(frame.time)
                stream.write(encode_frame(frame.index, frame.time, frame.people, world))
                recording.append(frame)

    def finish(self, summary: RunSummary) -> RunResult:
        """Writes every identity's files and run.json. Raises RunError, after writing what it could, if one failed."""
        return self._save(summary, interrupted=False)

    def close(self, summary: RunSummary | None = None) -> RunResult:
        """As `finish` for a run that ended early, marked so in run.json; after `finish` it only returns its result."""
        if self._result is not None:
            return self._result
        return self._save(summary or RunSummary(), interrupted=True)

    def _save(self, summary: RunSummary, interrupted: bool) -> RunResult:
        self._end_stream()
        self._recording.free_disk()
        files = [self._folder / FRAMES_NAME] if JSONL in self._config.formats else []
        failures: list[RunError] = []
        lengths: dict[int, int] = {}
        absences: dict[int, list[tuple[float, float]]] = {}
        scene_formats = [name for name in self._config.formats if name in SCENE_FILES]
        everybody: list[PersonSequence] = []
        estimate, warnings = self._world(summary)
        for person in self._people():
            lengths[person.person_id] = len(person.timestamps)
            if estimate is not None:
                person = placed_in(estimate.world, person, self._context.body)
            times, indices = self._recording.times, self._recording.indices
            uniform = on_grid(person, self._context.body, times, indices, self._scratch)
            absences[person.person_id] = gaps(uniform)
            files += self._person_files(uniform, failures)
            if scene_formats or self._reports:
                everybody.append(uniform)
        files += self._scene_files(scene_formats, everybody, failures)
        warnings = _bounded([*summary.warnings, *warnings])
        if self._reports:
            files += self._report_file(everybody, summary.pictures, warnings, failures)
        if OBSERVATIONS in self._config.formats:
            with atomic_file(self._folder / OBSERVATIONS_NAME) as stream:
                self._recording.save(stream)
        warnings += map(str, failures)
        counts = RunCounts(
            len(self._recording), self._recording.frames_with_people, lengths, interrupted, bool(failures), absences,
            None if estimate is None else estimate.world,
        )  # fmt: skip
        self._result = RunResult(
            self._folder,
            (*files, self._folder / RUN_NAME),
            counts.frames_read,
            counts.frames_with_people,
            len(lengths),
            len(warnings),
        )
        run_json.write(self._folder / RUN_NAME, self._header, replace(summary, warnings=warnings), counts)
        self._lock.release()
        if failures:
            raise failures[0]
        return self._result

    def _world(self, summary: RunSummary) -> tuple[WorldEstimate | None, list[str]]:
        """What is known of the world around the camera, and what the user should know of it."""
        if self._config.formats == (OBSERVATIONS,):
            return None, []
        estimate, motion = self._estimate, summary.camera
        if motion.moved_at is not None and estimate is None:
            return None, [_refusal(motion, self._context.world.frame == "world")]
        if estimate is None:
            most = rows_wanted(len(self._recording.person_ids()))
            tracks = [body_track(person, self._context.body) for person in self._people(most)]
            estimate = estimate_world(tracks, self._context.world) if tracks else None
        return estimate, [] if estimate is None else estimate.warnings

    def _people(self, most: int | None = None) -> Iterator[PersonSequence]:
        """Everybody, by identity. most: rows of each, the first."""
        timeline = Timeline.of(self._recording.times, self._context.frame_rate)
        observations = self._recording.observations()
        path = None if self._estimate is None else self._estimate.path
        for person_id, betas in self._recording.last_betas().items():
            rows = self._recording.rows_of(person_id)[:most]
            blocks = (
                assemble(observations[rows[b]], self._context, timeline, betas, path) for b in row_blocks(len(rows))
            )
            yield replace(joined(blocks, len(rows), self._scratch), clothing=self._clothing.get(person_id))

    def _person_files(self, person: PersonSequence, failures: list[RunError]) -> Iterator[Path]:
        for name in self._config.formats:
            if name not in PERSON_WRITERS:
                continue
            path = person_file(self._folder, person.person_id, name)
            try:
                with atomic_file(path) as stream:
                    self._writers.person(name)(stream, person, self._context.body)
            except RunError as error:
                failures.append(error)
            else:
                yield path

    def _scene_files(
        self, formats: Sequence[str], people: Sequence[PersonSequence], failures: list[RunError]
    ) -> Iterator[Path]:
        for name in formats if people else ():
            path = self._folder / SCENE_FILES[name]
            try:
                with atomic_file(path) as stream:
                    self._writers.scene(name)(stream, people, self._context.body)
            except RunError as error:
                failures.append(error)
            else:
                yield path

    @property
    def _reports(self) -> bool:
        return self._context.files.report and self._config.formats != (OBSERVATIONS,)

    def _report_file(
        self, people: Sequence[PersonSequence], pictures: Sequence[Snapshot], notes: Sequence[str],
        failures: list[RunError],
    ) -> Iterator[Path]:  # fmt: skip
        times = self._recording.times
        seconds = times[-1] - times[0] if len(times) else 0.0
        path = self._folder / REPORT_NAME
        try:
            with atomic_file(path) as stream:
                stream.write(report_page(RunReport(self._folder.name, seconds, people, pictures, notes)).encode())
        except RunError as error:
            failures.append(error)
        else:
            yield path

    def _end_stream(self) -> None:
        self._open = False
        if self._stream is not None:
            self._stream.close()
            self._stream = None
