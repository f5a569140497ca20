"""Motion files → SMPL: readers, retargeting from skeletons that rest otherwise, the library, and the poses drawn."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests import SHARED
from tracker.body.joint_limits import JointPrior
from tracker.body.model import JOINT_NAMES, PARENTS
from tracker.core.arrays import Array
from tracker.core.errors import InputError
from tracker.core.geometry import matrix_from_axis_angle
from tracker.motion import MotionClip, MotionLibrary, PoseSampler, read_motion
from tracker.motion.families import POSTURES, Postures
from tracker.motion.motion_clip import joint_positions, mirror, rest_joints, without_calibration, world_rotations
from tracker.motion.read import source_of
from tracker.motion.read_bvh import parse_bvh
from tracker.motion.retarget import Correspondence, retarget
from tracker.motion.source_motion import SourceMotion, SourceSkeleton

SHARED_MOTION = SHARED / "motion"
LIMB_JOINTS = [f"{side}_{part}" for side in ("left", "right") for part in ("hip", "knee", "ankle", "elbow", "wrist")]

TWO_FRAMES = """HIERARCHY
ROOT Hips
{
  OFFSET 0 90 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Spine
  {
    OFFSET 0 10 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 50 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.04
1 2 3 90 0 0 0 0 0
0 0 0 0 30 40 0 0 0
"""


def gentle_poses(frames: int, seed: int = 0) -> Array:
    """(T, 24, 3, 3): a random smooth motion in which the elbows are bent about their hinge."""
    rng = np.random.default_rng(seed)
    phase, size = rng.uniform(0, 6, (24, 3)), rng.uniform(0, 0.35, (24, 3))
    theta = size * np.sin(np.arange(frames)[:, None, None] * 0.2 + phase)
    for side, sign in (("left", -1), ("right", 1)):
        theta[:, JOINT_NAMES.index(f"{side}_elbow")] = [0, sign * 1.1, 0]
        theta[:, JOINT_NAMES.index(f"{side}_hand")] = 0
        theta[:, JOINT_NAMES.index(f"{side}_foot")] = 0
    return matrix_from_axis_angle(theta)


def as_source(
    rotations: Array, rest_pose: Array, names: tuple[str, ...] = JOINT_NAMES, scale: float = 100.0
) -> SourceMotion:
    """SMPL's own skeleton as a foreign file: it rests in `rest_pose` (24, 3, 3) and is measured in cm."""
    rest_world = world_rotations(rest_pose)
    resting = joint_positions(rest_pose)
    offsets = np.array([resting[j] - resting[p] if p >= 0 else np.zeros(3) for j, p in enumerate(PARENTS)])
    # turned from its rest: R_world = R'_world · rest_world
    world = world_rotations(rotations) @ np.swapaxes(rest_world, -1, -2)
    local = world.copy()
    for joint, parent in enumerate(PARENTS[1:], start=1):
        local[:, joint] = np.swapaxes(world[:, parent], -1, -2) @ world[:, joint]
    root = joint_positions(rotations)[:, 0] * scale
    return SourceMotion("made", SourceSkeleton(names, PARENTS, offsets * scale), local, root, 30.0)


def hanging_arms() -> Array:
    theta = np.zeros((24, 3))
    theta[JOINT_NAMES.index("left_shoulder"), 2] = -1.4
    theta[JOINT_NAMES.index("right_shoulder"), 2] = 1.4
    return matrix_from_axis_angle(theta)


@pytest.mark.parametrize("rest", [np.tile(np.eye(3), (24, 1, 1)), hanging_arms()], ids=["T-pose", "A-pose"])
def test_retargeting_smpl_to_itself_keeps_every_bone(rest: Array) -> None:
    rotations = gentle_poses(20)
    clip = retarget(as_source(rotations, rest))
    places = joint_positions(clip.rotations().astype(float)) + clip.transl[:, None]
    truth = joint_positions(rotations)
    apart = 1000 * np.linalg.norm(places - truth, axis=2)
    legs = [JOINT_NAMES.index(f"{side}_{part}") for side in ("left", "right") for part in ("hip", "knee", "ankle")]
    assert apart[:, legs].max() < 0.5
    # the spine is dealt out anew, so what hangs on it moves by a little
    assert apart[:, JOINT_NAMES.index("head")].max() < 60
    for side in ("left", "right"):
        for upper, lower in (("shoulder", "elbow"), ("elbow", "wrist")):
            a, b = JOINT_NAMES.index(f"{side}_{upper}"), JOINT_NAMES.index(f"{side}_{lower}")
            np.testing.assert_allclose(places[:, b] - places[:, a], truth[:, b] - truth[:, a], atol=1e-4)


def test_scale_and_place_do_not_depend_on_the_files_unit() -> None:
    rotations = gentle_poses(5)
    rest = np.tile(np.eye(3), (24, 1, 1))
    in_cm, in_inches = (retarget(as_source(rotations, rest, scale=scale)) for scale in (100.0, 39.37))
    np.testing.assert_allclose(in_cm.transl, in_inches.transl, atol=1e-5)
    np.testing.assert_allclose(in_cm.transl, 0.0, atol=1e-4)


def test_z_up_files_stand_upright() -> None:
    """The same skeleton whose file has z up and faces −y."""
    turn = matrix_from_axis_angle(np.array([np.pi / 2, 0, 0]))
    motion = as_source(gentle_poses(8), np.tile(np.eye(3), (24, 1, 1)))
    skeleton = SourceSkeleton(motion.skeleton.names, PARENTS, motion.skeleton.offsets @ turn.T)
    turned = SourceMotion("z", skeleton, turn @ motion.rotations @ turn.T, motion.root @ turn.T, 30.0)
    np.testing.assert_allclose(retarget(turned).theta, retarget(motion).theta, atol=1e-5)
    np.testing.assert_allclose(retarget(turned).transl, retarget(motion).transl, atol=1e-5)


MIXAMO = {
    "pelvis": "Hips", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2", "neck": "Neck", "head": "Head",
    "collar": "Shoulder", "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand", "hand": "HandMiddle1",
    "hip": "UpLeg", "knee": "Leg", "ankle": "Foot", "foot": "ToeBase",
}  # fmt: skip
DAZ = {
    "pelvis": "hip", "spine1": "abdomen", "spine2": "chest", "spine3": "chest2", "neck": "neck", "head": "head",
    "collar": "Collar", "shoulder": "Shldr", "elbow": "ForeArm", "wrist": "Hand", "hand": "Mid1",
    "hip": "Thigh", "knee": "Shin", "ankle": "Foot", "foot": "Toe",
}  # fmt: skip


def renamed(table: dict[str, str], side_names: dict[str, str], prefix: str = "") -> tuple[str, ...]:
    names = []
    for name in JOINT_NAMES:
        side, _, part = name.partition("_")
        names.append(prefix + (side_names[side] + table[part] if part else table[name]))
    return tuple(names)


@pytest.mark.parametrize(
    "names",
    [
        renamed(MIXAMO, {"left": "Left", "right": "Right"}, "mixamorig:"),
        renamed(DAZ, {"left": "l", "right": "r"}),
        tuple(
            f"{part}.{side[0].upper()}" if part else side for side, _, part in (n.partition("_") for n in JOINT_NAMES)
        ),
    ],
    ids=["Mixamo", "Daz", "Rigify"],
)
def test_usual_names_are_known(names: tuple[str, ...]) -> None:
    motion = as_source(gentle_poses(2), np.tile(np.eye(3), (24, 1, 1)), names)
    joints = Correspondence.of("made", motion.skeleton).joints
    wanted = {name: JOINT_NAMES.index(name) for name in LIMB_JOINTS}
    assert {name: joints[name] for name in LIMB_JOINTS} == wanted
    assert joints["left_collar"] == JOINT_NAMES.index("left_collar")
    assert joints["chest"] == JOINT_NAMES.index("spine3")


def test_unknown_names_are_named() -> None:
    names = tuple(name.replace("knee", "hinge") for name in JOINT_NAMES)
    with pytest.raises(InputError, match=r"left_knee, right_knee among pelvis.*left_hinge"):
        retarget(as_source(gentle_poses(2), np.tile(np.eye(3), (24, 1, 1)), names))


def test_a_rest_pose_that_does_not_stand_is_refused() -> None:
    folded = np.zeros((24, 3))
    folded[[1, 2], 0] = -2.8
    with pytest.raises(InputError, match="not a standing person"):
        retarget(as_source(gentle_poses(2), matrix_from_axis_angle(folded)))


def test_elbows_bend_about_their_hinge_whatever_the_file_says() -> None:
    """The upper arm is turned about itself in the file, as motion capture often has it; the hand stays where it is."""
    rotations = gentle_poses(10)
    shoulder, elbow = JOINT_NAMES.index("left_shoulder"), JOINT_NAMES.index("left_elbow")
    twist = matrix_from_axis_angle(np.array([0.9, 0, 0]))
    twisted = rotations.copy()
    twisted[:, shoulder] = rotations[:, shoulder] @ twist
    twisted[:, elbow] = twist.T @ rotations[:, elbow]
    clip = retarget(as_source(twisted, np.tile(np.eye(3), (24, 1, 1))))
    forearm = clip.rotations()[:, elbow, :, 0]
    assert np.abs(forearm[:, 1]).max() < 0.02
    assert (forearm[:, 2] > 0.8).all()


def test_bvh_numbers_arrive() -> None:
    motion = parse_bvh("two.bvh", TWO_FRAMES)
    assert motion.rate == pytest.approx(25.0)
    assert motion.skeleton.names == ("Hips", "Spine", "")
    np.testing.assert_allclose(motion.root[0], [1, 92, 3])
    world, places = motion.world()
    np.testing.assert_allclose(places[0, 2], [1 - 60, 92, 3], atol=1e-9)
    expected = matrix_from_axis_angle(np.radians([30.0, 0, 0])) @ matrix_from_axis_angle(np.radians([0, 40.0, 0]))
    np.testing.assert_allclose(world[1, 0], expected, atol=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("HIERARCHY", "HIERARCHIE", "no HIERARCHY"),
        ("1 2 3 90", "1 2 3", "multiple of its 9 channels"),
        ("0.04", "0", "Frame Time"),
        ("CHANNELS 3 Zrotation", "CHANNELS 3 Wrotation", "wrotation"),
        ("OFFSET 0 10 0", "OFSET 0 10 0", "OFSET"),
        ("  }\n}", "  }", "braces"),
    ],
)
def test_broken_bvh_is_refused_by_name(old: str, new: str, complaint: str) -> None:
    with pytest.raises(InputError, match=f"two.bvh.*{complaint}"):
        parse_bvh("two.bvh", TWO_FRAMES.replace(old, new, 1))


def smpl_file(path: Path, **changes: object) -> Path:
    content: dict[str, object] = {
        "poses": np.zeros((12, 156)),
        "trans": np.tile([1.0, 2.0, 0.9], (12, 1)),
        "mocap_framerate": 120.0,
    }
    np.savez(path, **{key: value for key, value in (content | changes).items() if value is not None})
    return path


def test_amass_files_come_in_with_y_up(tmp_path: Path) -> None:
    poses = np.zeros((12, 156))
    poses[:, 0] = np.pi / 2  # SMPL's y axis up in a world with z up
    (clip,) = read_motion(smpl_file(tmp_path / "a.npz", poses=poses))
    np.testing.assert_allclose(clip.theta[:, 0], 0.0, atol=1e-6)
    pelvis = joint_positions(clip.rotations())[0, 0] + clip.transl[0]
    in_file = np.array([1.0, 2.0, 0.9]) + rest_joints()[0]
    np.testing.assert_allclose(pelvis, in_file[[0, 2, 1]] * [1, 1, -1], atol=1e-5)
    assert clip.rate == 120.0


def test_the_trackers_own_files_come_in_upright(tmp_path: Path) -> None:
    poses = np.zeros((12, 72))
    poses[:, 0] = np.pi  # upright in a camera whose y points down
    (clip,) = read_motion(smpl_file(tmp_path / "p.npz", poses=poses, coordinate_system="camera"))
    np.testing.assert_allclose(matrix_from_axis_angle(clip.theta[0, 0]), np.eye(3), atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [({"trans": None}, "trans"), ({"mocap_framerate": None}, "mocap"), ({"poses": np.zeros((12, 9))}, "poses")],
)
def test_incomplete_smpl_files_are_refused(tmp_path: Path, changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(InputError, match=f"a.npz.*{complaint}"):
        read_motion(smpl_file(tmp_path / "a.npz", **changes))


def test_infinite_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not finite"):
        read_motion(smpl_file(tmp_path / "a.npz", trans=np.full((12, 3), np.inf)))


def test_archives_are_read_without_being_unpacked(tmp_path: Path) -> None:
    smpl_file(tmp_path / "a.npz")
    archive = tmp_path / "motion.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(tmp_path / "a.npz", "../../outside.npz")
        link = tarfile.TarInfo("link.npz")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        packed.addfile(link)
        note = tarfile.TarInfo("notes.txt")
        note.size = 5
        packed.addfile(note, io.BytesIO(b"hello"))
    (tmp_path / "a.npz").unlink()
    before = set(tmp_path.rglob("*"))
    (clip,) = read_motion(archive)
    assert clip.name == "../../outside.npz"
    assert set(tmp_path.rglob("*")) == before
    assert len(read_motion(tmp_path)) == 1, "archives in a folder are read too"


@pytest.mark.parametrize("name", ["missing.bvh", "picture.png", "empty"])
def test_what_is_no_motion_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "picture.png").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=rf"{name}.*expected a \.bvh"):
        read_motion(tmp_path / name)


