"""Many inputs: bad ones are passed over, finished ones kept, and no way of being stopped leaves a trace."""

from __future__ import annotations

import json
import re
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.app.batch_endurance import Endurance, damage, digests, interrupt, kill, kill_worker, make_clips
from tests.clips import write_clip
from tracker.app import clip_job
from tracker.app.batch import BatchView, job_count, run_batch, shard_of, table
from tracker.app.clip_job import ClipReport
from tracker.app.track_many import TrackOptions, clip_jobs, track_many
from tracker.config import load_config
from tracker.core.errors import InputError
from tracker.overlay.video_writer import VideoWriter
from tracker.runtime.worker_processes import TaskLost
from tracker.synth.demo_clip import ClipConfig, DemoClip
from tracker.synth.demo_scene import SceneConfig
from tracker.synth.figure import FigureConfig

SMALL = ClipConfig(4.0, width=256, height=192, figure=FigureConfig(texture_size=256), scene=SceneConfig(samples=1))
BARE = TrackOptions(overlay=False)


class Inline(Executor):
    """Runs a task when it is submitted."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips in a tree, and three files that are none."""
    folder = tmp_path_factory.mktemp("clips")
    write_clip(folder / "grey.mp4", frames=12)
    make_clips(folder, folder / "grey.mp4", 3)
    damage(folder, 3)
    return folder


@pytest.fixture(scope="module")
def tracked(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[ClipReport]]:
    out = tmp_path_factory.mktemp("out")
    return out, track_many([clips], out, Inline(), options=BARE)


def test_one_input_need_not_be_a_list(clips: Path, tmp_path: Path) -> None:
    clip = clips / "grey.mp4"
    for number, given in enumerate((clip, str(clip), (each for each in [clip]))):
        (report,) = track_many(given, tmp_path / str(number), Inline(), options=BARE)
        assert report.outcome == "tracked" and report.spec == str(clip)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"inputs": []}, "inputs: expected one video, folder or address at least, got none"),
        ({"inputs": None}, "source: expected a path.*got None"),
        ({"inputs": [None]}, "source: expected a path.*got None"),
        ({"out": None}, "out: expected a str or Path, got None"),
        ({"options": {"overlay": False}}, "options: expected a TrackOptions, got {'overlay': False} of dict"),
        ({"config": "live"}, "config: expected a TrackerConfig or None, got 'live'"),
        ({"executor": 2}, "executor: expected an Executor or None, got 2"),
    ],
)
def test_a_wrong_argument_of_track_many_is_named(tmp_path: Path, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=f"^{sentence}"):
        track_many(**({"inputs": "clip.mp4", "out": tmp_path} | arguments))


def test_bad_inputs_are_passed_over_and_the_tree_is_the_inputs(tracked: tuple[Path, list[ClipReport]]) -> None:
    out, reports = tracked
    outcomes = {str(Path(report.folder).relative_to(out)): report.outcome for report in reports}
    assert outcomes == {
        "damaged0": "failed", "damaged1": "failed", "damaged2": "failed",
        "grey": "tracked", "even/clip0": "tracked", "even/clip2": "tracked", "odd/clip1": "tracked",
    }  # fmt: skip
    assert {report.frames for report in reports if report.done} == {8, 12}
    for report in reports:
        assert report.done or re.fullmatch(rf"[^\n]*{Path(report.spec).name}: [^\n]+", report.error)
    lines = list(table(reports))
    assert sum("failed" in line for line in lines[:-1]) == 3
    assert lines[-1] == "4 tracked, 3 failed; 36 frames tracked; 4 warnings, see run.json"


def test_finished_ones_are_kept_and_interrupted_ones_done_anew(
    clips: Path, tracked: tuple[Path, list[ClipReport]]
) -> None:
    out, _ = tracked
    run = out / "even/clip0/run.json"
    document = json.loads(run.read_text())
    assert document["finished"] is True and document["job"]["overlay"] is False
    run.write_text(json.dumps(document | {"finished": False, "interrupted": True}))
    (out / "odd/clip1/run.json").unlink()
    kept = (out / "grey/run.json").read_bytes()
    reports = track_many([clips], out, Inline(), options=replace(BARE, resume=True))
    outcomes = {Path(report.folder).name: report.outcome for report in reports if report.outcome != "failed"}
    assert outcomes == {
        "grey": "finished before", "clip0": "tracked", "clip1": "tracked", "clip2": "finished before",
    }  # fmt: skip
    assert (out / "grey/run.json").read_bytes() == kept


