"""Every engine gives what torch gives, and says in one line what is wrong with a file, a shape or a name."""

from __future__ import annotations

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from engines import BackendError, EngineOptions, ModelError, Network, TensorSpec, open_engine
from engines.choose import choose_backend
from engines.convert import export_onnx, half_precision, keep_outputs, read_onnx
from engines.engine import Precision
from engines.torch_engine import TorchEngine
from tests.programs import run_python

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


SINGLE = np.dtype(np.float32)
SHAPES = {"features": (8, 16, 16), "pose": (5,)}
BACKENDS_HERE = ["openvino", "onnxruntime", "torch"]


@pytest.fixture(scope="module")
def path(network: SmallNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("model") / "small.onnx"
    export_onnx(network, {INPUT: torch.zeros(2, 3, 32, 32)}, list(SHAPES), target, dynamic_batch=True)
    return target


@pytest.fixture(scope="module")
def model(network: SmallNetwork, path: Path) -> Network:
    outputs = tuple(TensorSpec(name, (None, *shape), SINGLE) for name, shape in SHAPES.items())
    return Network(
        "small", lambda: deepcopy(network), lambda: path, (TensorSpec(INPUT, (None, 3, 32, 32), SINGLE),), outputs
    )


def picture(batch: int = 1) -> np.ndarray:
    return np.random.default_rng(batch).random((batch, 3, 32, 32), dtype=np.float32)


@pytest.mark.parametrize("backend", BACKENDS_HERE)
def test_outputs_equal_torch(backend: str, network: SmallNetwork, model: Network) -> None:
    with open_engine(model, backend, EngineOptions(threads=1)) as engine:
        for batch in (1, 3):
            features, pose = network(torch.from_numpy(picture(batch)))
            found = engine.run({INPUT: picture(batch)})
            np.testing.assert_allclose(found["features"], features.detach().numpy(), atol=1e-5)
            np.testing.assert_allclose(found["pose"], pose.detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS_HERE)
def test_results_outlive_the_next_run(backend: str, model: Network) -> None:
    with open_engine(model, backend, EngineOptions(threads=1)) as engine:
        first = engine.run({INPUT: picture()})["pose"]
        kept = first.copy()
        engine.run({INPUT: np.zeros_like(picture())})
        np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("backend", BACKENDS_HERE)
def test_several_runs_at_a_time(backend: str, network: SmallNetwork, model: Network) -> None:
    pictures = [picture(batch) for batch in range(1, 8)]
    expected = [network(torch.from_numpy(each))[1].detach().numpy() for each in pictures]
    with open_engine(model, backend, EngineOptions(threads=1, streams=3)) as engine:
        assert engine.streams == (1 if backend == "onnxruntime" else 3)
        for found, right in zip(engine.run_each([{INPUT: each} for each in pictures]), expected, strict=True):
            np.testing.assert_allclose(found["pose"], right, atol=1e-5)
        with pytest.raises(ValueError, match="expected picture, got image"):
            engine.run_each([{INPUT: picture()}, {"image": picture()}])
        assert engine.run_each([]) == []


@pytest.mark.parametrize("backend", BACKENDS_HERE)
def test_any_thread_may_run_an_engine(backend: str, network: SmallNetwork, model: Network) -> None:
    pictures = [picture(1 + seed % 3) for seed in range(60)]
    expected = [network(torch.from_numpy(each))[1].detach().numpy() for each in pictures]
    with (
        open_engine(model, backend, EngineOptions(threads=1, streams=2)) as engine,
        ThreadPoolExecutor(5) as pool,
    ):
        some = [pool.submit(engine.run_each, [{INPUT: each}, {INPUT: each}]) for each in pictures]
        others = pool.map(lambda each: engine.run({INPUT: each}), pictures)
        for pair, other, right in zip(some, others, expected, strict=True):
            for found in (*pair.result(), other):
                np.testing.assert_allclose(found["pose"], right, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS_HERE)
def test_only_the_wanted_outputs(backend: str, model: Network) -> None:
    with open_engine(model, backend, EngineOptions(threads=1, outputs=("pose",))) as engine:
        assert list(engine.outputs) == ["pose"]
        assert list(engine.run({INPUT: picture()})) == ["pose"]
    with pytest.raises(ValueError, match="no output 'mask'; it has features, pose"):
        open_engine(model, backend, EngineOptions(outputs=("mask",)))


@pytest.mark.parametrize("backend", BACKENDS_HERE)
def test_bad_inputs_are_named(backend: str, model: Network) -> None:
    with open_engine(model, backend, EngineOptions(threads=1)) as engine:
        with pytest.raises(ValueError, match="expected picture, got image"):
            engine.run({"image": picture()})
        with pytest.raises(ValueError, match=r"picture: expected \(\*, 3, 32, 32\), got \(3, 32, 32\)"):
            engine.run({INPUT: picture()[0]})
        with pytest.raises(ValueError, match="picture: expected float32, got float64"):
            engine.run({INPUT: picture().astype(np.float64)})


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime", "auto"])
def test_a_damaged_file_is_an_error_that_names_it(backend: str, path: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(path.read_bytes()[:400])
    with pytest.raises(ModelError, match=r"damaged\.onnx"):
        open_engine(damaged, backend)


def test_what_cannot_be_opened(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        open_engine(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="a folder"):
        open_engine(tmp_path)
    with pytest.raises(BackendError, match="no engine 'caffe'; there are auto, "):
        open_engine(path, "caffe")
    text = tmp_path / "model.txt"
    text.write_text("no model")
    with pytest.raises(ModelError, match=r"openvino opens \.onnx, \.tflite, \.xml, not '\.txt'"):
        open_engine(text, "openvino")
    with pytest.raises(ModelError, match=r"torch runs networks, not files"):
        open_engine(path, "torch")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_without_a_gpu(model: Network, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A GPU that is asked for is an error and not the CPU; auto is OpenVINO, and says so in one line."""
    with pytest.raises(BackendError, match="torch finds no CUDA device for cuda:1; use --device cpu"):
        open_engine(model, "torch", EngineOptions(device="cuda:1"))
    with pytest.raises(BackendError, match="openvino runs on the CPU here, not on cuda"):
        open_engine(path, "openvino", EngineOptions(device="cuda"))
    with pytest.raises(BackendError, match="this onnxruntime has no CUDA for cuda"):
        open_engine(path, "onnxruntime", EngineOptions(device="cuda"))
    with caplog.at_level("INFO", logger="tracker.engines"), open_engine(model) as engine:
        assert engine.metadata["backend"] == "openvino"
    assert len(caplog.messages) == 1
    assert re.fullmatch(r"small: OpenVINO [\d.]+ on the CPU", caplog.messages[0])


def test_nothing_slower_steps_in(model: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT is there and fails: that is an error, although OpenVINO would work."""
    monkeypatch.setattr("engines.choose.is_installed", lambda name: True)
    monkeypatch.setattr("engines.choose._has_gpu", lambda options: True)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert choose_backend(model, EngineOptions()) == "tensorrt"
    with pytest.raises(BackendError, match="tensorrt cannot be imported"):
        open_engine(model)


def test_the_order_of_choice(model: Network, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"torch", "openvino", "onnxruntime"}
    monkeypatch.setattr("engines.choose.is_installed", lambda name: name in here)
    monkeypatch.setattr("engines.choose._has_gpu", lambda options: options.device != "cpu")
    assert choose_backend(model, EngineOptions()) == "torch"
    assert choose_backend(path, EngineOptions()) == "openvino"
    assert choose_backend(model, EngineOptions(device="cpu")) == "openvino"
    here.remove("openvino")
    assert choose_backend(model, EngineOptions(device="cpu")) == "onnxruntime"
    here.clear()
    with pytest.raises(BackendError, match="pip install openvino"):
        choose_backend(model, EngineOptions())


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_bfloat16_is_near_float32(backend: str, network: SmallNetwork, model: Network) -> None:
    if backend == "openvino" and not openvino_has("BF16"):
        pytest.skip("this CPU does not compute in bfloat16")
    with open_engine(model, backend, EngineOptions(threads=1, precision="bfloat16", device="cpu")) as engine:
        found = engine.run({INPUT: picture(2)})
    assert found["pose"].dtype == np.float32
    for name, expected in zip(SHAPES, network(torch.from_numpy(picture(2))), strict=True):
        error = np.abs(found[name] - expected.detach().numpy()).max()
        assert 0 < error < 2e-2  # of values up to 1; found: 3e-3


def test_auto_is_bfloat16_only_where_the_processor_computes_in_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def precision(backend: str) -> str:
        with open_engine(path, backend, EngineOptions(threads=1, precision="auto", device="cpu")) as engine:
            return engine.metadata["precision"]

    assert precision("openvino") == ("bfloat16" if openvino_has("BF16") else "float32")
    monkeypatch.setattr("engines.openvino_engine.computes_in_bfloat16", lambda: False)
    assert precision("openvino") == "float32"
    monkeypatch.setattr("engines.openvino_engine.computes_in_bfloat16", lambda: True)
    assert precision("onnxruntime") == "float32"


class Wide(nn.Module):
    """A wide convolution between two that are none: few weights, and as many channels out as in."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.layers = nn.ModuleList(nn.Conv2d(i, o, 1, bias=True) for i, o in ((3, 128), (128, 512), (512, 512)))

    def forward(self, crops: torch.Tensor) -> tuple[torch.Tensor, ...]:
        maps = [crops]
        for layer in self.layers:
            maps.append(layer(maps[-1]))
        return tuple(maps[1:])


@pytest.fixture(scope="module")
def wide_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wide") / "wide.onnx"
    export_onnx(Wide().eval(), {INPUT: torch.zeros(1, 3, 8, 8)}, ("first", "wide", "last"), path, dynamic_batch=False)
    return path


def test_mixed_precision_rounds_what_wide_convolutions_read_and_write(wide_path: Path) -> None:
    if not openvino_has("BF16"):
        pytest.skip("this CPU does not compute in bfloat16")
    crops = np.ascontiguousarray(picture()[:, :, :8, :8])
    with open_engine(wide_path, "openvino", EngineOptions(threads=1, precision="mixed", device="cpu")) as engine:
        found = engine.run({INPUT: crops})
        assert engine.metadata["precision"] == "mixed"
    with torch.no_grad():
        expected = dict(zip(found, Wide()(torch.from_numpy(crops)), strict=True))
    error = {name: np.abs(found[name] - each.numpy()).max() / each.abs().max() for name, each in expected.items()}
    assert error["first"] < 1e-6
    assert 1e-4 < error["wide"] < 1e-2  # bfloat16 rounds by up to 4e-3
    wide = torch.from_numpy(found["wide"])
    assert np.abs(found["last"] - Wide().layers[2](wide).detach().numpy()).max() < 1e-5 * np.abs(found["last"]).max()


def test_mixed_is_float32_where_bfloat16_gains_nothing(wide_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engines.openvino_engine.computes_in_bfloat16", lambda: False)
    for backend in ("openvino", "onnxruntime"):
        with open_engine(wide_path, backend, EngineOptions(threads=1, precision="mixed", device="cpu")) as engine:
            assert engine.metadata["precision"] == "float32"


def openvino_has(capability: str) -> bool:
    import openvino

    return capability in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def test_half_precision_onnx_is_near_float32(network: SmallNetwork, path: Path, tmp_path: Path) -> None:
    """Its weights are half, its inputs and outputs as before."""
    half = tmp_path / "half.onnx"
    converted = half_precision(read_onnx(path))
    half.write_bytes(converted.SerializeToString())
    kinds = {each.data_type for each in converted.graph.initializer if len(each.dims) == 4}
    assert kinds == {10}  # ONNX's number for float16
    with open_engine(half, "onnxruntime", EngineOptions(threads=1, device="cpu")) as engine:
        found = engine.run({INPUT: picture(2)})
    for name, expected in zip(SHAPES, network(torch.from_numpy(picture(2))), strict=True):
        assert found[name].dtype == np.float32
        assert 0 < np.abs(found[name] - expected.detach().numpy()).max() < 2e-3  # found: 4e-4


def test_what_only_other_outputs_need_is_left_out(path: Path) -> None:
    whole = read_onnx(path)
    features = keep_outputs(whole, ["features"])
    assert {node.op_type for node in whole.graph.node} - {node.op_type for node in features.graph.node} >= {"Gemm"}
    assert len(features.graph.initializer) < len(whole.graph.initializer)


def test_onnxruntime_on_the_cpu_is_single_precision(path: Path) -> None:
    with pytest.raises(BackendError, match="computes in float32 on the CPU, not in float16"):
        open_engine(path, "onnxruntime", EngineOptions(precision="float16", device="cpu"))


def test_torch_threads_are_put_back(model: Network) -> None:
    before = torch.get_num_threads()
    with open_engine(model, "torch", EngineOptions(threads=before + 1, device="cpu")) as engine:
        assert isinstance(engine, TorchEngine)
        engine.run({INPUT: picture()})
        found = engine.run_tensors({INPUT: torch.from_numpy(picture())})
    assert torch.get_num_threads() == before
    np.testing.assert_allclose(found["pose"].numpy(), engine.run({INPUT: picture()})["pose"])


def test_a_compiled_network_gives_the_same(
    network: SmallNetwork, model: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled as far as torch's own graph: the C++ that usually follows takes ten seconds to build."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    with open_engine(model, "torch", EngineOptions(threads=1, device="cpu", compiled=True)) as engine:
        found = engine.run({INPUT: picture(2)})
    for name, expected in zip(SHAPES, network(torch.from_numpy(picture(2))), strict=True):
        np.testing.assert_allclose(found[name], expected.detach().numpy(), atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("float16", 1e-2), ("bfloat16", 5e-2)])
def test_replayed_graphs_equal_torch(
    precision: Precision, tolerance: float, network: SmallNetwork, model: Network
) -> None:
    """Each batch size has its graph, and a replay sees the new inputs."""
    with open_engine(model, "torch", EngineOptions(precision=precision, device="cuda")) as engine:
        for batch in (1, 3, 1, 2):
            found = engine.run({INPUT: picture(batch)})
            for name, expected in zip(SHAPES, network(torch.from_numpy(picture(batch))), strict=True):
                np.testing.assert_allclose(found[name], expected.detach().numpy(), atol=tolerance)


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="threads: expected at least 1, got 0"):
        EngineOptions(threads=0)
    with pytest.raises(ValueError, match=r"precision: expected one of .*, got int3"):
        EngineOptions(precision="int3")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_batch"):
        EngineOptions(max_batch=0)
    with pytest.raises(ValueError, match="streams: expected at least 1, got 0"):
        EngineOptions(streams=0)
    with pytest.raises(ValueError, match="streams: 2 of them need threads"):
        EngineOptions(streams=2)


def test_a_spec_checks_rank_size_and_type() -> None:
    spec = TensorSpec("x", (None, 2), np.dtype(np.float32))
    spec.check(np.zeros((7, 2), np.float32))
    for wrong in (np.zeros((2,), np.float32), np.zeros((1, 3), np.float32), np.zeros((1, 2), np.float16)):
        with pytest.raises(ValueError, match="x: expected"):
            spec.check(wrong)


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available() or find_spec("tensorrt") is None, reason="no NVIDIA GPU, or no TensorRT"
)
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("float16", 1e-2)])
def test_tensorrt_equals_torch(precision: Precision, tolerance: float, network: SmallNetwork, model: Network) -> None:
    """Builds a plan for this GPU, runs it at several batch sizes, and refuses one that is larger."""
    from engines.tensorrt_engine import build_plan

    options = EngineOptions(precision=precision, device="cuda", max_batch=3)
    build_plan(model.onnx(), options)
    with open_engine(model, "tensorrt", options) as engine:
        for batch in (1, 3, 1, 2):
            found = engine.run({INPUT: picture(batch)})
            for name, expected in zip(SHAPES, network(torch.from_numpy(picture(batch))), strict=True):
                np.testing.assert_allclose(found[name], expected.detach().numpy(), atol=tolerance)
        with pytest.raises(ValueError, match="built for a batch of at most 3, got 4"):
            engine.run({INPUT: picture(4)})


@pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")
def test_openvino_reports_to_nobody_and_forks_nothing() -> None:
    """Its telemetry sends from a process that it forks, in a thread: that may hang whoever is in BLAS meanwhile."""
    probe = (
        "import os, time, threading\n"
        "forks = []\n"
        "os.register_at_fork(before=lambda: forks.append(1))\n"
        "from engines.openvino_engine import _openvino\n"
        "_openvino()\n"
        "time.sleep(1.0)\n"
        "from openvino.tools.ovc import telemetry_utils\n"
        "print(len(forks), telemetry_utils.tm.__name__)\n"
    )
    done = run_python(probe)
    assert done.stdout.split()[0] == "0"
    assert "stub" in done.stdout


@pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")
def test_a_signal_after_openvino_was_freed_elsewhere(path: Path) -> None:
    """Its plugin gives a signal stack to the thread that loads it, and frees that in the thread that drops it last: so
    Ctrl-C ended the process by a fault of memory."""
    probe = (
        "import gc, signal, threading\n"
        "from pathlib import Path\n"
        "from engines import EngineOptions, openvino_engine\n"
        f"held = [openvino_engine.OpenVinoEngine(Path({str(path)!r}), EngineOptions())]\n"
        "def drop():\n"
        "    held.clear()\n"
        "    openvino_engine._core.cache_clear()\n"
        "    gc.collect()\n"
        "other = threading.Thread(target=drop)\n"
        "other.start()\n"
        "other.join()\n"
        "signal.signal(signal.SIGINT, lambda *_: print('handled'))\n"
        "signal.raise_signal(signal.SIGINT)\n"
    )
    assert run_python(probe).stdout == "handled\n"
