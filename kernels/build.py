"""Builds and loads the C++ kernels: plain C++17 into one shared library for each level of vector instructions.

The level is chosen when the library is loaded, from what the processor has. A wheel may carry the libraries
(`python -m kernels.build` puts them beside this file); otherwise the one that this processor needs is compiled at first
use and kept in the user's cache, named by a hash of sources and flags. Without a compiler the torch reference runs.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

_log = logging.getLogger(__name__)

SOURCE_DIR = Path(__file__).parent / "csrc"
PREBUILT_DIR = Path(__file__).parent / "prebuilt"
SOURCES = (
    "raster_cpu.cpp",
    "ellipsoids_cpu.cpp",
    "body_step_cpu.cpp",
    "landmarks_cpu.cpp",
    "landmark_fit_cpu.cpp",
    "rotations_cpu.cpp",
    "skin_cpu.cpp",
    "colour_cpu.cpp",
    "shrink_cpu.cpp",
)

COMMON_FLAGS = ("-std=c++17", "-O3", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd", "-pthread")
_X86_FLAGS = {
    "AVX512": ("-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mavx2", "-mfma", "-mprefer-vector-width=512"),
    "AVX2": ("-mavx2", "-mfma"),
    "DEFAULT": ("-msse4.2",),
}


class BuildError(RuntimeError):
    """The C++ kernels cannot be built here: the message says why."""


def processor_level() -> str:
    """The widest vector instructions that this processor has, among those that the kernels are built for."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return "DEFAULT"
    found = torch.backends.cpu.get_cpu_capability()
    return found if found in _X86_FLAGS else "DEFAULT"


def level_flags(level: str) -> tuple[str, ...]:
    """Compiler flags of a level on this machine's architecture."""
    return _X86_FLAGS[level] if platform.machine().lower() in ("x86_64", "amd64") else ()


def _source_hash(flags: tuple[str, ...]) -> str:
    digest = hashlib.sha256(" ".join(flags).encode())
    for path in sorted(SOURCE_DIR.glob("*.h")) + [SOURCE_DIR / name for name in SOURCES]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def library_name(level: str) -> str:
    """File name of a level's library: it changes with the sources and the flags."""
    return f"kernels_{level.lower()}_{_source_hash(COMMON_FLAGS + level_flags(level))}.so"


def cache_dir() -> Path:
    """Where libraries compiled at first use are kept."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "body-tracker" / "kernels"


def find_compiler() -> str:
    """Path of a C++ compiler; raises BuildError if there is none."""
    for name in ("c++", "g++", "clang++"):
        path = shutil.which(name)
        if path:
            return path
    raise BuildError("no C++ compiler (c++, g++ or clang++) on PATH")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command)} failed:\n{done.stderr.strip()}")


def compile_library(target: Path, flags: Sequence[str], sources: Sequence[Path]) -> None:
    """Compiles C++ sources with these flags into the shared library `target`, in place only when whole."""
    compiler = find_compiler()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        objects = [str(Path(folder) / f"{path.name}.o") for path in sources]
        jobs = [[compiler, *flags, "-c", str(path), "-o", out] for path, out in zip(sources, objects, strict=True)]
        with ThreadPoolExecutor() as pool:
            list(pool.map(_run, jobs))
        whole = Path(folder) / target.name
        _run([compiler, *flags, "-shared", *objects, "-o", str(whole)])
        os.replace(whole, target)


def compile_level(target: Path, level: str) -> None:
    """Compiles the kernels for a level of vector instructions."""
    compile_library(target, COMMON_FLAGS + level_flags(level), [SOURCE_DIR / name for name in SOURCES])


def _locate(level: str) -> Path:
    name = library_name(level)
    prebuilt = PREBUILT_DIR / name
    if prebuilt.exists():
        return prebuilt
    cached = cache_dir() / name
    if not cached.exists():
        _log.info("compiling the C++ kernels (%s), once", level)
        compile_level(cached, level)
    return cached


@functools.cache
def load_library() -> ctypes.CDLL | None:
    """The C++ kernels for this processor, or None where they cannot be built; the log says why, once."""
    try:
        return ctypes.CDLL(str(_locate(processor_level())))
    except (BuildError, OSError) as error:
        _log.warning("C++ kernels unavailable, the slow torch reference runs instead: %s", error)
        return None


def library() -> ctypes.CDLL:
    """The C++ kernels where `load_library` has found them."""
    found = load_library()
    assert found is not None
    return found


@functools.cache
def quick_library() -> ctypes.PyDLL:
    """The same, for calls of microseconds: they keep Python's lock, since getting it back can take longer than they
    do."""
    return ctypes.PyDLL(library()._name)


def pointer(tensor: torch.Tensor | None) -> ctypes.c_void_p:
    """The address of a tensor's data for a C++ kernel; null for None."""
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def main() -> None:
    """Builds every level for this architecture beside the package, for a wheel or an image without a compiler."""
    levels = _X86_FLAGS if platform.machine().lower() in ("x86_64", "amd64") else {"DEFAULT": ()}
    for level in levels:
        target = PREBUILT_DIR / library_name(level)
        compile_level(target, level)
        sys.stdout.write(f"{target}\n")


if __name__ == "__main__":
    main()
