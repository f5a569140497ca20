from __future__ import annotations

import os
import threading

import pytest

from tracker.runtime.priority import give_way


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="priorities are of whole processes here")
def test_a_thread_gives_way_alone() -> None:
    def own() -> int:
        return os.sched_getscheduler(0)

    def work() -> None:
        give_way()
        found.append(own())

    found: list[int] = []
    before = own()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found[0] == os.SCHED_IDLE != before == own()
