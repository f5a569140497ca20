"""Compiles the CUDA kernels at first use with NVRTC and launches them on torch's current stream.

A user needs neither nvcc nor a host compiler: torch's CUDA builds bring NVRTC along. Compiled code is kept in the
user's cache, named by a hash of sources, flags and compiler version. Every kernel takes one structure by value.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch

from kernels.cache import made_file
from kernels.compiler import SOURCE_DIR

_log = logging.getLogger(__name__)

SOURCES = ("raster_cuda.cu", "ellipsoids_cuda.cu", "body_step_cuda.cu")
FLAGS = ("-std=c++17", "-default-device")
Grid = tuple[int, int]


class CudaError(RuntimeError):
    """Compiling or launching failed: the message holds what NVRTC or the driver said."""


class Launcher(Protocol):
    """Runs kernels by name."""

    def launch(self, name: str, grid: Grid, block: int, arguments: ctypes.Structure) -> None:
        """Starts a kernel, named "<source>_…", on grid blocks of `block` threads; does not wait for it."""


# --- NVRTC ------------------------------------------------------------------------------------------------------------


def _candidates() -> list[str]:
    """Names and paths under which NVRTC may lie: the loader's, then those of the wheels beside torch's."""
    major = (torch.version.cuda or "13").split(".")[0]
    site = Path(torch.__file__).parent.parent
    libraries = [str(path) for path in sorted(site.glob("nvidia/**/libnvrtc.so.*")) if "alt" not in path.name]
    return [f"libnvrtc.so.{major}", *libraries, "libnvrtc.so"]


@functools.cache
def load_nvrtc() -> ctypes.CDLL:
    """NVRTC; raises CudaError if it is not installed."""
    for name in _candidates():
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise CudaError("NVRTC not found: install the nvidia-cuda-nvrtc package that belongs to your torch")


def _nvrtc_check(library: ctypes.CDLL, status: int, what: str) -> None:
    if status != 0:
        library.nvrtcGetErrorString.restype = ctypes.c_char_p
        raise CudaError(f"{what}: {library.nvrtcGetErrorString(status).decode()}")


def _nvrtc_version(library: ctypes.CDLL) -> tuple[int, int]:
    major, minor = ctypes.c_int(), ctypes.c_int()
    _nvrtc_check(library, library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)), "nvrtcVersion")
    return major.value, minor.value


def compile_cubin(source: str, arch: str, library: ctypes.CDLL) -> bytes:
    """Machine code of a file in csrc for an architecture such as "sm_90"; needs no GPU."""
    text = (SOURCE_DIR / source).read_bytes()
    program = ctypes.c_void_p()
    status = library.nvrtcCreateProgram(ctypes.byref(program), text, source.encode(), 0, None, None)
    _nvrtc_check(library, status, "nvrtcCreateProgram")
    options = [f"-arch={arch}", f"-I{SOURCE_DIR}", *FLAGS]
    try:
        encoded = (ctypes.c_char_p * len(options))(*(o.encode() for o in options))
        status = library.nvrtcCompileProgram(program, len(options), encoded)
        if status != 0:
            raise CudaError(f"NVRTC could not compile {source} for {arch}:\n{_program_log(library, program)}")
        size = ctypes.c_size_t()
        _nvrtc_check(library, library.nvrtcGetCUBINSize(program, ctypes.byref(size)), "nvrtcGetCUBINSize")
        code = ctypes.create_string_buffer(size.value)
        _nvrtc_check(library, library.nvrtcGetCUBIN(program, code), "nvrtcGetCUBIN")
        return code.raw
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _program_log(library: ctypes.CDLL, program: ctypes.c_void_p) -> str:
    size = ctypes.c_size_t()
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, text)
    return text.value.decode(errors="replace")


def _cached_cubin(source: str, arch: str) -> bytes:
    library = load_nvrtc()
    digest = hashlib.sha256(repr((source, arch, FLAGS, _nvrtc_version(library))).encode())
    for path in sorted([*SOURCE_DIR.glob("*.h"), *SOURCE_DIR.glob("*.cuh"), SOURCE_DIR / source]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())

    def compiled(path: Path) -> None:
        _log.info("compiling %s for %s, once", source, arch)
        path.write_bytes(compile_cubin(source, arch, library))

    name = f"{Path(source).stem}_{arch}_{digest.hexdigest()[:16]}.cubin"
    return made_file(f"kernels/{name}", compiled).read_bytes()


# --- driver -----------------------------------------------------------------------------------------------------------


class DriverLauncher:
    """Launches through the CUDA driver, in the context that torch has made for the current device."""

    def __init__(self) -> None:
        self._driver = ctypes.CDLL("libcuda.so.1")
        self._functions: dict[tuple[int, str], ctypes.c_void_p] = {}
        self._modules: dict[tuple[int, str], ctypes.c_void_p] = {}

    def launch(self, name: str, grid: Grid, block: int, arguments: ctypes.Structure) -> None:
        if grid[0] == 0 or grid[1] == 0:
            return
        function = self._function(torch.cuda.current_device(), name)
        pointers = (ctypes.c_void_p * 1)(ctypes.addressof(arguments))
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        shape = [ctypes.c_uint(n) for n in (*grid, 1, block, 1, 1)]
        status = self._driver.cuLaunchKernel(function, *shape, ctypes.c_uint(0), stream, pointers, None)
        self._check(status, f"launching {name}")

    def _function(self, device: int, name: str) -> ctypes.c_void_p:
        function = self._functions.get((device, name))
        if function is None:
            function = ctypes.c_void_p()
            module = self._module(device, source_of(name))
            self._check(self._driver.cuModuleGetFunction(ctypes.byref(function), module, name.encode()), name)
            self._functions[device, name] = function
        return function

    def _module(self, device: int, source: str) -> ctypes.c_void_p:
        module = self._modules.get((device, source))
        if module is None:
            major, minor = torch.cuda.get_device_capability(device)
            code = _cached_cubin(source, f"sm_{major}{minor}")
            torch.cuda.current_stream(device).synchronize()  # makes sure that torch's context is current
            module = ctypes.c_void_p()
            self._check(self._driver.cuModuleLoadData(ctypes.byref(module), code), f"loading {source}")
            self._modules[device, source] = module
        return module

    def _check(self, status: int, what: str) -> None:
        if status != 0:
            text = ctypes.c_char_p()
            self._driver.cuGetErrorString(status, ctypes.byref(text))
            raise CudaError(f"{what}: {(text.value or b'unknown error').decode()}")


def source_of(kernel: str) -> str:
    """The file that a kernel lies in: its name begins like the file's."""
    return next(source for source in SOURCES if kernel.startswith(source.split("_")[0]))


@functools.cache
def launcher() -> Launcher:
    """What runs the kernels of this process."""
    return DriverLauncher()


def launch(name: str, grid: Grid, block: int, arguments: ctypes.Structure) -> None:
    """Starts a kernel on torch's current stream; does not wait for it."""
    launcher().launch(name, grid, block, arguments)


def blocks(count: int, block: int) -> int:
    """How many blocks of threads cover `count` items."""
    return (count + block - 1) // block


def record(name: str, fields: Sequence[tuple[str, type]]) -> type[ctypes.Structure]:
    """A C structure."""
    return type(name, (ctypes.Structure,), {"_fields_": list(fields)})


def pointers(names: str) -> list[tuple[str, type]]:
    """Fields that are pointers."""
    return [(name, ctypes.c_void_p) for name in names.split()]


def integers(names: str) -> list[tuple[str, type]]:
    """Fields that are ints."""
    return [(name, ctypes.c_int) for name in names.split()]


def floats(names: str) -> list[tuple[str, type]]:
    """Fields that are floats."""
    return [(name, ctypes.c_float) for name in names.split()]
