"""The landmark network, read into torch and ONNX, is the network in mediapipe's wheel."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from engines import EngineOptions, open_engine
from engines.engine import Arrays
from tracker.core.errors import InputError
from tracker.networks.landmark_network import FEATURES, LandmarkMaps, landmark_network_file, read_landmark_network
from tracker.networks.landmark_onnx import INPUT, OUTPUTS, landmark_onnx, open_landmark_engine, planes

pytestmark = pytest.mark.skipif(find_spec("mediapipe") is None, reason="mediapipe, which carries it, is not installed")
TOLERANCES = {"landmarks": 3e-3, "presence": 1e-5, "mask": 1e-2, "heatmaps": 3e-4, "metric": 5e-5}
"""Of each output in its own unit, mask and heatmaps as probabilities; found: 7e-4, 8e-8, 2e-3, 2e-5, 6e-6.

The mask's logits go up to 1500: single precision itself is up to 5e-3 from double, in OpenVINO as in torch.
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cache for all tests of this file, not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "networks-cache"))
        yield


def crops(count: int) -> np.ndarray:
    """(count, 256, 256, 3) uint8: smooth blobs, which move the outputs more than noise does."""
    coarse = torch.rand(count, 3, 9, 9, generator=torch.Generator().manual_seed(count))
    smooth = torch.nn.functional.interpolate(coarse, size=(256, 256), mode="bicubic").clamp(0, 1)
    return np.ascontiguousarray((255 * smooth).byte().permute(0, 2, 3, 1).numpy())


def read(count: int) -> LandmarkMaps:
    """What the network in torch makes of `crops`."""
    return read_landmark_network()(planes(torch.from_numpy(crops(count)), torch.float32))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * logits))


def given_out(maps: LandmarkMaps) -> dict[str, np.ndarray]:
    """What the engines should make of them."""
    last = {name: each.permute(0, 2, 3, 1).numpy() for name, each in maps.features.items()}
    mask = sigmoid(maps.mask.numpy()[:, 0])
    return {
        "landmarks": maps.landmarks.numpy(),
        "presence": maps.presence.numpy(),
        "mask": mask,
        "small_mask": mask.reshape(-1, 64, 4, 64, 4).mean(axis=(2, 4)),
        "heatmaps": sigmoid(maps.heatmaps.permute(0, 2, 3, 1).numpy()),
        "metric": maps.metric.numpy(),
        **last,
    }


@pytest.fixture(scope="module")
def expected() -> Arrays:
    """What OpenVINO makes of the wheel's own file."""
    with open_engine(landmark_network_file(), "openvino", EngineOptions(threads=2)) as engine:
        found = list(engine.run({"input_1": crops(1) * np.float32(1 / 255)}).values())
    return {
        "landmarks": found[0].reshape(1, 39, 5),
        "presence": found[1],
        "mask": sigmoid(found[2][..., 0]),
        "heatmaps": sigmoid(found[3]),
        "metric": found[4].reshape(1, 39, 3),
    }


def check(found: Arrays, expected: Arrays) -> None:
    for name, tolerance in TOLERANCES.items():
        first, second = found[name], expected[name]
        assert first.shape == second.shape, name
        assert np.abs(first - second).max() < tolerance, name


def test_torch_equals_the_wheels_network(expected: Arrays) -> None:
    maps = read(1)
    check(given_out(maps), expected)
    assert {name: tuple(each.shape[1:]) for name, each in maps.features.items()} == {
        name: (channels, side, side) for name, (channels, side) in FEATURES.items()
    }


def test_heatmaps_are_a_linear_map_of_the_last_decoder_map() -> None:
    """A 1×1 convolution, found again by least squares: so the feature is the one that it is named after."""
    maps = read(3)
    features = maps.features["decoder_64"].permute(0, 2, 3, 1).reshape(-1, 48).double()
    heatmaps = maps.heatmaps.permute(0, 2, 3, 1).reshape(-1, 39).double()
    rows = torch.cat([features, torch.ones(len(features), 1)], dim=1)
    assert (rows @ torch.linalg.lstsq(rows, heatmaps).solution - heatmaps).abs().max() < 1e-3


@pytest.mark.parametrize("dynamic", [False, True])
def test_onnx_equals_torch(dynamic: bool, expected: Arrays) -> None:
    with open_landmark_engine("openvino", EngineOptions(threads=2), dynamic_batch=dynamic) as engine:
        assert {name: spec.shape[1:] for name, spec in engine.outputs.items()} == OUTPUTS
        check(engine.run({INPUT: crops(1)}), expected)
        batch = 2 if dynamic else 1
        found = engine.run({INPUT: crops(batch)})
        truth = given_out(read(batch))
        check(found, truth)
        np.testing.assert_allclose(found["small_mask"], truth["small_mask"], atol=TOLERANCES["mask"])
        for name in FEATURES:
            np.testing.assert_allclose(found[name], truth[name], atol=2e-3, err_msg=name)  # found: 3e-4 of 286


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
    picture = planes(torch.from_numpy(crops(1)), torch.float32).requires_grad_()
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
