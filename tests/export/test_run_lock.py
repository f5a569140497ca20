"""One run at a time in a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.export_scene import CAMERA
from tracker.body import load_body
from tracker.core.errors import InputError
from tracker.export import ExportConfig, RunContext, RunHeader, RunWriter
from tracker.export.files import locked_folder, prepare_folder
from tracker.export.run_lock import RunLock

CONTEXT = RunContext(CAMERA, load_body(None), 25.0)
HEADER = RunHeader(config={}, device="cpu", engine="torch", source={"name": "clip.mp4"})
ROOT = Path(__file__).parents[2]
HOLDER = """
import sys, time
from pathlib import Path
from tracker.export.run_lock import RunLock
RunLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """Another process that has the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_second_run_is_refused_and_touches_nothing(tmp_path: Path) -> None:
    (tmp_path / "frames.jsonl").write_text("theirs")
    (tmp_path / ".person_000.1_ab.part.npz").write_text("theirs")
    other = holder(tmp_path)
    try:
        for overwrite in (False, True):
            with pytest.raises(InputError, match="another run is writing there"):
                locked_folder(tmp_path, overwrite)
        assert (tmp_path / "frames.jsonl").read_text() == "theirs"
        assert (tmp_path / ".person_000.1_ab.part.npz").exists()
    finally:
        other.kill()
        other.communicate()
    prepare_folder(tmp_path, overwrite=True)  # a killed run holds nothing
    assert list(tmp_path.iterdir()) == []


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        with RunLock(tmp_path) as lock:
            with pytest.raises(InputError, match="another run"):
                RunLock(tmp_path)
        lock.release()


def writer(folder: Path, overwrite: bool = False) -> RunWriter:
    return RunWriter(folder, ExportConfig(("jsonl",), overwrite), CONTEXT, HEADER)


def test_a_run_ends_with_its_lock(tmp_path: Path) -> None:
    with writer(tmp_path / "clip"):
        with pytest.raises(InputError, match="another run"):
            writer(tmp_path / "clip", overwrite=True)
    writer(tmp_path / "clip", overwrite=True).close()
