"""Recorded people: a data set's joints of a tracked body, matching, errors, and where occluders go."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tracker.body import JOINT_NAMES, load_body
from tracker.core.camera import Camera
from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.core.person import Person, Pose
from tracker.evaluation.datasets import JOINT_SETS, Recording, SmplTruth
from tracker.evaluation.joint_map import REGRESSOR_ROWS, JointMap, read_regressor, truth_body
from tracker.evaluation.occlusion import STILL_PROTOCOLS
from tracker.evaluation.recorded import PROTOCOLS, RecordedBench, RecordedCase, RecordedSettings, frames_of, whereabouts
from tracker.evaluation.recorded_judge import RecordedJudge
from tracker.evaluation.scoring import Row, stacked
from tracker.evaluation.sequence_occlusion import SEQUENCE_PROTOCOLS
from tracker.evaluation.summary import pose_figures
from tracker.evaluation.synthetic import PictureStore
from tracker.evaluation.truth import posed_body
from tracker.pipeline import TrackerConfig

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


def judged(truth: Recording, people: list[Person], mask: np.ndarray = NO_MASK, regressor: Path | None = None) -> Row:
    return RecordedJudge(truth, load_body(), regressor, None).row(0, people, CAMERA, mask)


def moved(person: Person, by: tuple[float, float, float]) -> Person:
    joints = person.joints3d + np.array(by)
    pose = replace(person.pose, transl=person.pose.transl + np.array(by))
    return replace(person, pose=pose, joints3d=joints, joints2d=CAMERA.project(joints))


def test_smpl_joints_are_compared_as_they_are(person: Person) -> None:
    truth = recording("smpl24", person.joints3d + np.array([0.0, 0.0, 0.1]))
    figures = pose_figures(stacked([judged(truth, [person])]))
    assert figures["mpjpe"] == pytest.approx(0.0, abs=1e-9)
    assert figures["pa_mpjpe"] == pytest.approx(0.0, abs=1e-9)
    assert figures["root"] == pytest.approx(100.0)
    # what the set does not know is not judged
    assert all(math.isnan(figures[key]) for key in ("pve", "pckh", "angle"))


def test_smpl_parameters_give_angles_and_vertices(person: Person) -> None:
    pose, body = person.pose, load_body()
    smpl = SmplTruth(pose.theta[None].copy(), pose.betas[None], pose.transl[None] + 1.0, "neutral", body.name)
    smpl.theta[0, 18, 0] += 0.5
    truth = replace(recording("smpl24", person.joints3d), smpl=smpl, camera=CAMERA)
    row = judged(truth, [person])
    assert row["angle"][18] == pytest.approx(np.degrees(0.5))
    assert np.delete(row["angle"], 18) == pytest.approx(np.zeros(23), abs=1e-4)
    # only the forearm and hand are elsewhere, and where the body stands does not matter
    assert 1.0 < row["vertices"][0] < 20.0
    other = replace(truth, smpl=replace(smpl, body_model="smpl"))
    assert np.isnan(judged(other, [person])["vertices"]).all()


def test_joints_of_the_same_name_without_a_regressor(person: Person) -> None:
    joint_set = JOINT_SETS["h36m17"]
    joints = np.full((17, 3), 3.0)
    for row, name in enumerate(joint_set.joints):
        if name in JOINT_NAMES:
            joints[row] = person.joints3d[JOINT_NAMES.index(name)]
    joints[joint_set.joints.index("left_knee")] += [0.0, 0.13, 0.0]
    answer = JointMap(load_body(), joint_set, None).answer(person, CAMERA)
    assert np.isnan(answer.joints3d[joint_set.joints.index("head_top")]).all()
    row = judged(recording("h36m17", joints), [person])
    # 13 of the 14 judged joints have an SMPL joint of their name
    assert np.isfinite(row["error"]).sum() == 13
    assert pose_figures(stacked([row]))["mpjpe"] == pytest.approx(130 / 13)


@pytest.fixture
def regressor(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """One that picks a vertex a joint, and the vertices that it picks."""
    count = len(load_body().v_template)
    picked = np.random.default_rng(0).choice(count, len(REGRESSOR_ROWS), replace=False)
    weights = np.zeros((len(REGRESSOR_ROWS), count))
    weights[np.arange(len(REGRESSOR_ROWS)), picked] = 1.0
    np.save(tmp_path / "J_regressor_h36m.npy", weights)
    return tmp_path / "J_regressor_h36m.npy", picked


def vertices_of(person: Person) -> np.ndarray:
    pose = person.pose
    return posed_body(load_body(), pose.theta, pose.betas, pose.transl).vertices().numpy().astype(float)


def test_joints_through_a_regressor(person: Person, regressor: tuple[Path, np.ndarray]) -> None:
    path, picked = regressor
    joint_set = JOINT_SETS["h36m17"]
    answer = JointMap(load_body(), joint_set, read_regressor(path, load_body())).answer(person, CAMERA)
    for name in ("pelvis", "head_top", "right_wrist"):
        expected = vertices_of(person)[picked[REGRESSOR_ROWS.index(name)]]
        assert answer.joints3d[joint_set.joints.index(name)] == pytest.approx(expected)


def test_the_papers_joints_of_a_true_body(person: Person, regressor: tuple[Path, np.ndarray]) -> None:
    """With its mesh known, SMPL's joints are replaced on both sides by what the regressor makes of the meshes."""
    pose = person.pose
    smpl = SmplTruth(pose.theta[None], pose.betas[None], None, "neutral", load_body().name)
    truth = replace(recording("smpl24", person.joints3d), smpl=smpl, camera=CAMERA)
    judge = RecordedJudge(truth, load_body(), regressor[0], None)
    row = judge.row(0, [person], CAMERA, NO_MASK)
    assert judge.recording.joint_set.name == "h36m17"
    assert row["error"] == pytest.approx(np.zeros(14), abs=1e-3)
    knee = judge.recording.joint_set.joints.index("left_knee")
    expected = vertices_of(person)[regressor[1][REGRESSOR_ROWS.index("left_knee")]]
    assert judge.recording.joints3d is not None
    assert judge.recording.joints3d[0, knee] == pytest.approx(expected, abs=1e-5)


