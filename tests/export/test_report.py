"""report.html: whole, without anything from outside, small, and true to the run."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from tests.export.test_scene_formats import BODY, RATE, TIMES, sequence
from tests.export_scene import CAMERA, frames_of, person_at
from tracker.core.frame import Frame
from tracker.export import ExportConfig, RunContext, RunHeader, RunSummary, RunWriter
from tracker.export.contact_sheet import ContactSheet
from tracker.export.files_config import FilesConfig
from tracker.export.report import RunReport, report_page

VOID = {"meta", "img", "li", "path", "rect"}


class Balance(HTMLParser):
    """Raises where tags do not close in order; gathers what is loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.outside += [value for name, value in attrs if name in ("src", "href") and not value.startswith("data:")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(page: str) -> Balance:
    reader = Balance()
    reader.feed(page)
    assert reader.open == []
    return reader


def pictures(seconds: float = 3.0) -> ContactSheet:
    sheet = ContactSheet()
    for index in range(round(10 * seconds)):
        image = np.full((481, 640, 3), 120, np.uint8)
        sheet.show(Frame(index, index / 10, image), [person_at(BODY, index / 10)])
    return sheet


def test_a_page_of_two_people_with_a_gap_and_pictures():
    people = [sequence(0, gap=True), sequence(1)]
    page = report_page(RunReport("a <clip>", 1.2, people, pictures().pictures(), ["one & only note"]))
    reader = read(page)
    assert reader.outside == [], "nothing is fetched"
    assert "a <clip>" in reader.text and "one & only note" in reader.text and "<clip>" not in page
    assert {"Person 0", "Person 1"} <= {part.strip() for part in re.findall(r"Person \d", reader.text)}
    assert "1 gap: 0.40–0.68 s" in reader.text and reader.text.count("Knees and hips") == 2
    assert page.count("data:image/jpeg") == 6 and len(page) < 400_000


def test_nobody_and_one_frame():
    assert "0 people" in read(report_page(RunReport("empty", 0.0, [], [], []))).text
    alone = sequence().rows(np.arange(25) == 3)
    read(report_page(RunReport("one", 0.0, [alone], [], [])))


def test_a_long_run_keeps_a_few_pictures_evenly():
    kept = [snapshot.time for snapshot in pictures(60).pictures()]
    assert 12 <= len(kept) <= 24 and kept[0] == 0
    assert np.diff(kept).max() < 2 * np.diff(kept).mean()


@pytest.mark.parametrize("report", [True, False])
def test_a_run_leaves_it_unless_told_not_to(tmp_path, report):
    context = RunContext(CAMERA, BODY, RATE, files=FilesConfig(report=report))
    with RunWriter(tmp_path / "clip", ExportConfig(), context, RunHeader({}, "cpu", "torch", {})) as out:
        for frame in frames_of(BODY, TIMES[:8]):
            out.write(frame)
        result = out.finish(RunSummary())
    path = tmp_path / "clip" / "report.html"
    assert path.exists() == report == (path in result.files)
    if report:
        assert "Person 0" in read(path.read_text()).text
