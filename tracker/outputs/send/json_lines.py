"""People as lines of JSON, on standard output for a pipe, or in a file or named pipe."""

from __future__ import annotations

import errno
import logging
import os
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Event

from tracker.core.frame import Frame
from tracker.core.person import Person
from tracker.outputs.output import Picture
from tracker.outputs.send.address import SendAddress
from tracker.outputs.send.pose_message import JsonEncoder
from tracker.runtime.worker import Worker
from tracker.world.live_world import LiveWorld

log = logging.getLogger("tracker")

_WAITING = 256
"""Lines that may wait for a slow reader; what comes when they are full is left out."""
_ROOM = 4096
"""Bytes that a pipe takes without waiting when it says that it can be written to."""
_PATIENCE = 0.1
"""s between two looks at whether the run is over, while the reader takes nothing, or has not come."""
_WITHOUT_WAITING = getattr(os, "O_NONBLOCK", 0)
"""Windows has no named pipes in folders."""


class JsonLinesOutput:
    """A line a frame, written in a thread of its own. A reader that stands still, or is late, misses frames; one that
    has gone ends it."""

    wants_picture = False

    def __init__(self, address: SendAddress, world: LiveWorld) -> None:
        """Raises InputError where the file cannot be opened."""
        self.name = address.only().text
        self._encode = JsonEncoder(world)
        self._path, self._left_out, self._ending = address.file(), 0, Event()
        self._open = ExitStack()
        self._files = self._open.enter_context(ExitStack())
        try:
            self._file = self._opened()
        except OSError as error:
            address.refuse(f"cannot be written ({error.strerror or error}); expected jsonl:- or jsonl:FILE")
        if self._file is None:
            log.info("%s: waits for a reader", self.name)
        self._lines = self._open.enter_context(Worker("json lines", self._write, _WAITING))
        self._open.callback(self._ending.set)

    def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
        if not self._lines.put_if_room(self._encode(frame, people)):
            self._left_out += 1

    def _opened(self) -> int | None:
        """The descriptor to write to; None for a named pipe that nobody reads yet. Raises OSError."""
        if self._path == "-":
            return sys.stdout.buffer.fileno()
        try:
            return self._files.enter_context(open(self._path, "wb", opener=_open_at_once)).fileno()
        except OSError as error:
            if error.errno == errno.ENXIO and Path(self._path).is_fifo():
                return None
            raise

    def _write(self, lines: Iterator[bytes]) -> None:
        while self._file is None:
            if self._ending.wait(_PATIENCE):
                return
            self._file = self._opened()
        for line in lines:
            rest = memoryview(line)
            while rest:
                if not self._has_room(self._file):
                    return
                rest = rest[os.write(self._file, rest[:_ROOM]) :]

    def _has_room(self, file: int) -> bool:
        """Waits for the reader; False when the run is over and the reader takes nothing."""
        while os.name == "posix" and not select.select([], [file], [], _PATIENCE)[1]:
            if self._ending.is_set():
                return False
        return True

    def close(self) -> None:
        if self._file is None:
            log.warning("%s: no reader came", self.name)
        elif self._left_out:
            log.warning("%s: %d frames were left out, the reader was too slow", self.name, self._left_out)
        self._open.close()


def _open_at_once(path: str, flags: int) -> int:
    """As `open` does, but a named pipe without a reader is an error (ENXIO) and not waited for."""
    file = os.open(path, flags | _WITHOUT_WAITING, 0o666)
    if _WITHOUT_WAITING:
        os.set_blocking(file, True)
    return file
