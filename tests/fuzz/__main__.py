"""`python -m tests.fuzz FORMAT FOLDER SEED SECONDS`: reads random files until one does what it may not.

It may not end the process, raise anything but InputError, or want a gigabyte. The file at fault stays in FOLDER.
"""

from __future__ import annotations

import faulthandler
import resource
import sys
import time
from pathlib import Path
from random import Random

from tests.fuzz.targets import TARGETS, FuzzTarget
from tracker.core.errors import InputError

_ROOM = 1 << 30
"""Bytes beyond what the libraries have taken."""
_HANGS_SECONDS = 300


def fuzz(target: FuzzTarget, folder: Path, seed: int, seconds: float) -> int:
    """The number of files that were read, each by every reader."""
    path, started, number = folder / f"case{target.suffix}", time.monotonic(), 0
    while time.monotonic() - started < seconds:
        path.write_bytes(target.make(Random(f"{seed}/{number}")))
        faulthandler.dump_traceback_later(_HANGS_SECONDS, exit=True)
        for read in target.readers:
            check(read, path)
        number += 1
        if number == 1:  # all libraries are loaded
            limit_memory()
    faulthandler.cancel_dump_traceback_later()
    path.unlink()
    return number


def check(read: object, path: Path) -> None:
    """Raises whatever is not a sentence about the file."""
    try:
        read(path)  # type: ignore[operator]
    except InputError as error:
        if "\n" in str(error) or "memory" in str(error) or path.name not in str(error):
            raise AssertionError(f"not a sentence about the file: {error}") from error


def limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    faulthandler.enable()
    name, folder_name, seed_text, seconds_text = sys.argv[1:]
    print(fuzz(TARGETS[name], Path(folder_name), int(seed_text), float(seconds_text)), "files")
