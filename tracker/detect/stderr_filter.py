"""Keeps the native log lines of MediaPipe and TensorFlow Lite off the user's screen, and nothing else.

Both write to file descriptor 2 from C++ and no setting of theirs stops it. While they are at work the descriptor
leads into a temporary file; afterwards every line of that file that is not theirs is passed on.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_STDERR = 2
_CHATTER = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog"
    rb"|[IWE]\d{4} \d\d:\d\d:\d\d"
    rb"|(INFO|WARNING): .*(TensorFlow Lite|XNNPACK)"
)
_lock = threading.RLock()


@contextmanager
def native_chatter_held_back() -> Iterator[None]:
    """Inside, lines on file descriptor 2 wait; at the end those that are not native log lines are written out."""
    with _lock:
        try:
            screen = os.dup(_STDERR)
        except OSError:  # a process without stderr has nothing to keep clean
            yield
            return
        try:
            with tempfile.TemporaryFile() as held:
                _flush_python()
                os.dup2(held.fileno(), _STDERR)
                try:
                    yield
                finally:
                    _flush_python()
                    os.dup2(screen, _STDERR)
                    held.seek(0)
                    _pass_on(held.read())
        finally:
            os.close(screen)


def _flush_python() -> None:
    if sys.stderr is not None and not sys.stderr.closed:
        sys.stderr.flush()


def _pass_on(text: bytes) -> None:
    kept = b"".join(line for line in text.splitlines(keepends=True) if not _CHATTER.match(line))
    if kept:
        os.write(_STDERR, kept)
