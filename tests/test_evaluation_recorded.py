"""Recorded people: a data set's joints of a tracked body, matching, errors, and where occluders go."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tracker.body import JOINT_NAMES, load_body
from tracker.camera import Camera
from tracker.errors import InputError
from tracker.evaluation.datasets import JOINT_SETS, Recording
from tracker.evaluation.recorded import (
    REGRESSOR_ROWS,
    Answer,
    JointMap,
    RecordedJob,
    dataset_report,
    evaluate_recordings,
    recorded_row,
    whereabouts,
)
from tracker.evaluation.scoring import stacked
from tracker.evaluation.summary import pose_figures
from tracker.evaluation.truth import posed_body
from tracker.interrupt import Interrupt
from tracker.pipeline import TrackerConfig
from tracker.types import Person, Pose

CAMERA = Camera.default(640, 480)
NO_MASK = np.zeros((480, 640), bool)


@pytest.fixture(scope="module")
def person() -> Person:
    theta = np.zeros((24, 3))
    theta[0, 0] = math.pi
    transl = np.array([0.0, 0.0, 3.0])
    joints = posed_body(load_body(), theta, np.zeros(10), transl).joints.numpy().astype(float)
    pose = Pose(theta[0], theta[1:].ravel(), np.zeros(10), transl)
    return Person(0, pose, joints, CAMERA.project(joints), np.ones(24), np.zeros(4), 0.0)


def recording(joint_set: str, joints3d: np.ndarray) -> Recording:
    joints = joints3d[None]
    valid = np.isfinite(joints).all(axis=-1)
    return Recording("one", (Path("1.jpg"),), JOINT_SETS[joint_set], joints, CAMERA.project(joints), valid)


def test_smpl_joints_are_compared_as_they_are(person: Person) -> None:
    truth = recording("smpl24", person.joints3d + np.array([0.0, 0.0, 0.1]))
    answer = JointMap(load_body(), truth.joint_set, None).answer(person, CAMERA)
    figures = pose_figures(stacked([recorded_row(truth, 0, [answer], NO_MASK)]))
    assert figures["mpjpe"] == pytest.approx(0.0, abs=1e-9)
    assert figures["pa_mpjpe"] == pytest.approx(0.0, abs=1e-9)
    assert figures["root"] == pytest.approx(100.0)


def test_joints_of_the_same_name_without_a_regressor(person: Person) -> None:
    joint_set = JOINT_SETS["h36m17"]
    joints = np.full((17, 3), 3.0)
    for row, name in enumerate(joint_set.joints):
        if name in JOINT_NAMES:
            joints[row] = person.joints3d[JOINT_NAMES.index(name)]
    joints[joint_set.joints.index("left_knee")] += [0.0, 0.13, 0.0]
    answer = JointMap(load_body(), joint_set, None).answer(person, CAMERA)
    assert np.isnan(answer.joints3d[joint_set.joints.index("head_top")]).all()
    row = recorded_row(recording("h36m17", joints), 0, [answer], NO_MASK)
    # 13 of the 14 judged joints have an SMPL joint of their name
    assert np.isfinite(row["error"]).sum() == 13
    assert pose_figures(stacked([row]))["mpjpe"] == pytest.approx(130 / 13)


def test_joints_through_a_regressor(person: Person, tmp_path: Path) -> None:
    """A regressor that picks one vertex a joint gives that vertex."""
    body = load_body()
    picked = np.random.default_rng(0).choice(len(body.v_template), len(REGRESSOR_ROWS), replace=False)
    weights = np.zeros((len(REGRESSOR_ROWS), len(body.v_template)))
    weights[np.arange(len(REGRESSOR_ROWS)), picked] = 1.0
    path = tmp_path / "J_regressor_h36m.npy"
    np.save(path, weights)
    pose = person.pose
    vertices = posed_body(body, pose.theta, pose.betas, pose.transl).vertices().numpy()
    joint_set = JOINT_SETS["h36m17"]
    answer = JointMap(body, joint_set, path).answer(person, CAMERA)
    for name in ("pelvis", "head_top", "right_wrist"):
        expected = vertices[picked[REGRESSOR_ROWS.index(name)]]
        assert answer.joints3d[joint_set.joints.index(name)] == pytest.approx(expected)


def test_a_regressor_for_another_body_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "r.npy", np.zeros((17, 6890)))
    with pytest.raises(InputError, match=r"--regressor .*: expected shape \(17, 13112\) for the body free-body"):
        JointMap(load_body(), JOINT_SETS["h36m17"], tmp_path / "r.npy")
    with pytest.raises(InputError, match=r"expected SPIN's J_regressor_h36m\.npy"):
        JointMap(load_body(), JOINT_SETS["h36m17"], tmp_path / "missing.npy")


def test_hidden_and_missing_joints_do_not_count_as_visible(person: Person) -> None:
    joints = person.joints3d.copy()
    joints[4, 0] = np.nan
    mask = NO_MASK.copy()
    mask[: int(person.joints2d[0, 1])] = True
    truth = recording("smpl24", joints)
    row = recorded_row(truth, 0, [Answer(person.joints3d, person.joints2d)], mask)
    assert np.isnan(row["error"][4])
    assert not row["visible"][[4, 12, 15]].any()
    assert row["visible"][[5, 7, 8]].all()


def test_somebody_else_is_not_taken_for_the_person(person: Person) -> None:
    truth = recording("smpl24", person.joints3d)
    away = person.joints3d + np.array([2.0, 0.0, 0.0])
    far = Answer(away, CAMERA.project(away))
    near = Answer(person.joints3d, person.joints2d)
    assert recorded_row(truth, 0, [far, near], NO_MASK)["error"] == pytest.approx(np.zeros(24), abs=1e-9)
    lost = pose_figures(stacked([recorded_row(truth, 0, [far], NO_MASK)]))
    assert lost["found"] == 0
    assert lost["pck"] == 0


def test_the_middle_of_the_hips_stands_in_for_a_missing_root(person: Person) -> None:
    joint_set = JOINT_SETS["lsp14"]
    flat = np.full((1, 14, 2), 5.0)
    for row, name in enumerate(joint_set.joints):
        if name in JOINT_NAMES:
            flat[0, row] = person.joints2d[JOINT_NAMES.index(name)]
    picture, whole = Path("1.jpg"), np.ones((1, 14), bool)
    truth = Recording("one", (picture,), joint_set, joints3d=None, joints2d=flat, valid=whole)
    where = whereabouts(truth, (640, 480))
    hips = person.joints2d[[1, 2]].mean(axis=0)
    assert where.joints2d[0, 0] == pytest.approx(hips)
    assert where.joints2d[0, JOINT_NAMES.index("head")] == pytest.approx([5.0, 5.0])
    assert np.isnan(where.joints2d[0, JOINT_NAMES.index("spine2")]).all()
    row = recorded_row(truth, 0, [JointMap(load_body(), joint_set, None).answer(person, CAMERA)], NO_MASK)
    assert np.isnan(row["error"]).all()
    assert np.nansum(row["box_units"][:12]) == pytest.approx(0.0, abs=1e-9)


def test_protocols_that_do_not_fit_are_named(person: Person) -> None:
    still = recording("smpl24", person.joints3d)
    for protocol in ("limb", "fog"):
        with pytest.raises(
            InputError, match=f"--protocol {protocol}: expected one of clean, patch-40, .* for the stills"
        ):
            evaluate_recordings([still], RecordedJob(protocol), TrackerConfig(), Interrupt())


def test_the_report_says_when_the_joints_are_not_the_papers() -> None:
    truth = recording("h36m17", np.ones((17, 3)))
    assert "not the papers'" in dataset_report({"clean": {"mpjpe": 1.0}}, [truth], RecordedJob())
    assert "not the papers'" not in dataset_report({"clean": {}}, [truth], RecordedJob(regressor=Path("r.npy")))
