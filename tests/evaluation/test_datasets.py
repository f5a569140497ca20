"""Every reader on a tiny file of its data set's own format, made here."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from tracker.core.errors import InputError
from tracker.core.geometry import matrix_from_axis_angle
from tracker.core.npz_file import read_npz
from tracker.core.safe_pickle import RefusedGlobal
from tracker.evaluation.datasets import DATASETS, JOINT_SETS, Recording, read_dataset

RNG = np.random.default_rng(3)


def only(name: str, path: Path) -> Recording:
    (recording,) = read_dataset(name, path)
    return recording


def threedpw(folder: Path, name: str, split: str = "test") -> dict[str, object]:
    """A sequence of three frames with two people, as 3DPW's Python 2 wrote them."""
    cameras = np.tile(np.eye(4), (3, 1, 1))
    cameras[:, :3, :3] = matrix_from_axis_angle(np.array([3.0, 0.2, 0.1]))
    cameras[:, :3, 3] = [0.1, 0.2, 5.0]
    content = {
        "sequence": name,
        "poses": [RNG.normal(0, 0.3, (3, 72)) for _ in range(2)],
        "betas": [RNG.normal(0, 1, 10), RNG.normal(0, 1, 300)],
        "trans": [RNG.normal(0, 0.1, (3, 3)) for _ in range(2)],
        "jointPositions": [RNG.normal(0, 0.3, (3, 72)) for _ in range(2)],
        "poses2d": [np.zeros((3, 3, 18)) for _ in range(2)],
        "cam_poses": cameras,
        "cam_intrinsics": np.array([[1900.0, 0, 540], [0, 1900, 960], [0, 0, 1]]),
        "campose_valid": [np.array([1, 0, 1]), np.array([1, 1, 1])],
        "genders": ["m", "f"],
        "img_frame_ids": np.arange(3),
    }
    path = folder / "sequenceFiles" / split / f"{name}.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=2))
    return content


def test_3dpw(tmp_path: Path) -> None:
    content = threedpw(tmp_path, "downtown_walking_00")
    first, second = read_dataset("3dpw", tmp_path)
    assert (first.name, second.name) == ("downtown_walking_00/0", "downtown_walking_00/1")
    assert first.pictures[2] == tmp_path / "imageFiles" / "downtown_walking_00" / "image_00002.jpg"
    assert first.valid[:, 0].tolist() == [True, False, True]
    assert first.camera is not None
    assert (first.camera.width, first.camera.height, first.camera.cx) == (1080, 1920, 540.5)
    world = content["jointPositions"][1].reshape(3, 24, 3)  # type: ignore[index]
    T = content["cam_poses"][0]  # type: ignore[index]
    assert second.joints3d == pytest.approx(world @ T[:3, :3].T + T[:3, 3])
    assert second.smpl is not None
    assert second.smpl.gender == "female"
    assert second.smpl.betas.shape == (3, 10)
    before, after = (matrix_from_axis_angle(each) for each in (content["poses"][1][:, :3], second.smpl.theta[:, 0]))  # type: ignore[index]
    assert after == pytest.approx(T[:3, :3] @ before)
    assert second.smpl.theta[:, 1:].reshape(3, 69) == pytest.approx(content["poses"][1][:, 3:])  # type: ignore[index]


def test_3dpw_occ_takes_its_sequences_from_every_split(tmp_path: Path) -> None:
    for name, split in (("downtown_walking_00", "test"), ("courtyard_box_00", "train"), ("flat_guitar_01", "test")):
        threedpw(tmp_path, name, split)
    names = {recording.name.split("/")[0] for recording in read_dataset("3dpw-occ", tmp_path)}
    assert names == {"courtyard_box_00", "flat_guitar_01"}


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return print, ("run",)


def test_a_pickle_that_would_run_something_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threedpw(tmp_path, "downtown_walking_00")
    path = tmp_path / "sequenceFiles" / "test" / "downtown_walking_00.pkl"
    path.write_bytes(pickle.dumps({"poses": Evil()}, protocol=2))
    with pytest.raises(InputError, match=r"3DPW: .*downtown_walking_00\.pkl: .*print"):
        list(read_dataset("3dpw", tmp_path))
    assert "run" not in capsys.readouterr().out


