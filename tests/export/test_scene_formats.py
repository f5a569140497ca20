"""Files for other people's tools, opened by other people's readers; what is not installed here is skipped, visibly."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.export_scene import CAMERA, person_at, small_body, vertices_of
from tracker.body.smpl_joints import SMPL_JOINTS, smpl_index
from tracker.core.errors import InputError
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.core.person import Person
from tracker.core.transforms import moved_by
from tracker.export import RunContext, load_person
from tracker.export.files_config import FilesConfig
from tracker.export.formats import FORMATS, FormatWriters
from tracker.export.grid import gaps, on_grid
from tracker.export.joint_angles import joint_angles, opensim_coordinates
from tracker.export.sequence import PersonSequence, Timeline, assemble, joints_of, observe, placed_in
from tracker.export.skeletons import joint_names
from tracker.motion.read import read_motion
from tracker.world.camera_path import CameraPath
from tracker.world.world_config import WorldConfig
from tracker.world.world_frame import T_YUP_CAMERA, WorldFrame

BODY = small_body()
RATE = 25.0
TIMES = np.arange(30) / RATE
GAP = slice(10, 18)
WORLD = WorldFrame.of_floor(np.array([0.05, -0.99, -0.12]) / np.linalg.norm([0.05, -0.99, -0.12]), 1.5,
                            np.array([0.2, 0.1, 4.0]))  # fmt: skip

IN_WORLD, PLAIN = WorldConfig(), FilesConfig()


def sequence(person_id: int = 0, gap: bool = False, config: WorldConfig = IN_WORLD) -> PersonSequence:
    """Somebody on the run's grid in the world, from its fifth frame on."""
    rows = [i for i in range(5, 30) if not (gap and GAP.start <= i < GAP.stop)]
    observations = np.concatenate([observe(i, TIMES[i], person_at(BODY, TIMES[i], person_id)) for i in rows])
    person = assemble(observations, RunContext(CAMERA, BODY, RATE, config), Timeline.of(TIMES, RATE))
    return on_grid(placed_in(WORLD, person, BODY), BODY, list(TIMES), list(range(30)))


def written(name: str, people: list[PersonSequence], files: FilesConfig = PLAIN) -> bytes:
    stream, writers = io.BytesIO(), FormatWriters(files, None)
    if name in ("scene", "usd"):
        writers.scene(name)(stream, people, BODY)
    else:
        writers.person(name)(stream, people[0], BODY)
    return stream.getvalue()


def world_vertices(person: PersonSequence) -> np.ndarray:
    """(T, V, 3) m: what every file is held against."""
    return moved_by(WORLD.T_world_camera, vertices_of(BODY, person.poses, person.betas, person.trans))


