"""The implementations of every op: C++ on a CPU, CUDA on a GPU, and plain torch or numpy as definition and fallback."""

from __future__ import annotations

from enum import Enum


class Implementation(Enum):
    """Which code runs an op."""

    REFERENCE = "reference"
    CPU = "cpu"
    CUDA = "cuda"
