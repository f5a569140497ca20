"""Scoring of made-up people whose errors are known, and the figures of a report from tables made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tracker.body import load_body
from tracker.core.camera import Camera
from tracker.core.person import Person, Pose
from tracker.evaluation.scoring import Judge, Row, stacked
from tracker.evaluation.summary import (
    as_text,
    degree_curve,
    mean_figures,
    motion_figures,
    pose_figures,
    time_curve,
    worst_case,
)
from tracker.evaluation.truth import Truth, posed_body

CAMERA = Camera.default(640, 480)


@pytest.fixture(scope="module")
def truth() -> Truth:
    """Two frames of a person who stands upright, three and four metres away."""
    theta = np.zeros((2, 24, 3))
    theta[:, 0, 0] = math.pi
    transl = np.array([[0.1, 0.2, 3.0], [0.1, 0.2, 4.0]])
    return Truth.of(load_body(), CAMERA, np.array([0.0, 0.1]), (theta, np.zeros(10), transl))


def tracked(truth: Truth, frame: int, offset: tuple[float, float, float] = (0.0, 0.0, 0.0), number: int = 0) -> Person:
    """The true person, moved."""
    theta, transl = truth.theta[frame], truth.transl[frame] + offset
    joints = posed_body(load_body(), theta, truth.betas, transl).joints.numpy().astype(float)
    pose = Pose(theta[0], theta[1:].ravel(), truth.betas, transl)
    return Person(number, pose, joints, CAMERA.project(joints), np.ones(24), truth.boxes[frame], 0.0)


def no_mask() -> np.ndarray:
    return np.zeros((480, 640), bool)


def judged(truth: Truth, people: list[Person], mask: np.ndarray) -> Row:
    return Judge(load_body(), load_body(), truth, parts=True).row(0, people, mask)


def test_the_truth_follows_from_the_parameters(truth: Truth) -> None:
    posed = posed_body(load_body(), truth.theta[1], truth.betas, truth.transl[1])
    assert truth.joints3d[1] == pytest.approx(posed.joints.numpy().astype(float))
    assert truth.boxes[0, 3] - truth.boxes[0, 1] > truth.boxes[1, 3] - truth.boxes[1, 1] > 200
    assert truth.present.all()
    # a head and neck of about a quarter of a metre, at three metres and 800 px
    assert truth.head_lengths[0] == pytest.approx(0.25 * 800 / 3, rel=0.3)


def test_the_true_pose_has_no_error(truth: Truth) -> None:
    figures = pose_figures(stacked([judged(truth, [tracked(truth, 0)], no_mask())]))
    assert figures["found"] == 100
    for key in ("mpjpe", "pa_mpjpe", "pve", "angle", "root", "mpjpe_visible", "pa_mpjpe_visible", "pve_visible"):
        assert figures[key] == pytest.approx(0.0, abs=1e-2), key
    for key in ("pckh", "pck", "silhouette_accuracy", "silhouette_f1", "part_accuracy", "part_f1", "part_f1_visible"):
        assert figures[key] == pytest.approx(100.0), key


def test_a_shift_in_depth_is_the_root_s_error(truth: Truth) -> None:
    figures = pose_figures(stacked([judged(truth, [tracked(truth, 0, (0.0, 0.0, 0.25))], no_mask())]))
    assert figures["root"] == pytest.approx(250.0, rel=1e-3)
    assert figures["mpjpe"] == pytest.approx(0.0, abs=1e-2)
    assert figures["silhouette_accuracy"] < 99.9


def test_nobody_and_somebody_else_are_not_found(truth: Truth) -> None:
    for people in ([], [tracked(truth, 0, (1.5, 0.0, 0.0))]):
        figures = pose_figures(stacked([judged(truth, people, no_mask())]))
        assert figures["found"] == 0
        assert math.isnan(figures["mpjpe"])
        assert figures["pckh"] == figures["pck"] == 0


def test_the_nearest_of_several_people_is_judged(truth: Truth) -> None:
    people = [tracked(truth, 0, (0.3, 0.0, 0.0), 4), tracked(truth, 0, (0.02, 0.0, 0.0), 9)]
    assert judged(truth, people, no_mask())["person_id"] == 9


def test_what_is_covered_does_not_count_as_visible(truth: Truth) -> None:
    mask = no_mask()
    mask[: int(truth.joints2d[0, 0, 1])] = True
    row = judged(truth, [tracked(truth, 0)], mask)
    assert not row["visible"][[12, 15, 16, 17]].any()
    assert row["visible"][[4, 5, 7, 8]].all()
    assert row["confusion"][1].sum() < row["confusion"][0].sum()


def table(error: list[list[float]], visible: list[list[bool]], **columns: list[float]) -> Row:
    """A table whose frames have these errors in two joints."""
    errors = np.array(error)
    count = len(errors)
    return {
        "asked": np.ones(count, bool),
        "found": ~np.isnan(errors[:, 0]),
        "visible": np.array(visible),
        "error": errors,
        "aligned": errors / 2,
        "aligned_visible": np.where(visible, errors / 2, np.nan),
        "vertices": np.tile(errors.mean(axis=1)[:, None], 2),
        "head_units": np.nan_to_num(errors / 100, nan=np.inf),
        "box_units": np.nan_to_num(errors / 1000, nan=np.inf),
        "angle": errors,
        "root": np.zeros((count, 3)),
        "root_seen": np.ones(count, bool),
        **{name: np.array(values) for name, values in columns.items()},
    }


def test_who_is_hidden_need_not_be_found() -> None:
    errors = [[10.0, 10.0], [np.nan, np.nan], [np.nan, np.nan], [10.0, 10.0]]
    rows = table(errors, [[True, True]] * 4, hidden_share=[0.0, 0.9, 0.5, 0.8])
    figures = pose_figures(rows)
    assert (figures["found"], figures["found_visible"]) == (50.0, pytest.approx(200 / 3))
    del rows["hidden_share"]
    assert "found_visible" not in pose_figures(rows)


def test_figures_over_all_and_over_visible_joints() -> None:
    figures = pose_figures(table([[10.0, 90.0], [np.nan, np.nan]], [[True, False], [True, True]]))
    assert figures["found"] == 50
    assert (figures["mpjpe"], figures["mpjpe_visible"]) == (50.0, 10.0)
    assert figures["pckh"] == 25.0
    assert figures["pckh_visible"] == pytest.approx(100 / 3)


def test_the_worst_place_is_relative_and_over_visible_joints() -> None:
    """The clean picture's joints are off by 10 and 40 mm. Losses: 2× over the first joint, 1.5× over the second,
    and 30× over a joint that the patch covers, which does not count."""
    clean = table([[10.0, 40.0]], [[True, True]])
    patches = table([[20.0, 1200.0], [np.nan, np.nan], [10.0, 60.0]], [[True, False], [True, True], [False, True]])
    worst = worst_case(clean, patches)
    assert worst is not None
    assert worst.index == 0
    assert worst.figures["mpjpe_visible"] == 20.0
    assert worst.figures["mpjpe"] == 610.0
    assert worst.figures["found"] == pytest.approx(200 / 3)
    # where the person is lost no joint is right: that is the worst place for PCKh
    assert worst.figures["pckh_visible"] == 0.0
    assert worst_case(table([[np.nan, np.nan]], [[True, True]]), patches) is None


def test_the_mean_leaves_out_figures_that_are_missing() -> None:
    assert mean_figures([{"a": 1.0, "b": 2.0}, {"a": 3.0}]) == {"a": 2.0, "b": 2.0}


def test_curves() -> None:
    shapes = table([[20.0, 20.0], [60.0, 60.0], [40.0, 40.0]], [[True, True]] * 3, degree=[1, 2, 1])
    assert degree_curve(table([[10.0, 10.0]], [[True, True]]), shapes, "mpjpe") == [(0, 10.0), (1, 30.0), (2, 60.0)]
    clip = table([[10.0, 10.0], [np.nan, np.nan], [40.0, 20.0]], [[True, True]] * 3, time=[5.0, 6.0, 7.0])
    (_, first), (_, second) = time_curve([clip], bins=2)
    assert (first, second) == (10.0, 30.0)


def test_motion_over_visible_joints() -> None:
    """Everything falls as it should, but one joint, hidden, does not."""
    times = np.arange(6) / 10
    true = np.zeros((6, 24, 3))
    true[..., 1] = (4.0 * times**2)[:, None]
    places = true.copy()
    places[:, 3] = 0.0
    visible = np.ones((6, 24), bool)
    clip = {"time": times, "true3d": true, "joints3d": places, "visible": visible}
    assert motion_figures([clip])["acceleration"] == pytest.approx(8.0 / 24)
    visible[:, 3] = False
    assert motion_figures([clip])["acceleration_visible"] == pytest.approx(0.0, abs=1e-9)
    assert motion_figures([clip])["jitter"] == pytest.approx(0.0, abs=1e-6)


def test_the_table_on_the_screen() -> None:
    rows = {"stills": {"found": 100.0, "mpjpe_visible": 51.25}, "bar": {"found": 50.0}}
    lines = as_text(rows, ("found", "mpjpe_visible")).splitlines()
    assert [line.split() for line in lines] == [
        ["MPJPE"], ["found", "visible"], ["%", "mm"], ["stills", "100.0", "51.2"], ["bar", "50.0", "–"],
    ]  # fmt: skip
    assert len({len(line) for line in lines}) == 1
