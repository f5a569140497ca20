"""The per-person files: each one is read back and held against the body function that it claims to describe."""

from __future__ import annotations

import csv
import io
import json
import os
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from tests.export_scene import CAMERA, REST_JOINTS, person_at, small_body, vertices_of
from tracker.body import load_body
from tracker.body.mannequin import mannequin
from tracker.body.smpl_joints import SMPL_JOINTS
from tracker.core.errors import InputError
from tracker.core.geometry import place_on_rays
from tracker.export import FORMATS, PERSON_WRITERS, RunContext, load_person, parse_formats
from tracker.export.bvh import continuous_euler
from tracker.export.grid import on_grid
from tracker.export.person_file import person_files
from tracker.export.sequence import Timeline, assemble, observe

BODY = small_body()
FLIP = np.diag([1.0, -1.0, -1.0])
RATE = 30000 / 1001


def sequence(times, person_id=0, betas=None, rate=RATE, body=BODY):
    frames = [(round(t * rate), t, person_at(body, t, person_id, None if betas is None else betas(t))) for t in times]
    observations = np.concatenate([observe(*frame) for frame in frames])
    return assemble(observations, RunContext(CAMERA, body, rate), Timeline.of(times, rate))


def _frames_of_a_run(person):
    """Times and indices of all its frames: the person's, and where they are missing those at the run's rate."""
    first, last = person.timestamps[0], person.timestamps[-1]
    others = np.arange(first, last, 1 / person.timeline.frame_rate)
    others = others[np.abs(others[:, None] - person.timestamps).min(axis=1) > 0.5 / person.timeline.frame_rate]
    times = np.concatenate([person.timestamps, others])
    indices = np.concatenate([person.frame_index, 1000 + np.arange(len(others))])
    order = np.argsort(times, kind="stable")
    return times[order], indices[order]


def written(name, person, body=BODY):
    """The file as a run writes it, with rows on the uniform grid."""
    stream = io.BytesIO()
    PERSON_WRITERS[name](stream, on_grid(person, body, *_frames_of_a_run(person)), body)
    return stream.getvalue()


TIMES = np.arange(40) / RATE
GAP_TIMES = np.delete(TIMES, np.s_[12:25])


class TestAssemble:
    def test_keeps_what_the_tracker_said_when_betas_did_not_change(self):
        person = sequence(TIMES)
        given = [person_at(BODY, t) for t in TIMES]
        np.testing.assert_allclose(person.trans, [p.pose.transl for p in given], atol=1e-5)
        np.testing.assert_allclose(person.joints3d, [p.joints3d for p in given], atol=1e-5)
        np.testing.assert_allclose(person.joints2d, [p.joints2d for p in given], atol=2e-3)
        np.testing.assert_array_equal(person.poses, np.float32([p.pose.theta.reshape(-1) for p in given]))
        np.testing.assert_allclose(person.nll, [p.nll for p in given], atol=1e-6)

    def test_a_drifting_shape_ends_as_one_and_the_picture_stays(self):
        drift = lambda t: np.array([2.0 * (1 - np.exp(-3 * t)) - 1.5] + [0.0] * 9)  # noqa: E731
        person = sequence(TIMES, betas=drift)
        np.testing.assert_allclose(person.betas, drift(TIMES[-1]), atol=1e-6)
        shown = np.array([person_at(BODY, t, betas=drift(t)).joints2d for t in TIMES])
        # β₀ scales the whole small body by 1 + 0.05 β₀: the picture can be kept exactly, by standing farther off
        np.testing.assert_allclose(person.joints2d, shown, atol=0.2)
        naive = np.array([person_at(BODY, t, betas=drift(TIMES[-1])).joints2d for t in TIMES])
        assert np.abs(naive - shown).max() > 5

    def test_joints_are_those_of_the_poses_betas_and_trans_in_the_file(self):
        lone = small_body(influences=1)
        person = sequence(TIMES, betas=lambda t: np.sin(np.arange(10) + t), body=lone)
        centres = vertices_of(lone, person.poses, person.betas, person.trans).reshape(len(TIMES), 24, 6, 3).mean(axis=2)
        np.testing.assert_allclose(person.joints3d, centres, atol=2e-6)
        np.testing.assert_allclose(person.joints2d, CAMERA.project(person.joints3d.astype(float)), atol=1e-3)

    def test_joints_behind_the_camera_stay_finite(self):
        near = person_at(BODY, 0.2)
        shift = np.array([0.0, 0.0, -4.5])
        near = replace(near, pose=replace(near.pose, transl=near.pose.transl + shift), joints3d=near.joints3d + shift)
        person = assemble(observe(0, 0.0, near), RunContext(CAMERA, BODY, 30.0), Timeline(0.0, 30.0))
        assert (person.joints3d[..., 2] < 0).any()
        assert np.isfinite(person.joints2d).all()


