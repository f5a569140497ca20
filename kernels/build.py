"""Loads the C++ kernels for this processor.

The level of vector instructions is chosen when the library is loaded, from what the processor has. A wheel carries the
libraries of its platform; otherwise the one that this processor needs is compiled at first use and kept in the user's
cache, named by a hash of sources and flags. Without a compiler the torch reference runs.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from kernels.cache import made_file
from kernels.compiler import (
    PLATFORMS,
    PREBUILT_DIR,
    BuildError,
    compile_level,
    find_compiler,
    library_name,
    platform_here,
)
from kernels.implementation import Implementation

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)

_FEATURES = {"AVX512": (256,), "AVX2": (11, 12)}
"""What a level of vector instructions needs, by OpenCV's numbers (cv::CpuFeatures): AVX-512 with its parts F, CD, BW,
DQ and VL; AVX2 and FMA3. OpenCV is asked, not torch, which takes a process that only draws two seconds to load."""


def processor_level() -> str:
    """The widest vector instructions that this processor has, among those that the kernels are built for."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return "DEFAULT"
    has = (level for level, needed in _FEATURES.items() if all(map(cv2.checkHardwareSupport, needed)))
    return next(has, "DEFAULT")


def _places(level: str) -> Iterator[Path]:
    """Where the library may be, in the order in which it is tried; the last is compiled if need be."""
    order = list(reversed(PLATFORMS["linux-x86_64"].levels))
    for lower in order[order.index(level) :]:
        prebuilt = PREBUILT_DIR / library_name(lower)
        if prebuilt.exists():
            yield prebuilt
    yield made_file(f"kernels/{library_name(level)}", lambda path: _compile(path, level))


def _compile(target: Path, level: str) -> None:
    _log.info("compiling for this processor, once: half a minute or so")
    compile_level(target, level, platform_here(), find_compiler())


@functools.cache
def load_library() -> ctypes.CDLL | None:
    """The C++ kernels for this processor, or None where they cannot be built; the log says why, once."""
    error: Exception | None = None
    try:
        for place in _places(processor_level()):
            try:
                return ctypes.CDLL(str(place))
            except OSError as refused:
                error = refused
    except (BuildError, OSError) as failed:  # OSError: no compiler can be started, or there is no room for a library
        error = failed
    _log.warning("everything is slow here: the compiled code is missing and cannot be made: %s", error)
    return None


def library_file() -> Path | None:
    """The library that is in use; None where the reference runs."""
    loaded = load_library()
    return None if loaded is None else Path(loaded._name)


def library() -> ctypes.CDLL:
    """The C++ kernels where `load_library` has found them."""
    loaded = load_library()
    assert loaded is not None
    return loaded


def cpu_implementation() -> Implementation:
    """What runs on a CPU unless it is asked for: C++, or the reference where it cannot be built."""
    return Implementation.CPU if load_library() is not None else Implementation.REFERENCE


@functools.cache
def quick_library() -> ctypes.PyDLL:
    """The same, for calls of microseconds: they keep Python's lock, since getting it back can take longer than they
    do."""
    return ctypes.PyDLL(library()._name)


def pointer(tensor: torch.Tensor | None) -> ctypes.c_void_p:
    """The address of a tensor's data for a C++ kernel; null for None."""
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())