class TestGrid:
    def test_a_gap_is_filled_with_confidence_zero(self):
        person = sequence(gap=True)
        assert len(person.timestamps) == 25
        span = person.timestamps[-1] - person.timestamps[0]
        assert (len(person.timestamps) - 1) / RATE == pytest.approx(span)
        np.testing.assert_array_equal(person.frame_index, np.arange(5, 30))
        np.testing.assert_array_equal(~person.tracked, (person.frame_index >= 10) & (person.frame_index < 18))
        assert (person.joint_confidence[~person.tracked] == 0).all() and np.isnan(person.nll[~person.tracked]).all()
        assert gaps(person) == [(pytest.approx(10 / RATE), pytest.approx(17 / RATE))]

    def test_frames_off_the_grid_leave_rows_without_one(self):
        times = np.array([0.0, 0.04, 0.08, 0.2, 0.24, 0.262, 0.28])
        observations = np.concatenate([observe(i, t, person_at(BODY, t)) for i, t in enumerate(times)])
        person = assemble(observations, RunContext(CAMERA, BODY, RATE), Timeline.of(times, RATE))
        uniform = on_grid(person, BODY, list(times), list(range(7)))
        np.testing.assert_allclose(np.diff(uniform.timestamps), 1 / RATE)
        np.testing.assert_array_equal(uniform.frame_index, [0, 1, 2, -1, -1, 3, 4, 6])
        assert uniform.tracked.all(), "the source had no picture from 0.08 to 0.2 s"
        with_others = on_grid(person, BODY, sorted([*times, 0.12, 0.16]), [0, 1, 2, 7, 8, 3, 4, 5, 6])
        np.testing.assert_array_equal(with_others.tracked, [True, True, True, False, False, True, True, True])

    def test_joints_between_two_frames_are_those_of_the_body_there(self):
        times = np.array([0.0, 0.09, 0.18, 0.27])
        observations = np.concatenate([observe(i, t, person_at(BODY, 8 * t)) for i, t in enumerate(times)])
        person = assemble(observations, RunContext(CAMERA, BODY, RATE), Timeline.of(times, RATE))
        uniform = on_grid(person, BODY, list(times), list(range(4)))
        joints = joints_of(BODY, uniform.betas, uniform.poses) + uniform.trans[:, None]
        np.testing.assert_allclose(uniform.joints3d, joints, atol=1e-5)
        np.testing.assert_allclose(uniform.joints2d, CAMERA.project(joints), atol=0.01)
        shank, knee = smpl_index("left_ankle"), smpl_index("left_knee")
        lengths = np.linalg.norm(uniform.joints3d[:, shank] - uniform.joints3d[:, knee], axis=1)
        assert np.ptp(lengths) < 1e-5, "no bone is shorter on the way"

    def test_somebody_who_is_away_for_long_has_a_gap_whatever_the_source_did(self):
        times = np.array([0.0, 0.04, 2.0, 2.04])
        observations = np.concatenate([observe(i, t, person_at(BODY, t)) for i, t in enumerate(times)])
        person = assemble(observations, RunContext(CAMERA, BODY, RATE), Timeline.of(times, RATE))
        uniform = on_grid(person, BODY, list(times), list(range(4)))
        assert gaps(uniform) == [(pytest.approx(0.08), pytest.approx(1.96))]


class TestWorldNpz:
    def test_body_is_in_the_world_and_joints_in_the_camera(self, tmp_path):
        person = sequence(gap=True)
        path = tmp_path / "person_000.npz"
        path.write_bytes(written("npz", [person]))
        file = np.load(path)
        assert str(file["coordinate_system"]).startswith("world: y up")
        placed = vertices_of(BODY, file["poses"], file["betas"], file["trans"])
        np.testing.assert_allclose(placed, world_vertices(person), atol=1e-5)
        np.testing.assert_allclose(file["T_world_camera"], WORLD.T_world_camera)
        np.testing.assert_array_equal(file["joints3d"], person.joints3d)
        again = load_person(path)
        assert len(again.timestamps) == person.tracked.sum() and again.in_world
        np.testing.assert_allclose(again.trans, person.trans[person.tracked], atol=1e-5)
        back = vertices_of(BODY, again.poses, again.betas, again.trans)
        truth = vertices_of(BODY, person.poses, person.betas, person.trans)[person.tracked]
        np.testing.assert_allclose(back, truth, atol=1e-5)

    def test_the_cameras_frame_on_request_or_where_there_is_no_world(self):
        for person in (sequence(config=WorldConfig(frame="camera")), replace(sequence(), world=None)):
            file = np.load(io.BytesIO(written("npz", [person])))
            assert str(file["coordinate_system"]).startswith("camera")
            np.testing.assert_allclose(file["trans"], person.trans, atol=1e-6)
            assert ("T_world_camera" in file.files) == (person.world is not None)

    def test_the_motion_reader_takes_it_as_it_is(self, tmp_path):
        person = sequence()
        (tmp_path / "person_000.npz").write_bytes(written("npz", [person]))
        (clip,) = read_motion(tmp_path / "person_000.npz")
        np.testing.assert_allclose(clip.theta[:, 0], person.in_frame(WORLD.T_world_camera)[0][:, :3], atol=1e-5)