def test_results_of_other_settings_or_inputs_are_not_taken_for_finished(
    clips: Path, tracked: tuple[Path, list[ClipReport]], tmp_path: Path
) -> None:
    out, _ = tracked
    grey = clips / "grey.mp4"
    more = replace(BARE, resume=True, formats=("npz", "jsonl", "csv"))
    (report,) = track_many([grey], out, Inline(), options=more)
    assert report.outcome == "failed" and "another job.formats" in report.error
    (report,) = track_many([grey], out, Inline(), load_config(), replace(BARE, resume=True))
    assert report.outcome == "failed" and "another config.smooth.mode" in report.error
    other = write_clip(tmp_path / "grey.mkv", frames=2)
    (report,) = track_many([other], out, Inline(), options=replace(BARE, resume=True))
    assert report.outcome == "failed" and "holds the result of" in report.error
    (report,) = track_many([grey], out, Inline(), options=BARE)
    assert report.outcome == "failed" and "--overwrite" in report.error


def test_threads_do_as_well(clips: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as threads:
        reports = track_many([clips / "even"], tmp_path, threads, options=BARE)
    assert [(report.outcome, report.frames) for report in reports] == [("tracked", 8)] * 2


def test_an_unexpected_fault_costs_one_input_and_the_tracker(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trackers, track = [], clip_job.track

    def faulty(job, tracker, *rest):
        trackers.append(tracker)
        if len(trackers) == 1:
            raise ZeroDivisionError("surprise")
        return track(job, tracker, *rest)

    monkeypatch.setattr(clip_job, "track", faulty)
    first, second = track_many([clips / "even"], tmp_path, Inline(), options=BARE)
    assert first.outcome == "failed" and first.error == f"{first.spec}: ZeroDivisionError: surprise"
    assert second.outcome == "tracked" and trackers[0] is not trackers[1]


def test_a_lost_task_is_a_failed_input_and_a_tracker_that_does_not_open_ends_all(clips: Path, tmp_path: Path) -> None:
    class Losing(Inline):
        def submit(self, fn, /, *args, **kwargs):
            raised = (
                TaskLost("the process died") if fn.__self__.track.folder.name == "clip0" else InputError("no tracker")
            )
            future = Future()
            future.set_exception(raised)
            return future

    jobs, view = clip_jobs([str(clips / "even")], str(tmp_path), load_config(), BARE), BatchView()
    with pytest.raises(InputError, match="no tracker"):
        run_batch(jobs, Losing(), view)
    assert [report.error for report in view.reports] == [f"{clips / 'even/clip0.mp4'}: the process died"]


def test_shards_are_all_of_it_and_share_nothing(clips: Path) -> None:
    jobs = clip_jobs([str(clips)], "out", load_config(), BARE)
    shards = [shard_of(jobs, f"{i}/3") for i in (1, 2, 3)]
    assert sorted((job for shard in shards for job in shard), key=jobs.index) == jobs
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    for wrong in ("0/3", "4/3", "1", "a/b", "-1/3"):
        with pytest.raises(InputError, match="expected i/n"):
            shard_of(jobs, wrong)


def test_jobs_are_a_number_or_auto() -> None:
    assert job_count("3") == 3 and job_count("auto") >= 1
    for wrong in ("0", "many", "-2", "1.5"):
        with pytest.raises(InputError, match="--jobs"):
            job_count(wrong)


def somebodys_clip(path: Path, frames: int) -> Path:
    """The first frames of a small demo clip."""
    clip = DemoClip(SMALL)
    with VideoWriter(path, (SMALL.width, SMALL.height), SMALL.rate) as video:
        for index in range(frames):
            video.write(clip.truth.times[index], clip.draw(index).image)
    return path


@pytest.mark.slow
def test_kills_and_interrupts_leave_no_trace(tmp_path: Path) -> None:
    """The command itself, with somebody to track: what it leaves in the end is what an undisturbed run leaves."""
    make_clips(tmp_path / "clips", somebodys_clip(tmp_path / "somebody.mp4", 12), 5, frames=6)
    damage(tmp_path / "clips", 1)
    batch, out = Endurance(tmp_path / "clips", ("--jobs", "1")), tmp_path / "out"
    assert batch.undisturbed(tmp_path / "calm").returncode == 1
    expected = digests(tmp_path / "calm")
    assert sum(name.endswith("person_000.npz") for name in expected) == 5
    assert batch.disturbed(out, 1, kill) == -9
    assert batch.disturbed(out, 1, kill_worker, interrupt) == 130
    last = batch.undisturbed(out, "--resume")
    assert last.returncode == 1 and "1 of 6 inputs failed" in last.stderr.splitlines()[-1]
    assert digests(out) == expected
