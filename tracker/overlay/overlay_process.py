"""Films in a process of their own.

Python runs one thread at a time. Drawing needs it as often as posing does, and each waits for the other; in two
processes neither does, and a run is half as fast again. Starting a process takes half a second of a core and 190 MB,
which is more than a short film takes: that one is made in a thread.

The processes talk over pipes, in pickles, which none but they can write to: a job, then frames, then the end of the
stream; back comes how it went. A process whose other side has died finishes its film with what it was given.
"""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

import numpy as np

from tracker.core.errors import RunError
from tracker.core.person import TrackedFrame
from tracker.overlay.overlay_video import OverlayVideoJob, OverlayVideoTimes, make_overlay_video
from tracker.runtime.helper_process import helper_command
from tracker.runtime.process import prepare_for_real_time
from tracker.runtime.worker import Worker

log = logging.getLogger("tracker")

_Make = Callable[[OverlayVideoJob, Iterator[TrackedFrame], OverlayVideoTimes], None]

_SHORT_FILM = 90
"""Frames below which starting a process does not pay."""
_WAITING_BYTES = 250_000_000
"""Of pictures that may wait while the process starts."""
_MOST_WAITING = 90
_PIPE_BYTES = 1 << 20
"""Of a pipe, where the system lets us choose: each time it is full, two processes wake each other."""


class OverlayVideo:
    """A film that is made of what is put into it. What goes wrong with it is its own: `fault` says what, and what is
    put afterwards is left out."""

    def __init__(self, job: OverlayVideoJob, make: _Make, waiting: int) -> None:
        """waiting: pictures that may wait before `put` does."""
        self.times = OverlayVideoTimes()
        """Complete when the film is."""
        self.fault: Exception | None = None
        """Why it was given up; a RunError where a picture cannot be drawn or written, or the process ended."""
        self.stage = Worker("film", self._make_of, waiting)
        """The thread that makes it, or waits for the process that does."""
        self._job, self._make = job, make

    def put(self, item: TrackedFrame) -> None:
        """Waits while too many do."""
        self.stage.put(item)

    def _make_of(self, frames: Iterator[TrackedFrame]) -> None:
        try:
            self._make(self._job, frames, self.times)
        except Exception as error:  # whatever it is, it is the film's alone
            self.fault = error
            log.warning("the overlay is given up, everything else goes on: %s", error)
            for _ in frames:
                continue


@contextmanager
def overlay_video_of(job: OverlayVideoJob, expected_frames: int | None) -> Iterator[OverlayVideo]:
    """A film of what is put into it, finished when the block is left. expected_frames: as far as it is known.

    An interrupt that leaves the block ends the process that draws: it may be what hangs.
    """
    process = _FilmProcess()
    if expected_frames is not None and expected_frames < _SHORT_FILM:
        film = OverlayVideo(job, make_overlay_video, waiting=4)
    else:
        width, height = job.size
        film = OverlayVideo(job, process.make, min(max(_WAITING_BYTES // (3 * width * height), 4), _MOST_WAITING))
    # within the stage's block, which waits for the film when it is left, and around it, for while it waits
    with process.killed_by_interrupt(), film.stage, process.killed_by_interrupt():
        yield film


class _FilmProcess:
    """Makes a film in another process."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._interrupted = False

    def make(self, job: OverlayVideoJob, frames: Iterator[TrackedFrame], times: OverlayVideoTimes) -> None:
        """Hands everything over and waits."""
        with _spare.pop() if _spare else _process() as process:
            self._process = process
            if self._interrupted:  # while it was being started
                process.kill()
            assert process.stdin is not None and process.stdout is not None
            try:
                _send(process.stdin, (job, logging.getLogger("tracker").getEffectiveLevel()))
                for shown in frames:
                    _send(process.stdin, shown)
                process.stdin.close()
            except BrokenPipeError:  # it has ended, and says why
                with suppress(BrokenPipeError):
                    process.stdin.close()
            answer = _receive(process.stdout)
        if answer is None:
            raise RunError(f"{job.path}: the process that draws ended with {process.returncode}; run with --no-overlay")
        if isinstance(answer, BaseException):
            raise answer
        times.draw_ms.extend(answer.draw_ms)
        times.write_ms.extend(answer.write_ms)

    @contextmanager
    def killed_by_interrupt(self) -> Iterator[None]:
        """Ends the process at once where an interrupt leaves the block."""
        try:
            yield
        except KeyboardInterrupt:
            self._interrupted = True
            if self._process is not None:
                self._process.kill()
            raise


_spare: list[subprocess.Popen[bytes]] = []
"""A process that has started and waits for a job."""


@contextmanager
def ready_to_draw() -> Iterator[None]:
    """Has the next long film's process start at once, beside whatever else has to start; it ends with the block if no
    film has come by then."""
    if not _spare:
        _spare.append(_process())
    try:
        yield
    finally:
        while _spare:
            with _spare.pop() as unused:
                unused.kill()


def _process() -> subprocess.Popen[bytes]:
    """The other process. Ctrl-C in a terminal is not for it: this one decides what is to be finished."""
    command = helper_command("tracker.overlay.overlay_process")
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, pipesize=_PIPE_BYTES, start_new_session=True, env=_environment()
    )


def _environment() -> dict[str, str]:
    """It starts no threads for matrices: it multiplies none."""
    return os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _send(pipe: IO[bytes], value: Any) -> None:
    """Arrays go beside the pickle, so that they are not copied into it."""
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    raw = [buffer.raw() for buffer in buffers]
    pickle.dump((len(body), [view.nbytes for view in raw]), pipe)
    pipe.write(body)
    for view in raw:
        pipe.write(view)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:
    """The next value; None at the end of the stream, also one that is torn off."""
    try:
        length, sizes = pickle.load(pipe)
        body = pipe.read(length)
        buffers = [np.empty(size, np.uint8) for size in sizes]  # a bytearray would be cleared first
        whole = all(pipe.readinto(buffer) == len(buffer) for buffer in buffers)  # type: ignore[attr-defined]
        return pickle.loads(body, buffers=buffers) if whole else None
    except (EOFError, pickle.UnpicklingError):
        return None


def _frames(pipe: IO[bytes]) -> Iterator[TrackedFrame]:
    while (shown := _receive(pipe)) is not None:
        yield shown


def main() -> None:
    """The other process: reads a job and frames from standard input, writes how it went to standard output."""
    commands, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    given = _receive(commands)
    if given is None:
        return
    job, level = given
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    prepare_for_real_time()
    times = OverlayVideoTimes()
    answer: OverlayVideoTimes | BaseException = times
    try:
        make_overlay_video(job, _frames(commands), times)
    except Exception as error:  # it is raised in the process that gave the job
        answer = error
    _send(answers, answer)
    os._exit(0)  # what libraries would still tidy up, nobody waits for
