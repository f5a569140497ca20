"""Samples from several processes at once, in the order of their seeds."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import Any, Protocol, TypeVar

import cv2
import torch
from threadpoolctl import threadpool_limits

Made_co = TypeVar("Made_co", covariant=True)


class SampleMaker(Protocol[Made_co]):
    """Makes the sample, or whatever it makes, of a number. `SampleFactory` is one."""

    def sample(self, seed: int) -> Made_co: ...


_CHUNK = 8
_AHEAD = 3
"""Chunks that each process may be ahead of the reader."""
_factory: SampleMaker[Any] | None = None


def stream(factory: SampleMaker[Made_co], seeds: Iterable[int], workers: int) -> Iterator[Made_co]:
    """The samples of these numbers, of which there may be infinitely many, made by so many processes.

    With 0 workers they are made in this process. The processes start anew: a script that calls this needs the guard
    `if __name__ == "__main__"`.
    """
    if workers == 0:
        yield from map(factory.sample, seeds)
        return
    source = iter(seeds)
    context = multiprocessing.get_context("spawn")
    # Pickled here: multiprocessing would move the body's tensors to shared memory, away from numpy's views.
    with ProcessPoolExecutor(workers, context, _start, (pickle.dumps(factory),)) as pool:
        pending: deque[Future[list[Made_co]]] = deque()
        try:
            while chunk := list(islice(source, _CHUNK)):
                pending.append(pool.submit(_make, chunk))
                if len(pending) > _AHEAD * workers:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _start(factory: bytes) -> None:
    """One thread for each process: there are as many processes as the caller wants busy."""
    global _factory
    _factory = pickle.loads(factory)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    threadpool_limits(1)


def _end_with_parent() -> None:
    """A process whose parent is killed would wait for its orders for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _make(seeds: list[int]) -> list[Any]:
    assert _factory is not None
    return [_factory.sample(seed) for seed in seeds]
