"""ONNX Runtime: the portable engine, on any CPU, and on NVIDIA GPUs through its CUDA provider."""

from __future__ import annotations

from pathlib import Path
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

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
_TYPES |= {"tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(double)": np.float64, "tensor(bool)": np.bool_}


class OnnxEngine(Engine):
    """One session."""

    def __init__(self, model: Path, options: EngineOptions) -> None:
        """Raises ModelError for a file that is no ONNX network, BackendError for what this machine cannot do."""
        runtime = _onnxruntime()
        provider, device_id = _provider(runtime, options)
        content = _content(model, options)
        session = runtime.SessionOptions()
        session.log_severity_level = 3
        # Threads that spin while they wait take the cores from the tracker's other stages.
        session.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if options.threads is not None:
            session.intra_op_num_threads = options.threads
        settings = {"device_id": device_id, "use_tf32": 0} if provider.startswith("CUDA") else {}
        try:
            self._session: Any = runtime.InferenceSession(content, session, providers=[(provider, settings)])
        except Exception as error:  # its exceptions share no base class but this one
            raise ModelError(
                f"{model}: onnxruntime cannot open it ({first_line(error)}); make the file anew"
            ) from error
        if provider not in self._session.get_providers():  # it falls back to the CPU by itself
            raise BackendError("onnxruntime could not start CUDA; install its CUDA libraries, or use --device cpu")
        super().__init__(
            [_spec(each) for each in self._session.get_inputs()],
            [_spec(each) for each in self._session.get_outputs()],
            {
                "backend": "onnxruntime",
                "version": runtime.__version__,
                "device": provider.removesuffix("ExecutionProvider").lower(),
                "precision": options.precision,
            },
        )

    def _run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        try:
            results = self._session.run(None, dict(inputs))
        except Exception as error:
            raise BackendError(f"onnxruntime failed: {first_line(error)}") from error
        return dict(zip(self.outputs, results, strict=True))

    def close(self) -> None:
        self._session = None


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(
            f"onnxruntime cannot be imported ({error}); install it with: pip install onnxruntime, or onnxruntime-gpu"
        ) from None
    return onnxruntime


def _provider(runtime: Any, options: EngineOptions) -> tuple[str, int]:
    """The execution provider for a device, and the GPU's number. Raises BackendError for one that is not here."""
    has_cuda = "CUDAExecutionProvider" in runtime.get_available_providers()
    if options.device == "cpu" or (options.device == "auto" and not has_cuda):
        if options.precision != "float32":
            raise BackendError(f"onnxruntime computes in float32 on the CPU, not in {options.precision}; use openvino")
        return "CPUExecutionProvider", 0
    if not has_cuda:
        raise BackendError(
            f"this onnxruntime has no CUDA for {options.device}; use: pip uninstall onnxruntime, "
            "then pip install onnxruntime-gpu"
        )
    if options.precision == "bfloat16":
        raise BackendError("onnxruntime computes in float32 or float16, not in bfloat16; use torch")
    return "CUDAExecutionProvider", int(options.device.partition(":")[2] or 0)


def _content(model: Path, options: EngineOptions) -> bytes:
    """The file's bytes, with only the wanted outputs, in half precision when that is asked for."""
    from engines.convert import half_precision, keep_outputs, read_onnx

    network = read_onnx(model)
    names = [output.name for output in network.graph.output]
    network = keep_outputs(network, wanted_outputs(str(model), names, options))
    if options.precision == "float16":
        network = half_precision(network)
    return bytes(network.SerializeToString())


def _spec(value: Any) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return TensorSpec(value.name, shape, np.dtype(_TYPES[value.type]))
