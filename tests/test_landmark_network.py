"""The landmark network, read into torch and ONNX, is the network in mediapipe's wheel."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from engines import EngineOptions, open_engine
from engines.base import Arrays
from tracker.errors import InputError
from tracker.networks.landmark_network import FEATURES, OUTPUTS, landmark_network_file, read_landmark_network
from tracker.networks.landmark_onnx import INPUT, landmark_onnx, open_landmark_engine

pytestmark = pytest.mark.skipif(find_spec("mediapipe") is None, reason="mediapipe, which carries it, is not installed")
TOLERANCES = {"landmarks": 3e-3, "presence": 1e-5, "mask": 1e-2, "heatmaps": 1e-3, "metric": 5e-5}
"""Of each output in its own unit, the mask as a probability; found: 7e-4, 8e-8, 2e-3, 8e-5, 6e-6.

The mask's logits go up to 1500: single precision itself is up to 5e-3 from double, in OpenVINO as in torch.
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cache for all tests of this file, not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "networks-cache"))
        yield


def crops(count: int) -> np.ndarray:
    """(count, 3, 256, 256): smooth blobs, which move the outputs more than noise does."""
    coarse = torch.rand(count, 3, 9, 9, generator=torch.Generator().manual_seed(count))
    return torch.nn.functional.interpolate(coarse, size=(256, 256), mode="bicubic").clamp(0, 1).numpy()


@pytest.fixture(scope="module")
def expected() -> Arrays:
    """What OpenVINO makes of the wheel's own file, channels first."""
    with open_engine(landmark_network_file(), "openvino", EngineOptions(threads=2)) as engine:
        found = list(engine.run({"input_1": np.ascontiguousarray(crops(1).transpose(0, 2, 3, 1))}).values())
    return {
        "landmarks": found[0].reshape(1, 39, 5),
        "presence": found[1],
        "mask": found[2].transpose(0, 3, 1, 2),
        "heatmaps": found[3].transpose(0, 3, 1, 2),
        "metric": found[4].reshape(1, 39, 3),
    }


def check(found: Arrays, expected: Arrays) -> None:
    for name, tolerance in TOLERANCES.items():
        first, second = found[name], expected[name]
        if name == "mask":
            first, second = (1 / (1 + np.exp(-np.clip(each, -50, 50))) for each in (first, second))
        assert first.shape == second.shape, name
        assert np.abs(first - second).max() < tolerance, name


def test_torch_equals_the_wheels_network(expected: Arrays) -> None:
    maps = read_landmark_network()(torch.from_numpy(crops(1)))
    check({name: getattr(maps, name).numpy() for name in OUTPUTS}, expected)
    assert {name: tuple(each.shape[1:]) for name, each in maps.features.items()} == {
        name: (channels, side, side) for name, (channels, side) in FEATURES.items()
    }


def test_heatmaps_are_a_linear_map_of_the_last_decoder_map() -> None:
    """A 1×1 convolution, found again by least squares: so the feature is the one that it is named after."""
    maps = read_landmark_network()(torch.from_numpy(crops(3)))
    features = maps.features["decoder_64"].permute(0, 2, 3, 1).reshape(-1, 48).double()
    heatmaps = maps.heatmaps.permute(0, 2, 3, 1).reshape(-1, 39).double()
    rows = torch.cat([features, torch.ones(len(features), 1)], dim=1)
    assert (rows @ torch.linalg.lstsq(rows, heatmaps).solution - heatmaps).abs().max() < 1e-3


@pytest.mark.parametrize("dynamic", [False, True])
def test_onnx_equals_torch(dynamic: bool, expected: Arrays) -> None:
    with open_landmark_engine("openvino", EngineOptions(threads=2), dynamic_batch=dynamic) as engine:
        assert list(engine.outputs) == [*OUTPUTS, *FEATURES]
        check(engine.run({INPUT: crops(1)}), expected)
        batch = 2 if dynamic else 1
        found = engine.run({INPUT: crops(batch)})
        maps = read_landmark_network()(torch.from_numpy(crops(batch)))
        check(found, {name: getattr(maps, name).numpy() for name in OUTPUTS})
        for name, feature in maps.features.items():
            np.testing.assert_allclose(found[name], feature.numpy(), atol=2e-3, err_msg=name)  # found: 3e-4 of 286


def test_only_some_outputs(expected: Arrays) -> None:
    options = EngineOptions(threads=2, outputs=("metric", "decoder_16"))
    with open_landmark_engine("openvino", options) as engine:
        found = engine.run({INPUT: crops(1)})
    assert list(found) == ["metric", "decoder_16"]
    np.testing.assert_allclose(found["metric"], expected["metric"], atol=TOLERANCES["metric"])


def test_the_cached_file_is_used_again() -> None:
    first = landmark_onnx()
    written = first.stat().st_mtime_ns
    assert landmark_onnx() == first
    assert first.stat().st_mtime_ns == written
    assert not list(first.parent.glob("*.part"))


def test_gradients_reach_the_crop_and_not_the_weights() -> None:
    network = read_landmark_network()
    picture = torch.from_numpy(crops(1)).requires_grad_()
    network(picture).features["decoder_64"].sum().backward()
    assert picture.grad is not None
    assert picture.grad.abs().max() > 0
    assert all(weight.grad is None for weight in network.parameters())


@pytest.mark.parametrize("keep", [0, 5, 2000, 3_000_000, 6_000_000])
def test_a_cut_off_file_is_refused(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "cut.tflite"
    path.write_bytes(landmark_network_file().read_bytes()[:keep])
    with pytest.raises(InputError, match=r"cut\.tflite: (damaged|not a TFLite network)"):
        read_landmark_network(path)


def test_another_network_is_refused() -> None:
    detector = landmark_network_file().parents[1] / "pose_detection" / "pose_detection.tflite"
    with pytest.raises(InputError, match="pose_detection"):
        read_landmark_network(detector)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.tflite: cannot be read"):
        read_landmark_network(tmp_path / "none.tflite")
