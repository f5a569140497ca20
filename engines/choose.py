"""Which engine runs a model: the one asked for, or the fastest that this machine has."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from engines.base import BackendError, Engine, EngineOptions, ModelError

_log = logging.getLogger("tracker.engines")


def _openvino(model: Path, options: EngineOptions) -> Engine:
    from engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(model, options)


BACKENDS: Mapping[str, Callable[[Path, EngineOptions], Engine]] = {"openvino": _openvino}
_SUFFIXES = {"openvino": (".onnx", ".tflite", ".xml")}


def open_engine(model: Path, backend: str = "auto", options: EngineOptions | None = None) -> Engine:
    """Opens a model file with a backend: one of BACKENDS, or auto for the fastest that is installed here.

    What was chosen is logged. When it fails, that is an error: nothing slower steps in unasked.
    Raises ModelError for a file that cannot be used, BackendError for a backend that cannot, ValueError for options
    that the model does not allow.
    """
    options = options or EngineOptions()
    if not model.is_file():
        raise ModelError(f"{model}: {'a folder' if model.is_dir() else 'no such file'}; expected a model file")
    chosen = _chosen(model) if backend == "auto" else backend
    if chosen not in BACKENDS:
        raise BackendError(f"no engine '{backend}'; there are auto, {', '.join(BACKENDS)}")
    if model.suffix not in _SUFFIXES[chosen]:
        raise ModelError(f"{model}: {chosen} opens {', '.join(_SUFFIXES[chosen])}, not '{model.suffix}'")
    engine = BACKENDS[chosen](model, options)
    told = engine.metadata
    _log.info("%s runs on %s %s, %s, %s", model.name, chosen, told["version"], told["device"], told["precision"])
    return engine


def _chosen(model: Path) -> str:
    for backend in BACKENDS:
        if find_spec(backend) is not None and model.suffix in _SUFFIXES[backend]:
            return backend
    raise BackendError(f"nothing installed here opens {model.name}; install one of: pip install openvino")
