"""Times that one thread adds to while another reads them."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from tracker.runtime.recent_times import RecentTimes


@contextmanager
def threads_alternate_often() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def test_reading_while_another_thread_adds() -> None:
    times, stop = RecentTimes(), Event()

    def add() -> None:
        while not stop.is_set():
            times.append(1.0)

    adding = Thread(target=add)
    with threads_alternate_often():
        adding.start()
        try:
            read = [[1e3 * seconds for seconds in times] for _ in range(300)]
        finally:
            stop.set()
            adding.join()
    assert set(read[-1]) == {1e3}
    assert len(read[-1]) <= len(times)


def test_another_process_can_have_them() -> None:
    assert list(pickle.loads(pickle.dumps(RecentTimes([1.0, 2.0])))) == [1.0, 2.0]


def test_only_the_newest_are_kept() -> None:
    times = RecentTimes()
    times.extend(range(250_000))
    assert len(times) < 250_000
    assert list(times)[-1] == 249_999
    times.clear()
    assert not list(times)