def test_place_on_rays_finds_the_translation_that_projects_onto_the_targets():
    rng = np.random.default_rng(0)
    points, translation = rng.normal(size=(5, 24, 3)), rng.normal((0, 0, 6), 1, (5, 3))
    targets = (points + translation[:, None]) * rng.uniform(0.5, 2, (5, 24, 1))  # anywhere along the rays
    np.testing.assert_allclose(place_on_rays(points, targets), translation, atol=1e-9)


@pytest.mark.parametrize(
    ("times", "nominal", "rate"),
    [
        ([0, 0.1, 0.2], 29.97, 29.97),
        ([0, 0.04, 0.08, 0.5], None, 25.0),
        ([3.0], None, 30.0),
        ([0, 0, 0.1, 0.1, 0.2], None, 10.0),
    ],
)
def test_the_rate_is_nominal_or_from_the_median_interval(times, nominal, rate):
    assert Timeline.of(times, nominal).frame_rate == pytest.approx(rate)


NPZ_ARRAYS = {
    "poses": (np.float32, (40, 72)),
    "betas": (np.float32, (10,)),
    "trans": (np.float32, (40, 3)),
    "mocap_framerate": (np.float64, ()),
    "timestamps": (np.float64, (40,)),
    "frame_index": (np.int64, (40,)),
    "joints3d": (np.float32, (40, 24, 3)),
    "joints2d": (np.float32, (40, 24, 2)),
    "joint_confidence": (np.float32, (40, 24)),
    "bbox": (np.float32, (40, 4)),
    "nll": (np.float32, (40,)),
    "contacts": (np.bool_, (40, 9)),
    "contact_names": (np.dtype("<U10"), (9,)),
    "camera_matrix": (np.float64, (3, 3)),
    "image_size": (np.int64, (2,)),
}
NPZ_TEXTS = {
    "gender": "neutral",
    "body_model": "small-body",
    "coordinate_system": "camera: x right, y down, z forward (OpenCV); metres",
}


