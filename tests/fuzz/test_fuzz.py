"""Random and chosen files of each format are read, in child processes, without a crash, a bomb or a traceback.

FUZZ_SECONDS (of all formats, side by side) and FUZZ_SEED make it longer and other: see `make fuzz`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS
from tracker.core.errors import InputError

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
SEED = os.environ.get("FUZZ_SEED", "1")
SECONDS = os.environ.get("FUZZ_SECONDS", "60")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits memory as Linux does")
def test_random_files_are_read_or_refused(tmp_path: Path) -> None:
    with ExitStack() as stack:
        children = {name: stack.enter_context(_reading(name, tmp_path / name)) for name in TARGETS}
        said = {name: child.communicate() for name, child in children.items()}
    for name, (output, fault) in said.items():
        assert children[name].returncode == 0, f"{list((tmp_path / name).iterdir())}\n{fault[-3000:]}"
        assert int(output.split()[0]) > 0, name


@contextmanager
def _reading(name: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that reads random files of a format, which ends with the block."""
    folder.mkdir()
    command = [sys.executable, "-m", "tests.fuzz", name, str(folder), SEED, SECONDS]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_file_that_once_did_harm_is_refused(path: Path) -> None:
    """By every reader of its format."""
    assert path.stat().st_size < 2048
    for read in TARGETS[path.parent.name].readers:
        with pytest.raises(InputError, match=path.name) as caught:
            read(path)
        assert "\n" not in str(caught.value)
