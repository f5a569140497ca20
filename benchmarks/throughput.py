"""What many videos cost: hours of video an hour and a core, and how that grows with people, picture and length.

Every case tracks copies of one clip through the command's own batch, in worker processes. Processor time is what is
counted and compared: on a machine that others use too, wall time says little. It is counted when the workers have
loaded what they need.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from time import perf_counter

import psutil

from benchmarks.clips_made import Size, make_demo, tile
from benchmarks.engines import RESULTS, machine
from tracker.app.track_many import TrackOptions, track_many
from tracker.core.atomic_file import write_whole
from tracker.core.errors import RunError
from tracker.overlay.video_writer import VideoWriter
from tracker.runtime.cores import available_cores
from tracker.runtime.ray_executor import RayExecutor
from tracker.runtime.task_needs import TaskNeeds
from tracker.runtime.worker_processes import WorkerProcesses
from tracker.source import open_source

_TASKS = 200
"""That do nothing, for what an executor costs."""


@dataclass(frozen=True)
class BatchCase:
    """One way to track many videos."""

    size: Size = (1280, 720)
    people: int = 1
    overlay: bool = True
    jobs: int = 1
    lengths: int = 1
    """Of the clip, one after the other."""

    @property
    def label(self) -> str:
        people = f"{self.people} {'person' if self.people == 1 else 'people'}"
        drawn = "" if self.overlay else ", no overlay"
        longer = "" if self.lengths == 1 else f", {self.lengths} times as long"
        return f"{self.size[0]}×{self.size[1]}, {people}{drawn}{longer}, {self.jobs} at once"


@dataclass(frozen=True)
class BatchRow:
    """A case's figures."""

    case: BatchCase
    video_seconds: float
    wall_seconds: float
    cpu_seconds: float
    """Of all workers, from when they were ready."""

    @property
    def core_hours(self) -> float:
        """An hour of video."""
        return self.cpu_seconds / self.video_seconds


@dataclass(frozen=True)
class ExecutorCost:
    """What it takes to hand out a task and take its result."""

    ms_by_task: float
    start_seconds: float


def cases(cores: int) -> list[BatchCase]:
    """The base, and what differs from it in one thing."""
    more = [
        BatchCase(jobs=2),
        BatchCase(overlay=False),
        BatchCase(overlay=False, jobs=2),
        BatchCase(people=2),
        BatchCase(people=4),
        BatchCase(size=(640, 480)),
        BatchCase(size=(1920, 1080)),
        BatchCase(lengths=3),
    ]
    return [BatchCase(), *more, *([BatchCase(jobs=cores)] if cores > 2 else [])]


def write_results(clip: Path | None, seconds: float, out: Path | None) -> Path:
    """Runs every case and writes throughput.json. seconds: of the clip, in each case; None makes a clip."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        bench = _Bench(clip or make_demo(Path(folder) / "demo.mp4", seconds), Path(folder), seconds)
        for jobs in sorted({case.jobs for case in cases(available_cores())}):
            with WorkerProcesses(jobs) as workers:
                start = bench.warm_up(workers, jobs)
                for case in cases(available_cores()):
                    if case.jobs == jobs:
                        rows.append(bench.measure(workers, case))
                        print(f"{case.label:60} {rows[-1].core_hours:6.3f} core hours an hour", flush=True)
    executors = {"processes": executor_cost(lambda: WorkerProcesses(1)), "ray": _ray_cost()}
    document = {
        "machine": machine(),
        "cores": available_cores(),
        "start_cpu_seconds": start / jobs,
        "rows": [asdict(row) | {"label": row.case.label, "core_hours": row.core_hours} for row in rows],
        "executors": {name: None if cost is None else asdict(cost) for name, cost in executors.items()},
    }
    path = out or RESULTS / "throughput.json"
    write_whole(path, json.dumps(document, indent=1) + "\n")
    return path


class _Bench:
    def __init__(self, clip: Path, folder: Path, seconds: float) -> None:
        self._clip, self._folder, self._seconds = clip, folder, seconds

    def warm_up(self, workers: WorkerProcesses, jobs: int) -> float:
        """Has every worker load what it needs. The processor time that it took, s."""
        moment = tile(self._clip, self._folder / "moment.mp4", (640, 480), 1, 0.1)
        return self._track(workers, _copies(moment, jobs), BatchCase())[1]

    def measure(self, workers: WorkerProcesses, case: BatchCase) -> BatchRow:
        one = tile(self._clip, self._folder / "one.mp4", case.size, case.people, self._seconds)
        long = repeated(one, self._folder / "long.mp4", case.lengths)
        with open_source(str(long)) as source:
            frames, rate = sum(1 for _ in source), float(source.info.rate or 30)
        wall, cpu = self._track(workers, _copies(long, 2 * case.jobs), case)
        return BatchRow(case, 2 * case.jobs * frames / rate, wall, cpu)

    def _track(self, workers: WorkerProcesses, clips: list[Path], case: BatchCase) -> tuple[float, float]:
        """Wall and processor seconds. Raises RunError when one has not been tracked."""
        out, before, began = self._folder / "out", _cpu_of_children(), perf_counter()
        reports = track_many(clips, out, workers, options=TrackOptions(overlay=case.overlay, overwrite=True))
        wall, cpu = perf_counter() - began, _cpu_of_children() - before
        failed = [report.error for report in reports if not report.done]
        if failed:
            raise RunError(failed[0])
        shutil.rmtree(out)
        return wall, cpu


def _copies(clip: Path, count: int) -> list[Path]:
    return [Path(shutil.copy(clip, clip.with_name(f"copy{number}.mp4"))) for number in range(count)]


def repeated(clip: Path, target: Path, times: int) -> Path:
    """The clip so many times over, there and back, so that nobody jumps."""
    if times == 1:
        return clip
    with open_source(str(clip)) as source:
        frames, info = list(source), source.info
    rate = info.rate or Fraction(30)
    with VideoWriter(target, (info.width, info.height), rate) as video:
        for number in range(times * len(frames)):
            turn, index = divmod(number, len(frames))
            video.write(float(number / rate), frames[index if turn % 2 == 0 else -1 - index].image)
    return target


def _cpu_of_children() -> float:
    """s that all processes below this one have taken, and those that they have begun and seen end."""
    return sum(sum(each.cpu_times()[:4]) for each in psutil.Process().children(recursive=True))


def _nothing() -> None:
    """The task that costs only what any does."""


def executor_cost(make: Callable[[], Executor]) -> ExecutorCost:
    """make: gives an executor, as a context manager."""
    began = perf_counter()
    with make() as executor:
        executor.submit(_nothing).result()
        started = perf_counter()
        for future in [executor.submit(_nothing) for _ in range(_TASKS)]:
            future.result()
        return ExecutorCost(1e3 * (perf_counter() - started) / _TASKS, started - began)


def _ray_cost() -> ExecutorCost | None:
    """None where Ray is not installed."""
    try:
        from ray.cluster_utils import Cluster
    except ImportError:
        return None
    store = {"object_store_memory": 80_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **store})
    try:
        return executor_cost(lambda: RayExecutor(cluster.address, TaskNeeds(memory=100_000_000)))
    finally:
        cluster.shutdown()
