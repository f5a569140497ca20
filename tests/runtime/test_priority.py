from __future__ import annotations

import os
import sys
import threading

import pytest

from tracker.runtime.priority import give_way


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="priorities are of whole processes here")
def test_a_thread_gives_way_alone() -> None:
    def own() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def work() -> None:
        give_way()
        found.append(own())

    found: list[int] = []
    before = own()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found[0] > before and own() == before
