"""A study as one HTML page that needs nothing else: sections of text, tables, curves and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from tracker.evaluation.page import picture_figure
from tracker.evaluation.report import Chart, Picture
from tracker.export.files import atomic_file
from tracker.export.line_chart import STYLE, chart_svg

Table = Mapping[str, Mapping[str, float]]
"""Row → column → number."""


@dataclass(frozen=True)
class StudySection:
    """One experiment."""

    title: str
    notes: Sequence[str]
    tables: Mapping[str, Table] = field(default_factory=dict)
    """By caption."""
    charts: Sequence[Chart] = ()
    pictures: Sequence[Picture] = ()


def write_study(path: Path, title: str, sections: Sequence[StudySection]) -> None:
    """Writes the page, whole or not at all."""
    with atomic_file(path) as stream:
        stream.write("\n".join(_page(title, sections)).encode())


def _page(title: str, sections: Sequence[StudySection]) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><h1>{escape(title)}</h1>"
    for section in sections:
        yield f"<h2>{escape(section.title)}</h2><ul>"
        yield from (f"<li>{escape(note)}</li>" for note in section.notes)
        yield "</ul>"
        for caption, table in section.tables.items():
            yield from _table(caption, table)
        yield '<div class="grid">'
        yield from (
            f"<figure>{chart_svg(chart)}<figcaption>{escape(chart.title)}</figcaption></figure>"
            for chart in section.charts
        )
        yield from map(picture_figure, section.pictures)
        yield "</div>"
    yield "</body></html>"


def _table(caption: str, table: Table) -> Iterator[str]:
    columns = list(dict.fromkeys(column for row in table.values() for column in row))
    heads = "".join(f"<th>{escape(column)}</th>" for column in columns)
    yield f'<p>{escape(caption)}</p><div class="wide"><table><thead><tr><th></th>{heads}</tr></thead><tbody>'
    for name, row in table.items():
        cells = "".join(f"<td>{row[column]:.1f}</td>" if column in row else "<td></td>" for column in columns)
        yield f"<tr><th>{escape(name)}</th>{cells}</tr>"
    yield "</tbody></table></div>"
