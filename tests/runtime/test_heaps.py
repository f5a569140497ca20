"""Heaps of glibc's malloc."""

from __future__ import annotations

import os
import sys

import pytest

from tests.programs import run_python

_COUNT = """
import ctypes, re, sys, tempfile, threading
libc = ctypes.CDLL(None)
if sys.argv[1] == "few":
    from tracker.runtime.heaps import keep_to_few_heaps
    keep_to_few_heaps()
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(12)
def work():
    together.wait()
    libc.malloc(100_000)
    together.wait()
threads = [threading.Thread(target=work) for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.fopen.restype = ctypes.c_void_p
path = tempfile.NamedTemporaryFile(delete=False).name
file = ctypes.c_void_p(libc.fopen(path.encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
print(len(re.findall("<heap nr=", open(path).read())))
import os; os.unlink(path)
"""


def _heaps(kind: str, **environment: str) -> int:
    clean = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    return int(run_python(_COUNT, kind, environment=clean | environment).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's")
def test_threads_share_two_heaps() -> None:
    usual = _heaps("as many as glibc likes")
    if usual <= 2:
        pytest.skip("this C library keeps to few heaps by itself")
    assert _heaps("few") <= 2
    assert _heaps("few", MALLOC_ARENA_MAX="5") == min(usual, 5)  # the user's choice
