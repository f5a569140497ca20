"""The report as one HTML page that needs nothing else: tables, curves as SVG, pictures inside."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from PIL import Image

from tracker.evaluation.report import PAGE, Picture, Report, Run, better, cell, told_apart
from tracker.evaluation.summary import METRICS, Figures
from tracker.export.files import atomic_file
from tracker.export.line_chart import STYLE, chart_svg


def write_page(folder: Path, report: Report, runs: Sequence[Run] = ()) -> Path:
    """report.html in the folder; runs: the first is this one, the others are compared with it."""
    path = folder / PAGE
    with atomic_file(path) as stream:
        stream.write("\n".join(_page(report, runs)).encode())
    return path


def _page(report: Report, runs: Sequence[Run]) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(report.title)}</title><style>{STYLE}</style></head><body>"
    yield f"<h1>{escape(report.title)}</h1><ul>"
    yield from (f"<li>{escape(note)}</li>" for note in report.notes)
    yield "</ul><h2>Figures</h2>"
    yield "<p>Over all joints (pixels, vertices); below, smaller, over the visible ones.</p>"
    yield from _figures(report.rows)
    if len(runs) > 1:
        yield "<h2>Against other runs</h2>"
        yield from _compared(runs)
    yield '<h2>Curves</h2><div class="grid">'
    yield from (
        f"<figure>{chart_svg(chart)}<figcaption>{escape(chart.title)}</figcaption></figure>" for chart in report.charts
    )
    yield '</div><h2>Best, median and worst</h2><div class="grid">'
    yield from map(picture_figure, report.pictures)
    yield "</div></body></html>"


def _figures(rows: Mapping[str, Figures]) -> Iterator[str]:
    """A line a metric, a column a protocol."""
    yield '<div class="wide"><table><thead><tr><th></th>'
    yield from (f"<th>{escape(name)}</th>" for name in rows)
    yield "</tr></thead><tbody>"
    for metric in METRICS:
        known = any(not math.isnan(figures.get(metric.key, math.nan)) for figures in rows.values())
        if metric.key.endswith("_visible") or not known:
            continue
        yield f"<tr><th>{escape(metric.label)} <small>{escape(metric.unit)}</small></th>"
        for figures in rows.values():
            visible = f"{metric.key}_visible"
            below = f"<br><small>{cell(figures, visible)}</small>" if visible in figures else ""
            yield f"<td>{cell(figures, metric.key)}{below}</td>"
        yield "</tr>"
    yield "</tbody></table></div>"


def _compared(runs: Sequence[Run]) -> Iterator[str]:
    """For each protocol that all runs know, a line a metric: this run's figure, the others', the differences."""
    base, *others = told_apart(runs)
    heads = "".join(f"<th>{escape(run.name)}</th><th>{escape(base.name)} against it</th>" for run in others)
    yield f'<div class="wide"><table><thead><tr><th></th><th>{escape(base.name)}</th>{heads}</tr></thead><tbody>'
    for name in (name for name in base.rows if all(name in run.rows for run in others)):
        for metric in METRICS:
            if any(math.isnan(run.rows[name].get(metric.key, math.nan)) for run in runs):
                continue
            label = f"{escape(name)}: {escape(metric.label)} <small>{escape(metric.unit)}</small>"
            cells = "".join(_difference(base.rows[name], run.rows[name], metric.key) for run in others)
            yield f"<tr><th>{label}</th><td>{cell(base.rows[name], metric.key)}</td>{cells}</tr>"
    yield "</tbody></table></div>"


def _difference(this: Figures, other: Figures, key: str) -> str:
    change = this[key] - other[key]
    shown = cell({key: abs(change)}, key)
    nothing = float(shown) == 0.0
    kind = "" if nothing else ("good" if better(key, change) else "bad")
    sign = "" if nothing else ("+" if change > 0 else "−")
    return f'<td>{cell(other, key)}</td><td class="{kind}">{sign}{shown}</td>'


def picture_figure(picture: Picture) -> str:
    data = io.BytesIO()
    Image.fromarray(picture.image).save(data, "JPEG", quality=85)
    encoded = base64.b64encode(data.getvalue()).decode()
    caption = escape(picture.caption)
    sides = "".join(f"<span>{escape(side)}</span>" for side in picture.sides)
    image = f'<img alt="{caption}" src="data:image/jpeg;base64,{encoded}">'
    return f'<figure><div class="sides">{sides}</div>{image}<figcaption>{caption}</figcaption></figure>'
