"""The table of heads and the studies: what is covered, who is judged, what the page shows."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.feature_studies import ANGLES, turned
from benchmarks.head_study import section, study
from benchmarks.heads import JointErrorsByCover, covers, judged, known, means, square, table
from benchmarks.vnh import ROWS, StepCost, markdown, step_cost
from tracker.body import load_body
from tracker.body.body_state import BodyState
from tracker.body.kinematics import LandmarkRig
from tracker.body.smpl_joints import smpl_index
from tracker.core.camera import Camera
from tracker.evaluation.report import Chart, Picture
from tracker.evaluation.study_page import StudySection, write_study

CAMERA = Camera(400.0, 400.0, 128.0, 128.0, 256, 256)


def standing() -> BodyState:
    rotations = np.tile(np.eye(3), (24, 1, 1))
    rotations[0] = np.diag([1.0, -1.0, -1.0])
    return BodyState(rotations, np.zeros(10), np.array([0.0, 0.2, 3.4]))


def judge(rig: LandmarkRig) -> SimpleNamespace:
    """Somebody who stands, all of whom is seen."""
    state = standing()
    joints = rig.pose(state.rotations, state.betas).joints + state.transl
    parts = np.zeros((256, 256), np.uint8)
    parts[40:220, 100:156] = 1
    sample = SimpleNamespace(
        joints3d=joints, joints2d=CAMERA.project(joints), joint_visible=np.ones(24, bool), parts_amodal=parts,
        image=np.full((256, 256, 3), 90, np.uint8),
    )  # fmt: skip

    def mpjpe(other: BodyState) -> float:
        moved = rig.pose(other.rotations, other.betas).joints + other.transl
        return 1e3 * float(np.linalg.norm((moved - moved[0]) - (joints - joints[0]), axis=1).mean())

    return SimpleNamespace(sample=sample, camera=CAMERA, mpjpe=mpjpe)


@pytest.fixture(scope="module")
def rig() -> LandmarkRig:
    return LandmarkRig.from_body(load_body(None))


def test_everybody_is_covered_in_the_same_ways(rig: LandmarkRig) -> None:
    masks = dict(covers(judge(rig), 3))
    assert list(masks) == ["clear", "40 px", "80 px", "bar", "circle", "rectangle", "limb", "lower half"]
    assert not masks["clear"].any()
    assert masks["80 px"].sum() > 3 * masks["40 px"].sum() > 0
    hips = judge(rig).sample.joints2d[smpl_index("left_hip"), 1]
    assert masks["lower half"][int(hips) + 2].all() and not masks["lower half"][int(hips) - 2].any()
    assert square(np.array([128, 128]), 112).sum() == pytest.approx(128**2, rel=0.03)


def test_covered_joints_are_judged_apart(rig: LandmarkRig) -> None:
    someone, state = judge(rig), standing()
    state.rotations[smpl_index("left_knee")] = np.diag([1.0, -1.0, -1.0])
    knee = someone.sample.joints2d[smpl_index("left_knee"), 1]
    mask = np.broadcast_to(np.arange(256)[:, None] > knee + 3, (256, 256))
    errors = judged(someone, rig, state, mask)
    assert errors.visible == pytest.approx(0, abs=1e-6) and errors.hidden > 100
    assert math.isnan(judged(someone, rig, state, np.zeros((256, 256), bool)).hidden)
    assert judged(someone, rig, standing(), mask).mpjpe == pytest.approx(0, abs=1e-6)


def test_means_leave_out_what_is_not_there() -> None:
    nan = float("nan")
    mean = means([JointErrorsByCover(10, 5, 8, nan), JointErrorsByCover(30, 15, 12, 40)])
    assert mean == {"mpjpe": 20, "pa_mpjpe": 10, "visible": 10, "hidden": 40}
    assert "20 / 10 (40)" in table({"clear": {"head": mean}})
    alone = means([JointErrorsByCover(1, 1, 1, nan)])
    assert math.isnan(alone["hidden"]) and known(alone) == {"mpjpe": 1, "pa_mpjpe": 1, "visible": 1}


def test_the_study_covers_one_joint_after_another(rig: LandmarkRig, tmp_path: Path) -> None:
    seen_images = []

    def methods(image: np.ndarray, camera: Camera, fits: bool = True) -> dict[str, BodyState]:
        seen_images.append(image)
        state = standing()
        covered = float((image != 90).any(axis=2).mean())
        state.rotations[smpl_index("left_hip")] = turned(state, smpl_index("left_hip"), 200 * covered).rotations[1]
        return {"head": state}

    curves = study([judge(rig)], methods, (1, 5), joints=2)  # type: ignore[arg-type, list-item]
    assert len(seen_images) == 1 + 3 * 2 * 2
    for shape in ("bar", "circle", "rectangle"):
        points = curves[shape]["head"]
        assert points[0] == pytest.approx(0, abs=1e-6) and points[5] > points[1] > 0
    chart = section(curves, 1).charts[1]
    assert [x for x, _ in chart.series["head"]] == [0, 1, 5]


def test_turning_a_joint_moves_what_hangs_on_it(rig: LandmarkRig) -> None:
    elbow, state = smpl_index("right_elbow"), standing()
    bent = rig.pose(turned(state, elbow, 90).rotations, state.betas).joints
    still = rig.pose(state.rotations, state.betas).joints
    moved = np.linalg.norm(bent - still, axis=1) > 0.05
    assert set(np.flatnonzero(moved)) == {smpl_index("right_wrist"), smpl_index("right_hand")}
    assert 0 in ANGLES and np.array_equal(turned(state, elbow, 0).rotations, state.rotations)


def test_a_study_is_one_page(tmp_path: Path) -> None:
    chart = Chart("curve", "x", "y", {"a": [(0.0, 1.0), (1.0, 2.0)]})
    picture = Picture("case", np.zeros((8, 16, 3), np.uint8), ("left", "right"))
    sections = [StudySection("One", ["a <note>"], {"numbers": {"row": {"column": 12.34}}}, [chart], [picture])]
    write_study(tmp_path / "page.html", "Study", sections)
    text = (tmp_path / "page.html").read_text()
    for wanted in ("<h1>Study", "a &lt;note&gt;", "12.3", "<svg", "data:image/jpeg", "left"):
        assert wanted in text


def test_vnh_rows_and_costs() -> None:
    error = {"mpjpe": 80.0, "pa_mpjpe": 50.0, "pckh": 90.0}
    assert "| all | 80.0 / 50.0 / 90 |" in markdown({"clear": {method: error for method in ROWS.values()}})
    cost = step_cost("skeleton", 1, 1)
    assert isinstance(cost, StepCost) and cost.kernels == 439 and cost.milliseconds > 0
