"""Samples from several processes at once, in the order of their seeds."""

from __future__ import annotations

import multiprocessing
import pickle
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import Any, Protocol, TypeVar

import cv2
import torch
from threadpoolctl import threadpool_limits

T = TypeVar("T")
Made_co = TypeVar("Made_co", covariant=True)
_CHUNK = 8
_AHEAD = 3
"""Chunks that each process may be ahead of the reader."""
_maker: Maker[Any] | None = None


class Maker(Protocol[Made_co]):
    """What makes things from their numbers, such as `SampleFactory`; it can be pickled."""

    def sample(self, seed: int) -> Made_co:
        """The thing of this number."""
        ...


def stream(maker: Maker[T], seeds: Iterable[int], workers: int) -> Iterator[T]:
    """What these numbers, of which there may be infinitely many, make in so many processes, in their order.

    With 0 workers they are made in this process. The processes start anew: a script that calls this needs the guard
    `if __name__ == "__main__"`.
    """
    if workers == 0:
        yield from map(maker.sample, seeds)
        return
    source = iter(seeds)
    context = multiprocessing.get_context("spawn")
    # Pickled here: multiprocessing would move the body's tensors to shared memory, away from numpy's views.
    with ProcessPoolExecutor(workers, context, _start, (pickle.dumps(maker),)) as pool:
        pending: deque[Future[list[T]]] = deque()
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


def _start(maker: bytes) -> None:
    """One thread for each process: there are as many processes as the caller wants busy."""
    global _maker
    _maker = pickle.loads(maker)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    threadpool_limits(1)


def _make(seeds: list[int]) -> list[Any]:
    assert _maker is not None
    return [_maker.sample(seed) for seed in seeds]
