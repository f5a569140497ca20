"""The loop on recorded frames, packed for a machine that has little installed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.clips_made import make_demo
from benchmarks.grid import Grid
from benchmarks.recorded_loop import main, region_of, regions_in_grid
from tests.programs import run_python
from tracker.detect.follow import Region

_LACKING = """
from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec

def only_what_is_there(name, path=None, target=None):
    return None if name in ("av", "mediapipe", "openvino") else find_spec(name, path, target)

PathFinder.find_spec = only_what_is_there
"""


def _run(program: str) -> None:
    run_python(program)


def test_a_region_is_found_in_each_copy_of_its_picture() -> None:
    grid = Grid(5, (64, 48), (600, 300))
    region = np.array([40.0, 12.0, 16.0, 0.3])
    regions = regions_in_grid(region, grid)
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[10:14, 38:42] = 255
    drawn = grid.drawn(picture)
    assert len(regions) == 5
    for one in regions:
        x, y = one.centre.round().astype(int)
        assert drawn[y, x, 0] > 200
        assert one.side == pytest.approx(16 * grid.scale) and one.turn == 0.3


def test_a_region_is_told_from_its_crop() -> None:
    region = Region(np.array([310.0, 205.0]), 180.0, 0.4)
    np.testing.assert_allclose(region_of(region.transform), [310, 205, 180, 0.4], atol=1e-6)


def test_what_is_packed_runs_with_little_installed(tmp_path: Path) -> None:
    clip, packed = make_demo(tmp_path / "demo.mp4", 1.0), tmp_path / "packed"
    given = ["pack", str(clip), "--frames", "20", "--out", str(packed)]
    assert CliRunner().invoke(main, given, catch_exceptions=False).exit_code == 0
    arguments = ["run", str(packed), "--device", "cpu", "--frames", "20", "--people", "1", "--people", "2"]
    program = f"{_LACKING}\nfrom benchmarks.recorded_loop import main\nmain({arguments!r})"
    _run(program)
    result = json.loads((packed / "recorded_loop.json").read_text())
    one, two = result["runs"]
    assert result["finding"]["in_place"] > 0.8
    assert one["fps"] > 0 and two["people"] == 2
    # another engine runs the networks: OpenVINO's and ONNX Runtime's poses were 3 mm apart in the median
    assert one["joints_off_mm"]["median"] < 10


def test_training_on_made_up_people_needs_no_library_that_reads_video() -> None:
    program = f"{_LACKING}\nimport tracker.cli, tracker.training.train_volume, tracker.training.train_head"
    _run(program)
