"""Every TensorRT call that the engine makes exists, with these arguments, in TensorRT's own Python bindings.

The bindings are a small wheel without TensorRT's libraries. Empty libraries in their place are enough to import them,
and then each method's docstring has its signature. Nothing is run: that needs a GPU.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests import ROOT
from tests.programs import run_program

ENGINE = ROOT / "engines" / "tensorrt_engine.py"
SOURCE = ast.parse(ENGINE.read_text())
OF_OTHERS = set("append clear close device dtype empty get inputs numpy outputs precision Tensor type".split())
"""Attributes in that file that are torch's, numpy's or ours, and also the names of something of TensorRT."""
CALLS = {
    "Logger": ("min_severity",),
    "Runtime": ("logger",),
    "Runtime.deserialize_cuda_engine": ("serialized_engine",),
    "ICudaEngine.create_execution_context": (),
    "ICudaEngine.get_tensor_name": ("index",),
    "ICudaEngine.get_tensor_mode": ("name",),
    "ICudaEngine.get_tensor_shape": ("name",),
    "ICudaEngine.get_tensor_dtype": ("name",),
    "IExecutionContext.set_input_shape": ("name", "shape"),
    "IExecutionContext.get_tensor_shape": ("name",),
    "IExecutionContext.set_tensor_address": ("name", "memory"),
    "IExecutionContext.execute_async_v3": ("stream_handle",),
    "Builder": ("logger",),
    "Builder.create_network": ("flags",),
    "Builder.create_builder_config": (),
    "Builder.create_optimization_profile": (),
    "Builder.build_serialized_network": ("network", "config"),
    "INetworkDefinition.get_input": ("index",),
    "IOptimizationProfile.set_shape": ("input", "min", "opt", "max"),
    "IBuilderConfig.set_memory_pool_limit": ("pool", "pool_size"),
    "IBuilderConfig.clear_flag": ("flag",),
    "IBuilderConfig.create_timing_cache": ("serialized_timing_cache",),
    "IBuilderConfig.set_timing_cache": ("cache", "ignore_mismatch"),
    "IBuilderConfig.get_timing_cache": (),
    "IBuilderConfig.add_optimization_profile": ("profile",),
    "ITimingCache.serialize": (),
    "OnnxParser": ("network", "logger"),
    "OnnxParser.parse": ("model",),
    "OnnxParser.get_error": ("index",),
    "ParserError.desc": (),
}
"""What is called, and its arguments by the bindings' names, those that are given by position."""
NAMES = (
    "Logger.WARNING",
    "TensorIOMode.INPUT",
    "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
    "MemoryPoolType.WORKSPACE",
    "BuilderFlag.TF32",
    "ICudaEngine.num_io_tensors",
    "INetworkDefinition.num_inputs",
    "ITensor.name",
    "ITensor.shape",
    "nptype",
)
STUB = """
void *{name}() {{ return 0; }}
"""
PROBE = """
import inspect, json, tensorrt_bindings as trt

def found(path):
    value = trt
    for part in path.split("."):
        value = getattr(value, part, None)
    return value

def signature(path):
    value = found(path)
    return (value.__init__ if isinstance(value, type) else value).__doc__ if value is not None else None

calls, names = json.load(open({request!r}))
members = sorted({{name for kind in vars(trt).values() if isinstance(kind, type) for name in vars(kind)}})
top = [name for name, value in vars(trt).items() if not inspect.ismodule(value)]
report = {{"calls": {{c: signature(c) for c in calls}}, "names": {{n: found(n) is not None for n in names}}}}
print(json.dumps({{**report, "members": members, "top": top, "version": trt.__version__}}))
"""
MISSING = "tensorrt_cu13_bindings is not installed: pip install --no-deps tensorrt_cu13_bindings"


@pytest.fixture(scope="module")
def bindings(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the installed bindings say of CALLS and NAMES, and all their names."""
    if find_spec("tensorrt_bindings") is None:
        pytest.skip(MISSING)
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler on Linux to make the empty libraries")
    folder = tmp_path_factory.mktemp("tensorrt")
    request = folder / "request.json"
    request.write_text(json.dumps([list(CALLS), list(NAMES)]))
    make_empty_libraries(folder, compiler)
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(request=str(request))],
        env={**os.environ, "LD_LIBRARY_PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: dict = json.loads(done.stdout)
    return report


def make_empty_libraries(folder: Path, compiler: str) -> None:
    """Libraries with the names that the bindings ask for and the functions that they import from them."""
    version = next(d.version for d in distributions() if d.name.lower().startswith("tensorrt_cu") and "bind" in d.name)
    functions = (
        "createInferBuilder_INTERNAL createInferRefitter_INTERNAL createInferRuntime_INTERNAL getPluginRegistry "
        "createNvOnnxParserRefitter_INTERNAL createNvOnnxParser_INTERNAL getBuilderPluginRegistry getLogger "
        "getNvOnnxParserVersion initLibNvInferPlugins getInferLibVersion"
    )
    source = folder / "empty.c"
    source.write_text("".join(STUB.format(name=name) for name in functions.split()))
    for library in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
        name = f"lib{library}.so.{version.partition('.')[0]}"
        command = [compiler, "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", str(folder / name), str(source)]
        run_program(command)


@pytest.mark.parametrize("call", CALLS)
def test_the_call_exists_with_these_arguments(call: str, bindings: dict) -> None:
    signature = bindings["calls"][call]
    assert signature, f"TensorRT {bindings['version']} has no {call}"
    # One line for each overload: name(self: type, first: type = default, ...) -> result
    overloads = [line for line in signature.splitlines() if "(self" in line]
    given = [[part.split(":")[0].strip() for part in line.split("(", 1)[1].split(",")] for line in overloads]
    wanted = CALLS[call]
    assert any(tuple(names[1 : len(wanted) + 1]) == wanted for names in given), signature


@pytest.mark.parametrize("name", NAMES)
def test_the_name_exists(name: str, bindings: dict) -> None:
    assert bindings["names"][name], f"TensorRT {bindings['version']} has no {name}"


def test_nothing_is_used_that_is_not_compared(bindings: dict) -> None:
    """Whatever attribute in the engine's file is called as something of TensorRT is, stands in the tables above."""
    used = {node.attr for node in ast.walk(SOURCE) if isinstance(node, ast.Attribute)}
    theirs = {name for name in (*bindings["members"], *bindings["top"]) if not name.startswith("__")}
    assert (used & theirs) - OF_OTHERS <= {part for name in (*CALLS, *NAMES) for part in name.split(".")}


def test_what_is_compared_is_what_is_used() -> None:
    """Each name in the tables is in the engine's file, and each call there has as many arguments as in the table."""
    used = {node.attr for node in ast.walk(SOURCE) if isinstance(node, ast.Attribute)}
    assert {name.rpartition(".")[2] for name in (*CALLS, *NAMES)} <= used
    arguments = {name.rpartition(".")[2]: len(names) for name, names in CALLS.items()}
    calls = [node for node in ast.walk(SOURCE) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    counted = 0
    for node in calls:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if name in arguments and not any(isinstance(each, ast.Starred) for each in node.args):
            assert len(node.args) == arguments[name], ast.unparse(node)
            counted += 1
    assert counted >= len(CALLS) - 1