def made_clip(name: str, frames: int, seed: int = 0, rate: float = 30.0) -> MotionClip:
    rng = np.random.default_rng(seed)
    theta = np.cumsum(rng.normal(size=(frames, 24, 3)) * 0.02, axis=0).astype(np.float32)
    return MotionClip(name, theta, np.zeros((frames, 3), np.float32), rate)


def test_resampling_keeps_the_course_of_time() -> None:
    clip = made_clip("a", 121, rate=120.0)
    thinned = clip.at_rate(30.0)
    assert len(thinned.theta) == 31
    np.testing.assert_allclose(thinned.rotations(), clip.rotations()[::4], atol=1e-5)


def test_a_first_frame_of_t_pose_is_dropped() -> None:
    clip = made_clip("a", 40)
    opening = np.concatenate([clip.theta[:1] + 1.0, clip.theta])
    jumped = MotionClip("a", opening, np.zeros((41, 3), np.float32), 30.0)
    np.testing.assert_array_equal(without_calibration(jumped).theta, clip.theta)
    assert without_calibration(clip) is clip


def library() -> MotionLibrary:
    return MotionLibrary(tuple(made_clip(f"clip{i}", 30 + i, i) for i in range(20)), 30.0)


def test_split_is_by_whole_clips_and_stays_when_clips_are_added() -> None:
    train, held = library().split()
    names = {clip.name for clip in train.clips}, {clip.name for clip in held.clips}
    assert not names[0] & names[1] and names[1]
    assert len(names[0] | names[1]) == 20
    more = MotionLibrary((*library().clips, made_clip("another", 30)), 30.0)
    assert names[1] <= {clip.name for clip in more.split()[1].clips}