def test_a_regressor_for_another_body_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "r.npy", np.zeros((17, 6890)))
    with pytest.raises(InputError, match=r"--regressor .*: expected shape \(17, 13112\) for the body free-body"):
        read_regressor(tmp_path / "r.npy", load_body())
    with pytest.raises(InputError, match=r"expected SPIN's J_regressor_h36m\.npy"):
        read_regressor(tmp_path / "missing.npy", load_body())


def test_a_missing_gendered_body_is_named(tmp_path: Path) -> None:
    smpl = SmplTruth(np.zeros((1, 24, 3)), np.zeros((1, 10)), None, "female")
    assert truth_body(smpl, None, load_body()) is None
    with pytest.raises(InputError, match=r"--truth-bodies .*: expected SMPL_FEMALE\.npz or SMPL_FEMALE\.pkl"):
        truth_body(smpl, tmp_path, load_body())


def test_hidden_outside_and_missing_joints_do_not_count_as_visible(person: Person) -> None:
    joints = person.joints3d.copy()
    joints[4, 0] = np.nan
    joints[21, 0] += 5.0
    mask = NO_MASK.copy()
    mask[: int(person.joints2d[0, 1])] = True
    row = judged(recording("smpl24", joints), [person], mask)
    assert np.isnan(row["error"][4])
    assert not row["visible"][[4, 12, 15, 21]].any()
    assert row["visible"][[5, 7, 8]].all()


def test_somebody_else_is_not_taken_for_the_person(person: Person) -> None:
    truth = recording("smpl24", person.joints3d)
    far = moved(person, (2.0, 0.0, 0.0))
    assert judged(truth, [far, person])["error"] == pytest.approx(np.zeros(24), abs=1e-9)
    lost = pose_figures(stacked([judged(truth, [far])]))
    assert lost["found"] == 0
    assert lost["pck"] == 0
    assert math.isnan(lost["pckh"])


def lsp(person: Person) -> Recording:
    """A still with LSP's joints: SMPL's of the same names, and the head's top at (330, 40)."""
    joint_set = JOINT_SETS["lsp14"]
    flat = np.full((1, 14, 2), [330.0, 40.0])
    for row, name in enumerate(joint_set.joints):
        if name in JOINT_NAMES:
            flat[0, row] = person.joints2d[JOINT_NAMES.index(name)]
    whole = np.ones((1, 14), bool)
    return Recording("one", (Path("1.jpg"),), joint_set, joints3d=None, joints2d=flat, valid=whole)


def test_the_middle_of_the_hips_stands_in_for_a_missing_root(person: Person) -> None:
    truth = lsp(person)
    where = whereabouts(truth, (640, 480))
    assert where.joints2d[0, 0] == pytest.approx(person.joints2d[[1, 2]].mean(axis=0))
    assert where.joints2d[0, JOINT_NAMES.index("head")] == pytest.approx([330.0, 40.0])
    assert np.isnan(where.joints2d[0, JOINT_NAMES.index("spine2")]).all()
    row = judged(truth, [person])
    assert np.isnan(row["error"]).all()
    assert np.nansum(row["box_units"][:12]) == pytest.approx(0.0, abs=1e-9)
    figures = pose_figures(stacked([row]))
    assert figures["pck"] == figures["pckh"] == 100.0


def test_parts_are_compared_with_segmented_pictures(person: Person, tmp_path: Path) -> None:
    """Against the tracked body's own parts everything is right, pixels of the label 255 left out."""
    from tracker.evaluation.scoring import face_parts
    from tracker.evaluation.segmentation import label_map

    body = load_body()
    labels = label_map(CAMERA, vertices_of(person), body.faces.numpy(), face_parts(body))
    labels[:, 320:] = np.where(labels[:, 320:] > 0, 255, 0)
    Image.fromarray(labels).save(tmp_path / "parts.png")
    row = judged(replace(lsp(person), parts=(tmp_path / "parts.png",)), [person])
    figures = pose_figures(stacked([row]))
    assert figures["part_f1"] == figures["part_accuracy"] == 100.0
    assert row["confusion"][0].sum() == (labels != 255).sum()
    Image.fromarray(labels[:100]).save(tmp_path / "parts.png")
    with pytest.raises(InputError, match=r"parts\.png: expected labels of 640×480 pixels, got 640×100"):
        judged(replace(lsp(person), parts=(tmp_path / "parts.png",)), [person])


