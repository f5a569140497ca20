"""Every engine gives what torch gives, and says in one line what is wrong with a file, a shape or a name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from engines import BackendError, EngineOptions, ModelError, TensorSpec, open_engine

INPUT = "picture"


class SmallNetwork(nn.Module):
    """Convolutions with the operators of the real networks, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.head = nn.Linear(8, 5)

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = torch.relu(self.depthwise(torch.relu(self.stem(picture))))
        return features, self.head(features.mean(dim=(2, 3)))


@pytest.fixture(scope="module")
def network() -> SmallNetwork:
    torch.manual_seed(0)
    return SmallNetwork().eval()


@pytest.fixture(scope="module")
def model(network: SmallNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    torch.onnx.export(
        network,
        (torch.zeros(1, 3, 32, 32),),
        str(path),
        input_names=[INPUT],
        output_names=["features", "pose"],
        dynamic_axes={INPUT: {0: "batch"}, "features": {0: "batch"}, "pose": {0: "batch"}},
        dynamo=False,
    )
    return path


def picture(batch: int = 1) -> np.ndarray:
    return np.random.default_rng(batch).random((batch, 3, 32, 32), dtype=np.float32)


@pytest.mark.parametrize("backend", ["openvino"])
def test_outputs_equal_torch(backend: str, network: SmallNetwork, model: Path) -> None:
    with open_engine(model, backend, EngineOptions(threads=1)) as engine:
        for batch in (1, 3):
            features, pose = network(torch.from_numpy(picture(batch)))
            found = engine.run({INPUT: picture(batch)})
            np.testing.assert_allclose(found["features"], features.detach().numpy(), atol=1e-5)
            np.testing.assert_allclose(found["pose"], pose.detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("backend", ["openvino"])
def test_results_outlive_the_next_run(backend: str, model: Path) -> None:
    with open_engine(model, backend, EngineOptions(threads=1)) as engine:
        first = engine.run({INPUT: picture()})["pose"]
        kept = first.copy()
        engine.run({INPUT: np.zeros_like(picture())})
        np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("backend", ["openvino"])
def test_only_the_wanted_outputs(backend: str, model: Path) -> None:
    with open_engine(model, backend, EngineOptions(threads=1, outputs=("pose",))) as engine:
        assert list(engine.outputs) == ["pose"]
        assert list(engine.run({INPUT: picture()})) == ["pose"]
    with pytest.raises(ValueError, match="no output 'mask'; it has features, pose"):
        open_engine(model, backend, EngineOptions(outputs=("mask",)))


@pytest.mark.parametrize("backend", ["openvino"])
def test_bad_inputs_are_named(backend: str, model: Path) -> None:
    with open_engine(model, backend, EngineOptions(threads=1)) as engine:
        with pytest.raises(ValueError, match="expected picture, got image"):
            engine.run({"image": picture()})
        with pytest.raises(ValueError, match=r"picture: expected \(\*, 3, 32, 32\), got \(3, 32, 32\)"):
            engine.run({INPUT: picture()[0]})
        with pytest.raises(ValueError, match="picture: expected float32, got float64"):
            engine.run({INPUT: picture().astype(np.float64)})


@pytest.mark.parametrize("backend", ["openvino", "auto"])
def test_a_damaged_file_is_an_error_that_names_it(backend: str, model: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(model.read_bytes()[:400])
    with pytest.raises(ModelError, match=r"damaged\.onnx"):
        open_engine(damaged, backend)


def test_what_cannot_be_opened(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        open_engine(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="a folder"):
        open_engine(tmp_path)
    with pytest.raises(BackendError, match="no engine 'caffe'; there are auto, "):
        open_engine(model, "caffe")
    text = tmp_path / "model.txt"
    text.write_text("no model")
    with pytest.raises(ModelError, match=r"openvino opens \.onnx, \.tflite, \.xml, not '\.txt'"):
        open_engine(text, "openvino")


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="threads: expected at least 1, got 0"):
        EngineOptions(threads=0)
    with pytest.raises(ValueError, match=r"precision: expected one of .*, got int3"):
        EngineOptions(precision="int3")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_batch"):
        EngineOptions(max_batch=0)


def test_a_spec_checks_rank_size_and_type() -> None:
    spec = TensorSpec("x", (None, 2), np.dtype(np.float32))
    spec.check(np.zeros((7, 2), np.float32))
    for wrong in (np.zeros((2,), np.float32), np.zeros((1, 3), np.float32), np.zeros((1, 2), np.float16)):
        with pytest.raises(ValueError, match="x: expected"):
            spec.check(wrong)
