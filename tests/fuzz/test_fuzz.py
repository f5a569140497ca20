"""Random and chosen files of each format are read, in a child process, without a crash, a bomb or a traceback.

FUZZ_SECONDS (of each format) and FUZZ_SEED make it longer and other: see `make fuzz`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS
from tracker.core.errors import InputError

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
SEED = os.environ.get("FUZZ_SEED", "1")
SECONDS = os.environ.get("FUZZ_SECONDS")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits memory as Linux does")
@pytest.mark.parametrize("name", TARGETS)
def test_random_files_are_read_or_refused(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-m", "tests.fuzz", name, str(tmp_path), SEED, *([SECONDS] if SECONDS else [])]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{list(tmp_path.iterdir())}\n{done.stderr[-3000:]}"
    assert int(done.stdout.split()[0]) > 0


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_file_that_once_did_harm_is_refused(path: Path) -> None:
    """By every reader of its format."""
    assert path.stat().st_size < 2048
    for read in TARGETS[path.parent.name].readers:
        with pytest.raises(InputError, match=path.name) as caught:
            read(path)
        assert "\n" not in str(caught.value)
