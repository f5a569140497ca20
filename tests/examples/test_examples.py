"""The examples run as they stand."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import ROOT
from tests.clips import write_clip
from tests.programs import run_program

EXAMPLES = sorted((ROOT / "examples").glob("0*.py"))


def run(name: str, *arguments: object) -> str:
    command = [sys.executable, str(ROOT / "examples" / name), *map(str, arguments)]
    return run_program(command).stdout


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=8)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up person with known truth, tracked."""
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "run.py", "demo", "--out", str(folder / "demo"), "--seconds", "4"]
    run_program(command)
    return folder / "demo"


def test_there_are_five_and_each_says_what_it_does() -> None:
    assert [path.name[:2] for path in EXAMPLES] == ["01", "02", "03", "04", "05"]
    for path in EXAMPLES:
        assert "usage" in run(path.name, "--help")


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("01_own_frames.py", ["/nofile"], "/nofile: no camera or video"),
        ("02_load_and_plot.py", ["/nofile"], "/nofile: no result of a run"),
        ("03_several_videos.py", ["/nofile"], "/nofile: no such file"),
        ("04_own_output.py", ["/nofile", "--to", "127.0.0.1:9000"], "/nofile: no such file"),
        ("04_own_output.py", ["/nofile", "--to", "nowhere.invalid:9000"], "--to nowhere.invalid:9000: expected HOST"),
        ("04_own_output.py", ["/nofile", "--to", "127.0.0.1:http"], "--to 127.0.0.1:http: expected HOST:PORT"),
        ("05_evaluate_folder.py", ["/nofile", "/nofile"], "/nofile: no result of a run"),
    ],
)
def test_a_mistake_is_one_line(name: str, arguments: list[str], sentence: str) -> None:
    command = [sys.executable, str(ROOT / "examples" / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode != 0 and sentence in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_own_frames(clip: Path, tmp_path: Path) -> None:
    assert "8 frames" in run("01_own_frames.py", clip, "--out", tmp_path / "drawn.mp4")
    assert (tmp_path / "drawn.mp4").stat().st_size > 0


@pytest.mark.slow
def test_load_and_plot(demo: Path, tmp_path: Path) -> None:
    assert "person 0" in run("02_load_and_plot.py", demo / "demo_clip", "--out", tmp_path)
    table = np.loadtxt(tmp_path / "person_000.csv", delimiter=",", skiprows=1)
    assert len(table) > 20 and np.isfinite(table).all()
    assert (tmp_path / "person_000.png").is_file() and (tmp_path / "person_000.obj").is_file()


@pytest.mark.slow
def test_several_videos(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "none.mp4").write_text("no video")
    text = run("03_several_videos.py", clip, tmp_path / "none.mp4", "--out", tmp_path / "out")
    assert "8 frames, 0 people" in text and "left out: " in text and "none.mp4: not a video" in text


@pytest.mark.slow
def test_own_output(clip: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(30)
        run("04_own_output.py", clip, "--to", f"127.0.0.1:{receiver.getsockname()[1]}")
        assert set(json.loads(receiver.recv(65536))) == {"time", "joints"}


@pytest.mark.slow
def test_evaluate_folder(demo: Path) -> None:
    text = run("05_evaluate_folder.py", demo / "demo_clip", demo / "truth.npz")
    assert 5 < float(text.split(": ")[1].split(" mm")[0]) < 120


NOTEBOOK = ROOT / "examples" / "notebook.ipynb"


def notebook_cells() -> list[dict[str, Any]]:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def test_the_notebook_is_kept_without_outputs() -> None:
    for cell in notebook_cells():
        assert cell.get("outputs", []) == [] and cell.get("execution_count") is None


@pytest.mark.slow
def test_the_notebook_runs(demo: Path, tmp_path: Path) -> None:
    """Its cells one after the other, as a program, where the clip that it makes is there already."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notebook").symlink_to(demo)
    cells = ["".join(cell["source"]) for cell in notebook_cells() if cell["cell_type"] == "code"]
    (tmp_path / "cells.py").write_text("\n\n".join(cells), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    command = [sys.executable, "cells.py"]
    done = run_program(command, tmp_path, environment)
    assert "m over the floor" in done.stdout and (demo / "moment.obj").stat().st_size > 100_000
