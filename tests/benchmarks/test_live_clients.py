"""The benchmark of a live run's clients: everybody gets something, and growth is told. No time is asserted."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.live_clients import ClientsRun, Received, measure, table
from benchmarks.monitor import MemorySample
from tests.app.test_live_camera import Everywhere
from tests.source_clips import ClipSpec, make_clip
from tracker.body import load_body
from tracker.pipeline import Tracker, TrackerConfig


@pytest.mark.slow
def test_every_client_gets_its_share(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", ClipSpec(count=25, size=(160, 120)))
    with Tracker(TrackerConfig(), load_body(None), Everywhere()) as tracker:
        run = measure(clip, 4.0, "elsewhere", tracker, tmp_path)
    assert run.frames > 3 and run.fps > 0 and run.memory
    received = run.received
    assert 0 < received.pictures <= run.frames and 0 < received.page_poses <= run.frames
    assert received.page_statuses > 0
    assert 0 < received.vmc_bundles <= run.frames and 0 < received.websocket_messages <= run.frames


def test_growth_is_from_the_second_to_the_last_quarter() -> None:
    memory = [MemorySample(float(i), 300.0 + (50.0 if i >= 30 else 0.0), 20 + i // 30) for i in range(40)]
    run = ClientsRun(True, 40, 2, 30.0, 40.0, 60.0, 1.5, memory, Received())
    assert (run.memory_growth_mb, run.descriptor_growth) == (50.0, 1.0)
    assert table([run])[-1].startswith("| page, VMC, WebSocket | 40 | 2 | 30.00 | 40 / 60 |")
