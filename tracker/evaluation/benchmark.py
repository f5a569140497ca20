"""`evaluate synthetic`: everything from the settings to the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from tracker.evaluation.cases import Bench
from tracker.evaluation.page import write_page
from tracker.evaluation.report import Run, comparison, read_run, write_summary
from tracker.evaluation.run import EvaluationJob, run_cases
from tracker.evaluation.synthetic import PictureStore
from tracker.evaluation.synthetic_report import synthetic_report
from tracker.interrupt import Interrupt
from tracker.pipeline import TrackerConfig


def evaluate_synthetic(job: EvaluationJob, config: TrackerConfig, others: Sequence[Path], interrupt: Interrupt) -> str:
    """Runs the benchmark, writes the report, and gives the text for the screen.

    others: folders of earlier runs to compare with. Raises InputError, RunError and KeyboardInterrupt as `run_cases`.
    """
    earlier = [read_run(folder) for folder in others]
    started = perf_counter()
    tables = run_cases(job, config, interrupt)
    report = synthetic_report(
        Bench(job.settings, config, PictureStore(job.cache)), tables, "Evaluation on made-up people"
    )
    write_summary(job.out, report)
    runs = [Run(job.out.name, report.rows), *earlier]
    page = write_page(job.out, report, runs)
    lines = [report.text(), "", *report.notes, f"{perf_counter() - started:.0f} s; report {page}"]
    return "\n".join([*lines, "", comparison(runs)] if earlier else lines)
