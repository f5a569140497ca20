"""One input of many: tracked in whatever process it comes to, with a tracker that is opened once there.

`run_clip` is a plain function of picklable values, so that any executor can run it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from tracker.app.place import FolderPlace, Place, SharedPlace, StoredPlace
from tracker.app.track import TrackJob, track
from tracker.core.errors import InputError, RunError
from tracker.core.shown_text import message_line, shown_address
from tracker.export.earlier_run import EarlierRun
from tracker.export.run_json import jsonable
from tracker.pipeline import Tracker, TrackerConfig
from tracker.runtime.process import compute_in_one_thread, prepare_for_real_time
from tracker.runtime.storage import fetched, is_stored
from tracker.runtime.worker_processes import count_item, task_interrupt

_log = logging.getLogger("tracker")

Outcome = Literal["tracked", "finished before", "failed", "interrupted"]


@dataclass(frozen=True)
class ClipJob:
    """An input, and all that is needed to track it anywhere."""

    track: TrackJob
    """Its folder counts where `place` is that folder; else the place says where it is tracked into."""
    config: TrackerConfig
    place: FolderPlace | SharedPlace | StoredPlace
    resume: bool = False
    """Leave a finished result as it is, and replace one that is not finished."""

    def run(self) -> ClipReport:
        """See `run_clip`."""
        return run_clip(self)

    @property
    def settings(self) -> dict[str, Any]:
        """As they stand in run.json."""
        return {"config": jsonable(self.config), "job": self.track.record}


class BatchTask(Protocol):
    """What is to be done for one input; picklable."""

    @property
    def track(self) -> TrackJob: ...

    @property
    def place(self) -> Place: ...

    def run(self) -> ClipReport:
        """Does it, in any process. Raises what keeps all tasks from being done."""
        ...


@dataclass(frozen=True)
class ClipReport:
    """What has become of one input."""

    spec: str
    folder: str
    """Where its result is: a path or address."""
    outcome: Outcome
    error: str = ""
    """One line, of one that failed."""
    people: int = 0
    frames: int = 0
    frames_with_people: int = 0
    seconds: float = 0.0
    """What it took."""
    warnings: int = 0

    @property
    def done(self) -> bool:
        """Whether its result is there, whole."""
        return self.outcome in ("tracked", "finished before")

    @classmethod
    def on(cls, job: BatchTask, outcome: Outcome, run: Mapping[str, Any]) -> ClipReport:
        """run: the document that the run has left."""
        return cls(
            job.track.spec,
            job.place.name,
            outcome,
            people=len(run["people"]),
            frames=run["frames_read"],
            frames_with_people=run["frames_with_people"],
            seconds=run["wall_seconds"],
            warnings=len(run["warnings"]),
        )

    @classmethod
    def failure(cls, job: BatchTask, error: BaseException) -> ClipReport:
        """With the name of the input in its line."""
        known = isinstance(error, InputError | RunError)
        line = str(error) if known else f"{type(error).__name__}: {error}"
        source = shown_address(job.track.spec)
        named = line if Path(source).name in line else f"{source}: {line}"
        return cls(job.track.spec, job.place.name, "failed", message_line(named))


def run_clip(job: ClipJob) -> ClipReport:
    """Tracks the job's input. Whatever is wrong with that one is in the report.

    Raises InputError or RunError where the tracker itself cannot be opened, which no other input will change.
    """
    try:
        job, finished = resumed(job)
    except (InputError, RunError) as error:
        return ClipReport.failure(job, error)
    if finished is not None:
        return ClipReport.on(job, "finished before", finished.document)
    return _tracked(job, _kept.opened(job.config))


def resumed(job: ClipJob) -> tuple[ClipJob, EarlierRun | None]:
    """What is left to be done of the job; where that is nothing, the finished run.

    Raises InputError for a run that has finished with other settings, or of another input.
    """
    if not job.resume:
        return job, None
    earlier = job.place.earlier()
    if earlier is not None and earlier.finished:
        earlier.require_same(shown_address(job.track.spec), job.settings)
        return job, earlier
    return replace(job, track=replace(job.track, export=replace(job.track.export, overwrite=True))), None


def _tracked(job: ClipJob, tracker: Tracker) -> ClipReport:
    try:
        with _at_hand(job.track) as at_hand, job.place.working(job.track.export.overwrite) as folder:
            track(replace(at_hand, folder=folder), tracker, task_interrupt(), count_item)
        run = job.place.earlier()
    except KeyboardInterrupt:
        return ClipReport(job.track.spec, job.place.name, "interrupted")
    except InputError as error:
        return ClipReport.failure(job, error)
    except Exception as error:
        _log.debug("traceback", exc_info=True)
        _kept.drop()  # whatever is broken may be in it
        return ClipReport.failure(job, error)
    if run is None:
        return ClipReport.failure(job, RunError(f"{job.place.name}: its run.json has gone; was the folder deleted?"))
    return ClipReport.on(job, "tracked", run.document)


@contextmanager
def _at_hand(job: TrackJob) -> Iterator[TrackJob]:
    """The same job on a file of this machine."""
    if not is_stored(job.spec):
        yield job
        return
    with fetched(job.spec) as copy:
        try:
            yield replace(job, spec=str(copy), location=job.spec)
        except (InputError, RunError) as error:
            raise type(error)(str(error).replace(str(copy), job.spec)) from error


class _KeptTracker(threading.local):
    """A thread's tracker, which goes from one input to the next: loading it takes longer than many a clip."""

    def __init__(self) -> None:
        self._tracker: Tracker | None = None

    def opened(self, config: TrackerConfig) -> Tracker:
        """One that knows nobody."""
        if self._tracker is not None and self._tracker.config != config:
            self.drop()
        if self._tracker is None:
            alone = threading.current_thread() is threading.main_thread()  # a process of its own
            if alone:
                compute_in_one_thread()
            self._tracker = Tracker.open(config)
            if alone:
                prepare_for_real_time()
        else:
            self._tracker.restart()
        return self._tracker

    def drop(self) -> None:
        if self._tracker is not None:
            self._tracker.close()
            self._tracker = None


_kept = _KeptTracker()
