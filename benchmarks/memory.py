"""How much memory the end of a long run takes: people are made up, smoothed, set on the floor and written.

`python -m benchmarks.memory 10 40` does it for runs of so many minutes, each in a process of its own. No picture is
read and no network runs; what they take does not depend on the length.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks.engines import RESULTS, machine
from tracker.app.track import finish_people
from tracker.body import load_body
from tracker.body.person_builder import PersonBuilder
from tracker.core.atomic_file import write_whole
from tracker.core.camera import Camera, CameraConfig
from tracker.core.person import FrameRecord, Person, Pose
from tracker.export import ExportConfig, RunContext, RunHeader, RunSummary, RunWriter
from tracker.pipeline import TrackerConfig
from tracker.world.camera_path import CameraMotion

RATE = 30
_PERIOD = 20
"""s after which the people do the same again."""


class MadeUpPeople:
    """Two people who stand and bend their knees, for as long as is wanted."""

    def __init__(self, persons: PersonBuilder, camera: Camera) -> None:
        self._cycle = [
            [self._person(persons, camera, key, 2 * math.pi * number / (_PERIOD * RATE)) for key in (0, 1)]
            for number in range(_PERIOD * RATE)
        ]

    @staticmethod
    def _person(persons: PersonBuilder, camera: Camera, key: int, phase: float) -> Person:
        bend = 0.4 * (1 - math.cos(8 * phase))
        theta = np.zeros((24, 3))
        theta[0, 0] = math.pi
        theta[[1, 2], 0], theta[[4, 5], 0], theta[[7, 8], 0] = -bend, 2 * bend, -bend
        pose = Pose(theta[0], theta[1:].reshape(-1), np.zeros(10), np.zeros(3))
        ankles = persons.person(key, pose, camera, np.ones(24), 0.0).joints3d[[7, 8]].mean(axis=0)
        rng = np.random.default_rng(round(1e6 * phase) + key)
        place = np.array([2.0 * key - 1.0, 1.2, 5.0]) - ankles + rng.normal(0, [0.002, 0.002, 0.02])
        return persons.person(key, replace(pose, transl=place), camera, np.ones(24), 0.0)

    def frames(self, count: int) -> Iterator[FrameRecord]:
        for number in range(count):
            yield FrameRecord(number, number / RATE, self._cycle[number % len(self._cycle)])


def write_run(people: MadeUpPeople, persons: PersonBuilder, camera: Camera, count: int, folder: Path) -> None:
    """What `track` does with so many frames after their people are known."""
    config = TrackerConfig()
    header = RunHeader(config, "cpu", "none", {"name": "made up"})
    context = RunContext(camera, persons.body, float(RATE), config.world, config.files)
    with RunWriter(folder, ExportConfig(), context, header) as writer:
        for frame in people.frames(count):
            writer.write(frame)
        finish_people(writer, config, persons, camera, CameraMotion())
        writer.finish(RunSummary())


@contextmanager
def peak_of_own_memory() -> Iterator[list[float]]:
    """Gets the largest MB of this process that lie in no file, looked at 50 times a second. Linux only."""
    peak, done = [0.0], threading.Event()

    def look() -> None:
        while not done.wait(0.02):
            fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            peak[0] = max(peak[0], int(fields["RssAnon"].split()[0]) / 1024)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def measure(minutes: float) -> dict[str, float]:
    """In this process, which is best a fresh one."""
    persons = PersonBuilder(load_body(None))
    camera = CameraConfig().for_size(1280, 720)
    people, count, began = MadeUpPeople(persons, camera), round(60 * minutes * RATE), perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        with peak_of_own_memory() as warm:
            write_run(people, persons, camera, 2 * RATE, Path(folder) / "warm")
        with peak_of_own_memory() as peak:
            write_run(people, persons, camera, count, Path(folder) / "run")
        size = sum(path.stat().st_size for path in (Path(folder) / "run").iterdir()) / 1e6
    return {
        "minutes": minutes, "frames": count, "start_mb": warm[0], "peak_mb": peak[0], "files_mb": size,
        "seconds": perf_counter() - began,
    }  # fmt: skip


def main() -> None:
    if sys.argv[1] == "--one":
        print(json.dumps(measure(float(sys.argv[2]))))
        return
    rows = []
    for minutes in sys.argv[1:]:
        command = [sys.executable, "-m", "benchmarks.memory", "--one", minutes]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print(rows[-1], flush=True)
    write_whole(RESULTS / "memory.json", json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
