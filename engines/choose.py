"""Which engine runs a network: the one asked for, or the fastest that this machine has."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from engines.engine import BackendError, Engine, EngineOptions, ModelError, Network, Precision

_log = logging.getLogger("tracker.engines")


@dataclass(frozen=True)
class Backend:
    """A runtime: what it reads, what it needs, how it is opened."""

    title: str
    """As its makers write it, for messages."""
    package: str
    suffixes: tuple[str, ...]
    """Model files that it opens; none for torch, which wants the network itself."""
    needs_gpu: bool
    """Whether auto takes it only where there is an NVIDIA GPU."""
    open: Callable[[Path, EngineOptions, str], Engine] | None
    """From the model file, the options and the network's name."""


def _tensorrt(model: Path, options: EngineOptions, name: str) -> Engine:
    from engines.tensorrt_engine import TensorrtEngine

    return TensorrtEngine(model, options, name)


def _openvino(model: Path, options: EngineOptions, name: str) -> Engine:
    from engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(model, options)


def _onnxruntime(model: Path, options: EngineOptions, name: str) -> Engine:
    from engines.onnx_engine import OnnxEngine

    return OnnxEngine(model, options)


BACKENDS: Mapping[str, Backend] = {
    "tensorrt": Backend("TensorRT", "tensorrt", (".onnx",), True, _tensorrt),
    "torch": Backend("PyTorch", "torch", (), True, None),
    "openvino": Backend("OpenVINO", "openvino", (".onnx", ".tflite", ".xml"), False, _openvino),
    "onnxruntime": Backend("ONNX Runtime", "onnxruntime", (".onnx",), False, _onnxruntime),
}
"""In the order in which auto tries them."""


def open_engine(model: Path | Network, backend: str = "auto", options: EngineOptions | None = None) -> Engine:
    """Opens a model file or a network with a backend: one of BACKENDS, or auto for the fastest that is here.

    What was chosen is logged. When it fails, that is an error: nothing slower steps in unasked.
    Raises ModelError for a file that cannot be used, BackendError for a backend that cannot, ValueError for options
    that the model does not allow.
    """
    options = options or EngineOptions()
    if isinstance(model, Path) and not model.is_file():
        raise ModelError(f"{model}: {'a folder' if model.is_dir() else 'no such file'}; expected a model file")
    chosen = choose_backend(model, options) if backend == "auto" else backend
    if chosen not in BACKENDS:
        raise BackendError(f"no engine '{backend}'; there are auto, {', '.join(BACKENDS)}")
    engine = _opened(model, chosen, replace(options, precision=_precision(chosen, options)))
    _log.info("%s: %s", _title(model.stem if isinstance(model, Path) else model.name), _described(engine, chosen))
    return engine


_TITLES = {
    "landmarks": "landmark network",
    "features": "feature network",
    "whole": "landmark and feature network",
    "people": "person detector",
    "hands": "hand network",
}


def _title(name: str) -> str:
    """A network's name as a user may read it: `landmarks-heavy` is the landmark network (heavy)."""
    base, _, variant = name.partition("-")
    return _TITLES.get(base, base) + (f" ({variant})" if variant else "")


_PRECISIONS = {"float32": "", "mixed": ", mixed precision"}


def _described(engine: Engine, backend: str) -> str:
    metadata = engine.metadata
    on_cpu = backend == "openvino" or metadata["device"] == "cpu"  # OpenVINO gives the processor's name
    device = "the CPU" if on_cpu else metadata["device"]
    precision = _PRECISIONS.get(metadata["precision"], f", {metadata['precision']}")
    return f"{BACKENDS[backend].title} {metadata['version']} on {device}{precision}"


def choose_backend(model: Path | Network, options: EngineOptions) -> str:
    """What auto means here. Raises BackendError where nothing that is installed opens the model."""
    for name, backend in BACKENDS.items():
        reads = model.suffix in backend.suffixes if isinstance(model, Path) else True
        if reads and is_installed(name) and (not backend.needs_gpu or _has_gpu(options)):
            return name
    raise BackendError(f"nothing installed here opens {model.name}; install an engine with: pip install openvino")


def runs_on_gpu(backend: str, options: EngineOptions) -> bool:
    """Whether a backend, or auto, runs networks on a GPU here."""
    return backend != "openvino" and _has_gpu(options)


def _precision(backend: str, options: EngineOptions) -> Precision:
    """What auto and mixed mean for a backend that has been chosen. Others than OpenVINO gain nothing by bfloat16 on a
    CPU, or do not have it."""
    if options.precision not in ("auto", "mixed"):
        return options.precision
    if backend != "openvino":
        return "float32"
    from engines.openvino_engine import computes_in_bfloat16

    if not computes_in_bfloat16():
        return "float32"
    return "bfloat16" if options.precision == "auto" else "mixed"


def is_installed(backend: str) -> bool:
    return find_spec(BACKENDS[backend].package) is not None


def _opened(model: Path | Network, name: str, options: EngineOptions) -> Engine:
    backend = BACKENDS[name]
    if isinstance(model, Network):
        if backend.open is not None:
            return backend.open(model.onnx(), options, model.name)
        from engines.torch_engine import TorchEngine

        return TorchEngine(model, options)
    if backend.open is None:
        raise ModelError(f"{model}: torch runs networks, not files; use {', '.join(set(BACKENDS) - {name})}")
    if model.suffix not in backend.suffixes:
        raise ModelError(f"{model}: {name} opens {', '.join(backend.suffixes)}, not '{model.suffix}'")
    return backend.open(model, options, model.stem)


def _has_gpu(options: EngineOptions) -> bool:
    import torch

    return options.device != "cpu" and torch.cuda.is_available()
