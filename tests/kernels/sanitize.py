"""Runs the C++ kernels' tests under AddressSanitizer and UBSan: `python -m tests.kernels.sanitize`.

Needs g++ with its sanitizers. Python itself is not instrumented, so the sanitizer's library is loaded before it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from kernels import build, compiler

_FLAGS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-g", "-O1")


def main() -> int:
    """Builds with the sanitizers into a cache of its own and runs the tests there; returns pytest's exit status."""
    command = compiler.find_compiler()
    runtimes = [
        subprocess.run(
            [*command, f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    with tempfile.TemporaryDirectory() as cache:
        level = build.processor_level()
        target = Path(cache) / "body-tracker" / "kernels" / compiler.library_name(level)
        flags = [*compiler.COMMON_FLAGS, *compiler.level_flags(level), *_FLAGS]
        compiler.compile_library(target, flags, [compiler.SOURCE_DIR / name for name in compiler.SOURCES], command)
        environment = {
            **os.environ,
            "XDG_CACHE_HOME": cache,
            "LD_PRELOAD": ":".join(runtimes),
            "ASAN_OPTIONS": "detect_leaks=0",  # Python's own, not ours
        }
        tests = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            str(Path(__file__).parent),
            "-k",
            "cpu or threads",
            "-p",
            "no:cacheprovider",
        ]
        return subprocess.run(tests, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
