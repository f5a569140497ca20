"""A local Ray cluster: every input is tracked once, also when a machine of it dies."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.app.batch_endurance import (
    Endurance,
    count_finished,
    damage,
    digests,
    local_cluster,
    lose_machine,
    make_clips,
)
from tests.app.ray_tasks import fault, gpu_of
from tests.app.test_batch import somebodys_clip
from tracker import TrackOptions, track_many
from tracker.core.errors import InputError
from tracker.export.earlier_run import EarlierRun
from tracker.runtime.ray_executor import RayExecutor, has_room
from tracker.runtime.task_needs import TaskNeeds
from tracker.runtime.worker_processes import TaskLost

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

SMALL = TaskNeeds(cores=1, memory=300_000_000, retries=1)


@pytest.fixture(autouse=True)
def no_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray would report its use over the network."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")


@contextmanager
def machine_lost_at_work(cluster: Any, out: Path) -> Iterator[None]:
    """When the first result is there and others are under way, one of the machines is gone from one moment to the
    next."""
    done = threading.Event()

    def watch() -> None:
        while not (count_finished(out) and parts_of(out)) and not done.wait(0.02):
            pass
        if not done.is_set():
            lose_machine(cluster)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    assert not cluster.worker_nodes, "it was lost while others were under way"


def parts_of(out: Path) -> list[str]:
    """Results that are not whole yet."""
    return [name for _, folders, _ in os.walk(out) for name in folders if name.endswith(".part")]


def test_a_machine_that_dies_costs_no_result(tmp_path: Path) -> None:
    """Five clips of somebody and a damaged one: the files are those of `--jobs`, to the bit, and nothing besides."""
    make_clips(tmp_path / "clips", somebodys_clip(tmp_path / "somebody.mp4", 8), 5, frames=6)
    damage(tmp_path / "clips", 1)
    jobs = Endurance(tmp_path / "clips", ("--jobs", "1", "--no-overlay"))
    out, options = tmp_path / "out", TrackOptions(overlay=False, shared=True)
    with ThreadPoolExecutor() as beside, local_cluster(2) as cluster, RayExecutor(cluster.address, SMALL) as ray:
        undisturbed = beside.submit(jobs.undisturbed, tmp_path / "calm")
        assert ray.submit(fault, "").result() == 1
        with pytest.raises(InputError, match=r"^the value is wrong$"):
            ray.submit(fault, "input").result()
        with pytest.raises(TaskLost, match="has lost the task"):
            ray.submit(fault, "death").result()
        with machine_lost_at_work(cluster, out):
            reports = track_many([tmp_path / "clips"], out, ray, options=options)
    assert sorted(report.outcome for report in reports) == ["failed", *["tracked"] * 5]
    for report in reports:
        run = EarlierRun.of(Path(report.folder))
        assert (run is not None and run.finished) == report.done
    assert undisturbed.result().returncode == 1
    expected = digests(tmp_path / "calm")
    assert sum(name.endswith("person_000.npz") for name in expected) == 5
    assert digests(out) == expected


def test_gpus_have_one_process_each_which_is_kept() -> None:
    with local_cluster(2, gpus=1) as cluster:
        with pytest.raises(InputError, match=r"--ray-gpus 2: no machine of the cluster has that much"):
            RayExecutor(cluster.address, replace(SMALL, gpus=2))
        with RayExecutor(cluster.address, replace(SMALL, gpus=1)) as ray:
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


def test_a_task_that_no_machine_has_room_for_is_known() -> None:
    small = {"Alive": True, "Resources": {"CPU": 2.0, "memory": 1e9}}
    gone = {"Alive": False, "Resources": {"CPU": 8.0, "memory": 8e9}}
    assert has_room([small, gone], TaskNeeds(cores=2, memory=1_000_000_000))
    for needs in (TaskNeeds(cores=4, memory=1), TaskNeeds(memory=2_000_000_000), TaskNeeds(memory=1, gpus=1)):
        assert not has_room([small, gone], needs)