def test_amass_has_its_columns_and_z_up():
    person = sequence()
    file = np.load(io.BytesIO(written("amass", [person])))
    assert file["poses"].shape == (25, 156) and file["betas"].shape == (16,) and file["dmpls"].shape == (25, 8)
    assert float(file["mocap_framerate"]) == RATE and str(file["gender"]) == "neutral"
    assert (file["poses"][:, 66:] == 0).all() and file["trans"].shape == (25, 3)
    assert int(file["mocap_framerate"]) == 25, "add-ons take whole frames a second"
    bare = replace(person, poses=np.concatenate([person.poses[:, :66], np.zeros((25, 6), np.float32)], axis=1))
    ours = world_vertices(bare)
    theirs = vertices_of(BODY, np.pad(file["poses"][:, :66], ((0, 0), (0, 6))), person.betas, file["trans"])
    np.testing.assert_allclose(theirs, np.stack([ours[..., 0], -ours[..., 2], ours[..., 1]], axis=-1), atol=1e-5)


class TestBvh:
    def test_begins_with_the_run_and_is_read_by_another_reader(self):
        reader = pytest.importorskip("bvh")
        person = sequence(gap=True)
        text = reader.Bvh(written("bvh", [person]).decode())
        assert text.nframes == 30 and text.frame_time == pytest.approx(1 / RATE)
        assert text.get_joints_names()[0] == "pelvis" and len(text.get_joints_names()) == 24
        pelvis = [text.frame_joint_channels(i, "pelvis", ["Xposition", "Yposition", "Zposition"]) for i in (0, 5, 29)]
        expected = person.joints_y_up[[0, 0, -1], 0]
        np.testing.assert_allclose(pelvis, expected, atol=1e-4)

    @pytest.mark.parametrize(("skeleton", "hand"), [("mixamo", "mixamorig:LeftHand"), ("vrm", "leftHand"),
                                                    ("unreal", "hand_l"), ("smpl", "left_wrist")])  # fmt: skip
    def test_names_and_centimetres_for_other_tools(self, skeleton, hand):
        person = sequence()
        assert joint_names(skeleton)[smpl_index("left_wrist")] == hand
        assert len(set(joint_names(skeleton))) == 24
        text = written("bvh", [person], FilesConfig(skeleton=skeleton, unit="cm")).decode()
        assert f"JOINT {hand}\n" in text
        row = np.float64(text.splitlines()[-1].split()[:3])
        np.testing.assert_allclose(row, 100 * person.joints_y_up[-1, 0], atol=1e-2)


class TestSceneGlb:
    def test_another_reader_finds_everybody_and_the_camera(self):
        pygltflib = pytest.importorskip("pygltflib")
        scene = pygltflib.GLTF2.load_from_bytes(written("scene", [sequence(0, gap=True), sequence(1)]))
        names = {node.name for node in scene.nodes}
        assert {"person_000", "person_001", "person_000_mesh", "camera"} <= names
        assert (len(scene.skins), len(scene.meshes), len(scene.animations)) == (2, 2, 1)
        lens = scene.cameras[0].perspective
        assert lens.aspectRatio == pytest.approx(640 / CAMERA.fx / (481 / CAMERA.fy))
        assert lens.yfov == pytest.approx(2 * math.atan(481 / 2 / CAMERA.fy))
        camera = next(node for node in scene.nodes if node.name == "camera")
        np.testing.assert_allclose(camera.translation, WORLD.to_world(np.zeros(3)), atol=1e-6)
        looks = Rotation.from_quat(camera.rotation).apply([0, 0, -1])
        np.testing.assert_allclose(looks, WORLD.T_world_camera[:3, 2], atol=1e-6)
        used = {channel.target.node for channel in scene.animations[0].channels}
        assert max(used) < len(scene.nodes) and len(scene.animations[0].channels) == 2 * (25 + 1 + 1)

    def test_joints_of_the_second_person_move_the_second_persons_mesh(self):
        pygltflib = pytest.importorskip("pygltflib")
        scene = pygltflib.GLTF2.load_from_bytes(written("scene", [sequence(0), sequence(1)]))
        for skin, node in zip(scene.skins, [n for n in scene.nodes if n.skin is not None], strict=True):
            assert scene.nodes[skin.joints[0]].name == "pelvis"
            assert scene.nodes[skin.joints[0] - 1].name == node.name.removesuffix("_mesh")
            assert skin.skeleton == skin.joints[0]


