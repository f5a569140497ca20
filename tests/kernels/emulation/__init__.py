"""The CUDA kernels run on a CPU by emulation: what their tests can say on a machine without a GPU."""

from __future__ import annotations

import ctypes
import functools
import hashlib
from pathlib import Path

from kernels import compiler
from kernels.cache import made_file
from kernels.cuda import Grid

_FOLDER = Path(__file__).parent
_WORDS = ("-include", str(_FOLDER / "cuda_on_cpu.h"), "-I", str(compiler.SOURCE_DIR))
_FLAGS = ("-std=c++17", "-O2", "-fPIC", "-U_FORTIFY_SOURCE", *_WORDS)


@functools.cache
def library() -> ctypes.CDLL:
    """The emulated kernels; raises compiler.BuildError without a compiler."""
    sources = [*sorted(_FOLDER.glob("*.h")), *sorted(_FOLDER.glob("*.cpp")), *sorted(compiler.SOURCE_DIR.glob("*"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    return ctypes.CDLL(str(made_file(f"kernels/emulated_{digest}.so", _compile)))


def _compile(target: Path) -> None:
    compiler.compile_library(target, _FLAGS, [_FOLDER / "emulated.cpp"], compiler.find_compiler())


class EmulatedLauncher:
    """Runs a kernel to its end before it returns."""

    def launch(self, name: str, grid: Grid, block: int, arguments: ctypes.Structure) -> None:
        getattr(library(), f"emulated_{name}")(*grid, block, ctypes.byref(arguments))
