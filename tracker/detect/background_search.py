"""Looks for people in a thread of its own, one frame at a time, while the loop follows those whom it knows."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from time import perf_counter

from tracker.detect.search import SearchResult, SearchTask


class BackgroundSearch:
    """Runs `search` on one errand after another; whatever it raises is raised where its answer is taken."""

    def __init__(self, search: Callable[[SearchTask], SearchResult]) -> None:
        self._search = search
        self._thread = ThreadPoolExecutor(1, "scout")
        self._errand: SearchTask | None = None
        self._answer: Future[SearchResult] | None = None
        self.seconds = 0.0
        """What the last search took."""

    def send(self, errand: SearchTask) -> None:
        """Begins a search; the answer to the one before is forgotten."""
        self._errand, self._answer = errand, self._thread.submit(self._timed, errand)

    @property
    def errand(self) -> SearchTask | None:
        """What is being looked for, until the answer is taken."""
        return self._errand

    @property
    def is_ready(self) -> bool:
        """Whether an answer can be taken without waiting."""
        return self._answer is not None and self._answer.done()

    def take(self) -> SearchResult:
        """The answer, waited for. Raises what the search raised."""
        if self._answer is None:
            raise RuntimeError("BackgroundSearch.take: nothing is being looked for; call send first")
        answer, self._errand, self._answer = self._answer, None, None
        return answer.result()

    def forget(self) -> None:
        """Waits for a search under way, whose answer nobody wants any more."""
        if self._answer is not None:
            wait([self._answer])
        self._errand = self._answer = None

    def close(self) -> None:
        """Waits for a search under way."""
        self._thread.shutdown(cancel_futures=True)

    def _timed(self, errand: SearchTask) -> SearchResult:
        before = perf_counter()
        try:
            return self._search(errand)
        finally:
            self.seconds = perf_counter() - before
