"""`run.py engine`: what it builds, lists and compares, and what it says to somebody who asks for the impossible."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray

from engines import Engine, EngineOptions, TensorSpec, open_engine
from engines.convert import half_precision, read_onnx
from engines.engine import Precision
from engines.plan import PlanNote, write_plan
from kernels.build import load_library
from tracker.app.engine_commands import NETWORKS, TOLERANCES, build, check, compare, example_inputs, listing
from tracker.cli.entry import cli
from tracker.core.errors import InputError, RunError

pytestmark = pytest.mark.skipif(find_spec("mediapipe") is None, reason="mediapipe, which has the network, is missing")
ONE_THREAD = EngineOptions(threads=1, device="cpu")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    load_library()  # the C++ kernels, from the user's cache before it is out of sight
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "body-tracker" / "networks"


def test_build_makes_each_networks_file(cache: Path) -> None:
    """Of those that are here: heavy and lite are not, in a new cache."""
    here = [name for name in NETWORKS if name not in ("landmarks-heavy", "landmarks-lite")]
    lines = list(build([], "openvino", ONE_THREAD))
    assert [line.split(":")[0] for line in lines] == here
    assert len(list(cache.glob("*.onnx"))) == len(here)
    assert all(str(cache) in line for line in lines)


def test_list_says_what_fits(cache: Path) -> None:
    assert "nothing built yet" in list(listing())[-1]
    list(build(["landmarks"], "onnxruntime", ONE_THREAD))
    (cache / "pose_landmark_full-0123456789abcdef-v0-batch_1.onnx").write_bytes(b"old")
    write_plan(cache / "other.plan", b"plan", PlanNote("9.9", "NVIDIA Imaginary", "float16", 4, "0" * 64))
    (cache / "bare.plan").write_bytes(b"plan")
    told = {Path(line.split("  ")[0]).name: line.split("  ")[-1] for line in listing() if "MiB" in line}
    assert len(told) == 4
    assert [text for name, text in told.items() if "-v0-" not in name and name.endswith("batch_1.onnx")] == ["fits"]
    assert told["pose_landmark_full-0123456789abcdef-v0-batch_1.onnx"].startswith("left from another version")
    assert told["other.plan"].startswith("does not fit: needs NVIDIA Imaginary, needs 9.9")
    assert "nothing says what it was built for" in told["bare.plan"]


@pytest.mark.parametrize("network", ["landmarks", "features", "whole", "people", "hands"])
def test_every_engine_agrees_with_torch(cache: Path, network: str) -> None:
    found = {each.backend: each for each in check(network, ["openvino", "onnxruntime"], ONE_THREAD)}
    assert set(found) == {"openvino", "onnxruntime"}
    assert all(each.agrees and 0 < each.error < 1e-4 and each.median_ms > 0 for each in found.values())


def test_half_precision_stays_within_its_tolerance(cache: Path) -> None:
    """The ONNX file in half precision, which is what TensorRT and ONNX Runtime's CUDA get, run on the CPU."""
    network = NETWORKS["landmarks"].describe()
    half = cache / "half.onnx"
    half.parent.mkdir(parents=True)
    half.write_bytes(half_precision(read_onnx(network.onnx())).SerializeToString())
    inputs = example_inputs(network, 1)
    with open_engine(network, "torch", ONE_THREAD) as reference, open_engine(half, "onnxruntime", ONE_THREAD) as engine:
        found = compare(engine, inputs, reference.run(inputs))
    assert 1e-4 < found.error < TOLERANCES["float16"]
    assert half.stat().st_size < 0.6 * network.onnx().stat().st_size


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_torch_in_lower_precision_stays_within_its_tolerance(precision: Precision) -> None:
    options = EngineOptions(threads=1, device="cpu", precision=precision)
    (found,) = check("landmarks", ["torch"], options)
    assert found.precision == precision
    assert 1e-4 < found.error < TOLERANCES[precision]


class Off(Engine):
    """Gives what it was told to, whatever comes in."""

    def __init__(self, pose: NDArray[np.float32]) -> None:
        spec = TensorSpec("pose", pose.shape, pose.dtype)
        told = {"backend": "off", "version": "1", "device": "none", "precision": "float32"}
        super().__init__([spec], [spec], told)
        self.pose = pose

    def _run(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        return {"pose": self.pose}


def test_an_engine_that_is_off_does_not_agree() -> None:
    right = np.array([3.0, 4.0], np.float32)
    wrong = compare(Off(right + np.array([0.0, 0.05], np.float32)), {"pose": right}, {"pose": right})
    assert wrong.error == pytest.approx(0.05 / 5, rel=1e-4)
    assert not wrong.agrees
    assert compare(Off(right), {"pose": right}, {"pose": right}).agrees


def test_example_pictures_are_of_a_person() -> None:
    network = NETWORKS["landmarks-batch"].describe()
    (pictures,) = example_inputs(network, 2).values()
    assert pictures.shape == (2, 256, 256, 3)
    assert not np.array_equal(pictures[0], pictures[1])
    with torch.inference_mode():
        outputs = network.module()(torch.from_numpy(pictures))
    presence = dict(zip((spec.name for spec in network.outputs), outputs, strict=True))["presence"]
    assert (presence > 0.9).all()


def test_errors_name_what_was_given(cache: Path) -> None:
    with pytest.raises(InputError, match=r"network feet: expected one of landmarks, landmarks-batch, .*features"):
        list(check("feet", [], ONE_THREAD))
    with pytest.raises(InputError, match="backend caffe: expected one of auto, tensorrt"):
        list(build(["landmarks"], "caffe", ONE_THREAD))
    with pytest.raises(InputError, match="no output 'hands'"):
        list(check("landmarks", ["openvino"], EngineOptions(threads=1, device="cpu", outputs=("hands",))))


@pytest.mark.skipif(find_spec("tensorrt") is not None, reason="TensorRT is installed")
def test_building_for_tensorrt_without_it(cache: Path) -> None:
    with pytest.raises(RunError, match="pip install tensorrt"):
        list(build(["landmarks"], "tensorrt", ONE_THREAD))


def test_the_command_line(cache: Path) -> None:
    done = CliRunner().invoke(cli, ["engine", "build", "landmarks", "--backend", "openvino"])
    assert done.exit_code == 0, done.output
    assert "landmarks: openvino uses" in done.output
    arguments = ["engine", "check", "landmarks", "--backend", "openvino", "--threads", "1", "--outputs", "landmarks"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1].endswith("landmarks")
    assert CliRunner().invoke(cli, ["engine", "list"]).exit_code == 0