class TestUsd:
    def stage(self, tmp_path: Path):
        pytest.importorskip("pxr", reason="usd-core is not installed")
        from pxr import Usd

        path = tmp_path / "scene.usdc"
        self.people = [sequence(0, gap=True), sequence(1)]
        path.write_bytes(written("usd", self.people))
        return Usd.Stage.Open(str(path))

    def test_skinning_by_its_own_library_gives_the_body(self, tmp_path):
        stage = self.stage(tmp_path)
        from pxr import Usd, UsdGeom, UsdSkel

        person = self.people[1]
        bare = replace(BODY, posedirs=None)
        truth = moved_by(WORLD.T_world_camera, vertices_of(bare, person.poses, person.betas, person.trans))
        UsdSkel.BakeSkinning(stage.Traverse())
        mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/scene/person_001/body"))
        for row in (0, 11, 24):
            code = Usd.TimeCode(row + 5)
            points = np.array(mesh.GetPointsAttr().Get(code))
            placed = np.array(UsdGeom.XformCache(code).GetLocalToWorldTransform(mesh.GetPrim())).T
            np.testing.assert_allclose(moved_by(placed, points), truth[row], atol=2e-3)

    def test_units_times_camera_and_absences(self, tmp_path):
        stage = self.stage(tmp_path)
        from pxr import UsdGeom, UsdSkel

        assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1
        assert (stage.GetTimeCodesPerSecond(), stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (RATE, 0, 29)
        root = UsdGeom.Imageable(stage.GetPrimAtPath("/scene/person_000"))
        shown = [root.ComputeVisibility(code) == "inherited" for code in range(30)]
        np.testing.assert_array_equal(shown, [5 <= code < 10 or code >= 18 for code in range(30)])
        animation = UsdSkel.Animation(stage.GetPrimAtPath("/scene/person_000/skeleton/animation"))
        counts = {len(get().Get(7.0)) for get in (animation.GetTranslationsAttr, animation.GetRotationsAttr)}
        assert counts | {len(animation.GetScalesAttr().Get())} == {24}
        lens = UsdGeom.Camera(stage.GetPrimAtPath("/scene/camera")).GetCamera(0)
        frustum = lens.frustum
        eye = np.array(frustum.GetPosition())
        np.testing.assert_allclose(eye, WORLD.to_world(np.zeros(3)), atol=1e-5)
        joint = self.people[1].joints3d[0, 0].astype(float)
        matrix = np.array(frustum.ComputeViewMatrix() * frustum.ComputeProjectionMatrix())
        clip = np.append(WORLD.to_world(joint), 1.0) @ matrix
        pixel = (clip[:2] / clip[3] * [1, -1] + 1) / 2 * [640, 481]
        np.testing.assert_allclose(pixel, CAMERA.project(joint), atol=0.05)

    def test_passes_usds_own_validators(self, tmp_path):
        stage = self.stage(tmp_path)
        validation = pytest.importorskip("pxr.UsdValidation", reason="this usd-core has no validators")
        context = validation.ValidationContext(validation.ValidationRegistry().GetOrLoadAllValidators())
        assert [error.GetMessage() for error in context.Validate(stage)] == []


def test_c3d_is_read_back_by_its_library(tmp_path):
    ezc3d = pytest.importorskip("ezc3d")
    person = sequence(gap=True)
    path = tmp_path / "person_000.c3d"
    path.write_bytes(written("c3d", [person]))
    file = ezc3d.c3d(str(path))
    assert file["parameters"]["POINT"]["LABELS"]["value"] == list(SMPL_JOINTS)
    assert file["parameters"]["POINT"]["RATE"]["value"][0] == RATE
    points = file["data"]["points"][:3].transpose(2, 1, 0)
    world = moved_by(WORLD.T_world_camera, person.joints3d.astype(float))
    z_up = 1000 * np.stack([world[..., 0], -world[..., 2], world[..., 1]], axis=-1)
    np.testing.assert_allclose(points[person.tracked], z_up[person.tracked], atol=0.01)
    assert np.isnan(points[~person.tracked]).all()


def posed(**turns: tuple[float, float, float]) -> PersonSequence:
    """Somebody in the T-pose who faces a level camera, with joints turned: degrees about x, y, z of SMPL's axes."""
    upright = person_at(BODY, 0.0)
    theta = np.zeros((24, 3))
    for name, degrees in turns.items():
        theta[smpl_index(name)] = np.radians(degrees)
    facing = Rotation.from_euler("x", 180, degrees=True) * Rotation.from_rotvec(theta[0])
    theta[0] = facing.as_rotvec()
    pose = replace(upright.pose, global_orient=theta[0], body_pose=theta[1:].reshape(-1))
    return assemble(observe(0, 0.0, replace(upright, pose=pose)), RunContext(CAMERA, BODY, RATE), Timeline(0.0, RATE))


HANGING = {"left_shoulder": (0, 0, -90), "right_shoulder": (0, 0, 90)}


class TestAngles:
    def test_standing_with_hanging_arms_is_zero_everywhere(self):
        for name, values in joint_angles(posed(**HANGING)).items():
            assert abs(values[0]) < 1e-4, name

    @pytest.mark.parametrize(
        ("turns", "name", "degrees"),
        [
            ({"left_hip": (-40, 0, 0)}, "left_hip_flexion", 40),
            ({"right_hip": (-40, 0, 0)}, "right_hip_flexion", 40),
            ({"left_hip": (0, 0, 20)}, "left_hip_adduction", -20),
            ({"right_hip": (0, 0, -20)}, "right_hip_adduction", -20),
            ({"left_hip": (0, -15, 0)}, "left_hip_rotation", 15),
            ({"right_hip": (0, 15, 0)}, "right_hip_rotation", 15),
            ({"left_knee": (70, 0, 0)}, "left_knee_flexion", 70),
            ({"right_ankle": (-10, 0, 0)}, "right_ankle_dorsiflexion", 10),
            ({"left_shoulder": (0, 0, 0)}, "left_shoulder_abduction", 90),
            ({"right_shoulder": (0, 0, 0)}, "right_shoulder_abduction", 90),
            ({"left_shoulder": (0, -90, 0)}, "left_shoulder_flexion", 90),
            ({"right_shoulder": (0, 90, 0)}, "right_shoulder_flexion", 90),
            ({"left_elbow": (0, -80, 0)}, "left_elbow_flexion", 80),
            ({"right_elbow": (0, 80, 0)}, "right_elbow_flexion", 80),
            ({"spine2": (30, 0, 0)}, "trunk_flexion", 30),
            ({"spine2": (0, 0, -12)}, "trunk_lateral_bend", -12),
            ({"spine2": (0, 25, 0)}, "trunk_rotation", 25),
            ({"pelvis": (20, 0, 0)}, "pelvis_tilt", 20),
            ({"pelvis": (0, 50, 0)}, "pelvis_rotation", 50),
        ],
    )
    def test_signs_on_posed_bodies(self, turns, name, degrees):
        angles = joint_angles(posed(**{**HANGING, **turns}))
        assert angles[name][0] == pytest.approx(degrees, abs=1e-3)
        others = [key for key in angles if key != name and "shoulder" not in key]
        assert max(abs(angles[key][0]) for key in others) < 1e-3

    def test_csv_has_a_row_a_frame_and_empty_gaps(self):
        person = sequence(gap=True)
        rows = list(csv.DictReader(io.StringIO(written("angles", [person]).decode())))
        assert len(rows) == 25
        values = joint_angles(person)["left_knee_flexion"]
        for row, value, tracked in zip(rows, values, person.tracked, strict=True):
            cell = row["left_knee_flexion_deg"]
            assert (cell == "") != tracked
            assert not tracked or float(cell) == pytest.approx(value, abs=1e-3)

    def test_mot_is_opensims(self):
        person = sequence()
        head, table = written("mot", [person]).decode().split("endheader\n")
        assert "nRows=25" in head and "inDegrees=yes" in head
        names, *lines = table.strip().split("\n")
        rows = np.float64([line.split("\t") for line in lines])
        coordinates = opensim_coordinates(person)
        assert names.split("\t") == ["time", *coordinates]
        assert f"nColumns={rows.shape[1]}" in head
        np.testing.assert_allclose(rows[:, 0], person.timestamps, atol=1e-6)
        place = rows[:, [names.split("\t").index(f"pelvis_t{axis}") for axis in "xyz"]]
        world = moved_by(WORLD.T_world_camera, person.joints3d[:, 0].astype(float))
        np.testing.assert_allclose(place, np.stack([world[:, 2], world[:, 1], -world[:, 0]], axis=1), atol=1e-5)

    def test_opensims_pelvis_turns_give_back_the_orientation(self):
        person = sequence()
        coordinates = opensim_coordinates(person)
        turns = np.stack([coordinates[f"pelvis_{name}"] for name in ("tilt", "list", "rotation")], axis=1)
        built = Rotation.from_euler("ZXY", turns, degrees=True)
        axes = Rotation.from_matrix([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
        world = Rotation.from_rotvec(person.in_frame(WORLD.T_world_camera)[0][:, :3])
        assert ((axes * world * axes.inv()).inv() * built).magnitude().max() < 1e-5


class TestTurningCamera:
    """The same person, filmed by a camera that turns and zooms."""

    path = CameraPath(
        TIMES, matrix_from_axis_angle(np.outer(np.linspace(0, 0.5, 30), [0.1, 1.0, 0.0])), np.linspace(1, 1.4, 30)
    )

    def seen(self, time: float) -> Person:
        """In the frame of the camera as it is held then."""
        person, turn = person_at(BODY, time), self.path.turns_at(np.array([time]))[0].T
        joints = person.joints3d @ turn.T
        orient = axis_angle_from_matrix(turn @ matrix_from_axis_angle(np.asarray(person.pose.global_orient, float)))
        rest = person.joints3d[0] - person.pose.transl
        pose = replace(person.pose, global_orient=orient, transl=joints[0] - rest)
        return replace(person, pose=pose, joints3d=joints)

    def sequence(self, config: WorldConfig = IN_WORLD) -> PersonSequence:
        observations = np.concatenate([observe(i, TIMES[i], self.seen(TIMES[i])) for i in range(5, 30)])
        context = RunContext(CAMERA, BODY, RATE, config)
        person = assemble(observations, context, Timeline.of(TIMES, RATE), path=self.path)
        return on_grid(placed_in(WORLD, person, BODY), BODY, list(TIMES), list(range(30)))

    def test_files_of_the_world_are_as_those_of_a_still_camera(self):
        still, person = sequence(), self.sequence()
        for name in ("trc", "bvh"):
            one, other = (np.float64(re.findall(r"-?\d+\.\d+", written(name, [p]).decode())) for p in (still, person))
            assert len(one) == len(other) and np.abs(one - other).max() < 0.02
        np.testing.assert_allclose(person.joints_y_up, still.joints_y_up, atol=2e-5)
        np.testing.assert_array_equal(person.contacts, still.contacts)
        for name, angle in joint_angles(person).items():
            np.testing.assert_allclose(angle, joint_angles(still)[name], atol=0.01, err_msg=name)

    @pytest.mark.parametrize("frame", ["world", "camera"])
    def test_npz_has_the_camera_row_by_row_and_reads_back(self, tmp_path, frame):
        person = self.sequence(WorldConfig(frame=frame))
        path = tmp_path / "person_000.npz"
        path.write_bytes(written("npz", [person]))
        with np.load(path, allow_pickle=False) as file:
            content = dict(file)
        assert content["T_world_camera"].shape == (25, 4, 4)
        np.testing.assert_allclose(content["zoom"], self.path.zoom_at(person.timestamps))
        joints = moved_by(content["T_world_camera"], content["joints3d"])
        np.testing.assert_allclose(joints, sequence().joints_y_up, atol=2e-5)
        lens = replace(CAMERA, fx=content["zoom"][-1] * CAMERA.fx, fy=content["zoom"][-1] * CAMERA.fy)
        np.testing.assert_allclose(lens.project(content["joints3d"][-1]), content["joints2d"][-1], atol=0.01)
        again = load_person(path)
        np.testing.assert_allclose(again.T_world_camera, person.T_world_camera, atol=1e-9)
        np.testing.assert_allclose(again.joints3d, person.joints3d, atol=2e-5)
        np.testing.assert_allclose(again.trans, person.trans, atol=1e-5)
        np.testing.assert_allclose(again.poses, person.poses, atol=1e-5)

    def test_a_file_whose_rows_do_not_fit_is_refused(self, tmp_path):
        path = tmp_path / "person_000.npz"
        path.write_bytes(written("npz", [self.sequence()]))
        with np.load(path, allow_pickle=False) as file:
            content = dict(file)
        content["T_world_camera"] = content["T_world_camera"][:-1]
        np.savez(path, **content)
        with pytest.raises(InputError, match="T_world_camera"):
            load_person(path)

    def test_the_scene_has_the_camera_in_motion(self, tmp_path):
        pygltflib = pytest.importorskip("pygltflib")
        person = self.sequence()
        (tmp_path / "scene.glb").write_bytes(written("scene", [person]))
        scene = pygltflib.GLTF2().load(str(tmp_path / "scene.glb"))
        node = next(i for i, each in enumerate(scene.nodes) if each.camera is not None)
        channel = next(each for each in scene.animations[0].channels if each.target.node == node)
        sampler = scene.animations[0].samplers[channel.sampler]
        assert channel.target.path == "rotation" and scene.accessors[sampler.output].count == 25

    def test_usd_has_the_camera_in_motion(self, tmp_path):
        pytest.importorskip("pxr", reason="usd-core is not installed")
        from pxr import Usd, UsdGeom

        person = self.sequence()
        (tmp_path / "scene.usdc").write_bytes(written("usd", [person]))
        stage = Usd.Stage.Open(str(tmp_path / "scene.usdc"))
        lens = UsdGeom.Camera.Get(stage, "/scene/camera")
        for row in (0, 24):
            code = Usd.TimeCode(float(5 + row))
            matrix = np.array(UsdGeom.Xformable(lens).GetLocalTransformation(code)).T
            np.testing.assert_allclose(matrix @ T_YUP_CAMERA, person.T_yup_camera[row], atol=1e-6)
            pixel = lens.GetHorizontalApertureAttr().Get() / CAMERA.width
            assert lens.GetFocalLengthAttr().Get(code) / pixel == pytest.approx(
                CAMERA.fx * self.path.zoom_at(person.timestamps)[row], rel=1e-5
            )


class TestRequirements:
    def test_a_missing_blender_is_refused_before_anything_is_tracked(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(InputError, match="--blender FILE"):
            FormatWriters(FilesConfig(), None).require(["npz", "blend"])
        with pytest.raises(InputError, match="nowhere"):
            FormatWriters(FilesConfig(blender=tmp_path / "nowhere"), None).require(["fbx"])

    def test_a_missing_package_is_named(self, monkeypatch):
        monkeypatch.setattr("tracker.export.formats.find_spec", lambda name: None)
        with pytest.raises(InputError, match="pip install ezc3d"):
            FormatWriters(FilesConfig(), None).require(["c3d"])
        FormatWriters(FilesConfig(), None).require(["npz", "scene"])

    def test_every_format_is_listed_once(self):
        assert len(set(FORMATS)) == len(FORMATS)
