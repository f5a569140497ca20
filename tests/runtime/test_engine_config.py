"""One engine setting for all networks: what it refuses, and what it hands on."""

from __future__ import annotations

from typing import get_args

import pytest

from engines.engine import Precision
from tracker.cli.command_config import configured
from tracker.core.errors import InputError
from tracker.runtime import engine_config
from tracker.runtime.engine_config import EngineConfig


@pytest.mark.parametrize(
    ("field", "value"), [("backend", "caffe"), ("threads", 0), ("streams", 0), ("precision", "int3")]
)
def test_senseless_settings_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"engine\.{field}: expected .*got {value}"):
        EngineConfig(**{field: value})  # type: ignore[arg-type]


def test_options_carry_device_and_threads_to_every_network() -> None:
    options = EngineConfig(device="cuda:1", threads=3).options(("features",))
    assert (options.device, options.threads, options.outputs) == ("cuda:1", 3, ("features",))


def test_people_are_seen_several_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def streams(config: EngineConfig) -> int:
        return config.options_for_people(("features",)).streams

    monkeypatch.setattr(engine_config, "core_share", lambda: None)
    monkeypatch.setattr(engine_config, "available_cores", lambda: 5)
    assert streams(EngineConfig()) == 2
    assert streams(EngineConfig(streams=5)) == 5
    monkeypatch.setattr(engine_config, "available_cores", lambda: 64)
    assert streams(EngineConfig()) == 4
    monkeypatch.setattr(engine_config, "core_share", lambda: 1)
    assert streams(EngineConfig()) == 1
    assert EngineConfig().options(("boxes",)).streams == 1


@pytest.mark.parametrize(
    ("cores", "threads", "streams"), [(1, 1, 1), (2, 1, 1), (3, 1, 1), (4, 2, 1), (8, 2, 2), (64, 2, 2)]
)
def test_what_all_else_waits_for_has_two_threads_where_cores_allow(
    cores: int, threads: int, streams: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_config, "core_share", lambda: None)
    monkeypatch.setattr(engine_config, "available_cores", lambda: cores)
    heavy = EngineConfig().options_for_heavy(("landmarks",))
    assert (heavy.threads, heavy.streams) == (threads, streams)
    assert EngineConfig().options_for_people(("landmarks",)).threads == 1
    assert EngineConfig(threads=1).options_for_heavy(("landmarks",)).threads == 1
    assert EngineConfig(streams=3).options_for_heavy(("landmarks",)).streams == 3


def test_networks_are_one_graph_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not EngineConfig().is_one_graph
    assert EngineConfig(one_graph=True).is_one_graph
    with pytest.raises(InputError, match=r"engine\.one_graph: landmarks need more than bfloat16"):
        EngineConfig(one_graph=True, precision="bfloat16")
    monkeypatch.setattr(engine_config, "runs_on_gpu", lambda backend, options: options.device != "cpu")
    assert EngineConfig().is_one_graph
    assert EngineConfig().options_for_people(("features",)).streams == 4
    assert not EngineConfig(one_graph=False).is_one_graph
    assert EngineConfig(precision="float16").is_one_graph
    assert not EngineConfig(precision="bfloat16").is_one_graph
    assert not EngineConfig(device="cpu").is_one_graph


def test_landmark_networks_are_never_in_bfloat16_as_a_whole() -> None:
    precisions = {each: EngineConfig(precision=each).landmark_precision for each in get_args(Precision)}
    assert precisions == {
        "auto": "mixed",
        "bfloat16": "mixed",
        "mixed": "mixed",
        "float32": "float32",
        "float16": "float32",
    }


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_a_commands_own_engine_settings_stay_beside_its_device(device: str) -> None:
    """`--set` is over both."""
    given = {"device": device, "config": "live", "assignments": ()}
    config = configured(given, {"engine": {"streams": 2}})
    assert (config.engine.streams, config.engine.device) == (2, device)
    assert configured(given, {}).engine.streams is None
    asked = given | {"assignments": ("engine.streams=3",)}
    assert configured(asked, {"engine": {"streams": 2}}).engine.streams == 3
