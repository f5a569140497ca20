"""Programs that the tests start: one that fails shows what it wrote."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests import ROOT


def run_program(
    command: Sequence[object], cwd: Path = ROOT, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end, which has to be exit status 0."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout[-1000:]}\n{done.stderr[-4000:]}"
    return done


def run_python(
    code: str, *arguments: object, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs Python code in an interpreter of its own, which imports from the checkout."""
    given = os.environ if environment is None else environment
    return run_program([sys.executable, "-c", code, *arguments], environment={**given, "PYTHONPATH": str(ROOT)})