@pytest.fixture
def footage(person: Person, tmp_path: Path) -> Path:
    """What `track` leaves of a clip of nine pictures: one person in all but the first two, and where the clip lies."""
    for index in range(9):
        Image.new("RGB", (640, 480), (90, 20 * index, 90)).save(tmp_path / f"{index}.png")
    folder = tmp_path / "result"
    folder.mkdir()
    pose, count = person.pose, 7
    np.savez(
        folder / "person_000.npz",
        poses=np.tile(pose.theta.ravel(), (count, 1)), betas=pose.betas, trans=np.tile(pose.transl, (count, 1)),
        timestamps=np.arange(2, 9) / 10, frame_index=np.arange(2, 9), joints3d=np.tile(person.joints3d, (count, 1, 1)),
        joints2d=np.tile(person.joints2d, (count, 1, 1)), joint_confidence=np.ones((count, 24)),
        bbox=np.zeros((count, 4)), nll=np.zeros(count), mocap_framerate=10.0, gender="neutral",
        body_model=load_body().name, camera_matrix=CAMERA.matrix, image_size=np.array([640, 480]),
        coordinate_system="camera",
    )  # fmt: skip
    (folder / "run.json").write_text(json.dumps({"source": {"location": str(tmp_path)}}))
    return folder


def bench(footage: Path, **settings: object) -> RecordedBench:
    chosen = RecordedSettings("person-npz", footage, **settings)  # type: ignore[arg-type]
    return RecordedBench(chosen, TrackerConfig(), PictureStore(footage / "cache"))


def test_every_recording_can_be_put_under_every_protocol(footage: Path) -> None:
    cases = bench(footage, protocols=PROTOCOLS).cases()
    assert [(case.protocol, case.single) for case in cases] == [
        ("clean", False),
        ("clean", True),
        *((name, True) for name in STILL_PROTOCOLS),
        *((name, False) for name in SEQUENCE_PROTOCOLS),
    ]
    assert len({case.name for case in cases}) == len(cases)
    assert cases[0].recording.valid.any(axis=1).tolist() == [False] * 2 + [True] * 7


@pytest.mark.parametrize("protocol", [*STILL_PROTOCOLS, "limb", "pillar", "lower-half"])
def test_a_still_can_be_put_under_every_protocol(footage: Path, protocol: str) -> None:
    (whole,) = bench(footage).cases()
    one = {name: getattr(whole.recording, name)[3:4] for name in ("joints3d", "joints2d", "valid")}
    still = replace(whole.recording, **one, smpl=None, rate=None)
    case = RecordedCase(0, still, protocol, single=True)
    frame = Frame(0, 0.0, np.full((480, 640, 3), 77, np.uint8))
    first = next(iter(bench(footage, protocols=(protocol,)).placements(case, frame)))
    picture = bench(footage, protocols=(protocol,)).picture(case, frame, first, 0)
    assert first.mask.any()
    assert ((picture != 77).any(axis=-1) <= first.mask).all()


def test_answers_from_files_are_judged(footage: Path) -> None:
    """Against itself a result has no error."""
    able = bench(footage, predicted=footage)
    (case,) = able.cases()
    figures = pose_figures(able.run(case))
    assert figures["found"] == 100.0
    for key in ("mpjpe", "pa_mpjpe", "pve", "angle", "root"):
        assert figures[key] == pytest.approx(0.0, abs=1e-3), key
    with pytest.raises(InputError, match=r"--predicted .*nowhere: expected .*person_\*\.npz for person_000"):
        bench(footage, predicted=footage / "nowhere").run(case)


def test_a_source_s_frames_are_those_of_its_truth(footage: Path) -> None:
    (case,) = bench(footage).cases()
    frames = list(frames_of(case.recording))
    assert [frame.index for frame in frames] == list(range(9))
    assert frames[5].image[0, 0].tolist() == [90, 100, 90]


def test_what_cannot_be_evaluated_is_named(footage: Path) -> None:
    with pytest.raises(InputError, match=r"--protocol fog: expected one of patch-40, .*crossing, all"):
        bench(footage, protocols=("fog",)).cases()
    with pytest.raises(InputError, match=r"--protocol contact: expected one of patch-40, .*crossing, all"):
        bench(footage, protocols=("contact",)).cases()
    with pytest.raises(InputError, match="--protocol bar: --predicted has no tracker"):
        bench(footage, protocols=("bar",), predicted=footage).cases()
    (footage / "run.json").unlink()
    with pytest.raises(InputError, match="person_000: has no pictures to evaluate on"):
        bench(footage).cases()
