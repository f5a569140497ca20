"""A local Ray cluster: every input is tracked once, also when a machine of it dies."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.app.batch_endurance import digests, local_cluster, lose_machine, make_clips
from tests.app.test_batch import BARE, Inline
from tests.clips import write_clip
from tracker import TrackOptions, track_many
from tracker.core.errors import InputError
from tracker.export.earlier_run import EarlierRun
from tracker.runtime.cores import core_share
from tracker.runtime.ray_executor import RayExecutor
from tracker.runtime.task_needs import TaskNeeds
from tracker.runtime.worker_processes import TaskLost, task_interrupt

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

SMALL = TaskNeeds(cores=1, memory=300_000_000)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head that tracks nothing, and two machines of one core each."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    with local_cluster(2) as cluster:
        yield cluster


def fault(kind: str) -> int | None:
    if kind == "input":
        raise InputError("the value is wrong")
    if kind == "death":
        os.kill(os.getpid(), signal.SIGKILL)
    return core_share()


def kill_one_at_work(cluster: Any, out: Path) -> threading.Thread:
    """When the first result is there and others are under way, one of the machines is gone from one moment to the
    next."""

    def watch() -> None:
        while not (list(out.rglob("run.json")) and list(out.rglob(".*.part"))):
            time.sleep(0.02)
        lose_machine(cluster)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_a_machine_that_dies_costs_no_result(cluster: Any, tmp_path: Path) -> None:
    write_clip(tmp_path / "grey.mp4", frames=12)
    make_clips(tmp_path / "clips", tmp_path / "grey.mp4", 12)
    (tmp_path / "clips/bad.mp4").write_text("no video\n")
    out, options = tmp_path / "out", TrackOptions(overlay=False, shared=True)
    with RayExecutor(cluster.address, SMALL) as ray:
        assert ray.submit(fault, "").result() == 1
        with pytest.raises(InputError, match=r"^the value is wrong$"):
            ray.submit(fault, "input").result()
        with pytest.raises(TaskLost, match="has lost the task"):
            ray.submit(fault, "death").result()
        killer = kill_one_at_work(cluster, out)
        reports = track_many([tmp_path / "clips"], out, ray, options=options)
        killer.join()
    assert sorted(report.outcome for report in reports) == ["failed", *["tracked"] * 12]
    for report in reports:
        run = EarlierRun.of(Path(report.folder))
        assert (run is not None and run.finished) == report.done
    track_many([tmp_path / "clips"], tmp_path / "calm", Inline(), options=BARE)
    assert digests(out) == digests(tmp_path / "calm"), "whole, and nothing besides"


def gpu_of(seconds: float) -> tuple[int, str]:
    """Which process this is, and which GPU it may see; after a while, or when it is asked to stop."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not task_interrupt().requested:
        time.sleep(0.02)
    return os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"]


def test_gpus_have_one_process_each_which_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    with local_cluster(2, gpus=1) as cluster:
        with pytest.raises(InputError, match=r"--ray-gpus 2: no machine of the cluster has that much"):
            RayExecutor(cluster.address, replace(SMALL, gpus=2))
        with RayExecutor(cluster.address, replace(SMALL, gpus=1, retries=1)) as ray:
            seen: set[tuple[int, str]] = set()
            while len(seen) < 2:
                seen |= {future.result() for future in [ray.submit(gpu_of, 0.1) for _ in range(8)]}
            assert len(seen) == 2, "and no more for so many tasks"
            assert {gpu for _, gpu in seen} == {"0"}, "each machine's own"
            with pytest.raises(InputError, match=r"^the value is wrong$"):
                ray.submit(fault, "input").result()
            with pytest.raises(TaskLost, match="has lost the task"):
                ray.submit(fault, "death").result()
            futures = [ray.submit(gpu_of, 0.5) for _ in range(6)]
            futures[0].result()
            lose_machine(cluster)
            assert {gpu for _, gpu in (future.result() for future in futures[1:])} == {"0"}, "on the other machine"
            running, waiting = ray.submit(gpu_of, 600), ray.submit(gpu_of, 600)
            while not running.running():
                time.sleep(0.02)
            ray.stop()
            assert running.result()[1] == "0" and waiting.cancelled()


def test_what_is_no_cluster_is_named() -> None:
    with pytest.raises(InputError, match=r"--ray nowhere\.invalid:1: no cluster answers there"):
        RayExecutor("nowhere.invalid:1")
