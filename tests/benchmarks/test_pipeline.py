"""The parts of the pipeline's benchmark: its clips, what it watches, its tables. No time is asserted."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from benchmarks.clips_made import Looped, tile
from benchmarks.grid import Grid
from benchmarks.monitor import MemorySample, Monitor
from benchmarks.pipeline import (
    Latency,
    PipelineCase,
    PipelineRow,
    Soak,
    Throughput,
    Yardstick,
    cases,
    configured,
    profile,
    table,
)
from tests.source_clips import ClipSpec, level_of, make_clip
from tracker.source import Clip, open_source
from tracker.source.playback import paced


@pytest.mark.parametrize(("people", "filled"), [(1, 320 * 240), (2, 2 * 160 * 120), (4, 4 * 160 * 120)])
def test_people_are_copied_into_a_grid_in_their_own_proportions(people: int, filled: int) -> None:
    picture = Grid(people, (64, 48), (320, 240)).drawn(np.full((48, 64, 3), 200, np.uint8))
    assert picture.shape == (240, 320, 3)
    assert (picture[..., 0] == 200).sum() == filled


def test_a_clip_is_cut_and_resized(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", ClipSpec(count=12))
    with open_source(str(tile(clip, tmp_path / "tiled.mp4", (128, 96), 1, 0.2)), Clip()) as source:
        frames = list(source)
    assert [frame.size for frame in frames] == [(128, 96)] * 5
    assert [level_of(frame.image) for frame in frames] == [0, 1, 2, 3, 4]


def test_a_looped_clip_goes_on_in_time(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", ClipSpec(count=10))
    with Looped(clip, 1.0) as source:
        assert paced(source).info.live
        frames = list(source)
    assert [frame.index for frame in frames] == list(range(25))
    np.testing.assert_allclose(np.diff([frame.time for frame in frames]), 0.04, atol=1e-9)
    assert [level_of(frame.image) for frame in frames[8:12]] == [8, 9, 0, 1]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system does not say what threads cost")
def test_the_monitor_sees_memory_and_whose_time_it_is() -> None:
    done = threading.Event()

    def spin() -> None:
        while not done.is_set():
            sum(range(1000))

    with Monitor(interval=0.01) as monitor:
        worker = threading.Thread(target=spin, name="spinner_7")
        worker.start()
        while monitor.seconds_by_thread.get("spinner", 0.0) < 0.05:
            done.wait(0.01)
        done.set()
        worker.join()
    assert monitor.cpu_seconds >= 0.05 and monitor.cores > 0
    assert monitor.samples and all(sample.rss_mb > 1 for sample in monitor.samples)


def test_every_case_has_a_valid_configuration() -> None:
    everything = list(cases())
    assert {case.people for case in everything} == {1, 2, 4}
    assert len({case.size for case in everything}) == 3
    for case in everything:
        assert configured(case, punctual=True).detect.max_people == case.people
        assert not configured(case, punctual=False).detect.punctual


def test_tables_show_what_was_measured() -> None:
    stages = {"detect": {"calls": 9, "p50_ms": 12.0, "p95_ms": 20.0}}
    ours = Throughput(40.0, 25.0, 60.0, 2.4, 900.0, 1, stages, {"draw": 9.5})
    row = PipelineRow(
        PipelineCase(people=2, engine="torch"), "torch 2", Yardstick(20.0, 30.0), ours, Latency(50.0, 80.0, 70, 3)
    )
    assert row.ratio == pytest.approx(1.25)
    (line,) = table([row])[2:]
    for shown in ("1280×720, 2 people, torch", "40.0", "1.25", "60 (30)", "50 / 80", "3 of 73", "900"):
        assert shown in line
    assert "| draw | 9.5 |" in profile(row)


def test_growth_is_told_after_the_first_quarter() -> None:
    memory = [MemorySample(float(i), 500.0 + (100.0 if i >= 10 else 0.0) + i) for i in range(40)]
    assert Soak(1.0, Latency(1, 2, 3, 4), 1.0, memory).growth_mb == pytest.approx(20.0)
