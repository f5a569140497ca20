"""One engine setting reaches every network: tried on a machine that is made up to have a GPU and TensorRT."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from engines import Engine, EngineOptions, choose
from engines.openvino_engine import OpenVinoEngine
from engines.plan import plan_path
from tracker.app.engine_commands import build
from tracker.config import load_config
from tracker.core.frame import Frame
from tracker.pipeline import Tracker
from tracker.runtime.engine_config import EngineConfig

pytestmark = pytest.mark.skipif(find_spec("mediapipe") is None, reason="mediapipe, which has the network, is missing")

Opened = list[tuple[str, Path, EngineOptions]]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """What is opened with TensorRT on a machine that has it; OpenVINO stands in for it."""
    networks: Opened = []

    def stand_in(model: Path, options: EngineOptions, name: str) -> Engine:
        networks.append((name, model, options))
        return OpenVinoEngine(model, replace(options, device="cpu"))

    backends = dict(choose.BACKENDS) | {"tensorrt": replace(choose.BACKENDS["tensorrt"], open=stand_in)}
    monkeypatch.setattr(choose, "BACKENDS", backends)
    monkeypatch.setattr(choose, "is_installed", lambda name: True)
    monkeypatch.setattr(choose, "_has_gpu", lambda options: options.device != "cpu")
    monkeypatch.setattr(EngineConfig, "kernels_device", "cpu")  # nothing stands in for that GPU
    yield networks


def test_every_network_runs_where_the_setting_says(opened: Opened) -> None:
    with Tracker.open(load_config(changes={"engine": {"device": "cuda:1", "threads": 2}})) as tracker:
        assert tracker.step(Frame(0, 0.0, np.full((96, 128, 3), 90, np.uint8))) == []
    assert [name for name, _, _ in opened] == ["whole", "people", "hands"]
    assert {(options.device, options.threads) for _, _, options in opened} == {("cuda:1", 2)}


def test_two_networks_where_that_is_asked_for(opened: Opened) -> None:
    changes = {"engine": {"one_graph": False}, "extract": {"hands": False}}
    with Tracker.open(load_config(changes=changes)):
        assert [name for name, _, _ in opened] == ["landmarks", "people", "features"]


def test_the_cpu_is_the_cpu_for_every_network(opened: Opened) -> None:
    with Tracker.open(load_config(changes={"engine": {"device": "cpu"}})) as tracker:
        assert tracker.engine.startswith("openvino")
    assert opened == []


def test_a_backend_is_that_of_every_network(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    changes = {"engine": {"backend": "onnxruntime", "device": "cpu"}}
    with caplog.at_level("INFO", logger="tracker.engines"), Tracker.open(load_config(changes=changes)):
        titles, engines = zip(*(message.split(": ONNX Runtime ") for message in caplog.messages), strict=True)
    assert [title.partition(" (")[0] for title in titles] == [
        "landmark network", "person detector", "feature network", "hand network"
    ]  # fmt: skip
    assert all(engine.endswith("on the CPU") for engine in engines)


def test_engine_build_makes_the_plans_that_the_tracker_opens(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def build_plan(model: Path, options: EngineOptions) -> Path:
        built.append(plan_path(model, options))
        return model  # a plan's place, whose size is told

    monkeypatch.setattr("engines.tensorrt_engine.build_plan", build_plan)
    assert len(list(build([], "tensorrt", EngineOptions()))) == len(built)
    with Tracker.open(load_config()):
        wanted = [plan_path(model, options) for _, model, options in opened]
    assert len(wanted) == 3
    assert set(wanted) <= set(built)
