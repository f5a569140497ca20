"""`track` and `live --record`, killed at random moments: nothing is left half-written, and no process.

`python -m tests.app.killed_runs CLIP COUNT [track|live]` kills each so many times; the tests check the judge. Every run
is the whole command line in a process forked from one that has imported the libraries, so that more of them fit into an
hour.
"""

from __future__ import annotations

import gc
import json
import os
import random
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.app.batch_endurance import digests
from tracker.cli.entry import main as command_line
from tracker.core.errors import InputError
from tracker.export import load_frames, load_person
from tracker.export.files import is_part_name, is_result_name
from tracker.overlay.video_writer import VideoWriter
from tracker.source import open_source

_MARK = "KILLED_RUN"
"""Environment variable by which the processes of a run are known."""
_ORPHANED_SECONDS = 120.0
"""A process that draws may finish its film when its other side has died, which takes a moment."""


def faults_of(folder: Path) -> list[str]:
    """What is half-written, or has no place in a run's folder, after whatever end."""
    faults = []
    for path in sorted(folder.iterdir()):
        if is_part_name(path.name):
            continue
        if not is_result_name(path.name):
            faults.append(f"{path.name}: no file of a run")
            continue
        try:
            _read_whole(path)
        except (InputError, ValueError) as error:
            faults.append(f"{path.name}: {error}")
    return faults


def _read_whole(path: Path) -> None:
    """Raises InputError or ValueError for a file that is not whole."""
    if path.suffix == ".npz":
        load_person(path)
    elif path.suffix == ".jsonl":
        numbers = [frame["frame"] for frame in load_frames(path)]
        if numbers != sorted(set(numbers)):
            raise ValueError("frames are missing an order")
    elif path.suffix == ".mp4":
        with open_source(str(path)) as source:
            if not sum(1 for _ in source) or source.warnings:
                raise ValueError(f"not whole: {source.warnings}")
    elif path.suffix == ".json":
        json.loads(path.read_bytes())
    elif path.suffix == ".html" and not path.read_text().rstrip().endswith("</html>"):
        raise ValueError("has no end")


@contextmanager
def running(arguments: Sequence[str], log: Path) -> Iterator[tuple[int, str]]:
    """The command in a process of its own: its number, and the mark that its helpers carry."""
    mark = secrets.token_hex(8)
    sys.stdout.flush()
    gc.collect()  # a codec that is let go in the child would wait for threads that the child does not have
    number = os.fork()
    if number == 0:
        status = 70
        try:
            os.environ[_MARK] = mark
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(output, 1)
            os.dup2(output, 2)
            sys.argv = ["run.py", *arguments]
            status = command_line()
        finally:
            os._exit(status)
    try:
        yield number, mark
    finally:
        if psutil.pid_exists(number):
            os.kill(number, signal.SIGKILL)
            os.waitpid(number, 0)


def helpers_of(mark: str) -> list[psutil.Process]:
    """Of a run, whoever their parent is by now."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(_MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


@dataclass
class Tally:
    """What has come of the runs so far."""

    kills: int = 0
    ended_first: int = 0
    """Runs that were through before they were to be killed."""
    longest_wait: float = 0.0
    """s until the last helper of a killed run had ended."""
    left: Counter[str] = field(default_factory=Counter)
    """Names of files that killed runs have left."""
    faults: list[str] = field(default_factory=list)

    def take(self, arguments: Sequence[str], seconds: float, folders: Path, log: Path) -> None:
        """Another run, killed after so many seconds. folders: holds the folder of each result."""
        before = set(_folders(folders))
        with running(arguments, log) as (number, mark):
            deadline, status = time.monotonic() + seconds, 0
            while status == 0 and time.monotonic() < deadline:
                time.sleep(min(0.02, max(0.0, deadline - time.monotonic())))
                status = os.waitpid(number, os.WNOHANG)[0]
            if status == 0:
                os.kill(number, signal.SIGKILL)
                os.waitpid(number, 0)
                self.kills += 1
            else:
                self.ended_first += 1
            self._await_helpers(mark, arguments[0])
        for folder in _folders(folders):
            self.faults += [f"killed after {seconds:.2f} s: {folder.name}/{fault}" for fault in faults_of(folder)]
            if folder not in before or arguments[0] == "track":
                self.left.update(path.name for path in folder.iterdir() if is_result_name(path.name))
                self.left.update("a part" for path in folder.iterdir() if is_part_name(path.name))

    def _await_helpers(self, mark: str, command: str) -> None:
        started = time.monotonic()
        while helpers := helpers_of(mark):
            if time.monotonic() - started > _ORPHANED_SECONDS:
                self.faults += [f"{command}: orphan {' '.join(process.cmdline())[:200]}" for process in helpers]
                for process in helpers:
                    process.kill()
                return
            time.sleep(0.05)
        self.longest_wait = max(self.longest_wait, time.monotonic() - started)


def _folders(out: Path) -> list[Path]:
    return sorted(path for path in out.iterdir() if path.is_dir()) if out.is_dir() else []


def repeat_clip(path: Path, original: Path, frames: int) -> None:
    """The beginning of a clip, over again until it has so many frames: long enough that its film has a process."""
    with open_source(str(original)) as source:
        pictures = [frame.image for frame, _ in zip(source, range(frames), strict=False)]
        size, rate = (source.info.width, source.info.height), source.info.rate or 25
        with VideoWriter(path, size, source.info.rate) as video:
            for index in range(frames):
                video.write(float(index / rate), pictures[index % len(pictures)])


def kill_again_and_again(command: str, arguments: Sequence[str], out: Path, count: int, work: Path) -> Tally:
    """An undisturbed run, so many killed ones, and another undisturbed one that finds what they have left."""
    log, moments, tally = work / f"{command}.log", random.Random(1), Tally()
    began = time.monotonic()
    tally.take(arguments, float("inf"), out, log)
    whole = time.monotonic() - began
    calm = digests(out)
    print(f"{command}: {whole:.1f} s undisturbed", flush=True)
    while tally.kills < count:
        tally.take(arguments, moments.uniform(0.0, whole), out, log)
        if tally.kills % 10 == 0:
            print(f"{command}: {tally.kills} killed, {len(tally.faults)} faults", flush=True)
    tally.take(arguments, float("inf"), out, log)
    if command == "track" and digests(out) != calm:
        tally.faults.append("the last run has left other files than the first one")
    return tally


def main() -> None:
    original, count, commands = Path(sys.argv[1]).absolute(), int(sys.argv[2]), sys.argv[3:] or ["track", "live"]
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        clip = work / "clip.mp4"
        repeat_clip(clip, original, 100)
        arguments = {
            "track": ("track", str(clip), "--out", str(work / "track"), "--overwrite"),
            "live": ("live", "--source", str(clip), "--headless", "--record", str(work / "live")),
        }
        for command in commands:
            tally = kill_again_and_again(command, arguments[command], work / command, count, work)
            print(
                f"{command}: {tally.kills} killed, {tally.ended_first} ended; longest wait {tally.longest_wait:.1f} s"
            )
            print(f"  left: {dict(tally.left)}", *tally.faults, sep="\n  ", flush=True)
            faults += len(tally.faults)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
