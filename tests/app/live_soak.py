"""A live run that nothing wears out: its sender is restarted, clients come and vanish, the disk is full now and again.

`python -m tests.app.live_soak CLIP MINUTES` says how memory, threads and descriptors went; exit status 1 where they
grew.
"""

from __future__ import annotations

import json
import logging
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import av
import numpy as np
import psutil
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from tests import ROOT
from tests.app.killed_runs import faults_of

_CYCLE_SECONDS = 40.0
_SENT_SECONDS = 34.0
"""Of a cycle; for the rest of it the sender is away."""
_ANSWER_SECONDS = 15.0
_FULL_BYTES = 20_000
"""No file grows beyond that while the disk is full."""
_RATE = 20
_FEWEST = 6
"""Cycles from which on something can be said."""


@dataclass(frozen=True)
class Sample:
    """What the live process holds at the end of a cycle."""

    seconds: float
    resident: float
    """MB"""
    threads: int
    descriptors: int
    children: int
    written: int
    """Recordings of the cycle."""


def growth(values: Sequence[float]) -> float:
    """From the second quarter to the last, by their medians: the first one still warms up."""
    quarter = max(1, len(values) // 4)
    return float(np.median(values[-quarter:]) - np.median(values[quarter : 2 * quarter]))


def faults_in(samples: Sequence[Sample]) -> list[str]:
    """What has grown that should not."""
    if len(samples) < _FEWEST:
        return [f"{len(samples)} cycles; expected {_FEWEST} at least"]
    limits = {"resident": 0.1 * samples[0].resident, "threads": 2.0, "descriptors": 4.0, "children": 0.0}
    grown = {name: growth([float(getattr(sample, name)) for sample in samples]) for name in limits}
    faults = [f"{name} grew by {grown[name]:g}" for name, limit in limits.items() if grown[name] > limit]
    return faults + [f"no recording in {sum(not each.written for each in samples)} cycles"] * (
        sum(not each.written for each in samples) > len(samples) // 4
    )


# ---------------------------------------------------------------- the other side


def send(address: str, clip: Path) -> None:
    """The clip as a camera on the network, until killed; its clock begins anew with each sender."""
    with av.open(str(clip)) as video:
        pictures = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    with av.open(f"{address}?pkt_size=1316", "w", format="mpegts") as output:
        options = {"preset": "ultrafast", "tune": "zerolatency", "g": "10"}
        stream = output.add_stream("libx264", rate=_RATE, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        print("sending", flush=True)
        began = time.monotonic()
        for index in range(10**9):
            frame = av.VideoFrame.from_ndarray(pictures[index % len(pictures)], "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, _RATE)
            output.mux(stream.encode(frame))
            time.sleep(max(0.0, began + (index + 1) / _RATE - time.monotonic()))


@contextmanager
def sending(address: str, clip: Path) -> Iterator[None]:
    """A sender within the block, killed at its end."""
    command = [sys.executable, "-m", "tests.app.live_soak", "--send", address, str(clip)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # it has begun
            yield
        finally:
            process.kill()


class Clients:
    """Browsers and others at the page of a live run."""

    def __init__(self, page: str) -> None:
        parts = urlsplit(page)
        self._host, self._port, self._query = parts.hostname or "", parts.port or 0, parts.query

    def press(self, word: str) -> None:
        """A button of the page."""
        with suppress(OSError, WebSocketException), self._page() as page:
            page.send(word)
            page.recv(timeout=_ANSWER_SECONDS)

    def record(self, wanted: bool) -> None:
        """Begins or ends a recording, unless that is so already."""
        with suppress(OSError, WebSocketException), self._page() as page:
            while isinstance(status := page.recv(timeout=_ANSWER_SECONDS), bytes):
                continue
            if json.loads(status)["recording"] != wanted:
                page.send("record")
                page.recv(timeout=_ANSWER_SECONDS)

    def come_and_go(self) -> None:
        """One that watches, one that asks and never reads, one that talks nonsense; all leave without a word."""
        with suppress(OSError, WebSocketException), self._page() as page:
            for _ in range(20):
                page.send("ready")
                page.recv(timeout=_ANSWER_SECONDS)
            page.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            page.socket.close()
        get = f"GET /stream.mjpg?{self._query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        for said in (get, b"GET / HTTP/9.9\r\n\r\n", b""):
            with suppress(OSError), socket.create_connection((self._host, self._port), 5) as client:
                client.sendall(said)
                time.sleep(0.5)

    @contextmanager
    def _page(self) -> Iterator:
        with connect(f"ws://{self._host}:{self._port}/live?{self._query}", max_size=None, open_timeout=10) as page:
            yield page


# ---------------------------------------------------------------- the run


class Soak:
    """A live process, and what is done to it."""

    def __init__(self, process: subprocess.Popen[bytes], address: str, clip: Path, out: Path, log: Path) -> None:
        self._process, self._address, self._clip, self._out, self._log = process, address, clip, out, log
        self._of_process = psutil.Process(process.pid)
        self.faults: list[str] = []

    def cycle(self, began: float) -> Sample:
        """A sender comes, something is recorded, the disk fills up under the next recording, the sender goes."""
        start, clients = time.monotonic(), Clients(self._page())
        with sending(self._address, self._clip):
            clients.record(True)
            clients.come_and_go()
            clients.press("snapshot")
            clients.record(False)
            clients.record(True)
            with self._full_disk():
                clients.come_and_go()
                clients.press("snapshot")
            clients.record(False)
            self._wait(start + _SENT_SECONDS)
        self._wait(start + _CYCLE_SECONDS)
        return self._sample(began)

    def _sample(self, began: float) -> Sample:
        process, recordings = self._of_process, [path for path in self._out.glob("live-*") if path.is_dir()]
        finished = [folder for folder in recordings if (folder / "run.json").exists()]
        self.faults += [f"{folder.name}/{fault}" for folder in finished for fault in faults_of(folder)]
        sample = Sample(
            time.monotonic() - began, process.memory_info().rss / 1e6, process.num_threads(), process.num_fds(),
            len(process.children(recursive=True)), len(finished),
        )  # fmt: skip
        for path in [*finished, *self._out.glob("snapshot-*")]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return sample

    def _page(self) -> str:
        """The printed address."""
        return re.findall(r"http://\S+", self._log.read_text())[0]

    def _wait(self, moment: float) -> None:
        time.sleep(max(0.0, moment - time.monotonic()))
        if self._process.poll() is not None:
            raise RuntimeError(f"the run ended with {self._process.returncode}: {self._log.read_text()[-1000:]}")

    @contextmanager
    def _full_disk(self) -> Iterator[None]:
        """Nothing can be written, as the process sees it."""
        hard = self._of_process.rlimit(resource.RLIMIT_FSIZE)[1]
        self._of_process.rlimit(resource.RLIMIT_FSIZE, (_FULL_BYTES, hard))
        try:
            yield
        finally:
            self._of_process.rlimit(resource.RLIMIT_FSIZE, (hard, hard))


def until(true: Callable[[], object], seconds: float) -> bool:
    """Whether that became true in time."""
    end = time.monotonic() + seconds
    while not (done := bool(true())) and time.monotonic() < end:
        time.sleep(0.2)
    return done


def soak(clip: Path, minutes: float, work: Path) -> tuple[list[Sample], list[str]]:
    """So many minutes of cycles, and what was wrong besides growth."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        address = f"udp://127.0.0.1:{free.getsockname()[1]}"
    out, log, samples = work / "out", work / "live.log", list[Sample]()
    command = [sys.executable, "run.py", "live", "--source", address, "--headless", "--web", "0", "--record", str(out)]
    with ExitStack() as stack:
        output = stack.enter_context(log.open("wb"))
        first = stack.enter_context(ExitStack())
        first.enter_context(sending(address, clip))  # a source that is not there when it is opened is an error
        process = stack.enter_context(subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output))
        stack.callback(process.kill)
        if not until(lambda: any(out.glob("live-*/frames.jsonl")), 300):
            return samples, [f"no recording began: {log.read_text()[-1000:]}"]
        first.close()
        run, began = Soak(process, address, clip, out, log), time.monotonic()
        while time.monotonic() - began < 60 * minutes:
            samples.append(run.cycle(began))
            print(json.dumps(asdict(samples[-1])), flush=True)
        process.send_signal(signal.SIGINT)
        status = process.wait(300)
        run.faults += [] if status in (0, 1, 130) else [f"ended with {status}: {log.read_text()[-1000:]}"]
        run.faults += ["a traceback was printed"] * ("Traceback" in log.read_text())
        for folder in out.glob("live-*"):
            run.faults += [f"{folder.name}/{fault}" for fault in faults_of(folder)]
    return samples, run.faults


def main() -> None:
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # of connections that are cut as they are to be
    if sys.argv[1] == "--send":
        send(sys.argv[2], Path(sys.argv[3]))
        return
    with tempfile.TemporaryDirectory() as folder:
        samples, faults = soak(Path(sys.argv[1]).absolute(), float(sys.argv[2]), Path(folder))
        faults += faults_in(samples)
        print(*faults or ["memory, threads and descriptors are flat"], sep="\n")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
