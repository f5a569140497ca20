"""People as lines of JSON, on standard output for a pipe, or in a file or named pipe."""

from __future__ import annotations

import logging
import os
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
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
"""s between two looks at whether the run is over, while the reader takes nothing."""


class JsonLinesOutput:
    """A line a frame, written in a thread of its own. A reader that stands still misses frames; one that has gone ends
    it."""

    wants_picture = False

    def __init__(self, address: SendAddress, world: LiveWorld) -> None:
        """Raises InputError where the file cannot be opened."""
        self.name = address.only().text
        self._encode = JsonEncoder(world)
        self._open = ExitStack()
        path = address.file()
        try:
            stream = sys.stdout.buffer if path == "-" else self._open.enter_context(open(path, "wb"))
            self._file = stream.fileno()
        except OSError as error:
            address.refuse(f"cannot be written ({error.strerror or error}); expected jsonl:- or jsonl:FILE")
        self._left_out, self._ending = 0, Event()
        self._lines = self._open.enter_context(Worker("json lines", self._write, _WAITING))
        self._open.callback(self._ending.set)

    def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
        if not self._lines.put_if_room(self._encode(frame, people)):
            self._left_out += 1

    def _write(self, lines: Iterator[bytes]) -> None:
        for line in lines:
            rest = memoryview(line)
            while rest:
                if not self._has_room():
                    return
                rest = rest[os.write(self._file, rest[:_ROOM]) :]

    def _has_room(self) -> bool:
        """Waits for the reader; False when the run is over and the reader takes nothing."""
        while os.name == "posix" and not select.select([], [self._file], [], _PATIENCE)[1]:
            if self._ending.is_set():
                return False
        return True

    def close(self) -> None:
        if self._left_out:
            log.warning("%s: %d frames were left out, the reader was too slow", self.name, self._left_out)
        self._open.close()
