"""Running a network fast: one contract, one small file for each runtime. Imports nothing of the tracker."""

from __future__ import annotations

from engines.choose import BACKENDS, open_engine
from engines.engine import BackendError, Engine, EngineOptions, ModelError, Network, TensorSpec

__all__ = [
    "BACKENDS",
    "BackendError",
    "Engine",
    "EngineOptions",
    "ModelError",
    "Network",
    "TensorSpec",
    "open_engine",
]
