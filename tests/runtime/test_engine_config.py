"""One engine setting for all networks: what it refuses, and what it hands on."""

from __future__ import annotations

import pytest

from tracker.core.errors import InputError
from tracker.runtime.engine_config import EngineConfig


@pytest.mark.parametrize(("field", "value"), [("backend", "caffe"), ("threads", 0)])
def test_senseless_settings_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"engine\.{field}: expected .*got {value}"):
        EngineConfig(**{field: value})  # type: ignore[arg-type]


def test_options_carry_device_and_threads_to_every_network() -> None:
    options = EngineConfig(device="cuda:1", threads=3).options(("features",))
    assert (options.device, options.threads, options.outputs) == ("cuda:1", 3, ("features",))
