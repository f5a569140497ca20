"""The judges of `killed_runs` and `live_soak`: what they are to find, they find."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.app.killed_runs import faults_of
from tests.app.live_soak import Sample, faults_in
from tests.source_clips import ClipSpec, make_clip

FLAT = [Sample(30.0 * i, 900.0 + i % 3, 40 + i % 2, 60, 1, 1) for i in range(20)]


def test_a_folder_of_whole_files_and_parts_has_no_faults(tmp_path: Path) -> None:
    (tmp_path / "frames.jsonl").write_text('{"frame":0}\n{"frame":1}\n{"fra')  # a killed run's last line is passed over
    (tmp_path / "run.json").write_text(json.dumps({"people": {}}))
    (tmp_path / "report.html").write_text("<html></html>\n")
    (tmp_path / ".person_000.12_ab.part.npz").write_bytes(b"half")
    (tmp_path / "overlay.mp4.part").write_bytes(b"half")
    make_clip(tmp_path / "overlay.mp4")
    assert faults_of(tmp_path) == []


def test_half_written_and_foreign_files_are_faults(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "overlay.mp4", ClipSpec(count=50)).read_bytes()
    (tmp_path / "overlay.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "run.json").write_text('{"people"')
    (tmp_path / "report.html").write_text("<html>")
    (tmp_path / "frames.jsonl").write_text('{"frame":1}\n{"frame":1}\n')
    np.savez(tmp_path / "person_000.npz", poses=np.zeros(3))
    (tmp_path / "tmpabc").write_bytes(b"")
    names = [fault.partition(":")[0] for fault in faults_of(tmp_path)]
    assert names == ["frames.jsonl", "overlay.mp4", "person_000.npz", "report.html", "run.json", "tmpabc"]


def test_what_stays_flat_has_no_faults() -> None:
    assert faults_in(FLAT) == []


def test_growth_is_a_fault() -> None:
    for name, step in (("resident", 10.0), ("threads", 1), ("descriptors", 1), ("children", 1)):
        grown = [replace(each, **{name: getattr(each, name) + step * i}) for i, each in enumerate(FLAT)]
        assert [fault.partition(" ")[0] for fault in faults_in(grown)] == [name]


def test_a_run_that_recorded_nothing_says_nothing() -> None:
    assert faults_in([replace(each, written=0) for each in FLAT]) == ["no recording in 20 cycles"]
    assert faults_in(FLAT[:3]) == ["3 cycles; expected 6 at least"]
