"""One recording of a live run: the same files as `track` writes, in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from tracker.body.person_builder import PersonBuilder
from tracker.core.errors import InputError, RunError
from tracker.core.frame import Frame
from tracker.core.person import FrameRecord, Person
from tracker.export import ExportConfig, RunContext, RunHeader, RunResult, RunSummary, RunWriter
from tracker.export.contact_sheet import ContactSheet
from tracker.export.files import OVERLAY_NAME
from tracker.export.one_camera import OneCamera
from tracker.outputs.output import Picture
from tracker.overlay.video_writer import VideoWriter
from tracker.runtime.recent_times import RecentTimes
from tracker.runtime.worker import Worker
from tracker.world.camera_watch import CameraWatch
from tracker.world.live_world import LiveWorld

_WAITING = 8
"""Pictures that may wait to be encoded before the loop waits for them."""


@dataclass(frozen=True)
class RecordedFrame:
    """A frame that is to be written, with its picture."""

    frame: Frame
    people: Sequence[Person]
    picture: Picture


class Recorder:
    """Writes one recording. What fails in its thread is raised by the next `send`, or by `finish`."""

    name, wants_picture = "recording", True

    def __init__(
        self, folder: Path, export: ExportConfig, context: RunContext, header: RunHeader, first: Frame,
        rate: Fraction | None,
    ) -> None:  # fmt: skip
        """first: the frame at which the clock of the files begins, not written yet; rate: of the source, if known.

        Raises InputError where the folder holds an earlier result or no video can be of that size, RunError where it
        cannot be written.
        """
        self.folder = folder
        self.seconds = 0.0
        """Recorded so far."""
        self._began, self._start, self._size = perf_counter(), first.time, first.size
        self._writer = RunWriter(folder, export, context, header)
        self._cameras = OneCamera(PersonBuilder(context.body), context.camera)
        self._watch, self._sheet = CameraWatch(context.camera), ContactSheet()
        self._world = LiveWorld(context.world, context.body)
        self._write_ms = RecentTimes()
        self._open = ExitStack()
        try:
            self._video = self._open.enter_context(VideoWriter(folder / OVERLAY_NAME, first.size, rate))
        except (InputError, RunError):
            with self._writer:
                raise
        self._worker = self._open.enter_context(Worker("record", self._record, _WAITING))

    @property
    def camera_moved(self) -> bool:
        """Whether the camera has left its view, as far as the recording has come."""
        return self._watch.moved_at is not None

    def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
        assert picture is not None
        self.seconds = frame.time - self._start
        self._worker.put(RecordedFrame(frame, people, picture))

    def close(self) -> None:
        """Ends the recording with nothing to say of the stages."""
        self.finish(RunSummary())

    def _record(self, frames: Iterator[RecordedFrame]) -> None:
        for each in frames:
            before, time = perf_counter(), each.frame.time - self._start
            timed = replace(each.frame, time=time)
            self._watch.show(timed, each.people)
            self._sheet.show(timed, each.people)
            people = self._cameras.of_files(each.frame, each.people)
            world = self._world.watch(time, people) if self._watch.moved_at is None else None
            self._writer.write(FrameRecord(each.frame.index, time, people), world)
            picture = each.picture
            if each.frame.size != self._size:
                picture = np.ascontiguousarray(cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA))
            self._video.write(time, picture)
            self._write_ms.append(1e3 * (perf_counter() - before))

    def finish(self, summary: RunSummary, interrupted: bool = False) -> RunResult:
        """Closes the video and writes every file of the run, also when the recording has failed, which is raised then.

        summary: of the other stages. interrupted: the run ended before its time.
        """
        failure: Exception | None = None
        try:
            self._open.close()
        except Exception as error:  # it is raised when all that can be saved is saved
            failure = error
        whole = replace(
            summary,
            stage_ms={**summary.stage_ms, "write": list(self._write_ms)},
            warnings=[*summary.warnings, *self._cameras.warnings, *([] if failure is None else [str(failure)])],
            wall_seconds=perf_counter() - self._began,
            pictures=self._sheet.pictures(),
            camera=self._watch.motion,
        )
        try:
            if failure is not None:
                with suppress(RunError):  # what ended the recording also keeps its files from being written
                    self._writer.close(whole)
                raise failure
            return self._writer.close(whole) if interrupted else self._writer.finish(whole)
        finally:
            self._writer.release()