def test_3doh50k(tmp_path: Path) -> None:
    joints = RNG.normal(0, 0.3, (24, 3))
    rotation = matrix_from_axis_angle(np.array([0.4, 0.1, 0.0]))
    extrinsics = np.eye(4)
    extrinsics[:3, :3], extrinsics[:3, 3] = rotation, [0.0, 0.1, 3.0]
    content = {
        "img_path": "images\\00007.jpg",
        "bbox": [[10, 20], [200, 300]],
        "intri": [[1500.0, 0, 320], [0, 1500, 240], [0, 0, 1]],
        "extri": extrinsics.tolist(),
        "pose": [RNG.normal(0, 0.2, 72).tolist()],
        "betas": [RNG.normal(0, 1, 10).tolist()],
        "trans": [[0, 0, 0]],
        "scale": [1.1],
        "smpl_joints_3d": joints.tolist(),
        "smpl_joints_2d": RNG.uniform(0, 400, (24, 2)).tolist(),
        "lsp_joints_2d": RNG.uniform(0, 400, (14, 2)).tolist(),
        "lsp_joints_3d": RNG.normal(0, 1, (14, 3)).tolist(),
    }
    (tmp_path / "testset").mkdir()
    (tmp_path / "testset" / "annots.json").write_text(json.dumps({"00007": content}))
    still = only("3doh50k", tmp_path)
    assert still.pictures == (tmp_path / "testset" / "images" / "00007.jpg",)
    assert still.joints3d[0] == pytest.approx(joints @ rotation.T + [0.0, 0.1, 3.0])  # type: ignore[index]
    assert still.joints2d[0] == pytest.approx(np.array(content["smpl_joints_2d"]) + 0.5)  # type: ignore[index]
    assert still.smpl is not None
    assert still.smpl.transl is None
    assert still.rate is None


