"""Intrinsics: conventions, crops, and what a user may say of the camera."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tracker.core.affine import apply_affine
from tracker.core.camera import Camera, CameraConfig, read_intrinsics
from tracker.core.crop import crop_transform
from tracker.core.errors import InputError


def test_default_focal_length_is_the_diagonal() -> None:
    camera = Camera.default(640, 480)
    assert camera.fx == camera.fy == pytest.approx(800.0)
    assert (camera.cx, camera.cy) == (320.0, 240.0)


def test_field_of_view_is_the_diagonal_one() -> None:
    camera = Camera.from_fov(90.0, 640, 480)
    corner = camera.rays(np.array([640.0, 480.0]))
    assert math.degrees(math.atan(np.linalg.norm(corner[:2]))) == pytest.approx(45.0)


def test_projection_by_hand() -> None:
    camera = Camera(100.0, 200.0, 50.0, 60.0, 100, 120)
    np.testing.assert_allclose(camera.project(np.array([1.0, -1.0, 2.0])), [100.0, -40.0])
    np.testing.assert_allclose(camera.rays(np.array([100.0, -40.0])), [0.5, -0.5, 1.0])
    np.testing.assert_allclose(camera.matrix @ np.array([0.5, -0.5, 1.0]), [100.0, -40.0, 1.0])


def test_a_crop_projects_onto_the_same_content() -> None:
    camera = Camera(700.0, 650.0, 310.0, 250.0, 640, 480)
    box = np.array([100.5, -20.0, 300.5, 180.0])
    crop = camera.crop(box, 256, 128)
    points = np.random.default_rng(1).normal(size=(20, 3)) + np.array([0, 0, 5.0])
    expected = (camera.project(points) - box[:2]) * np.array([256 / 200, 128 / 200])
    np.testing.assert_allclose(crop.project(points), expected, atol=1e-9)


def test_a_turned_crop_projects_onto_the_same_content() -> None:
    camera = Camera(700.0, 700.0, 310.0, 250.0, 640, 480)
    T_frame_crop = crop_transform(np.array([100.5, -20.0, 300.5, 180.0]), 256, 256, 0.7)
    crop, R_crop_camera = camera.turned_crop(T_frame_crop, 256)
    points = np.random.default_rng(1).normal(size=(20, 3)) + np.array([0, 0, 5.0])
    seen = apply_affine(T_frame_crop, crop.project(points @ R_crop_camera.T))
    np.testing.assert_allclose(seen, camera.project(points), atol=1e-9)
    np.testing.assert_allclose(R_crop_camera @ R_crop_camera.T, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("values", [(-1, 1), (0, 1), (math.nan, 1), (math.inf, 1)])
def test_impossible_focal_lengths_are_refused(values: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="focal"):
        Camera(*values, 1, 1, 10, 10)


def test_an_empty_crop_is_refused() -> None:
    with pytest.raises(ValueError, match="x1 > x0"):
        Camera.default(10, 10).crop(np.array([5, 5, 5, 9]), 8, 8)


@pytest.mark.parametrize(
    ("kwargs", "named"),
    [
        ({"focal": -3.0}, "--focal -3.0"),
        ({"fov": 200.0}, "--fov 200.0"),
        ({"focal": 1.0, "fov": 50.0}, "focal and fov"),
    ],
)
def test_the_users_camera_options_are_checked(kwargs: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        CameraConfig(**kwargs)


def test_intrinsics_from_json_npz_and_scaled_to_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "camera.json"
    path.write_text(json.dumps({"fx": 500, "fy": 510, "cx": 330, "cy": 235, "width": 640, "height": 480}))
    camera = CameraConfig(intrinsics=path).for_size(1280, 960)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == pytest.approx((1000, 1020, 660, 470))
    np.savez(tmp_path / "camera.npz", camera_matrix=camera.matrix, image_size=[1280, 960])
    assert read_intrinsics(tmp_path / "camera.npz") == camera


@pytest.mark.parametrize("text", ["", "fx: 500", "[1, 2]", "fx: {", "fx: a\nfy: 1\ncx: 1\ncy: 1"])
def test_unusable_intrinsics_name_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"bad\.yaml"):
        CameraConfig(intrinsics=path).for_size(640, 480)


def test_intrinsics_of_another_picture_shape_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "camera.json"
    path.write_text(json.dumps({"fx": 500, "fy": 500, "cx": 320, "cy": 240, "width": 640, "height": 480}))
    with pytest.raises(InputError, match="640×480"):
        CameraConfig(intrinsics=path).for_size(1280, 720)
