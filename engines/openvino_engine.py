"""OpenVINO: the engine for CPUs. Opens .onnx, .tflite and OpenVINO's own .xml as they are."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.engine import (
    Arrays,
    BackendError,
    Engine,
    EngineOptions,
    ModelError,
    TensorSpec,
    first_line,
    wanted_outputs,
)
from engines.mixed_precision import narrow_wide_convolutions

_ELEMENT_TYPES = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "mixed": "f32"}


class OpenVinoEngine(Engine):
    """One compiled network, and for each stream an inference request that its runs use again."""

    def __init__(self, model: Path, options: EngineOptions) -> None:
        """Raises ModelError for a file that OpenVINO cannot read, BackendError where OpenVINO does not run."""
        openvino = _openvino()
        if options.device not in ("auto", "cpu"):
            raise BackendError(f"openvino runs on the CPU here, not on {options.device}; use the backend torch")
        core = _core()
        network = _read(core, model)
        ports = {_name(port): port for port in network.outputs}
        names = wanted_outputs(str(model), list(ports), options)
        if len(names) < len(ports):
            network = openvino.Model([ports[name] for name in names], network.get_parameters(), model.stem)
        self._names = [_name(port) for port in network.outputs]  # compiled ones may bear an inner tensor's name
        if options.precision == "mixed":
            narrow_wide_convolutions(network)
        compiled = _compile(core, network, model, options)
        self._tensor = openvino.Tensor
        self._requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(options.streams):
            self._requests.put(compiled.create_infer_request())
        super().__init__(
            [_spec(_name(port), port) for port in compiled.inputs],
            [_spec(name, port) for name, port in zip(self._names, compiled.outputs, strict=True)],
            {
                "backend": "openvino",
                "version": openvino.__version__.partition("-")[0],
                "device": str(core.get_property("CPU", "FULL_DEVICE_NAME")),
                "precision": options.precision,
                "threads": str(compiled.get_property("INFERENCE_NUM_THREADS")),
            },
            options.streams,
        )

    def run_each(self, inputs: Sequence[Arrays]) -> list[dict[str, NDArray[Any]]]:
        """`run` for each of several, as many at a time as there are requests to spare; in the same order."""
        for each in inputs:
            self._check(each)
        outputs = []
        with self._spare_requests(min(len(inputs), self.streams)) as requests:
            for first in range(0, len(inputs), len(requests) or 1):
                outputs += self._together(requests, inputs[first : first + len(requests)])
        return outputs

    def _run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        given = self._readable(inputs)
        with self._spare_requests(1) as (request,):
            try:
                self._give(request, given)
                results = request.infer()
            except RuntimeError as error:
                raise BackendError(f"openvino failed: {first_line(error)}") from error
        return {name: results[index] for index, name in enumerate(self._names)}

    @contextmanager
    def _spare_requests(self, most: int) -> Iterator[list[Any]]:
        """One request, waited for, and of the others those that nobody uses, up to `most`."""
        requests = [self._requests.get()] if most > 0 else []
        with suppress(Empty):
            while len(requests) < most:
                requests.append(self._requests.get_nowait())
        try:
            yield requests
        finally:
            for request in requests:
                self._requests.put(request)

    def _together(self, requests: Sequence[Any], inputs: Sequence[Arrays]) -> list[dict[str, NDArray[Any]]]:
        """Runs no more inputs than requests, each in its own, all at a time."""
        started, given = [], [self._readable(each) for each in inputs]
        try:
            for request, each in zip(requests, given, strict=False):
                self._give(request, each)
                request.start_async()
                started.append(request)
            return [self._outputs(request) for request in started]
        except RuntimeError as error:
            raise BackendError(f"openvino failed: {first_line(error)}") from error
        finally:
            for request in started:
                with suppress(RuntimeError):  # which has been told
                    request.wait()

    def _readable(self, inputs: Arrays) -> list[NDArray[Any]]:
        """The arrays in the order of the network's inputs, as OpenVINO can read them where they lie."""
        arrays = (inputs[name] for name in self.inputs)
        return [array if array.flags.carray else np.array(array, order="C") for array in arrays]

    def _give(self, request: Any, arrays: Sequence[NDArray[Any]]) -> None:
        """Has a request read these arrays where they lie: OpenVINO does not keep them, so that they must live until the
        request is done. Its own way from a dictionary to a request takes half a millisecond for what the extractor
        reads."""
        for index, array in enumerate(arrays):
            request.set_input_tensor(index, self._tensor(array, shared_memory=True))

    def _outputs(self, request: Any) -> dict[str, NDArray[Any]]:
        request.wait()
        return {name: request.get_output_tensor(i).data.copy() for i, name in enumerate(self._names)}

    def close(self) -> None:
        self._requests = SimpleQueue()


def _openvino() -> Any:
    # It would report its use over the network, which nobody has asked for, from a process that it forks in a thread,
    # which hangs this one for good if another thread is at a matrix product just then. Without the module it does not.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise BackendError(f"openvino cannot be imported ({error}); install it with: pip install openvino") from None
    return openvino


def computes_in_bfloat16() -> bool:
    """Whether this processor does by itself (AMX, AVX-512 BF16, or an ARM's). Raises BackendError without OpenVINO."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@functools.cache
def _core() -> Any:
    """The process's one Core, with the CPU's plugin loaded.

    The plugin gives the thread that loads it a signal stack, and frees that with itself, from whichever thread drops
    the last engine: the next signal, as Ctrl-C, would then run on freed memory. So a thread that ends at once loads it.
    """
    core = _openvino().Core()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(core.get_property, "CPU", "FULL_DEVICE_NAME").result()
    return core


def _read(core: Any, model: Path) -> Any:
    try:
        return core.read_model(model)
    except RuntimeError as error:
        raise ModelError(f"{model}: openvino cannot read it ({first_line(error)}); make the file anew") from error


def _compile(core: Any, network: Any, model: Path, options: EngineOptions) -> Any:
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": _ELEMENT_TYPES[options.precision],
        # Pinned threads wait for the core of a busy neighbour while other cores idle.
        "ENABLE_CPU_PINNING": False,
    }
    if options.threads is not None:
        settings |= {"INFERENCE_NUM_THREADS": options.threads * options.streams, "NUM_STREAMS": options.streams}
    try:
        return core.compile_model(network, "CPU", settings)
    except RuntimeError as error:
        raise BackendError(f"openvino cannot prepare {model} for this CPU: {first_line(error)}") from error


def _name(port: Any) -> str:
    return str(port.get_any_name())


def _spec(name: str, port: Any) -> TensorSpec:
    shape = tuple(None if size.is_dynamic else size.get_length() for size in port.get_partial_shape())
    return TensorSpec(name, shape, np.dtype(port.get_element_type().to_dtype()))
