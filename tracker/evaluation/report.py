"""Reports: a table for the screen, JSON and CSV for programs, one HTML page for eyes; and runs side by side."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracker.core.input_file import read_text, reading
from tracker.evaluation.summary import METRICS, Figures, as_text, formatted
from tracker.export.files import atomic_file
from tracker.export.line_chart import Chart

SUMMARY, TABLE, PAGE = "summary.json", "summary.csv", "report.html"
SCREEN_KEYS = (
    "found", "found_visible", "mpjpe", "mpjpe_visible", "pa_mpjpe", "pa_mpjpe_visible", "pve", "pckh", "pckh_visible",
    "angle", "acceleration", "file_mpjpe", "file_depth", "slide", "contact_f1", "floor_tilt", "idf1",
)  # fmt: skip
_COMPARED_KEYS = ("found", "mpjpe", "mpjpe_visible", "pa_mpjpe", "pve", "pckh", "acceleration", "idf1")


@dataclass(frozen=True)
class Picture:
    """A case for eyes."""

    caption: str
    image: NDArray[np.uint8]
    """(h, w, 3) RGB."""
    sides: tuple[str, str] = ("truth", "tracked")
    """What its left and its right half show."""


@dataclass(frozen=True)
class Report:
    """Everything that an evaluation has to say."""

    title: str
    rows: Mapping[str, Figures]
    """By protocol."""
    charts: Sequence[Chart]
    pictures: Sequence[Picture]
    notes: Sequence[str]

    def text(self) -> str:
        """The table for the screen."""
        return as_text(self.rows, SCREEN_KEYS)


@dataclass(frozen=True)
class Run:
    """The figures of a run that is done."""

    name: str
    rows: Mapping[str, Figures]


def write_summary(folder: Path, report: Report) -> None:
    """summary.json and summary.csv: every figure of every row; NaN is null, or empty."""
    rows = {name: {key: _number(value) for key, value in figures.items()} for name, figures in report.rows.items()}
    units = {metric.key: metric.unit for metric in METRICS}
    content = {"title": report.title, "units": units, "rows": rows, "notes": list(report.notes),
               "charts": [_chart_values(chart) for chart in report.charts]}  # fmt: skip
    with atomic_file(folder / SUMMARY) as stream:
        stream.write(json.dumps(content, indent=1, ensure_ascii=False).encode())
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["protocol", *(metric.key for metric in METRICS)])
    for name, figures in report.rows.items():
        values = (_number(figures.get(metric.key, float("nan"))) for metric in METRICS)
        writer.writerow([name, *("" if value is None else repr(value) for value in values)])
    with atomic_file(folder / TABLE) as stream:
        stream.write(text.getvalue().encode())


def _chart_values(chart: Chart) -> dict[str, object]:
    series = {name: [[x, _number(y)] for x, y in points] for name, points in chart.series.items()}
    return {"title": chart.title, "x": chart.x_label, "y": chart.y_label, "series": series}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def read_run(folder: Path) -> Run:
    """A run's figures. Raises InputError when the folder holds none."""
    path = folder / SUMMARY
    with reading(path, f"expected the folder of an evaluation, with the {SUMMARY} that it has written"):
        content = json.loads(read_text(path))
        rows = content.get("rows") if isinstance(content, dict) else None
        if not isinstance(rows, dict) or not all(map(_are_figures, rows.values())):
            raise ValueError("holds no rows of figures")
        figures = {
            name: {key: float("nan") if value is None else float(value) for key, value in each.items()}
            for name, each in rows.items()
        }
    return Run(folder.name, figures)


def _are_figures(row: object) -> bool:
    return isinstance(row, dict) and all(value is None or isinstance(value, int | float) for value in row.values())


def told_apart(runs: Sequence[Run]) -> list[Run]:
    """The runs, with a number behind the names that came before."""
    names = [run.name for run in runs]
    counts = [names[:i].count(name) for i, name in enumerate(names)]
    return [replace(run, name=f"{run.name} ({n + 1})") if n else run for run, n in zip(runs, counts, strict=True)]


def comparison(runs: Sequence[Run]) -> str:
    """Runs side by side for the screen, each row's figures with the difference from the first run."""
    runs, blocks = told_apart(runs), []
    for name in dict.fromkeys(name for run in runs for name in run.rows):
        lines = {run.name: run.rows[name] for run in runs if name in run.rows}
        blocks.append(f"{name}\n{as_text(_with_differences(lines), _COMPARED_KEYS)}")
    return "\n\n".join(blocks)


def _with_differences(lines: Mapping[str, Figures]) -> dict[str, Figures]:
    """Each run, and under each but the first how much it differs from the first."""
    (first, base), *others = lines.items()
    rows = {first: base}
    for name, figures in others:
        rows[name] = figures
        rows[f"  {name} − {first}"] = {key: figures[key] - base[key] for key in figures if key in base}
    return rows


def better(key: str, difference: float) -> bool:
    """Whether a difference in this metric is one for the better."""
    metric = next(each for each in METRICS if each.key == key)
    return difference > 0 if metric.higher_is_better else difference < 0


def cell(figures: Figures, key: str) -> str:
    """A figure as the page shows it."""
    return formatted(figures.get(key), next(each for each in METRICS if each.key == key))