class TestNpz:
    def test_has_exactly_the_keys_types_and_shapes_of_the_contract(self):
        file = np.load(io.BytesIO(written("npz", sequence(TIMES))), allow_pickle=False)
        assert set(file.files) == set(NPZ_ARRAYS) | set(NPZ_TEXTS)
        for name, (dtype, shape) in NPZ_ARRAYS.items():
            assert (file[name].dtype, file[name].shape) == (dtype, shape), name
        assert {name: str(file[name]) for name in NPZ_TEXTS} == NPZ_TEXTS
        assert float(file["mocap_framerate"]) == RATE
        np.testing.assert_array_equal(file["image_size"], [640, 481])
        np.testing.assert_array_equal(file["camera_matrix"], CAMERA.matrix)

    def test_is_read_back_unchanged(self, tmp_path):
        person = sequence(TIMES, person_id=12)
        path = tmp_path / "person_012.npz"
        path.write_bytes(written("npz", person))
        again = load_person(path)
        assert (again.person_id, again.camera, again.timeline, again.body_model) == (
            12,
            CAMERA,
            person.timeline,
            "small-body",
        )
        for name in NPZ_ARRAYS.keys() - {"camera_matrix", "image_size", "mocap_framerate", "contact_names"}:
            np.testing.assert_array_equal(getattr(again, name), getattr(person, name))

    def broken(self, tmp_path: Path, **changes) -> Path:
        content = dict(np.load(io.BytesIO(written("npz", sequence(TIMES)))))
        content.update(changes)
        path = tmp_path / "person_000.npz"
        np.savez(path, **{name: value for name, value in content.items() if value is not None})
        return path

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"trans": None}, "trans"),
            ({"poses": np.zeros((39, 72))}, "poses"),
            ({"camera_matrix": np.zeros((3, 3))}, "focal"),
            ({"betas": np.array([object()] * 10)}, "pickle"),
        ],
    )
    def test_refuses_a_file_that_is_not_of_its_kind(self, tmp_path, changes, words):
        path = self.broken(tmp_path, **changes)
        with pytest.raises(InputError, match=f"person_000.npz.*{words}"):
            load_person(path)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("joint_confidence", np.nan),
            ("joint_confidence", 1e30),
            ("joint_confidence", -1.0),
            ("bbox", np.nan),
            ("joints2d", np.inf),
            ("joints3d", 1e30),
            ("betas", 1e20),
            ("timestamps", np.nan),
            ("frame_index", np.nan),
            ("T_world_camera", np.diag([2.0, 2.0, 2.0, 1.0])),
            ("T_world_camera", np.diag([1.0, 1.0, -1.0, 1.0])),
            ("T_world_camera", 1e200 * np.eye(4)),
            ("T_world_camera", np.full((4, 4), np.nan)),
        ],
    )
    def test_refuses_numbers_that_no_run_has(self, tmp_path, name, value):
        if np.ndim(value) == 0:
            value = np.full(NPZ_ARRAYS[name][1], value)
        with pytest.raises(InputError, match=rf"person_000\.npz: {name} "):
            load_person(self.broken(tmp_path, **{name: value}))

    def test_refuses_turns_and_zooms_of_a_moving_camera_that_are_none(self, tmp_path):
        whole = {"T_world_camera": np.tile(np.eye(4), (40, 1, 1)), "zoom": np.ones(40)}
        assert load_person(self.broken(tmp_path, **whole)).path is not None
        bent = whole["T_world_camera"].copy()
        bent[7, 0, 0] = 0.5
        for changes, words in (({"T_world_camera": bent}, "T_world_camera"), ({"zoom": np.zeros(40)}, "zoom")):
            with pytest.raises(InputError, match=f"person_000.npz: {words} "):
                load_person(self.broken(tmp_path, **(whole | changes)))

    def test_moments_in_which_nobody_was_looked_at_are_read(self, tmp_path):
        nll = np.where(np.arange(40) % 2, np.nan, 1.0)
        assert np.isnan(load_person(self.broken(tmp_path, nll=nll)).nll).sum() == 20

    def test_only_opens_regular_files(self, tmp_path):
        os.mkfifo(tmp_path / "person_000.npz")
        with pytest.raises(InputError, match=r"person_000\.npz: is no regular file"):
            load_person(tmp_path / "person_000.npz")

    def test_only_files_of_a_runs_names_are_its_people(self, tmp_path):
        for name in ("000", "012", "1000", "backup", "abc", "1", "0001", "000 (copy)", "٠٠٠"):
            (tmp_path / f"person_{name}.npz").touch()
        assert [path.name for path in person_files(tmp_path)] == [
            "person_000.npz",
            "person_012.npz",
            "person_1000.npz",
        ]

    def test_refuses_text_truncated_and_missing_files(self, tmp_path):
        path = tmp_path / "person_000.npz"
        with pytest.raises(InputError, match="no such file"):
            load_person(path)
        lone_array = io.BytesIO()
        np.save(lone_array, np.zeros(3))
        for content in (b"hello", b"", lone_array.getvalue(), written("npz", sequence(TIMES))[:2000]):
            path.write_bytes(content)
            with pytest.raises(InputError, match="expected a person_NNN"):
                load_person(path)


