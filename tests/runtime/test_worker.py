"""Threads beside the loop: order, bounds, and that no fault at either end hangs or is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tracker.runtime.worker import Worker, read_ahead


class Fault(Exception):
    """What the tests raise."""


def test_a_stage_does_everything_in_order_before_it_is_left() -> None:
    done: list[int] = []
    with Worker[int]("work", done.extend, size=2) as stage:
        for i in range(50):
            stage.put(i)
    assert done == list(range(50))


def test_a_full_stage_makes_the_caller_wait() -> None:
    go, taken = threading.Event(), []

    def work(items: Iterator[int]) -> None:
        for item in items:
            taken.append(item)
            go.wait()

    put: list[int] = []
    with Worker[int]("work", work, size=2) as stage:

        def feed() -> None:
            for i in range(10):
                stage.put(i)
                put.append(i)

        feeder = threading.Thread(target=feed)
        feeder.start()
        feeder.join(0.3)
        assert feeder.is_alive() and len(put) <= 4  # one in work, two waiting, one about to
        go.set()
        feeder.join()
    assert taken == list(range(10))


def test_a_workers_error_reaches_whoever_puts_and_nobody_hangs() -> None:
    def work(items: Iterator[int]) -> None:
        next(items)
        raise Fault("disk full")

    with pytest.raises(Fault, match="disk full"), Worker[int]("work", work, size=1) as stage:
        for i in range(1000):
            stage.put(i)


def test_a_workers_last_error_is_raised_when_the_stage_is_left() -> None:
    def work(items: Iterator[int]) -> None:
        list(items)
        raise Fault("cannot finish the file")

    with pytest.raises(Fault, match="cannot finish"), Worker[int]("work", work) as stage:
        stage.put(1)


def test_an_error_outside_does_not_lose_what_was_put() -> None:
    done: list[int] = []
    with pytest.raises(KeyError), Worker[int]("work", done.extend) as stage:
        stage.put(1)
        stage.put(2)
        raise KeyError
    assert done == [1, 2]


def test_errors_travel_through_two_stages() -> None:
    def encode(items: Iterator[int]) -> None:
        raise Fault("no space")

    with pytest.raises(Fault, match="no space"), Worker[int]("encode", encode, size=1) as second:

        def draw(items: Iterator[int]) -> None:
            for item in items:
                second.put(item)

        with Worker[int]("draw", draw, size=1) as first:
            for i in range(1000):
                first.put(i)


def test_reading_ahead_gives_the_same_items_and_stays_within_its_bound() -> None:
    fetched = 0

    def source() -> Iterator[int]:
        nonlocal fetched
        for i in range(40):
            fetched = i + 1
            yield i

    seen = []
    for item in read_ahead(source(), size=3):
        seen.append(item)
        assert fetched <= len(seen) + 4
    assert seen == list(range(40))


def test_reading_nothing_ahead_begins_each_item_when_the_one_before_is_taken() -> None:
    begun: list[int] = []
    taken = 0

    def source() -> Iterator[int]:
        for i in range(20):
            begun.append(taken)
            yield i

    for item in read_ahead(source(), size=0):
        taken = item + 1
    assert len(begun) == 20 and all(had <= i for i, had in enumerate(begun))
    first = read_ahead(iter(range(9)), size=0)
    chain = read_ahead(first, size=0)
    assert list(chain) == list(range(9))


def test_a_sources_error_is_raised_after_what_came_before_it() -> None:
    def source() -> Iterator[int]:
        yield from range(3)
        raise Fault("unplugged")

    seen = []
    with pytest.raises(Fault, match="unplugged"):
        for item in read_ahead(source()):
            seen.append(item)
    assert seen == [0, 1, 2]


def test_reading_stops_when_nobody_takes_any_more() -> None:
    before = threading.active_count()

    def endless() -> Iterator[int]:
        while True:
            yield 0

    ahead = read_ahead(endless(), size=2)
    assert next(ahead) == 0
    ahead.close()
    assert threading.active_count() == before
