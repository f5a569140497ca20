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
from tracker.networks.landmark_files import landmark_network_file, models_folder
from tracker.networks.landmark_network import FEATURES, LandmarkMaps, feature_sizes, is_heavy, read_landmark_network
from tracker.networks.landmark_onnx import INPUT, OUTPUTS, landmark_onnx, open_landmark_engine, output_sizes, planes
from tracker.networks.tflite import Graph, Operator
from tracker.networks.tflite_modules import _Steps

pytestmark = pytest.mark.skipif(find_spec("mediapipe") is None, reason="mediapipe, which carries it, is not installed")
OTHERS = [models_folder() / f"pose_landmark_{name}.tflite" for name in ("heavy", "lite")]
"""Where they are, `models get` has put them there; looked up before the cache of this file's tests takes its place."""
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


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.stem)
def test_the_other_networks_are_read_too(path: Path) -> None:
    if not path.is_file():
        pytest.skip(f"{path} is not on this machine; body-tracker models get {path.stem.rpartition('_')[2]}")
    picture = crops(1)
    with open_engine(path, "openvino", EngineOptions(threads=2)) as engine:
        truth = list(engine.run({"input_1": picture * np.float32(1 / 255)}).values())
    with open_landmark_engine("openvino", EngineOptions(threads=2), source=path) as engine:
        found = engine.run({INPUT: picture})
        sizes = {name: spec.shape[1:] for name, spec in engine.outputs.items()}
    assert sizes == output_sizes(feature_sizes(path)) != OUTPUTS
    np.testing.assert_allclose(found["landmarks"].ravel(), truth[0].ravel(), atol=2e-2)  # found: 4e-3 px
    np.testing.assert_allclose(found["metric"].ravel(), truth[4].ravel(), atol=TOLERANCES["metric"])
    np.testing.assert_allclose(found["heatmaps"], sigmoid(truth[3]), atol=TOLERANCES["heatmaps"])


def graph_of(*operators: Operator, pad: list[list[int]]) -> Graph:
    """Tensors 0, 1, 2 are 4×4 maps of two channels, 9 is what a PAD pads by."""
    shape = (1, 4, 4, 2)
    return Graph(operators, (0,), (operators[-1].outputs[0],), (shape, shape, shape), {9: np.array(pad)})


@pytest.mark.parametrize("path", [path for path in OTHERS if "heavy" in path.name], ids=lambda path: path.stem)
def test_the_heavy_network_is_known_by_its_wider_maps(path: Path) -> None:
    if not path.exists():
        pytest.skip(f"{path.name} is not here; body-tracker models get heavy")
    assert is_heavy(path)


def test_the_full_network_is_not_the_heavy_one() -> None:
    assert not is_heavy(landmark_network_file())


def test_a_pad_of_channels_widens_the_map() -> None:
    pad = Operator("PAD", (0, 9), (1,), {})
    total = Operator("ADD", (1, 1), (2,), {"activation": 0})
    steps = _Steps(graph_of(pad, total, pad=[[0, 0], [0, 0], [0, 0], [0, 3]]))
    assert steps.wiring == [((0,), 1), ((1, 1), 2)]
    picture = torch.rand(1, 2, 4, 4)
    widened = steps.modules[0](picture)
    assert widened.shape == (1, 5, 4, 4)
    assert torch.equal(widened[:, :2], picture) and not widened[:, 2:].any()


@pytest.mark.parametrize("pad", [[[0, 0], [1, 1], [1, 1], [0, 3]], [[0, 0], [1, 1], [1, 1], [0, 0]]])
def test_a_pad_that_is_not_understood_is_an_error(pad: list[list[int]]) -> None:
    """A margin and channels at once; a margin before a sum."""
    operators = Operator("PAD", (0, 9), (1,), {}), Operator("ADD", (1, 1), (2,), {"activation": 0})
    with pytest.raises(ValueError, match="PAD by"):
        _Steps(graph_of(*operators, pad=pad))


def test_an_unknown_operator_is_an_error() -> None:
    with pytest.raises(ValueError, match="SOFTMAX"):
        _Steps(graph_of(Operator("SOFTMAX", (0,), (1,), {}), pad=[]))
    with pytest.raises(ValueError, match="RESHAPE"):
        _Steps(graph_of(Operator("RESHAPE", (0,), (1,), {}), pad=[]))


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
    with pytest.raises(InputError, match=r"none\.tflite: no such file"):
        read_landmark_network(tmp_path / "none.tflite")
