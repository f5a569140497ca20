"""Processes that work beside each other, each with its share of the cores, and each of which may die alone.

The standard library's pool of processes ends whole when one of them is killed or crashes. Here each has a pool of its
own: the task that it was at fails, and another process takes its place. What they are told and what they tell goes
through shared memory without a lock, which a killed process could never give back.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.sharedctypes import RawArray
from queue import SimpleQueue
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from tracker.core.errors import RunError
from tracker.runtime.cores import available_cores, set_core_share
from tracker.runtime.interrupt import Interrupt

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_GO_ON, _STOP, _DIE = range(3)
_LOOK_SECONDS = 0.1
"""Between two looks of a worker at what it is told."""


class TaskLost(RunError):
    """What worked on a task has died; the task had no say in it."""


class WorkerProcesses(Executor):
    """An executor whose tasks run in `count` processes; use as a context manager.

    A task whose process dies fails with TaskLost. When this process dies, all do. Leaving the block on an exception
    kills them; otherwise their tasks are waited for.
    """

    def __init__(self, count: int) -> None:
        self._board = _Board(RawArray("q", 1), RawArray("q", count), max(1, available_cores() // count))
        self._idle: SimpleQueue[_Slot] = SimpleQueue()
        for number in range(count):
            self._idle.put(_Slot(self._board, number))
        self._threads = ThreadPoolExecutor(count, "worker process")

    def submit(
        self, fn: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Future[Result]:
        """As every executor; function and arguments are pickled."""
        return self._threads.submit(self._run, fn, args, kwargs)

    @property
    def items(self) -> int:
        """How often tasks have called `count_item` so far."""
        return sum(self._board.items)

    def stop(self) -> None:
        """Asks every task to end where that is safe; see `task_interrupt`."""
        self._board.command[0] = _STOP

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Lets tasks end, and then the processes."""
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        while wait and not self._idle.empty():
            self._idle.get().close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if error is not None:
            self._board.command[0] = _DIE
        self.shutdown(cancel_futures=error is not None)
        return None

    def _run(self, fn: Callable[..., Result], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Result:
        slot = self._idle.get()
        try:
            return slot.run(fn, *args, **kwargs)
        finally:
            self._idle.put(slot)


@dataclass(frozen=True)
class _Board:
    """What the processes share."""

    command: Any
    """[_GO_ON | _STOP | _DIE], for all."""
    items: Any
    """Items that each process has worked through."""
    cores: int
    """For each process."""


class _Slot:
    """The place of one process, which is started when there is something to do, and again after it has died."""

    def __init__(self, board: _Board, number: int) -> None:
        self._board, self._number = board, number
        self._pool: ProcessPoolExecutor | None = None

    def run(self, fn: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, context, _begin, (self._board, self._number))
        try:
            return self._pool.submit(fn, *args, **kwargs).result()
        except BrokenProcessPool:
            self.close()
            message = (
                "the process that worked on it died (killed, out of memory, or a crash in a library); try it alone"
            )
            raise TaskLost(message) from None

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


_interrupt = Interrupt()
_count: Callable[[], None] | None = None


def task_interrupt() -> Interrupt:
    """What a task asks whether it should stop; in a process that is nobody's worker nothing ever asks it to."""
    return _interrupt


def count_item() -> None:
    """Tells whoever watches that this process has worked through one more item."""
    if _count is not None:
        _count()


def _begin(board: _Board, number: int) -> None:
    """The first that a worker does. Ctrl-C and SIGTERM are the main process's to hear and pass on."""
    global _count
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: None)  # unlike SIG_IGN it is not handed down to processes of its own
    set_core_share(board.cores)

    def count() -> None:
        board.items[number] += 1

    _count = count
    threading.Thread(target=_obey, args=(board,), name="obey", daemon=True).start()


def _obey(board: _Board) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker has been started by somebody"
    while not wait([parent.sentinel], _LOOK_SECONDS):
        if board.command[0] == _DIE:
            break
        _interrupt.requested = board.command[0] == _STOP
    os._exit(1)
