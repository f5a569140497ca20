"""Work that goes on beside the loop: bounded queues between threads, in order, nothing dropped.

Each end of a stage hears of the other's fault: an error in a worker is raised where the next item is put, one in a
source where the next item is taken, so that whichever thread fails, the whole run ends and says why.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")

_PATIENCE = 0.05
"""s between two looks at whether the other end still lives, while a queue is full."""


class _End:
    """Follows the last item."""


class Worker(Generic[Item]):
    """A worker thread that is given an iterator over what is `put`; use as a context manager.

    Leaving the block waits until the worker has had everything, also on an exception, so that what was put is not lost.
    """

    def __init__(self, name: str, work: Callable[[Iterator[Item]], None], size: int = 4) -> None:
        """work: runs once, in the thread, until its iterator ends. size: items that may wait before `put` does."""
        self._queue: queue.Queue[Item | _End] = queue.Queue(size)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work,), name=name, daemon=True)

    def __enter__(self) -> Worker[Item]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._offer(_End())
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error

    def put(self, item: Item) -> None:
        """Waits while the queue is full. Raises what the worker raised."""
        self._offer(item)
        if self._error is not None:
            raise self._error

    def put_if_room(self, item: Item) -> bool:
        """As `put`, but False, without the item, where the queue is full."""
        if self._error is not None:
            raise self._error
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            return False
        return True

    def _offer(self, item: Item | _End) -> None:
        while self._thread.is_alive():
            try:
                self._queue.put(item, timeout=_PATIENCE)
            except queue.Full:
                continue
            return

    def _run(self, work: Callable[[Iterator[Item]], None]) -> None:
        try:
            work(self._items())
        except BaseException as error:  # it is raised in the thread that puts
            self._error = error

    def _items(self) -> Iterator[Item]:
        while not isinstance(item := self._queue.get(), _End):
            yield item


def read_ahead(items: Iterable[Item], size: int = 4, name: str = "read ahead") -> Generator[Item, None, None]:
    """The same items, fetched in a thread of their own, at most `size` ahead of the one that is taken.

    With 0 each is begun when the one before has been taken: what comes out has waited for nobody but its taker.
    """
    waiting: queue.SimpleQueue[Item | _End] = queue.SimpleQueue()
    room, stop = threading.Semaphore(size + 1), threading.Event()
    errors: list[BaseException] = []

    def fetch() -> None:
        try:
            source = iter(items)
            while _acquire_unless(stop, room):
                waiting.put(next(source))
        except StopIteration:
            return
        except BaseException as error:  # it is raised where the items are taken
            errors.append(error)
        finally:
            waiting.put(_End())

    thread = threading.Thread(target=fetch, name=name, daemon=True)
    thread.start()
    try:
        while not isinstance(item := waiting.get(), _End):
            room.release()
            yield item
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]


def _acquire_unless(stop: threading.Event, room: threading.Semaphore) -> bool:
    """Whether there was room before `stop` was set."""
    while not stop.is_set():
        if room.acquire(timeout=_PATIENCE):
            return not stop.is_set()
    return False
