"""The parts of the throughput benchmark. No time is asserted."""

from __future__ import annotations

from pathlib import Path

from benchmarks.throughput import BatchCase, BatchRow, cases, executor_cost, repeated
from tests.source_clips import ClipSpec, level_of, make_clip
from tracker.runtime.worker_processes import WorkerProcesses
from tracker.source import open_source


def test_a_clip_is_repeated_there_and_back(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", ClipSpec(count=4))
    with open_source(str(repeated(clip, tmp_path / "long.mp4", 3))) as source:
        assert [level_of(frame.image) for frame in source] == [0, 1, 2, 3, 3, 2, 1, 0, 0, 1, 2, 3]
    assert repeated(clip, tmp_path / "same.mp4", 1) == clip


def test_cases_differ_from_the_first_and_say_how() -> None:
    every = cases(4)
    assert every[0] == BatchCase() and len({case.label for case in every}) == len(set(every)) == len(every)
    assert BatchCase(jobs=4) in every and BatchCase(jobs=1) in cases(1)
    assert BatchRow(BatchCase(), 10.0, 9.0, 15.0).core_hours == 1.5


def test_an_executor_is_timed() -> None:
    cost = executor_cost(lambda: WorkerProcesses(1))
    assert cost.ms_by_task > 0 and cost.start_seconds > 0
