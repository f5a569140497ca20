"""Annotated pictures as training material: people who are drawn here, written in SPIN's format, and read back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from kernels import raster
from kernels.raster_values import Intrinsics
from tests.training.test_volume import VALUES
from tracker.body import JOINT_NAMES, BodyModel, load_body
from tracker.core.camera import Camera, CameraConfig
from tracker.core.errors import InputError, RunError
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.core.tensor_file import load_tensors
from tracker.evaluation.datasets import JOINT_SETS
from tracker.motion import PoseSampler
from tracker.training import people
from tracker.training.annotated import AnnotatedData, read_people
from tracker.training.job import TrainingJob
from tracker.training.material import Material
from tracker.training.parallel import Ranks
from tracker.training.people import Batch, Example, Mixed, RealPeople
from tracker.training.threads import threads
from tracker.training.train_volume import train
from tracker.training.volume_config import VolumeTraining

CAMERA = Camera.default(640, 480)
SPIN = JOINT_SETS["spin24"].joints
PAINT = 10
"""Grey levels from one body part's paint to the next's."""


@dataclass(frozen=True)
class Drawn:
    """People of the built-in body, one a picture."""

    folder: Path
    theta: np.ndarray
    joints: np.ndarray
    """(N, 24, 3) SMPL's, m."""
    columns: dict[str, np.ndarray]

    def write(self, **changed: np.ndarray | None) -> Path:
        """The annotation file, with other columns or without those that are None."""
        path = self.folder / "train.npz"
        columns = {name: value for name, value in {**self.columns, **changed}.items() if value is not None}
        np.savez(path, **columns)  # type: ignore[arg-type]
        return path

    def data(self, **changed: np.ndarray | None) -> AnnotatedData:
        return AnnotatedData(self.write(**changed), self.folder)


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


def spin_joints(joints: np.ndarray) -> np.ndarray:
    """(N, 24, C + 1): those of SPIN's joints that SMPL has by name, and confidence."""
    out = np.zeros((len(joints), len(SPIN), joints.shape[2] + 1))
    for row, name in enumerate(SPIN):
        if name in JOINT_NAMES and name not in ("neck", "head", "pelvis"):
            out[:, row, :-1] = joints[:, JOINT_NAMES.index(name)]
            out[:, row, -1] = 1
    return out