def read_bvh(text):
    """Names, parents, offsets (n, 3), end offsets, frame time, channels (T, c), by a plain reading of the format."""
    head, motion = text.split("MOTION\n")
    names, parents, offsets, ends, stack = [], [], [], {}, []
    in_end = False
    for line in head.splitlines()[1:]:
        words = line.split()
        if words[0] in ("ROOT", "JOINT"):
            parents.append(stack[-1] if stack else -1)
            names.append(words[1])
        elif words[0] == "End":
            in_end = True
        elif words[0] == "{":
            stack.append(len(names) - 1)
        elif words[0] == "}":
            stack.pop()
            in_end = False
        elif words[0] == "OFFSET" and in_end:
            ends[names[-1]] = np.float64(words[1:])
        elif words[0] == "OFFSET":
            offsets.append(np.float64(words[1:]))
        elif words[0] == "CHANNELS":
            rotations = ["Zrotation", "Xrotation", "Yrotation"]
            positions = ["Xposition", "Yposition", "Zposition"]
            assert words[1:] == (["3", *rotations] if len(names) > 1 else ["6", *positions, *rotations])
    lines = motion.splitlines()
    rows = np.array([np.float64(line.split()) for line in lines[2:]])
    assert lines[0] == f"Frames: {len(rows)}"
    return names, parents, np.array(offsets), ends, float(lines[1].removeprefix("Frame Time: ")), rows


def bvh_joints(text):
    """(T, 24, 3) in SMPL's order: forward kinematics from the file alone."""
    names, parents, offsets, _, _, rows = read_bvh(text)
    angles = np.radians(rows[:, 3:]).reshape(len(rows), -1, 3)
    world, places = [], []
    for j, parent in enumerate(parents):
        about_z, about_x, about_y = (
            Rotation.from_rotvec(np.outer(angles[:, j, column], axis))
            for column, axis in enumerate(np.eye(3)[[2, 0, 1]])
        )
        local = about_z * about_x * about_y
        world.append(local if parent < 0 else world[parent] * local)
        places.append(rows[:, :3] + offsets[j] if parent < 0 else places[parent] + world[parent].apply(offsets[j]))
    return np.stack([places[names.index(name)] for name in SMPL_JOINTS], axis=1)


class TestBvh:
    def test_its_own_kinematics_give_the_joints(self):
        person = sequence(TIMES, betas=lambda t: np.full(10, 0.5))
        joints = bvh_joints(written("bvh", person).decode())
        np.testing.assert_allclose(joints, person.joints3d @ FLIP, atol=1e-4)

    def test_stands_upright_with_y_up_in_metres(self):
        upright = person_at(BODY, 0.0)
        pose = replace(upright.pose, global_orient=np.array([np.pi, 0, 0]), body_pose=np.zeros(69))
        frame = observe(0, 0.0, replace(upright, pose=pose, joints3d=REST_JOINTS @ FLIP + [0, 0, 4]))
        person = assemble(frame, RunContext(CAMERA, BODY, 30.0), Timeline(0.0, 30.0))
        joints = bvh_joints(written("bvh", person).decode())[0]
        np.testing.assert_allclose(joints - joints[0], REST_JOINTS - REST_JOINTS[0], atol=1e-4)
        assert joints[0, 2] < -3, "in front of a camera that looks along -z"

    def test_frame_time_is_the_nominal_rate_and_gaps_are_interpolated(self):
        _, _, _, _, frame_time, rows = read_bvh(written("bvh", sequence(GAP_TIMES)).decode())
        assert frame_time == pytest.approx(1 / RATE, abs=1e-8)
        assert len(rows) == len(TIMES)
        whole = bvh_joints(written("bvh", sequence(TIMES)).decode())
        joints = bvh_joints(written("bvh", sequence(GAP_TIMES)).decode())
        present = np.isin(TIMES, GAP_TIMES)
        np.testing.assert_allclose(joints[present], whole[present], atol=1e-4)
        before, after = GAP_TIMES[11], GAP_TIMES[12]
        halves = [Rotation.from_rotvec(person_at(BODY, t).pose.theta[4]) for t in (before, after)]
        expected = Slerp([before, after], Rotation.concatenate(halves))(TIMES[18])
        names, *_, rows = read_bvh(written("bvh", sequence(GAP_TIMES)).decode())
        angles = rows[18, 3:].reshape(-1, 3)[names.index("left_knee")]
        assert (Rotation.from_euler("ZXY", angles, degrees=True).inv() * expected).magnitude() < 1e-5

    def test_variable_frame_rate_lands_on_a_constant_one(self):
        times = np.sort(np.random.default_rng(3).uniform(0, 2, 200))
        person = sequence(times, rate=25.0)
        joints = bvh_joints(written("bvh", person).decode())
        grid = times[0] + np.arange(len(joints)) / 25
        truth = np.array([person_at(BODY, t).joints3d for t in np.minimum(grid, times[-1])]) @ FLIP
        assert np.abs(joints - truth).max() < 5e-3

    def test_leaves_end_at_the_skin(self):
        ends = read_bvh(written("bvh", sequence(TIMES)).decode())[3]
        assert set(ends) == {"head", "left_hand", "right_hand", "left_foot", "right_foot"}
        assert all(np.linalg.norm(end) == pytest.approx(0.06, abs=2e-3) for end in ends.values())

    def test_one_frame(self):
        person = sequence([0.0])
        np.testing.assert_allclose(bvh_joints(written("bvh", person).decode()), person.joints3d @ FLIP, atol=1e-4)