def test_the_cache_gives_the_same_clips(tmp_path: Path) -> None:
    smpl_file(tmp_path / "a.npz", poses=np.random.default_rng(0).normal(size=(12, 72)) * 0.3)
    first = MotionLibrary.open(tmp_path / "a.npz", 30.0, tmp_path / "cache")
    (stored,) = (tmp_path / "cache").iterdir()
    second = MotionLibrary.open(tmp_path / "a.npz", 30.0, tmp_path / "cache")
    np.testing.assert_array_equal(first.clips[0].theta, second.clips[0].theta)
    stored.write_bytes(b"broken")
    third = MotionLibrary.open(tmp_path / "a.npz", 30.0, tmp_path / "cache")
    np.testing.assert_array_equal(first.clips[0].theta, third.clips[0].theta)


def test_mirroring_mirrors_the_joints() -> None:
    rotations = gentle_poses(3)
    rest = rest_joints() * [1, 1, 1]
    rest[:, 0] = np.where(np.abs(rest[:, 0]) < 1e-3, 0, rest[:, 0])
    places, mirrored = joint_positions(rotations, rest), joint_positions(mirror(rotations), rest)
    left, right = JOINT_NAMES.index("left_wrist"), JOINT_NAMES.index("right_wrist")
    np.testing.assert_allclose(mirrored[:, right], places[:, left] * [-1, 1, 1], atol=5e-3)
    np.testing.assert_allclose(mirror(mirror(rotations)), rotations, atol=1e-12)


