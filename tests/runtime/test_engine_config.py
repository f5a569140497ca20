"""One engine setting for all networks: what it refuses, and what it hands on."""

from __future__ import annotations

import pytest

from tracker.cli import configured
from tracker.core.errors import InputError
from tracker.runtime.engine_config import EngineConfig


@pytest.mark.parametrize(("field", "value"), [("backend", "caffe"), ("threads", 0), ("precision", "int3")])
def test_senseless_settings_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"engine\.{field}: expected .*got {value}"):
        EngineConfig(**{field: value})  # type: ignore[arg-type]


def test_options_carry_device_and_threads_to_every_network() -> None:
    options = EngineConfig(device="cuda:1", threads=3).options(("features",))
    assert (options.device, options.threads, options.outputs) == ("cuda:1", 3, ("features",))


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_a_commands_own_engine_settings_stay_beside_its_device(device: str) -> None:
    """As live's, which takes the quicker precision; `--set` is over both."""
    given = {"device": device, "config": "live", "assignments": ()}
    config = configured(given, {"engine": {"precision": "auto"}})
    assert (config.engine.precision, config.engine.device) == ("auto", device)
    assert configured(given, {}).engine.precision == "float32"
    asked = given | {"assignments": ("engine.precision=float32",)}
    assert configured(asked, {"engine": {"precision": "auto"}}).engine.precision == "float32"
