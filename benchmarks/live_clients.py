"""What clients cost a live run, in rate, latency, memory and file descriptors.

A clip is played as a camera over and over, first with nobody attached, then with a browser's connection, a VMC receiver
and a WebSocket client, which live in a process of their own. It takes what processor time the run leaves, as if it
were another machine's; with --share-cores it competes. Several rounds tell the machine's drift from their price.

python -m benchmarks.live_clients CLIP --minutes 10
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from aiohttp import ClientSession, WSMsgType

from benchmarks.clips_made import Looped
from benchmarks.engines import RESULTS, machine
from benchmarks.monitor import MemorySample, Monitor
from benchmarks.pipeline import Unwatched
from tracker.app.live import LiveJob, LiveSession
from tracker.config import load_config
from tracker.core.atomic_file import write_whole
from tracker.outputs.output import Output
from tracker.outputs.send import open_send
from tracker.outputs.send.websocket import WebSocketOutput
from tracker.outputs.web import WebPage
from tracker.pipeline import Tracker
from tracker.runtime.interrupt import deferred_interrupt
from tracker.runtime.process import prepare_for_real_time
from tracker.source.playback import paced
from tracker.world.live_world import LiveWorld

Clients = Literal["elsewhere", "here"]
"""Whether clients take what processor time is left, or as much as anybody."""
_PATIENCE = 30.0
"""s that the clients have to connect, and to tell what they got."""
_SAMPLES = 400


@dataclass(frozen=True)
class Received:
    """What came to the clients."""

    pictures: int = 0
    page_poses: int = 0
    page_statuses: int = 0
    vmc_bundles: int = 0
    websocket_messages: int = 0


@dataclass(frozen=True)
class ClientsRun:
    """One live run."""

    clients: bool
    frames: int
    dropped: int
    fps: float
    p50_ms: float
    p95_ms: float
    cores: float
    memory: list[MemorySample]
    received: Received

    @property
    def memory_growth_mb(self) -> float:
        """From the second to the last quarter."""
        return _growth([sample.rss_mb for sample in self.memory])

    @property
    def descriptor_growth(self) -> float:
        """From the second to the last quarter."""
        return _growth([sample.descriptors for sample in self.memory])


def _growth(values: Sequence[float]) -> float:
    quarter = max(len(values) // 4, 1)
    return float(np.median(values[-quarter:]) - np.median(values[quarter : 2 * quarter] or values[:1]))


def measure(clip: Path, seconds: float, clients: Clients | None, tracker: Tracker, folder: Path) -> ClientsRun:
    """A live run of so many seconds of the clip's time; pictures are drawn in any case."""
    with (
        deferred_interrupt() as interrupt,
        paced(Looped(clip, seconds)) as source,
        ExitStack() as stack,
    ):
        attached = stack.enter_context(_clients(tracker, clients)) if clients else _Nobody()
        outputs: list[Output] = [Unwatched(), *attached.outputs]
        with Monitor(interval=max(seconds / _SAMPLES, 0.1)) as monitor:
            result = LiveSession(LiveJob(folder), tracker, outputs, world=attached.world).run(source, interrupt)
        interrupt.check()
        received = attached.received()
    pace = result.pace
    return ClientsRun(
        clients is not None, result.frames, result.dropped, pace.rate, pace.latency_p50_ms, pace.latency_p95_ms,
        monitor.cores, monitor.samples, received,
    )  # fmt: skip


class _Nobody:
    """No clients."""

    outputs: tuple[Output, ...] = ()
    world: LiveWorld | None = None

    def received(self) -> Received:
        return Received()


class _Attached:
    """Outputs, and the process with their clients, which ends when its input does."""

    def __init__(self, tracker: Tracker, clients: Clients) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        camera, self.world = tracker.config.camera, LiveWorld(tracker.config.world, tracker.body)
        page = WebPage(0)
        poses = open_send("ws://127.0.0.1:0", camera, self.world)
        assert isinstance(poses, WebSocketOutput)
        vmc = open_send(f"vmc://127.0.0.1:{port}", camera, self.world)
        self.outputs: tuple[Output, ...] = (page, poses, vmc)
        command = [sys.executable, "-m", "benchmarks.live_clients", f"--{clients}", page.address, poses.url, str(port)]
        pipe, root = subprocess.PIPE, str(Path(__file__).parents[1])  # wherever the run was started
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, env=os.environ | {"PYTHONPATH": root}
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "connected":
            raise SystemExit("the clients did not connect")

    def received(self) -> Received:
        """Ends the clients."""
        told, _ = self._process.communicate(timeout=_PATIENCE)
        return Received(**json.loads(told))

    def close(self) -> None:
        for output in self.outputs:
            output.close()
        self._process.kill()
        self._process.wait()


