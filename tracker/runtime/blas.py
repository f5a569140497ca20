"""Which instructions numpy's matrix products use.

numpy 1 brings an OpenBLAS of 2023. A processor that is newer it takes for one of 2004, and products take four times as
long as they need to. Telling it which family the processor belongs to mends that.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_CHOICE = "OPENBLAS_CORETYPE"
_FAMILIES = (
    ("SKYLAKEX", {"avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd"}),
    ("HASWELL", {"avx2", "fma"}),
)
"""OpenBLAS's name, and what such a processor has, the best first."""


def name_the_processor() -> None:
    """Call it before numpy is imported. Whoever has chosen keeps their choice; numpy 2 needs none."""
    if _CHOICE in os.environ or "numpy" in sys.modules or _numpy_is_new():
        return
    family = family_of(_flags(Path("/proc/cpuinfo")))
    if family is not None:
        os.environ[_CHOICE] = family


def family_of(flags: set[str]) -> str | None:
    """OpenBLAS's name for the best family with these instructions; None leaves it to OpenBLAS."""
    return next((name for name, needed in _FAMILIES if needed <= flags), None)


def _numpy_is_new() -> bool:
    try:
        return int(version("numpy").partition(".")[0]) >= 2
    except PackageNotFoundError:
        return True


def _flags(cpuinfo: Path) -> set[str]:
    """The instructions that Linux lists; none elsewhere."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())
