"""Compiles the C++ kernels: plain C++17 into one shared library for each level of vector instructions.

For this machine by the system's compiler, or by zig, a C++ compiler that pip installs; for the wheel of any platform by
zig. Needs nothing but Python, so that the wheel can be built before torch is there.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

SOURCE_DIR = Path(__file__).parent / "csrc"
PREBUILT_DIR = Path(__file__).parent / "prebuilt"
SOURCES = (
    "raster_cpu.cpp",
    "ellipsoids_cpu.cpp",
    "body_step_cpu.cpp",
    "landmarks_cpu.cpp",
    "landmark_fit_cpu.cpp",
    "rotations_cpu.cpp",
    "gaussian_cpu.cpp",
    "perceptron_cpu.cpp",
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
_ZIG_FLAGS = ("-g0", "-Wno-pass-failed")


@dataclass(frozen=True)
class Platform:
    """What a wheel is built for."""

    triple: str
    """Of the compiler's target, with the oldest system library that it has to run on."""
    tag: str
    """Of the wheel."""
    suffix: str
    levels: tuple[str, ...] = ("DEFAULT",)


PLATFORMS = {
    "linux-x86_64": Platform("x86_64-linux-gnu.2.28", "manylinux_2_28_x86_64", ".so", ("DEFAULT", "AVX2", "AVX512")),
    "linux-aarch64": Platform("aarch64-linux-gnu.2.28", "manylinux_2_28_aarch64", ".so"),
    "macos-arm64": Platform("aarch64-macos.11.0", "macosx_11_0_arm64", ".dylib"),
    "macos-x86_64": Platform("x86_64-macos.11.0", "macosx_11_0_x86_64", ".dylib", ("DEFAULT", "AVX2")),
    "windows-x86_64": Platform("x86_64-windows-gnu", "win_amd64", ".dll", ("DEFAULT", "AVX2", "AVX512")),
}
"""Name → platform that wheels with compiled kernels are made for."""
_SYSTEMS = {"Linux": "linux", "Darwin": "macos", "Windows": "windows"}
_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "arm64"}


def platform_here() -> str:
    """The name that PLATFORMS has for this machine, or would have."""
    machine = platform.machine().lower()
    return f"{_SYSTEMS.get(platform.system(), platform.system().lower())}-{_MACHINES.get(machine, machine)}"


class BuildError(RuntimeError):
    """The C++ kernels cannot be built here: the message says why."""


def level_flags(level: str, name: str | None = None) -> tuple[str, ...]:
    """Compiler flags of a level. name: among PLATFORMS; None is this machine's."""
    return _X86_FLAGS[level] if (name or platform_here()).endswith("-x86_64") else ()


def _source_hash(flags: tuple[str, ...]) -> str:
    digest = hashlib.sha256(" ".join(flags).encode())
    for path in sorted(SOURCE_DIR.glob("*.h")) + [SOURCE_DIR / name for name in SOURCES]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def library_name(level: str, name: str | None = None) -> str:
    """File name of a level's library: it changes with the sources and the flags. name: as `level_flags`'s."""
    known = PLATFORMS.get(name or platform_here())
    suffix = known.suffix if known is not None else ".so"
    return f"kernels_{level.lower()}_{_source_hash(COMMON_FLAGS + level_flags(level, name))}{suffix}"


def find_compiler() -> list[str]:
    """The command of a C++ compiler: the system's, else zig's where it is installed; raises BuildError without one."""
    for name in ("c++", "g++", "clang++"):
        path = shutil.which(name)
        if path:
            return [path]
    if find_spec("ziglang") is not None:
        return zig()
    raise BuildError(
        "no C++ compiler (c++, g++ or clang++) on PATH; `pip install ziglang` brings one, "
        "and without it ten frames take minutes"
    )


def zig(name: str | None = None) -> list[str]:
    """The command of zig's C++ compiler for one of PLATFORMS; None is this machine."""
    target = [] if name is None else ["-target", PLATFORMS[name].triple]
    return [sys.executable, "-m", "ziglang", "c++", *_ZIG_FLAGS, *target]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command)} failed:\n{done.stderr.strip()}")


def compile_library(target: Path, flags: Sequence[str], sources: Sequence[Path], command: Sequence[str]) -> None:
    """Compiles C++ sources with a compiler's command and these flags into the shared library `target`, in place only
    when whole. Raises BuildError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        objects = [str(Path(folder) / f"{path.name}.o") for path in sources]
        jobs = [[*command, *flags, "-c", str(path), "-o", out] for path, out in zip(sources, objects, strict=True)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(_run, jobs))
        whole = Path(folder) / target.name
        _run([*command, *flags, "-shared", *objects, "-o", str(whole)])
        os.replace(whole, target)


def compile_level(target: Path, level: str, name: str, command: Sequence[str]) -> None:
    """Compiles the kernels for a level of vector instructions of one of PLATFORMS. Raises BuildError."""
    compile_library(target, COMMON_FLAGS + level_flags(level, name), [SOURCE_DIR / each for each in SOURCES], command)


def build_all(folder: Path, name: str, by_zig: bool = True) -> list[Path]:
    """Compiles every level of a platform (among PLATFORMS) into a folder; raises BuildError.

    by_zig: False takes this machine's compiler, for this machine's platform.
    """
    command = zig(name) if by_zig else find_compiler()
    targets = [folder / library_name(level, name) for level in PLATFORMS[name].levels]
    for target, level in zip(targets, PLATFORMS[name].levels, strict=True):
        compile_level(target, level, name, command)
    return targets


def main(arguments: Sequence[str]) -> int:
    """`python -m kernels.compiler [FOLDER [PLATFORM]]`: what a wheel carries, by default beside this file."""
    folder = Path(arguments[0]) if arguments else PREBUILT_DIR
    name = arguments[1] if len(arguments) > 1 else platform_here()
    if name not in PLATFORMS:
        sys.stderr.write(f"{name}: expected one of {', '.join(PLATFORMS)}\n")
        return 2
    for path in build_all(folder, name):
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
