"""A batch that is killed and interrupted again and again, and ends like one that was left alone.

`python -m tests.app.batch_endurance CLIP COUNT JOBS|ray` does it with COUNT clips made from CLIP, 10 of them damaged,
under `--jobs JOBS`, or on a Ray cluster: three machines of one core each, all on this one, of which one is lost.
What is left is compared with an undisturbed run under `--jobs`. The tests do it with few clips.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil

from tests import ROOT
from tests.source_clips import tone_packets
from tracker.export.earlier_run import EarlierRun
from tracker.overlay.video_writer import VideoWriter


def make_clips(folder: Path, original: Path, count: int, frames: int = 8) -> None:
    """Short clips in two folders, each of frames of the original from another moment on and of another brightness."""
    with av.open(str(original)) as video:
        pictures = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    for number in range(count):
        path = folder / ("odd" if number % 2 else "even") / f"clip{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        first = number % max(1, len(pictures) - frames)
        with VideoWriter(path, (pictures[0].shape[1], pictures[0].shape[0]), Fraction(25)) as video:
            for index, picture in enumerate(pictures[first : first + frames]):
                video.write(index / 25, np.maximum(picture, number % 40))


def damage(folder: Path, count: int) -> None:
    """Files that are called videos, each wrong in another way."""
    whole = sorted(folder.rglob("*.mp4"))[0].read_bytes()
    contents: list[Callable[[], bytes]] = [
        lambda: b"no video\n" * 100,
        lambda: b"",
        lambda: whole[:100],
        lambda: whole[: len(whole) // 2].replace(b"moov", b"voom"),
        lambda: bytes(5000),
        lambda: random.Random(1).randbytes(5000),
        lambda: whole[200:],
        lambda: whole.replace(b"avc1", b"xxxx"),
        _sound_only,
        lambda: b"#EXTM3U\n#EXTINF:1,\nnowhere.ts\n",
    ]
    for number, content in enumerate(contents[:count]):
        (folder / f"damaged{number}.mp4").write_bytes(content())


def _sound_only() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=48000)
            stream.layout = "mono"
            container.mux(tone_packets(stream, 0.5))
        return path.read_bytes()


@dataclass(frozen=True)
class Endurance:
    """A folder of clips, and how they are tracked."""

    clips: Path
    arguments: tuple[str, ...]

    def command(self, out: Path, *more: str) -> list[str]:
        return [
            sys.executable,
            str(ROOT / "run.py"),
            "track",
            str(self.clips),
            "--out",
            str(out),
            *self.arguments,
            *more,
        ]

    def undisturbed(self, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(out, *more), capture_output=True, text=True, check=False)

    def disturbed(self, out: Path, more: int, *steps: Callable[[psutil.Process], None]) -> int:
        """Begins or resumes; takes each of the steps when so many more results are finished. The exit status."""
        log = out.with_suffix(".log").open("a")
        with log, subprocess.Popen(self.command(out, "--resume"), stdout=log, stderr=log) as process:
            for step in steps:
                wanted = count_finished(out) + more
                while process.poll() is None and count_finished(out) < wanted:
                    time.sleep(0.05)
                if process.poll() is None:
                    step(psutil.Process(process.pid))
            return process.wait()


def kill(process: psutil.Process) -> None:
    """SIGKILL for the command."""
    process.kill()


def kill_worker(process: psutil.Process) -> None:
    """SIGKILL for one of the processes that track."""
    workers = [each for each in process.children() if any("spawn_main" in word for word in each.cmdline())]
    workers[0].kill()


def interrupt(process: psutil.Process) -> None:
    """Ctrl-C."""
    process.send_signal(signal.SIGINT)


def count_finished(out: Path) -> int:
    """Results; folders may come and go meanwhile, which `rglob` does not bear."""
    runs = (EarlierRun.of(Path(folder)) for folder, _, names in os.walk(out) if "run.json" in names)
    return sum(run is not None and run.finished for run in runs)


def digests(out: Path) -> dict[str, str]:
    """Of every file but run.json, which holds times."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


@contextmanager
def local_cluster(machines: int, gpus: int = 0) -> Iterator[Any]:
    """A Ray cluster of so many machines of one core each, all of them on this one; the first is its head.

    gpus: that each of them claims to have.
    """
    from ray.cluster_utils import Cluster

    machine = {"num_cpus": 1, "num_gpus": gpus, "memory": 2_000_000_000, "object_store_memory": 80_000_000}
    lean = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
    config = {"worker_niceness": 0}  # else 15: workers would get next to nothing where other tests run, too
    cluster = Cluster(initialize_head=True, head_node_args={**machine, **lean, "_system_config": config})
    try:
        for _ in range(machines - 1):
            cluster.add_node(**machine, include_log_monitor=False)
        yield cluster
    finally:
        cluster.shutdown()


def lose_machine(cluster: Any) -> None:
    """One of the cluster's machines, not its head, is gone from one moment to the next."""
    cluster.remove_node(sorted(cluster.worker_nodes, key=str)[0], allow_graceful=False)


def endure(batch: Endurance, out: Path, faults: list[list[Callable[[psutil.Process], None]]], more: int) -> Ending:
    """A run that suffers each list of faults in turn, each after so many more results, and is then resumed."""
    statuses = [batch.disturbed(out, more, *steps) for steps in faults]
    last = batch.undisturbed(out, "--resume")
    print(f"{' '.join(batch.arguments)}: exit statuses {statuses}, then {last.returncode}")
    print("\n".join(last.stdout.splitlines()[-3:]), flush=True)
    return Ending.of(out, last)


@dataclass(frozen=True)
class Ending:
    """What a batch has left in the end."""

    files: dict[str, str]
    """Name → digest."""
    lines: list[str]
    """One of every input that has failed."""

    @classmethod
    def of(cls, out: Path, run: subprocess.CompletedProcess[str]) -> Ending:
        lines = sorted(line for line in run.stderr.splitlines() if line.startswith("error: "))
        return cls(digests(out), lines)

    def tell_differences(self, other: Ending) -> None:
        for name in sorted(self.files.keys() | other.files.keys()):
            if self.files.get(name) != other.files.get(name):
                print("differs:", name)
        for line in set(self.lines) ^ set(other.lines):
            print("only in one:", line)


def main() -> None:
    original, count, way = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    more = count // 6
    with tempfile.TemporaryDirectory() as folder:
        clips, calm, out = (Path(folder) / name for name in ("clips", "calm", "out"))
        make_clips(clips, original, count - 10)
        damage(clips, 10)
        jobs = Endurance(clips, ("--jobs", "2" if way == "ray" else way))
        expected = Ending.of(calm, jobs.undisturbed(calm))
        print(*expected.lines, f"{len(expected.files)} files of {count_finished(calm)} results", sep="\n", flush=True)
        if way == "ray":
            with local_cluster(3) as cluster:
                batch = Endurance(clips, ("--ray", cluster.address, "--ray-memory", "0.3"))
                end = endure(batch, out, [[kill], [lambda _: lose_machine(cluster), interrupt]], more)
        else:
            end = endure(jobs, out, [[kill], [kill], [kill_worker, interrupt]], more)
        expected.tell_differences(end)
        print(f"the same in the end: {end == expected}")
        sys.exit(end != expected)


if __name__ == "__main__":
    main()
