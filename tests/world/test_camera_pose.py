"""Calibrations that hold the camera's pose: every way to say it, and what is made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.world.test_world import HEIGHT, UP, noisy, walker
from tracker.cli.command_config import configured
from tracker.core.errors import InputError
from tracker.world.camera_pose import has_camera_pose, read_camera_pose
from tracker.world.estimate import estimate_world
from tracker.world.world_config import WorldConfig
from tracker.world.world_frame import WorldFrame

POSED = WorldFrame.of_floor(UP, HEIGHT, np.array([0.5, 0.2, 4.0]))


DEGREES = {"y": 0, "z": -90, "-y": 180, "-z": 90}
"""About x, from the axis that is up to y."""


def calibration_file(folder: Path, axis: str = "y", **changes: Any) -> Path:
    """The camera of POSED in a world with another axis up, as OpenCV has it: x_camera = R x_world + t."""
    T_yup_world = np.eye(4)
    T_yup_world[:3, :3] = Rotation.from_euler("x", DEGREES[axis], degrees=True).as_matrix()
    T_camera_world = np.linalg.inv(POSED.T_world_camera) @ T_yup_world
    values = {"fx": 800, "fy": 800, "cx": 320, "cy": 240, "up": axis}
    values |= {"R": T_camera_world[:3, :3].round(6).tolist(), "t": T_camera_world[:3, 3].tolist()} | changes
    path = folder / "camera.json"
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))
    return path


class TestCalibration:
    @pytest.mark.parametrize("axis", DEGREES)
    def test_whichever_axis_is_up_the_world_has_y_up(self, tmp_path, axis):
        world = read_camera_pose(calibration_file(tmp_path, axis))
        np.testing.assert_allclose(world.T_world_camera, POSED.T_world_camera, atol=1e-5)

    @pytest.mark.parametrize("key", ["rotation vector", "T", "T_camera_world", "T_world_camera"])
    def test_all_ways_to_say_a_pose_are_one(self, tmp_path, key):
        T_camera_world = np.linalg.inv(POSED.T_world_camera)
        changes = {
            "rotation vector": {"R": Rotation.from_matrix(T_camera_world[:3, :3]).as_rotvec().tolist()},
            "T": {"t": None, "T": T_camera_world[:3, 3:].tolist()},
            "T_camera_world": {"R": None, "t": None, "T_camera_world": T_camera_world.tolist()},
            "T_world_camera": {"R": None, "t": None, "T_world_camera": POSED.T_world_camera.tolist()},
        }[key]
        world = read_camera_pose(calibration_file(tmp_path, **changes))
        np.testing.assert_allclose(world.T_world_camera, POSED.T_world_camera, atol=1e-5)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"t": None}, "lacks 'T'"),
            ({"R": np.diag([1, 1, -1]).tolist()}, "no rotation"),
            ({"R": (2 * np.eye(3)).tolist()}, "no rotation"),
            ({"up": "x"}, "up: x"),
            ({"up": "-y"}, "over the floor"),
            ({"t": [0, 0, 4e5]}, "in metres"),
            ({"T_world_camera": np.tile(np.eye(4), (3, 1, 1)).tolist()}, "T_world_camera"),
        ],
    )
    def test_what_is_no_pose_is_refused(self, tmp_path, changes, words):
        with pytest.raises(InputError, match=f"camera.json.*{words}"):
            read_camera_pose(calibration_file(tmp_path, **changes))

    def test_intrinsics_alone_are_no_pose_and_one_that_is_contradicted_is_refused(self, tmp_path):
        assert has_camera_pose(calibration_file(tmp_path))
        with pytest.raises(InputError, match="leave out --pitch"):
            WorldConfig(calibration=tmp_path / "camera.json", pitch=3.0)
        assert not has_camera_pose(calibration_file(tmp_path, R=None))
        np.save(tmp_path / "matrix.npy", np.eye(3))
        assert not has_camera_pose(tmp_path / "matrix.npy")

    def test_the_option_sets_it(self, tmp_path):
        given = {"device": "auto", "config": "live", "assignments": (), "intrinsics": calibration_file(tmp_path)}
        assert configured(given, {}).world.calibration == given["intrinsics"]
        calibration_file(tmp_path, R=None)
        assert configured(given, {}).world.calibration is None


def test_a_calibration_is_kept_and_asks_for_nothing(tmp_path: Path) -> None:
    path = calibration_file(tmp_path)
    track = noisy(walker()[0])
    estimate = estimate_world([track], WorldConfig(calibration=path))
    np.testing.assert_allclose(estimate.world.T_world_camera, POSED.T_world_camera, atol=1e-5)
    np.testing.assert_allclose(estimate.floor.heights(track.points), POSED.heights(track.points), atol=1e-4)
    assert estimate.warnings == []
