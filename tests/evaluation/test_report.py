"""Reports: every figure in JSON and CSV, a page that stands alone, and runs side by side."""

from __future__ import annotations

import csv
import json
import math
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tracker.core.errors import InputError
from tracker.evaluation.cases import Case
from tracker.evaluation.gallery import Pick, picked
from tracker.evaluation.page import write_page
from tracker.evaluation.report import Chart, Picture, Report, Run, better, comparison, read_run, write_summary

REPORT = Report(
    title="Two <protocols>",
    rows={
        "stills": {"found": 100.0, "mpjpe": 51.25, "mpjpe_visible": 48.0, "pckh": 97.0},
        "bar": {"found": 80.0, "mpjpe": math.nan, "mpjpe_visible": 60.0},
    },
    charts=[Chart("Growth", "degree", "mm", {"a": [(0.0, 50.0), (1.0, math.nan), (2.0, 90.0)], "b": [(0.0, 50.0)]})],
    pictures=[Picture("a case", np.full((8, 16, 3), 200, np.uint8))],
    notes=["seed 0"],
)


def test_json_and_csv_hold_every_figure(tmp_path: Path) -> None:
    write_summary(tmp_path, REPORT)
    content = json.loads((tmp_path / "summary.json").read_text())
    assert content["rows"]["stills"]["mpjpe"] == 51.25
    assert content["rows"]["bar"]["mpjpe"] is None
    assert content["charts"][0]["series"]["a"] == [[0.0, 50.0], [1.0, None], [2.0, 90.0]]
    with (tmp_path / "summary.csv").open() as stream:
        first, second = csv.DictReader(stream)
    assert (first["protocol"], float(first["mpjpe"]), float(first["pckh"])) == ("stills", 51.25, 97.0)
    assert second["mpjpe"] == second["pckh"] == ""


def test_a_run_is_read_back(tmp_path: Path) -> None:
    write_summary(tmp_path, REPORT)
    run = read_run(tmp_path)
    assert run.name == tmp_path.name
    assert run.rows["stills"] == REPORT.rows["stills"]
    assert math.isnan(run.rows["bar"]["mpjpe"])


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=rf"{tmp_path.name}/summary\.json: no such file; expected the folder of an eval"
    ):
        read_run(tmp_path)
    (tmp_path / "summary.json").write_text('{"rows": 3}')
    with pytest.raises(InputError, match="expected the folder of an evaluation"):
        read_run(tmp_path)


class Page(HTMLParser):
    """Collects what a page refers to, and checks that tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.text = ""
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img", "br", "path", "rect"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in ("path", "rect")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


def read_page(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def test_the_page_stands_alone(tmp_path: Path) -> None:
    page = read_page(write_page(tmp_path, REPORT))
    assert len(page.addresses) == 1
    assert page.addresses[0].startswith("data:image/jpeg;base64,")
    for word in ("Two <protocols>", "51.2", "48.0", "Growth", "a case", "seed 0"):
        assert word in page.text
    assert "Against other runs" not in page.text


def test_a_gap_interrupts_a_curve(tmp_path: Path) -> None:
    source = write_page(tmp_path, REPORT).read_text(encoding="utf-8")
    svg = ET.fromstring(source[source.index("<svg") : source.index("</svg>") + len("</svg>")])
    curves = [path.get("d", "") for path in svg.iter("path") if path.get("fill") == "none"]
    assert len(curves) == 3
    assert all(curve.count("M") == 1 for curve in curves)


def test_the_page_compares_runs(tmp_path: Path) -> None:
    other = Run("before", {"stills": {"found": 100.0, "mpjpe": 60.0, "pckh": 98.0}})
    page = write_page(tmp_path, REPORT, [Run("now", REPORT.rows), other])
    assert "Against other runs" in read_page(page).text
    source = page.read_text(encoding="utf-8")
    assert '<td class="good">−8.8</td>' in source
    assert '<td class="bad">−1.0</td>' in source
    assert '<td class="">0.0</td>' in source


def test_what_is_better() -> None:
    assert better("mpjpe", -1.0)
    assert not better("mpjpe", 1.0)
    assert better("pckh", 1.0)


def test_runs_side_by_side_on_the_screen() -> None:
    runs = [Run("old", {"stills": {"mpjpe": 60.0}}), Run("new", {"stills": {"mpjpe": 51.5}, "bar": {"mpjpe": 70.0}})]
    lines = comparison(runs).splitlines()
    assert lines[0] == "stills"
    row = next(line for line in lines if line.strip().startswith("new − old"))
    assert "-8.5" in row
    assert "bar" in lines
    assert "old (2) − old" in comparison([runs[0], runs[0]])


@pytest.mark.parametrize(
    "content",
    ["[]", "{}", '{"rows": []}', '{"rows": {"bar": 3}}', '{"rows": {"bar": {"mpjpe": "60"}}}', "no JSON", "[" * 9999],
)
def test_a_summary_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(
        InputError, match=rf"^{tmp_path}/summary\.json: .*; expected the folder of an evaluation"
    ) as caught:
        read_run(tmp_path)
    assert "indices" not in str(caught.value) and "'rows'" not in str(caught.value)


def test_best_median_and_worst() -> None:
    table = {
        "error": np.array([[30.0], [10.0], [np.nan], [20.0], [90.0]]),
        "box_units": np.full((5, 1), np.nan),
        "visible": np.ones((5, 1), bool),
    }
    case = Case("still", 0, "clean")
    ranked = picked([Pick(case, i) for i in range(5)], {case: table})
    assert [(name, pick.index) for name, pick in ranked] == [("best", 1), ("median", 0), ("worst", 4)]
    assert [name for name, _ in picked([Pick(case, 0)], {case: table})] == ["best"]
    assert picked([Pick(case, 2)], {case: table}) == []