@contextmanager
def _clients(tracker: Tracker, clients: Clients) -> Iterator[_Attached]:
    attached = _Attached(tracker, clients)
    try:
        yield attached
    finally:
        attached.close()


# ------------------------------------------------------------------------------------ in the clients' process


class _Bundles(asyncio.DatagramProtocol):
    count = 0

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.count += 1


def give_way() -> None:
    """Lets this process run only where a processor has nothing else to do; where the system cannot, nothing happens."""
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


async def attend(page: str, poses: str, port: int) -> Received:
    """Connects, says so on standard output, and takes what comes until standard input ends."""
    loop = asyncio.get_running_loop()
    transport, bundles = await loop.create_datagram_endpoint(_Bundles, ("127.0.0.1", port))
    counts = {"pictures": 0, "page_poses": 0, "page_statuses": 0, "websocket_messages": 0}
    live = page.replace("http://", "ws://").replace("/?", "/live?")
    async with ClientSession() as session, session.ws_connect(live) as browser, session.ws_connect(poses) as follower:

        async def look() -> None:
            async for message in browser:
                if message.type is WSMsgType.TEXT:
                    counts["page_statuses"] += 1
                elif message.data.startswith(b"BTP1"):
                    counts["page_poses"] += 1
                else:
                    counts["pictures"] += 1
                    await browser.send_str("ready")

        async def follow() -> None:
            async for _ in follower:
                counts["websocket_messages"] += 1

        work = [asyncio.ensure_future(each()) for each in (look, follow)]
        print("connected", flush=True)
        await loop.run_in_executor(None, sys.stdin.read)
        for each in work:
            each.cancel()
        await asyncio.gather(*work, return_exceptions=True)
    transport.close()
    return Received(vmc_bundles=bundles.count, **counts)


# ------------------------------------------------------------------------------------------------ the command


def table(runs: Sequence[ClientsRun]) -> list[str]:
    """Markdown."""
    lines = [
        "| clients | frames | dropped | fps | latency p50 / p95 ms | cores | most MB | MB grown | descriptors grown |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        most = max((sample.rss_mb for sample in run.memory), default=0.0)
        lines.append(
            f"| {'page, VMC, WebSocket' if run.clients else 'none'} | {run.frames} | {run.dropped} | {run.fps:.2f} | "
            f"{run.p50_ms:.0f} / {run.p95_ms:.0f} | {run.cores:.2f} | {most:.0f} | {run.memory_growth_mb:+.0f} | "
            f"{run.descriptor_growth:+.0f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path, help="a video, played as a camera over and over")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=1, help="of a run without clients and one with them")
    parser.add_argument("--out", type=Path, default=RESULTS / "live_clients.json")
    parser.add_argument("--share-cores", action="store_true", help="clients compete for processor time")
    for kind in get_args(Clients):
        parser.add_argument(f"--{kind}", nargs=3, metavar=("PAGE", "POSES", "PORT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.elsewhere:
        give_way()
    if given.elsewhere or given.here:
        page, poses, port = given.elsewhere or given.here
        print(json.dumps(asdict(asyncio.run(attend(page, poses, int(port))))), flush=True)
        return
    if given.clip is None:
        parser.error("give a video")
    logging.getLogger("tracker").setLevel(logging.WARNING)
    clients: Clients = "here" if given.share_cores else "elsewhere"
    config = load_config("live", {"detect": {"punctual": False}, "engine": {"precision": "auto"}})
    runs = []
    with tempfile.TemporaryDirectory() as folder, Tracker.open(config) as tracker:
        prepare_for_real_time()
        for number in range(2 * given.rounds):
            attached = clients if number % 2 else None
            runs.append(measure(given.clip, 60 * given.minutes, attached, tracker, Path(folder)))
            tracker.restart()
            print(table(runs[-1:])[-1], flush=True)
    print("\n".join(["", *table(runs), "", *(str(run.received) for run in runs if run.clients)]))
    report = {"machine": machine(), "written": time.strftime("%Y-%m-%d"), "runs": [asdict(run) for run in runs]}
    write_whole(given.out, (json.dumps(report, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
