"""How methods are judged on real crops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from benchmarks.heads_on_clips import PictureJudge, RealCrop, patches, table
from kernels import raster
from kernels.raster_values import Intrinsics
from tracker.body import load_body
from tracker.body.body_state import BodyState
from tracker.body.smpl_joints import LIMB_SMPL
from tracker.core.camera import Camera
from tracker.networks.landmark_network import SIDE

CAMERA = Camera(300.0, 300.0, 128.0, 128.0, SIDE, SIDE)


def standing(x: float = 0.0) -> BodyState:
    upright = np.tile(np.eye(3), (24, 1, 1))
    upright[0] = np.diag([1.0, -1.0, -1.0])
    return BodyState(upright, np.zeros(10), np.array([x, 0.3, 2.8]))


@pytest.fixture(scope="module")
def crop() -> RealCrop:
    """A crop that shows `standing`."""
    body, state = load_body(None), standing()
    posed = body.with_shape(torch.zeros(1, 10)).with_rotations(torch.from_numpy(state.rotations[None]).float())
    transl = torch.from_numpy(state.transl).float()
    k = Intrinsics(CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy)
    vertices = (posed.vertices()[0] + transl).contiguous()
    drawn = raster.rasterize(vertices, body.faces.int().contiguous(), k, (SIDE, SIDE))
    joints = CAMERA.project((posed.joints[0] + transl).double().numpy())[LIMB_SMPL]
    visible = np.arange(12) != 3
    return RealCrop(np.zeros((SIDE, SIDE, 3), np.uint8), CAMERA, joints, visible, (drawn.triangle >= 0).numpy())


def test_the_body_that_a_crop_shows_is_right(crop: RealCrop) -> None:
    seen, hidden, overlap = PictureJudge(load_body(None))(standing(), crop, np.zeros((SIDE, SIDE), bool))
    assert seen == pytest.approx(0.0, abs=1e-5) and math.isnan(hidden) and overlap == pytest.approx(1.0)


def test_joints_behind_something_are_judged_apart_and_invisible_ones_not(crop: RealCrop) -> None:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[: SIDE // 2] = True
    seen, hidden, overlap = PictureJudge(load_body(None))(standing(0.1), crop, mask)
    off = 0.1 * CAMERA.fx / 2.8 / crop.height
    assert seen == pytest.approx(off, rel=0.1) and hidden == pytest.approx(off, rel=0.1)
    assert 0.2 < overlap < 0.9
    unseen = RealCrop(crop.image, CAMERA, crop.joints + 1e4 * ~crop.visible[:, None], crop.visible, crop.silhouette)
    assert PictureJudge(load_body(None))(standing(0.1), unseen, mask)[:2] == pytest.approx((seen, hidden))


def test_patches_lie_on_the_person(crop: RealCrop) -> None:
    covers = dict(patches(crop, 1))
    assert not covers["clear"].any()
    for name in ("40 px", "80 px"):
        assert (covers[name] & crop.silhouette).any()
    assert covers["80 px"].sum() > covers["40 px"].sum()


def test_the_table_leaves_out_what_nothing_hides() -> None:
    lines = table({"clear": {"a": (0.01, math.nan, 0.5)}, "40 px": {"a": (0.02, 0.03, 0.4)}}).splitlines()
    assert lines[-1] == "| a | 1.0 %, 0.50 | 2.0 (3.0) %, 0.40 |"