@pytest.mark.parametrize("with_library", [True, False])
def test_poses_are_rotations_and_repeat_with_the_seed(with_library: bool) -> None:
    sampler = PoseSampler(library() if with_library else None, seed=3)
    first = sampler.poses(np.random.default_rng(5), 200)
    assert first.shape == (200, 24, 3, 3) and first.dtype == np.float32
    np.testing.assert_allclose(first @ np.swapaxes(first, -1, -2), np.broadcast_to(np.eye(3), first.shape), atol=1e-5)
    np.testing.assert_array_equal(first, sampler.poses(np.random.default_rng(5), 200))
    assert np.abs(first - sampler.poses(np.random.default_rng(6), 200)).max() > 0.5
    np.testing.assert_array_equal(PoseSampler(None, seed=3).poses(None, 4), PoseSampler(None, seed=3).poses(None, 4))


def test_the_library_is_not_changed_by_drawing() -> None:
    motion = library()
    before = motion.rotations.copy()
    sampler = PoseSampler(motion)
    sampler.poses(None, 100)
    sampler.windows(None, 10, 5)
    np.testing.assert_array_equal(motion.rotations, before)


def test_windows_are_consecutive_frames_of_one_clip() -> None:
    motion = library()
    windows = PoseSampler(motion).windows(np.random.default_rng(0), 50, 8)
    steps = np.swapaxes(windows[:, :-1], -1, -2) @ windows[:, 1:]
    angles = np.arccos(np.clip((np.trace(steps, axis1=-2, axis2=-1) - 1) / 2, -1, 1))
    assert angles.max() < 0.3, "no window runs from one clip into the next"
    with pytest.raises(ValueError, match="no clip has 500 frames"):
        PoseSampler(motion).windows(None, 1, 500)
    with pytest.raises(ValueError, match="no motion"):
        PoseSampler(None).windows(None, 1, 2)


