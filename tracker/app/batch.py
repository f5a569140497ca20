"""Many inputs: all are tracked, whatever is wrong with some of them, by any executor, one task an input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from itertools import islice
from typing import Protocol, TextIO, get_args

import click
import psutil
from tqdm import tqdm

from tracker.app.clip_job import BatchTask, ClipJob, ClipReport, Outcome
from tracker.core.errors import InputError
from tracker.core.shown_text import printable, shown_address, warnings_hint
from tracker.runtime.cores import available_cores
from tracker.runtime.interrupt import Interrupt
from tracker.runtime.worker_processes import TaskLost

_AT_ONCE = 1000
"""Tasks that an executor is given before the first has ended: a million would fill its memory."""
_LOOK_SECONDS = 0.25
"""Between two looks at whether the user wants to stop."""
_WORKER_BYTES = 1_500_000_000
"""What a process takes that tracks a video of 1920×1080 with its overlay."""
_WORKER_CORES = 1.0
"""Cores that one video keeps busy when others run beside it: fewer would leave some idle."""


class BatchView:
    """What follows a batch while it runs; this one is content with the reports."""

    def __init__(self) -> None:
        self.reports: list[ClipReport] = []

    def report(self, report: ClipReport) -> None:
        """Another input is through."""
        self.reports.append(report)

    def look(self) -> None:
        """Called now and then. May raise KeyboardInterrupt."""

    def stop(self) -> None:
        """Called before the inputs under way are waited for, after an exception."""


def run_batch(jobs: Sequence[BatchTask], executor: Executor, view: BatchView) -> None:
    """Has every job run, and gives the view each report as it comes.

    Raises what keeps the tracker from being opened at all. After that and after KeyboardInterrupt nothing new is begun;
    what is under way is waited for.
    """
    upcoming, waiting = iter(jobs), dict[Future[ClipReport], BatchTask]()
    try:
        while True:
            for job in islice(upcoming, _AT_ONCE - len(waiting)):
                waiting[executor.submit(job.run)] = job
            if not waiting:
                return
            _take_reports(waiting, view, _LOOK_SECONDS)
            view.look()
    except BaseException:
        for future in waiting:
            future.cancel()
        view.stop()
        while waiting := {future: job for future, job in waiting.items() if not future.cancelled()}:
            _take_reports(waiting, view, None)
        raise


def _take_reports(waiting: dict[Future[ClipReport], BatchTask], view: BatchView, seconds: float | None) -> None:
    done, _ = wait(waiting, seconds, FIRST_COMPLETED)
    for future in done:
        job = waiting.pop(future)
        try:
            view.report(future.result())
        except TaskLost as error:
            view.report(ClipReport.failure(job, error))


def shard_of(jobs: Sequence[ClipJob], shard: str) -> Sequence[ClipJob]:
    """Of all jobs those that one of several machines does: "2/8" is the second of eight. Raises InputError."""
    number, _, count = shard.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise InputError(f"--shard {shard}: expected i/n with i from 1 to n, as in 2/8")
    return jobs[int(number) - 1 :: int(count)]


def job_count(wanted: str) -> int:
    """Videos at once, from what the user says: a number or "auto". Raises InputError for anything else."""
    if wanted == "auto":
        by_memory = int(psutil.virtual_memory().available / _WORKER_BYTES)
        return max(1, min(int(available_cores() / _WORKER_CORES), by_memory))
    if not (wanted.isdecimal() and int(wanted) >= 1):
        raise InputError(f"--jobs {wanted}: expected a number of videos, 1 or more, or auto")
    return int(wanted)


class StoppableExecutor(Protocol):
    """An executor of ours."""

    @property
    def items(self) -> int | None:
        """Frames tracked so far, where that is known."""
        ...

    def stop(self) -> None:
        """Ends the tasks under way where that is safe."""
        ...


class TerminalView(BatchView):
    """A progress bar for all inputs, and a line for each that is through. Use as a context manager."""

    def __init__(
        self,
        total: int,
        interrupt: Interrupt,
        pool: StoppableExecutor,
        summary: Callable[[str, ClipReport], str],
    ) -> None:
        """summary: the line on an input and what its run has left."""
        super().__init__()
        self._interrupt, self._pool, self._summary = interrupt, pool, summary
        self._bar = tqdm(total=total, desc="tracking", unit="video", disable=None)

    def report(self, report: ClipReport) -> None:
        super().report(report)
        if report.outcome == "failed":
            self._line(f"error: {report.error}", sys.stderr)
        elif report.outcome == "tracked":
            self._line(self._summary(report.spec, report), sys.stdout)
        self._bar.update()

    def look(self) -> None:
        if self._pool.items is not None:
            self._bar.set_postfix(frames=self._pool.items)
        self._interrupt.check()

    def stop(self) -> None:
        self._pool.stop()

    def __enter__(self) -> TerminalView:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def _line(self, text: str, stream: TextIO) -> None:
        with self._bar.external_write_mode(file=stream):
            click.echo(text, file=stream)


def _shown(report: ClipReport) -> str:
    return printable(shown_address(report.spec))


def table(reports: Sequence[ClipReport]) -> Iterator[str]:
    """The lines of a table of all inputs by name, and one on all of them."""
    width = max((len(_shown(report)) for report in reports), default=0)
    yield f"{'video':{width}}  {'people':>6}  {'frames':>7}  {'seconds':>8}  {'warnings':>8}"
    for report in sorted(reports, key=lambda each: each.spec):
        figures = f"{report.people:6}  {report.frames:7}  {report.seconds:8.1f}  {report.warnings:8}"
        yield f"{_shown(report):{width}}  " + (figures if report.done else report.outcome)
    counts = {name: sum(each.outcome == name for each in reports) for name in get_args(Outcome)}
    frames = sum(report.frames for report in reports if report.outcome == "tracked")
    warnings = warnings_hint(sum(report.warnings for report in reports))
    outcomes = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    yield f"{outcomes}; {frames} frames tracked{warnings}"
