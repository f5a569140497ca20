"""`evaluate synthetic` and `evaluate dataset`: everything from the settings to the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from tracker.evaluation.cases import SyntheticBench, SyntheticSettings
from tracker.evaluation.page import write_page
from tracker.evaluation.recorded import RecordedBench, RecordedSettings
from tracker.evaluation.recorded_report import recorded_report
from tracker.evaluation.report import Report, Run, comparison, read_run, write_summary
from tracker.evaluation.run import EvaluationJob, picture_cache, run_cases
from tracker.evaluation.synthetic import PictureStore
from tracker.evaluation.synthetic_report import synthetic_report
from tracker.pipeline import TrackerConfig
from tracker.runtime.interrupt import Interrupt


class Evaluation:
    """One evaluation of a tracker: where it goes, and what it is compared with."""

    def __init__(self, job: EvaluationJob, config: TrackerConfig, others: Sequence[Path] = ()) -> None:
        """others: folders of earlier runs. Raises InputError when one of them holds no run."""
        self._job, self._config = job, config
        self._earlier = [read_run(folder) for folder in others]
        self._store = PictureStore(picture_cache())

    def synthetic(self, settings: SyntheticSettings, interrupt: Interrupt) -> str:
        """Runs the benchmark, writes the report, and gives the text for the screen.

        Raises InputError, RunError and KeyboardInterrupt as `run_cases`.
        """
        started = perf_counter()
        bench = SyntheticBench(settings, self._config, self._store)
        tables = run_cases(self._job, bench, interrupt)
        return self._written(synthetic_report(bench, tables), perf_counter() - started)

    def recorded(self, settings: RecordedSettings, interrupt: Interrupt) -> str:
        """The same for recorded people. Raises InputError too for data that is missing or does not fit."""
        started = perf_counter()
        bench = RecordedBench(settings, self._config, self._store)
        tables = run_cases(self._job, bench, interrupt)
        return self._written(recorded_report(bench, tables), perf_counter() - started)

    def _written(self, report: Report, seconds: float) -> str:
        out = self._job.out
        write_summary(out, report)
        runs = [Run(out.name, report.rows), *self._earlier]
        page = write_page(out, report, runs)
        lines = [report.text(), "", *report.notes, f"{seconds:.0f} s; report {page}"]
        return "\n".join([*lines, "", comparison(runs)] if self._earlier else lines)