def test_euler_angles_do_not_jump_when_a_joint_turns_past_half_a_turn():
    angles = np.stack([np.linspace(0, 800, 200), np.linspace(-60, 60, 200), np.zeros(200)], axis=1)
    turns = Rotation.from_euler("ZXY", angles, degrees=True)
    angles = continuous_euler(turns.as_quat()[:, None])
    assert np.abs(np.diff(angles, axis=0)).max() < 10
    back = Rotation.from_euler("ZXY", angles[:, 0], degrees=True)
    assert (back.inv() * turns).magnitude().max() < 1e-9


class Glb:
    """Just enough of a glTF reader to play the file: accessors, the node tree, the samplers, the skin."""

    def __init__(self, content: bytes) -> None:
        magic, version, length = struct.unpack_from("<4sII", content)
        assert (magic, version, length) == (b"glTF", 2, len(content))
        size, kind = struct.unpack_from("<I4s", content, 12)
        assert kind == b"JSON"
        self.json = json.loads(content[20 : 20 + size])
        binary_size, kind = struct.unpack_from("<I4s", content, 20 + size)
        assert kind == b"BIN\0"
        assert 28 + size + binary_size == len(content)
        self.binary = content[28 + size :]

    def accessor(self, index):
        a = self.json["accessors"][index]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[a["type"]]
        if "sparse" not in a:
            return self.view(a, a["componentType"], a["count"], width)
        values, sparse = np.zeros((a["count"], width), np.float32), a["sparse"]
        rows = self.view(sparse["indices"], sparse["indices"]["componentType"], sparse["count"], 1)
        values[rows] = self.view(sparse["values"], a["componentType"], sparse["count"], width)
        return values

    def view(self, holder, component_type, count, width):
        start = self.json["bufferViews"][holder["bufferView"]]["byteOffset"]
        dtype = {5126: np.float32, 5121: np.uint8, 5125: np.uint32}[component_type]
        values = np.frombuffer(self.binary, dtype, count * width, start)
        return values.reshape(count, width) if width > 1 else values

    def morphed(self, key):
        """(V, 3) at the key frame, before skinning."""
        mesh, animation = self.json["meshes"][0], self.json["animations"][0]
        rest = self.accessor(mesh["primitives"][0]["attributes"]["POSITION"]).astype(float)
        targets = mesh["primitives"][0].get("targets", [])
        for channel in animation["channels"]:
            if channel["target"]["path"] == "weights":
                weights = self.accessor(animation["samplers"][channel["sampler"]]["output"])
                for weight, target in zip(weights.reshape(-1, len(targets))[key], targets, strict=True):
                    rest += weight * self.accessor(target["POSITION"])
        return rest

    def world(self, key):
        """(24, 4, 4) of the skin's joints at the key frame."""
        nodes = self.json["nodes"]
        local = [np.eye(4) for _ in nodes]
        for node, matrix in zip(nodes, local, strict=True):
            matrix[:3, 3] = node.get("translation", [0, 0, 0])
        animation = self.json["animations"][0]
        for channel in animation["channels"]:
            if channel["target"]["path"] == "weights":
                continue
            value = self.accessor(animation["samplers"][channel["sampler"]]["output"])[key]
            matrix = local[channel["target"]["node"]]
            if channel["target"]["path"] == "rotation":
                matrix[:3, :3] = Rotation.from_quat(value).as_matrix()
            else:
                matrix[:3, 3] = value
        parents = {child: i for i, node in enumerate(nodes) for child in node.get("children", [])}

        def total(i):
            return total(parents[i]) @ local[i] if i in parents else local[i]

        return np.array([total(i) for i in self.json["skins"][0]["joints"]])

    def vertices(self, key, sets):
        """(V, 3) at the key frame, by glTF's skinning equation over the first `sets` attribute sets."""
        attributes = self.json["meshes"][0]["primitives"][0]["attributes"]
        inverse = self.accessor(self.json["skins"][0]["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(1, 2)
        bones = self.world(key) @ inverse
        rest = self.morphed(key)
        moved, weight = np.zeros_like(rest), np.zeros((len(rest), 1))
        for n in range(sets):
            joints, weights = self.accessor(attributes[f"JOINTS_{n}"]), self.accessor(attributes[f"WEIGHTS_{n}"])
            for c in range(4):
                m = bones[joints[:, c]]
                moved += weights[:, c, None] * (np.einsum("vij,vj->vi", m[:, :3, :3], rest) + m[:, :3, 3])
                weight += weights[:, c, None]
        return moved / weight


class TestGlb:
    @pytest.mark.parametrize(("influences", "sets"), [(3, 1), (6, 2)])
    def test_skinning_the_files_own_data_gives_the_body(self, influences, sets):
        body = small_body(influences)
        person = sequence(TIMES, betas=lambda t: np.full(10, 0.7), body=body)
        glb = Glb(written("glb", person, body))
        truth = vertices_of(body, person.poses, person.betas, person.trans) @ FLIP
        for key in (0, 17, 39):
            np.testing.assert_allclose(glb.vertices(key, sets), truth[key], atol=2e-5)

    def test_pose_correctives_are_morph_targets_and_a_body_without_has_none(self):
        glb = Glb(written("glb", sequence(TIMES)))
        mesh = glb.json["meshes"][0]
        assert len(mesh["primitives"][0]["targets"]) == len(mesh["weights"]) == 4 * (3 + 2 * 6)
        assert mesh["extras"]["targetNames"][:4] == ["left_knee_00-", "left_knee_01+", "left_knee_01-", "left_knee_02+"]
        (channel,) = (c for c in glb.json["animations"][0]["channels"] if c["target"]["path"] == "weights")
        weights = glb.accessor(glb.json["animations"][0]["samplers"][channel["sampler"]]["output"])
        assert 0 <= weights.min() < weights.max() <= 1, "Blender cuts off what is outside"
        plain = replace(BODY, posedirs=None)
        glb = Glb(written("glb", sequence(TIMES, body=plain), plain))
        assert "targets" not in glb.json["meshes"][0]["primitives"][0]
        assert {c["target"]["path"] for c in glb.json["animations"][0]["channels"]} == {"translation", "rotation"}

    def test_the_built_in_body_as_it_is_shown(self):
        body = load_body(None)
        person = sequence(TIMES[:3], betas=lambda t: np.full(10, 0.5), body=body)
        glb = Glb(written("glb", person, body))
        truth = vertices_of(mannequin(body), person.poses, person.betas, person.trans) @ FLIP
        np.testing.assert_allclose(glb.vertices(2, sets=2), truth[2], atol=1e-4)

    def test_weights_sum_to_one_and_the_first_set_holds_the_strongest(self):
        glb = Glb(written("glb", sequence(TIMES)))
        attributes = glb.json["meshes"][0]["primitives"][0]["attributes"]
        first, second = (glb.accessor(attributes[f"WEIGHTS_{n}"]) for n in (0, 1))
        np.testing.assert_allclose(first.sum(axis=1) + second.sum(axis=1), 1, atol=1e-6)
        assert (first.min(axis=1) >= second.max(axis=1)).all()

    def test_key_frames_count_from_the_runs_start_and_gaps_shrink_the_body(self):
        person = replace(sequence(GAP_TIMES + 15 / RATE), timeline=Timeline(0.0, RATE))
        glb = Glb(written("glb", person))
        animation = glb.json["animations"][0]
        clock = glb.accessor(animation["samplers"][0]["input"])
        np.testing.assert_allclose(clock, TIMES + 15 / RATE, atol=1e-6)
        (shown,) = (c for c in animation["channels"] if c["target"]["path"] == "scale")
        sampler = animation["samplers"][shown["sampler"]]
        assert sampler["interpolation"] == "STEP"
        frames = glb.accessor(sampler["input"]) * RATE
        np.testing.assert_allclose(frames, [0, 15, 27, 40], atol=1e-4)
        np.testing.assert_array_equal(glb.accessor(sampler["output"])[:, 0], [0, 1, 0, 1])

    def test_repeated_timestamps_leave_strictly_increasing_keys(self):
        times = np.sort(np.concatenate([TIMES, TIMES[5:8]]))
        glb = Glb(written("glb", sequence(times)))
        clock = glb.accessor(glb.json["animations"][0]["samplers"][0]["input"])
        assert (np.diff(clock) > 0).all()
        assert len(clock) == len(TIMES)

    def test_quaternions_never_change_sign_between_keys(self):
        person = sequence(np.arange(400) / 10, rate=10.0)
        poses = person.poses.copy()
        poses[:, :3] = Rotation.from_rotvec(
            np.outer(np.linspace(0, 30, 400), [0, 1, 0])
        ).as_rotvec()  # wraps at half a turn, often
        glb = Glb(written("glb", replace(person, poses=poses)))
        for channel in glb.json["animations"][0]["channels"]:
            if channel["target"]["path"] != "rotation":
                continue
            q = glb.accessor(glb.json["animations"][0]["samplers"][channel["sampler"]]["output"])
            assert q.shape == (400, 4)
            assert (np.sum(q[1:] * q[:-1], axis=1) > 0).all()

    def test_another_reader_opens_it(self):
        trimesh = pytest.importorskip("trimesh")
        scene = trimesh.load(io.BytesIO(written("glb", sequence(TIMES))), file_type="glb")
        (mesh,) = scene.geometry.values()
        assert mesh.faces.shape == (192, 3)
        assert mesh.is_volume, "closed, with its faces outwards"
        assert set(SMPL_JOINTS) <= set(scene.graph.nodes)


class TestCsv:
    def test_rows_columns_and_numbers(self):
        person = sequence(GAP_TIMES)
        rows = list(csv.DictReader(io.StringIO(written("csv", person).decode())))
        assert len(rows) == 24 * len(GAP_TIMES)
        assert [row["joint"] for row in rows[:24]] == list(SMPL_JOINTS)
        read = lambda *names: np.float64([[row[name] for name in names] for row in rows])  # noqa: E731
        np.testing.assert_allclose(read("x_m", "y_m", "z_m"), person.joints3d.reshape(-1, 3), atol=6e-6)
        np.testing.assert_allclose(read("u_px", "v_px"), person.joints2d.reshape(-1, 2), atol=6e-3)
        rotation = read("rotation_x_rad", "rotation_y_rad", "rotation_z_rad")
        np.testing.assert_allclose(rotation, person.theta.reshape(-1, 3), atol=1e-6)
        np.testing.assert_allclose(read("confidence")[:, 0], person.joint_confidence.reshape(-1), atol=6e-4)
        np.testing.assert_array_equal(read("frame")[::24, 0], person.frame_index)
        np.testing.assert_allclose(read("time_s")[::24, 0], GAP_TIMES, atol=1e-6)

    @pytest.mark.parametrize("name", ["csv", "angles"])
    def test_time_counts_from_the_runs_first_frame(self, name):
        person = sequence(TIMES + 2.0)
        assert person.timeline.start == 2.0
        rows = list(csv.DictReader(io.StringIO(written(name, person).decode())))
        seconds = sorted({float(row["time_s"]) for row in rows})
        np.testing.assert_allclose(seconds, TIMES, atol=1e-6)


class TestTrc:
    def lines(self, person):
        lines = written("trc", person).decode().split("\r\n")
        assert all(line.endswith("\t") for line in (lines[3], lines[4], *lines[6:-1]))
        return [line.removesuffix("\t").split("\t") for line in lines]

    def test_header_is_opensims_line_for_line(self):
        lines = self.lines(sequence(TIMES, person_id=3))
        assert lines[0] == ["PathFileType", "4", "(X/Y/Z)", "person_003.trc"]
        fields = dict(zip(lines[1], lines[2], strict=True))
        assert fields == {
            "DataRate": "29.97",
            "CameraRate": "29.97",
            "NumFrames": "40",
            "NumMarkers": "24",
            "Units": "m",
            "OrigDataRate": "29.97",
            "OrigDataStartFrame": "1",
            "OrigNumFrames": "40",
        }
        assert lines[3][:2] == ["Frame#", "Time"]
        assert lines[3][2::3] == list(SMPL_JOINTS)
        assert lines[4][2:] == [f"{axis}{n}" for n in range(1, 25) for axis in "XYZ"]
        assert lines[5] == [""]
        assert {len(line) for line in (lines[3], lines[4], *lines[6:-1])} == {2 + 72}
        assert lines[-1] == [""]

    def test_numbers_read_back_y_up(self):
        person = sequence(TIMES)
        table = np.float64(self.lines(person)[6:-1])
        np.testing.assert_array_equal(table[:, 0], np.arange(1, 41))
        np.testing.assert_allclose(table[:, 1], TIMES, atol=1e-6)
        np.testing.assert_allclose(table[:, 2:].reshape(-1, 24, 3), person.joints3d @ FLIP, atol=2e-5)

    def test_frames_are_numbered_from_the_runs_first(self):
        lines = self.lines(replace(sequence(TIMES[6:]), timeline=Timeline(TIMES[0], RATE)))
        assert [line[0] for line in lines[6:-1]] == [str(number) for number in range(7, 41)]
        assert dict(zip(lines[1], lines[2], strict=True))["OrigDataStartFrame"] == "7"

    def test_a_long_gap_is_blank_and_a_short_one_bridged(self):
        lines = self.lines(sequence(GAP_TIMES))[6:-1]
        assert len(lines) == 40
        blank = [n for n, line in enumerate(lines) if set(line[2:]) == {""}]
        assert blank == list(range(12, 25))
        short = self.lines(sequence(np.delete(TIMES, [20])))[6:-1]
        assert all(cell for line in short for cell in line)

    def test_one_frame(self):
        person = sequence([2.0])
        (row,) = self.lines(person)[6:-1]
        np.testing.assert_allclose(np.float64(row[2:]).reshape(24, 3), person.joints3d[0] @ FLIP, atol=1e-5)


class TestParseFormats:
    def test_names_once_and_in_order(self):
        assert parse_formats("bvh, npz,BVH") == ("bvh", "npz")
        assert parse_formats(",".join(FORMATS)) == FORMATS

    @pytest.mark.parametrize(("text", "named"), [("npz,obj", "'obj'"), ("", "nothing"), (",", "nothing")])
    def test_names_the_unknown_and_what_there_is(self, text, named):
        with pytest.raises(InputError, match=named) as error:
            parse_formats(text)
        assert all(name in str(error.value) for name in FORMATS)


def test_a_sequence_refuses_arrays_of_unequal_length():
    person = sequence(TIMES)
    with pytest.raises(ValueError, match="trans"):
        replace(person, trans=person.trans[1:])
