"""Standard streams that are closed or full, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = """
import logging, os, sys
from tracker.runtime.standard_streams import secure_standard_streams, tell
secure_standard_streams()
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
"""


def run(code: str, redirection: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f'"$@" {redirection}', "sh", sys.executable, "-c", BEGIN + code]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_what_is_closed_gets_no_file_of_ours(tmp_path: Path, closed: str) -> None:
    code = """
with open("mine", "wb") as mine:
    assert mine.fileno() > 2
    for number in (1, 2):
        os.write(number, b"a library prints")
    print("progress", file=sys.stderr)
    logging.warning("a message")
    os.system("echo a process prints >&2")
    mine.write(b"whole")
tell("done")
"""
    assert run(code, closed, tmp_path).returncode == 0
    assert (tmp_path / "mine").read_bytes() == b"whole"


@pytest.mark.parametrize("full", ["> /dev/full", "2> /dev/full", "> /dev/full 2> /dev/full"])
def test_a_full_disk_behind_them_fails_nothing(tmp_path: Path, full: str) -> None:
    code = "print('progress', file=sys.stderr); logging.warning('a message'); tell('done'); sys.exit(3)"
    done = run(code, full, tmp_path)
    assert (done.returncode, done.stdout) == (3, "" if full.startswith(">") else "done\n")
    assert "Error" not in done.stderr


def test_whole_ones_say_everything(tmp_path: Path) -> None:
    done = run("print('progress ✓', file=sys.stderr); logging.warning('a message'); tell('done →')", "", tmp_path)
    assert (done.returncode, done.stdout) == (0, "done →\n")
    assert done.stderr == "progress ✓\nWARNING:root:a message\n"