def test_postures_stay_inside_the_limits_and_lie_down_too() -> None:
    prior = JointPrior.anatomical()
    poses = Postures(prior).draw(np.random.default_rng(0), 3000)
    from tracker.core.geometry import axis_angle_from_matrix

    theta = axis_angle_from_matrix(poses[:, 1:].astype(float))
    assert (theta > prior.lower - 1e-3).mean() > 0.999
    assert (theta < prior.upper + 1e-3).mean() > 0.999
    upright = poses[:, 0, 1, 1]
    assert 0.15 < (np.abs(upright) < 0.5).mean() < 0.6, "some lie"
    assert (upright < -0.8).mean() > 0.02, "some stand on their hands"
    assert len({posture.name for posture in POSTURES}) == len(POSTURES)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED_MOTION.exists(), reason="needs the CMU clips in ../shared/motion")
def test_cmu_bones_keep_their_directions() -> None:
    from tracker.motion.read import motion_files

    name, content = next(f for f in motion_files(SHARED_MOTION / "cmu_bvh_30fps.tar.gz") if "02_05" in f[0])
    motion = source_of(name, content)
    match = Correspondence.of(name, motion.skeleton)
    places = motion.world()[1] @ match.axes
    clip = retarget(motion)
    target = joint_positions(clip.rotations().astype(float))
    for side in ("left", "right"):
        for upper, lower in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")):
            bone = places[:, match.joints[f"{side}_{lower}"]] - places[:, match.joints[f"{side}_{upper}"]]
            mine = target[:, JOINT_NAMES.index(f"{side}_{lower}")] - target[:, JOINT_NAMES.index(f"{side}_{upper}")]
            cosine = (bone * mine).sum(1) / np.linalg.norm(bone, axis=1) / np.linalg.norm(mine, axis=1)
            assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 1.0
    assert 0.5 < (joint_positions(clip.rotations())[:, 0] + clip.transl)[:, 1].mean() < 1.2