def human36m(folder: Path, subject: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Two frames of 32 joints, in mm and px, in NASA's common data format."""
    cdfwrite = pytest.importorskip("cdflib.cdfwrite", reason="needs the extra 'eval'")
    poses = []
    for kind, axes in (("D3_Positions_mono", 3), ("D2_Positions", 2)):
        values = RNG.uniform(0, 1000, (1, 2, 32 * axes)).astype(np.float32)
        path = folder / subject / "MyPoseFeatures" / kind / f"{name}.cdf"
        path.parent.mkdir(parents=True, exist_ok=True)
        file = cdfwrite.CDF(path, cdf_spec={"Compressed": 0})
        shape = {"Variable": "Pose", "Data_Type": 21, "Num_Elements": 1, "Rec_Vary": True}
        file.write_var(shape | {"Dim_Sizes": list(values.shape[1:])}, var_data=values)
        file.close()
        poses.append(values.reshape(2, 32, axes))
    return poses[0], poses[1]


def test_human36m_protocols(tmp_path: Path) -> None:
    for subject in ("S9", "S11"):
        for camera in ("54138969", "60457274"):
            human36m(tmp_path, subject, f"_ALL.{camera}")
            solid, flat = human36m(tmp_path, subject, f"Walking 1.{camera}")
    names = [recording.name for recording in read_dataset("h36m-p1", tmp_path)]
    assert len(names) == 4
    assert all("Walking 1" in name for name in names)
    frontal = list(read_dataset("h36m-p2", tmp_path))
    assert [recording.name for recording in frontal] == ["S9/Walking 1.60457274", "S11/Walking 1.60457274"]
    last = frontal[-1]
    assert last.pictures == (tmp_path / "S11" / "Videos" / "Walking 1.60457274.mp4",)
    joints = JOINT_SETS["h36m17"].joints
    # of the 32 joints number 6 is the left hip, number 15 the crown, number 25 the right shoulder
    for name, number in (("pelvis", 0), ("left_hip", 6), ("head_top", 15), ("right_shoulder", 25)):
        assert last.joints3d[:, joints.index(name)] == pytest.approx(solid[:, number] / 1000)  # type: ignore[index]
        assert last.joints2d[:, joints.index(name)] == pytest.approx(flat[:, number] + 0.5)  # type: ignore[index]


def test_mpi_inf_3dhp(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="needs the extra 'eval'")
    (tmp_path / "TS5").mkdir()
    solid, flat = RNG.uniform(-900, 900, (4, 1, 17, 3)), RNG.uniform(0, 900, (4, 1, 17, 2))
    # Matlab puts 512 bytes of its own before the HDF5
    with h5py.File(tmp_path / "TS5" / "annot_data.mat", "w", userblock_size=512) as file:
        file["annot3"], file["annot2"] = solid, flat
        file["univ_annot3"], file["valid_frame"] = solid, np.array([[1.0], [0.0], [1.0], [1.0]])
    recording = only("mpi-inf-3dhp", tmp_path)
    assert (recording.name, recording.rate) == ("TS5", 25.0)
    assert recording.joints3d == pytest.approx(solid[:, 0] / 1000)
    assert recording.joints2d == pytest.approx(flat[:, 0] - 0.5)
    assert recording.valid.all(axis=1).tolist() == [True, False, True, True]
    assert recording.pictures[3].name == "img_000004.jpg"


def test_lsp(tmp_path: Path) -> None:
    joints = RNG.uniform(1, 100, (3, 14, 4))
    savemat(tmp_path / "joints.mat", {"joints": joints})
    third, fourth = read_dataset("lsp", tmp_path)
    assert third.name == "im0003"
    assert fourth.pictures == (tmp_path / "images" / "im0004.jpg",)
    assert third.joints2d[0] == pytest.approx(joints[:2, :, 2].T - 0.5)  # type: ignore[index]
    assert third.joints3d is None
    assert third.parts is None
    parts = tmp_path / "data" / "lsp" / "im0003_part_segmentation.png"
    parts.parent.mkdir(parents=True)
    parts.touch()
    third, fourth = read_dataset("lsp", tmp_path)
    assert (third.parts, fourth.parts) == ((parts,), None)


def test_spin_annotations(tmp_path: Path) -> None:
    part, solid = RNG.uniform(1, 200, (2, 24, 3)), RNG.uniform(-1, 1, (2, 24, 4))
    part[0, 5, 2] = 0.0
    pose, shape = RNG.normal(0, 0.2, (2, 72)), RNG.normal(0, 1, (2, 10))
    path = tmp_path / "coco_eft.npz"
    np.savez(path, imgname=np.array(["a/1.jpg", "a/2.jpg"]), center=np.zeros((2, 2)), scale=np.ones(2), part=part,
             S=solid, pose=pose, shape=shape, has_smpl=np.array([1, 0]), gender=np.array(["f", "m"]))  # fmt: skip
    first, second = read_dataset("spin-npz", path)
    assert first.pictures == (tmp_path / "a" / "1.jpg",)
    assert not first.valid[0, 5]
    assert first.valid.sum() == 23
    assert first.joints2d[0] == pytest.approx(part[0, :, :2] + 0.5)  # type: ignore[index]
    assert first.joints3d[0] == pytest.approx(solid[0, :, :3])  # type: ignore[index]
    assert first.smpl is not None
    assert first.smpl.gender == "female"
    assert first.smpl.theta[0].ravel() == pytest.approx(pose[0])
    assert second.smpl is None


@pytest.mark.parametrize("compressed", [False, True])
def test_human_data(tmp_path: Path, compressed: bool) -> None:
    mask = np.zeros(190)
    mask[[0, 1, 4, 30]] = 1
    points = RNG.uniform(1, 200, (2, 190, 3))
    points[1, 4, 2] = 0.0
    stored = points[:, mask > 0] if compressed else points
    smpl = {
        "global_orient": RNG.normal(0, 1, (2, 3)),
        "body_pose": RNG.normal(0, 1, (2, 69)),
        "betas": RNG.normal(0, 1, (2, 10)),
    }
    path = tmp_path / "pw3d_test.npz"
    np.savez(path, image_path=np.array(["1.jpg", "2.jpg"]), smpl=np.array(smpl, dtype=object), keypoints2d=stored,
             keypoints2d_mask=mask, meta=np.array({"gender": ["m", "f"]}, dtype=object), config="pw3d",
             __key_strict__=False, __keypoints_compressed__=compressed)  # fmt: skip
    first, second = read_dataset("mmhuman3d", path)
    assert np.flatnonzero(first.valid[0]).tolist() == [0, 1, 4]
    assert np.flatnonzero(second.valid[0]).tolist() == [0, 1]
    assert first.joints2d[0, 4] == pytest.approx(points[0, 4, :2] + 0.5)  # type: ignore[index]
    assert first.smpl is not None
    assert first.smpl.gender == "male"
    assert first.smpl.theta[0, 1:].ravel() == pytest.approx(smpl["body_pose"][0])


def test_pickled_entries_run_nothing(tmp_path: Path) -> None:
    path = tmp_path / "evil.npz"
    np.savez(path, image_path=np.array(["1.jpg"]), smpl=np.array([Evil()], dtype=object))
    with pytest.raises(RefusedGlobal, match="print"):
        read_npz(path.read_bytes())
    with pytest.raises(InputError, match=r"mmhuman3d HumanData: .*evil\.npz"):
        list(read_dataset("mmhuman3d", path))


def test_arrays_of_an_npz_come_out_as_numpy_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "plain.npz"
    np.savez_compressed(path, a=np.arange(6).reshape(2, 3), b=np.asfortranarray(np.eye(3)), c="word")
    entries = read_npz(path.read_bytes())
    with np.load(path) as file:
        for name in file.files:
            assert np.array_equal(entries[name], file[name])
            assert entries[name].dtype == file[name].dtype


def test_our_own_export(tmp_path: Path) -> None:
    from tests.export_scene import CAMERA

    count = 4
    arrays = {
        "poses": RNG.normal(0, 0.2, (count, 72)),
        "betas": np.zeros(10),
        "trans": np.zeros((count, 3)),
        "timestamps": np.arange(count) / 25,
        "frame_index": np.arange(count),
        "joints3d": RNG.normal(0, 1, (count, 24, 3)),
        "joints2d": RNG.normal(0, 1, (count, 24, 2)),
        "joint_confidence": np.ones((count, 24)),
        "bbox": np.zeros((count, 4)),
        "nll": np.zeros(count),
    }
    np.savez(tmp_path / "person_003.npz", **arrays, mocap_framerate=25.0, gender="neutral", body_model="free-body",
             camera_matrix=CAMERA.matrix, image_size=np.array([640, 481]), coordinate_system="camera")  # fmt: skip
    for path in (tmp_path, tmp_path / "person_003.npz"):
        recording = only("person-npz", path)
        assert (recording.name, len(recording), recording.rate) == ("person_003", count, 25.0)
        assert recording.joints3d == pytest.approx(arrays["joints3d"], abs=1e-6)
        assert recording.smpl is not None
        assert recording.smpl.theta.reshape(count, 72) == pytest.approx(arrays["poses"], abs=1e-6)


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_what_is_missing_is_said_in_one_line(name: str, tmp_path: Path) -> None:
    tried = tmp_path / "nowhere"
    with pytest.raises(InputError) as caught:
        list(read_dataset(name, tried))
    message = str(caught.value)
    assert str(tried) in message
    assert "to be had at" in message
    assert "\n" not in message


def test_an_unknown_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="4dpw: no such data set; known are 3dpw"):
        read_dataset("4dpw", tmp_path)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "joints.mat").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match=r"LSP: .*joints\.mat: not in this set's format"):
        list(read_dataset("lsp", tmp_path))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("imgname.npy", b"nothing")
    (tmp_path / "some.npz").write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match=r"some\.npz: not in this set's format"):
        list(read_dataset("spin-npz", tmp_path / "some.npz"))
