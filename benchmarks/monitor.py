"""What a run costs the machine: memory over time, processor time by thread. Linux tells; elsewhere it stays empty."""

from __future__ import annotations

import os
import re
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from types import TracebackType

_TASKS = Path("/proc/self/task")
_TICK = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01
_NUMBER = re.compile(r"[\d/_:-]*\d+$")


@dataclass(frozen=True)
class MemorySample:
    """One look at the process."""

    seconds: float
    """Since the monitor began."""
    rss_mb: float
    descriptors: int = 0
    """Files, sockets and pipes that are open; 0 where the system does not say."""


class Monitor:
    """Watches the process from a thread of its own; use as a context manager."""

    def __init__(self, interval: float = 0.1) -> None:
        """interval: s between looks."""
        self.samples: list[MemorySample] = []
        self.wall_seconds = self.cpu_seconds = self._children_seconds = 0.0
        self._interval = interval
        self._spent: dict[tuple[int, str], float] = {}
        self._before: dict[tuple[int, str], float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="monitor", daemon=True)

    def __enter__(self) -> Monitor:
        self._before = _thread_seconds()
        self._children_began = _children_seconds()
        self._began, self._cpu_began = perf_counter(), _process_seconds()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wall_seconds = perf_counter() - self._began
        self.cpu_seconds = _process_seconds() - self._cpu_began
        self._children_seconds = _children_seconds() - self._children_began
        self._stop.set()
        self._thread.join()

    @property
    def cores(self) -> float:
        """Processor time over wall time."""
        return self.cpu_seconds / max(self.wall_seconds, 1e-9)

    @property
    def seconds_by_thread(self) -> dict[str, float]:
        """Processor time of each kind of thread, most first; threads that lived for less than a look are missing."""
        total: dict[str, float] = defaultdict(float)
        for key, seconds in self._spent.items():
            total[key[1]] += seconds - self._before.get(key, 0.0)
        total["other processes"] = self._children_seconds
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    def _watch(self) -> None:
        while not self._stop.wait(self._interval):
            self._spent |= _thread_seconds()
            self.samples.append(MemorySample(perf_counter() - self._began, rss_mb(), descriptors()))


def rss_mb() -> float:
    """Resident memory of the process; 0 where the system does not say."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return 0.0
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def descriptors() -> int:
    """How many the process has open; 0 where the system does not say."""
    opened = Path("/proc/self/fd")
    return len(list(opened.iterdir())) if opened.exists() else 0


def _process_seconds() -> float:
    spent = os.times()
    return spent.user + spent.system + _children_seconds()


def _children_seconds() -> float:
    """Of processes that this one has started and waited for."""
    spent = os.times()
    return spent.children_user + spent.children_system


def _thread_seconds() -> dict[tuple[int, str], float]:
    """(thread's number, its name) → processor seconds. Threads of libraries carry the name that the library gives."""
    ours = {thread.native_id: thread.name for thread in threading.enumerate()}
    seconds = {}
    for task in _TASKS.iterdir() if _TASKS.exists() else ():
        try:
            text = (task / "stat").read_text()
        except OSError:  # it has just ended
            continue
        number, end = int(task.name), text.rindex(")")
        name = ours.get(number) or text[text.index("(") + 1 : end]
        user, system = text[end + 2 :].split()[11:13]
        seconds[number, _NUMBER.sub("", name) or name] = (int(user) + int(system)) * _TICK
    return seconds