def painted(body: BodyModel, vertices: torch.Tensor, camera: Camera) -> np.ndarray:
    """(h, w, 3): black, and on the body PAINT times the part's number."""
    k = Intrinsics(camera.fx, camera.fy, camera.cx, camera.cy)
    seen = raster.rasterize(vertices.contiguous(), body.faces.int(), k, (camera.width, camera.height)).triangle.numpy()
    part = 1 + body.part_labels[body.faces[:, 0]].numpy()
    return np.repeat((PAINT * np.where(seen >= 0, part[seen], 0))[..., None], 3, axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def drawn(body: BodyModel, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    folder, count = tmp_path_factory.mktemp("pictures"), 3
    rng = np.random.default_rng(1)
    rotations = PoseSampler(None).poses(rng, count).astype(float)
    rotations[:, 0] = matrix_from_axis_angle(np.array([[np.pi, 0, 0], [2.9, 0.2, 0.3], [3.0, 0, -0.9]]))
    theta = axis_angle_from_matrix(rotations)
    betas, transl = rng.normal(0, 0.7, (count, 10)), np.array([[0.3, 0.2, 3.2], [-0.7, 0, 4.0], [0, -0.2, 3.5]])
    posed = body.with_shape(torch.tensor(betas).float()).with_pose(
        torch.tensor(theta).float(), torch.tensor(transl).float()
    )
    joints = posed.joints.double().numpy()
    for i, vertices in enumerate(posed.vertices()):
        cv2.imwrite(str(folder / f"{i}.png"), painted(body, vertices, CAMERA))
    columns = {
        "imgname": np.array([f"{i}.png" for i in range(count)]),
        "center": np.zeros((count, 2)),
        "scale": np.ones(count),
        "part": spin_joints(CAMERA.project(joints) - 0.5),  # its pixel centres are at integers
        "S": spin_joints(joints - joints[:, :1]),
        "pose": theta.reshape(count, 72),
        "shape": rng.normal(0, 1, (count, 10)),  # of another body
        "has_smpl": np.ones(count),
    }
    return Drawn(folder, theta, joints, columns)


def joints_of(body: BodyModel, theta: np.ndarray, betas: np.ndarray, transl: np.ndarray) -> np.ndarray:
    values = (torch.as_tensor(np.asarray(v, np.float32)) for v in (betas, theta, transl))
    shape, pose, place = values
    return body.with_shape(shape).with_pose(pose, place).joints.double().numpy()


def test_everybody_comes_back_in_their_pose_and_place(drawn: Drawn, body: BodyModel) -> None:
    """With bone lengths the size is known, and with it the distance."""
    found = read_people(drawn.data(), body)
    assert len(found) == 3
    np.testing.assert_allclose(found.theta, drawn.theta, atol=1e-6)
    joints = joints_of(body, found.theta, found.betas, found.transl)
    off = np.linalg.norm(CAMERA.project(joints) - CAMERA.project(drawn.joints), axis=-1)
    assert off.max() < 6.0 and np.median(off) < 2.0
    assert np.abs(joints[:, 0, 2] / drawn.joints[:, 0, 2] - 1).max() < 0.04
    picture = found[1]
    assert picture.camera == CAMERA
    assert (picture.trusted, picture.shape_trusted, picture.mask) == (1.0, 0.0, None)


def test_without_bone_lengths_they_lie_over_their_keypoints_all_the_same(drawn: Drawn, body: BodyModel) -> None:
    found = read_people(drawn.data(S=None), body)
    joints = joints_of(body, found.theta, found.betas, found.transl)
    off = np.linalg.norm(CAMERA.project(joints) - CAMERA.project(drawn.joints), axis=-1)
    assert off.max() < 12.0 and np.median(off) < 3.0
    assert np.abs(joints[:, 0, 2] / drawn.joints[:, 0, 2] - 1).max() < 0.25


def test_the_file_s_intrinsics_go_before_the_assumed_ones(drawn: Drawn, body: BodyModel) -> None:
    """Shifting the picture with its principal point changes nobody's place in front of the camera."""
    shift = np.array([31.0, -17.0])
    matrix = CAMERA.matrix
    matrix[:2, 2] += shift - 0.5
    part = drawn.columns["part"].copy()
    part[..., :2] += shift
    there = read_people(drawn.data(part=part, cam_int=np.tile(matrix, (3, 1, 1))), body)
    plain = drawn.data()
    np.testing.assert_allclose(there.transl, read_people(plain, body).transl, atol=1e-5)
    assert there[0].camera.cx == pytest.approx(CAMERA.cx + 31.0)
    twice = read_people(replace(plain, camera=CameraConfig(focal=2 * CAMERA.fx)), body)
    assert twice[0].camera.fx == pytest.approx(2 * CAMERA.fx)
    assert (twice.transl[:, 2] > 1.7 * there.transl[:, 2]).all()


def test_examples_show_the_parts_where_the_picture_has_them(
    drawn: Drawn, body: BodyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picture's paint says which part is seen, also under patches: crop, turn, place and part map agree."""
    monkeypatch.setattr(people, "_recoloured", lambda rng, image: image)
    maker = RealPeople(read_people(drawn.data(), body), body)
    seen = set()
    for seed in range(8):
        example = maker.sample(seed)
        paint = np.rint(example.image[2::4, 2::4, 0] / PAINT)
        on = (example.parts > 0) & (paint > 0)
        assert on.sum() / ((example.parts > 0) | (paint > 0)).sum() > 0.85
        assert (paint[on] == example.parts[on]).mean() > 0.65
        (person,) = np.flatnonzero(np.abs(drawn.theta[:, 1:] - example.theta[1:]).max(axis=(1, 2)) < 1e-4)
        seen.add(int(person))
        rolled = matrix_from_axis_angle(example.theta[0]) @ matrix_from_axis_angle(drawn.theta[person, 0]).T
        assert rolled[2] == pytest.approx([0, 0, 1], abs=1e-4)  # turned about the optical axis alone
        assert example.shape_trusted == 0
    assert seen == {0, 1, 2}


def test_a_hidden_body_is_cut_by_the_network_s_mask_unless_that_is_somebody_else_s(
    drawn: Drawn, body: BodyModel
) -> None:
    example = RealPeople(read_people(drawn.data(), body), body).sample(0)
    parts = np.zeros((64, 64), np.uint8)
    parts[10:50, 20:40] = 5
    upper, elsewhere = np.zeros((2, 1, 64, 64), np.float16)
    upper[0, :30], elsewhere[0, 46:] = 0.9, 0.9
    assert not example.masked
    cut, kept, known = Batch.of(
        [
            replace(example, parts=parts, guide={"mask": upper}),
            replace(example, parts=parts, guide={"mask": elsewhere}),
            replace(example, parts=parts, guide={"mask": upper}, masked=np.asarray(True)),
        ]
    ).parts.numpy()
    assert (cut[10:30, 20:40] == 5).all() and not cut[30:].any()
    np.testing.assert_array_equal(kept, parts)
    np.testing.assert_array_equal(known, parts)


def test_who_cannot_be_learned_from_is_left_out_and_counted(
    drawn: Drawn, body: BodyModel, caplog: pytest.LogCaptureFixture
) -> None:
    names = drawn.columns["imgname"].copy()
    names[1] = "not_there.png"
    with caplog.at_level(logging.INFO, logger="tracker"):
        found = read_people(drawn.data(has_smpl=np.array([0, 1, 1]), imgname=names), body)
    assert [path.name for path in found.pictures] == ["2.png"]
    assert "1 of 3 people to learn from; left out 1 without SMPL parameters, 1 whose picture" in caplog.text
    part = drawn.columns["part"].copy()
    part[0, :, 0] = np.random.default_rng(0).uniform(0, 640, 24)
    part[1, 3:, 2] = 0
    assert [path.name for path in read_people(drawn.data(part=part), body).pictures] == ["2.png"]


def test_what_is_wrong_with_a_file_is_named(drawn: Drawn, body: BodyModel) -> None:
    pose = drawn.columns["pose"]
    for changed, message in (
        ({"pose": None}, r"train\.npz: has no pose and shape; expected 2D keypoints with SMPL poses"),
        ({"part": None}, r"train\.npz: has no part"),
        ({"imgname": None}, r"train\.npz: .*it has no imgname"),
        ({"pose": pose[:, :66]}, r"train\.npz: .*pose: expected shape \(3, 24, 3\), got \(3, 66\)"),
        ({"shape": pose[:, :3]}, r"train\.npz: .*shape: expected shape \(3, 10\), got \(3, 3\)"),
        ({"has_smpl": np.zeros(3)}, r"--data .*train\.npz: 0 of 3 people to learn from; left out 3 without SMPL"),
    ):
        with pytest.raises(InputError, match=message):
            read_people(drawn.data(**changed), body)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"nowhere\.npz: not there; expected an \.npz with imgname"):
        read_people(AnnotatedData(drawn.folder / "nowhere.npz", drawn.folder), body)


def test_a_picture_that_vanishes_ends_the_training(drawn: Drawn, body: BodyModel, tmp_path: Path) -> None:
    found = replace(read_people(drawn.data(), body), pictures=(tmp_path / "gone.png",) * 3)
    with pytest.raises(RunError, match=r"gone\.png: the picture cannot be read"):
        found[0]


def test_every_kind_of_people_has_its_share() -> None:
    def kind(name: str) -> RealPeople:
        class Source:
            sample: Callable[[int], str] = staticmethod(lambda seed: name)

        return Source()  # type: ignore[return-value]

    mixed = Mixed(kind("made"), [(kind("clip"), 0.2), (kind("picture"), 0.5)])  # type: ignore[arg-type]
    drawn: list[Example] = [mixed.sample(seed) for seed in range(2000)]
    counts = {name: drawn.count(name) / len(drawn) for name in ("made", "clip", "picture")}  # type: ignore[arg-type]
    assert counts == pytest.approx({"made": 0.3, "clip": 0.2, "picture": 0.5}, abs=0.04)


@pytest.mark.slow
def test_a_training_takes_them_and_says_so_in_the_weights(drawn: Drawn, tmp_path: Path) -> None:
    pytest.importorskip("mediapipe")
    values = {**VALUES, "steps": 2, "validation": 0, "data_share": 1.0}
    with threads(1):
        train(TrainingJob("tiny", "volume", values, tmp_path, "cpu", data=((drawn.write(), drawn.folder),), workers=0))
    _, metadata = load_tensors(tmp_path / "volume.safetensors", "weights")
    assert "pictures annotated in train.npz, whose owners' licences hold" in metadata["data"]


def test_a_configuration_names_files_too(drawn: Drawn, tmp_path: Path) -> None:
    entry = {"file": str(drawn.write()), "images": str(drawn.folder), "weight": 2.0, "camera": {"focal": 1145.0}}
    settings = TrainingJob("own", "volume", {"data": [entry]}, tmp_path).settings(VolumeTraining)
    camera = CameraConfig(focal=1145.0)
    assert settings.data == (AnnotatedData(drawn.folder / "train.npz", drawn.folder, weight=2.0, camera=camera),)
    with pytest.raises(InputError, match="folder"):
        TrainingJob("own", "volume", {"data": [{**entry, "folder": "x"}]}, tmp_path).settings(VolumeTraining)


def test_shares_and_pairs_that_do_not_fit_are_named(drawn: Drawn, body: BodyModel, tmp_path: Path) -> None:
    job = TrainingJob("own", "volume", {"data_share": 1.2}, tmp_path, data=((drawn.write(), drawn.folder),))
    with pytest.raises(InputError, match=r"own: real_share and data_share add up to 1\.2; expected 1 at most"):
        Material(job, job.settings(VolumeTraining), body, Ranks("cpu")).source()
    with pytest.raises(InputError, match="--data is given 1 times and --images 2 times; expected pairs"):
        TrainingJob.read("live", "cpu", data=(Path("a"),), images=(Path("b"), Path("c")))
