"""MediaPipe's hand network in torch computes what its makers' file says, and other files are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engines import open_engine
from tracker.core.errors import InputError
from tracker.networks.hand_network import INPUT, OUTPUTS, SIDE, hand_model, hand_network_file, read_hand_network
from tracker.networks.landmark_files import landmark_network_file

pytest.importorskip("mediapipe")


@pytest.fixture(scope="module")
def file() -> Path:
    found = hand_network_file()
    assert found is not None
    return found


def test_it_computes_what_the_file_says(file: Path) -> None:
    openvino = pytest.importorskip("openvino")
    crop = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    compiled = openvino.Core().compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    expected = [np.asarray(value) for value in compiled({0: crop.astype(np.float32) / 255}).values()]
    with torch.no_grad():
        found = read_hand_network(file)(torch.from_numpy(crop))
    with open_engine(hand_model(file)) as engine:
        run = engine.run({INPUT: crop})
    for name, value, truth in zip(OUTPUTS, found, expected, strict=True):
        assert value.shape == (1, *OUTPUTS[name])
        scale = max(float(np.abs(truth).max()), 1e-2)
        np.testing.assert_allclose(value.numpy().ravel(), truth.ravel(), atol=2e-4 * scale, err_msg=name)
        np.testing.assert_allclose(run[name].ravel(), truth.ravel(), atol=1e-3 * scale, err_msg=name)


def test_another_network_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a hand landmark network"):
        read_hand_network(landmark_network_file())
    damaged = tmp_path / "hands.tflite"
    damaged.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"hands\.tflite: damaged"):
        read_hand_network(damaged)
