"""Trained inverse kinematics: numpy says what torch says, place and focal length do not matter, training learns, and
the shipped weights know where a hidden limb is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.landmark_noise import ReadingErrors, tables
from benchmarks.landmark_readings import Readings, Watcher
from tests.fit.test_landmark_fitter import mpjpe, observe, upright
from tests.motion.test_motion import library
from tracker.body import load_body
from tracker.body.joint_limits import JointPrior
from tracker.body.kinematics import LandmarkRig
from tracker.body.landmark_set import MEDIAPIPE
from tracker.body.smpl_joints import LSP_JOINTS, smpl_index
from tracker.core.camera import Camera
from tracker.core.errors import InputError
from tracker.core.geometry import matrix_from_axis_angle
from tracker.core.landmark_observation import LandmarkObservation
from tracker.core.person import Pose
from tracker.fit.landmark_fitter import Belief, FitConfig, LandmarkFitter
from tracker.fit.person_fitter import PersonFitter, TrackConfig
from tracker.initialise.inverse_kinematics import (
    FEATURES,
    INPUT_SIZES,
    POINTS,
    InverseKinematics,
    PoseGuess,
    Sight,
    Votes,
    facing,
    known_of,
)
from tracker.initialise.landmark_start import guessed_state, initial_state
from tracker.initialise.motion_predictor import MotionPredictor
from tracker.motion.sampler import PoseSampler
from tracker.networks.inverse_kinematics_inputs import Inputs
from tracker.networks.inverse_kinematics_networks import InverseKinematicsConfig, InverseKinematicsNetwork
from tracker.training import TrainingJob, run_training
from tracker.training.noise import EDGES, LandmarkNoise
from tracker.training.train_inverse_kinematics import (
    BELOW_WAIST,
    HidingConfig,
    InverseKinematicsTraining,
    PointBody,
    Shots,
    VoteConfig,
    hide,
    lesson,
    lessons,
    random_shapes,
    save_inverse_kinematics,
    train_inverse_kinematics,
    voted,
)

LANDMARKS = len(MEDIAPIPE.names)
SMALL = InverseKinematicsTraining(
    network=InverseKinematicsConfig(inpainting_width=48, kinematics_width=48, blocks=1), steps=250, batch=64, pool=400
)


@pytest.fixture(scope="module")
def body() -> PointBody:
    return PointBody(load_body(None))


def shots(body: PointBody, count: int, seed: int = 0) -> Shots:
    rng = np.random.default_rng(seed)
    people = body.people(PoseSampler(None, seed).poses(rng, count), random_shapes(rng, count, 0.0))
    near = Shots.random(rng, people)
    return Shots(people, near.rotation, near.place / near.place[:, 2:] * 6.0)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[InverseKinematicsNetwork, InverseKinematics]:
    """An untrained network, and the same read back for numpy."""
    torch.manual_seed(0)
    network = InverseKinematicsNetwork(FEATURES, LANDMARKS, POINTS, SMALL.network).eval().half().float()
    save_inverse_kinematics(tmp_path / "ik.safetensors", network, {})
    return network, InverseKinematics.load(tmp_path / "ik.safetensors")


def test_numpy_and_torch_agree(body: PointBody, pair: tuple[InverseKinematicsNetwork, InverseKinematics]) -> None:
    network, kinematics = pair
    seen = shots(body, 5).exact()
    with torch.no_grad():
        told = network(torch.from_numpy(seen.features()), torch.from_numpy(seen.confidence).float())
    guess, T = kinematics(seen), seen.T_camera_facing
    np.testing.assert_allclose(guess.rotations[:, 1:], told.rotations[:, 1:], atol=1e-4)
    np.testing.assert_allclose(guess.rotations[:, 0], T @ told.rotations[:, 0].numpy(), atol=1e-4)
    np.testing.assert_allclose(guess.betas, told.betas, atol=1e-4)
    np.testing.assert_allclose(guess.spread, told.log_spread.exp(), rtol=1e-3)
    np.testing.assert_allclose(guess.points, told.points.numpy() @ np.swapaxes(T, 1, 2), atol=1e-4)
    one = kinematics(Sight(seen.rays[2], seen.metric[2], seen.confidence[2]))
    assert one.points.shape == (POINTS, 3)
    np.testing.assert_allclose(one.rotations, guess.rotations[2], atol=1e-5)


def by_votes(inputs: Inputs, path: Path) -> tuple[InverseKinematicsNetwork, InverseKinematics]:
    """As the paper has its networks, after some steps of which their normalisation has learned."""
    torch.manual_seed(0)
    config = InverseKinematicsConfig(24, 24, 2, inputs, dropout=0.2, batch_norm=True)
    network = InverseKinematicsNetwork(*INPUT_SIZES[inputs], POINTS, config)
    for _ in range(5):
        network(*(torch.randn(16, size) for size in INPUT_SIZES[inputs]))
    save_inverse_kinematics(path, network.eval().half().float(), {})
    return network, InverseKinematics.load(path)


@pytest.mark.parametrize("inputs", ["votes", "both"])
def test_votes_are_taken_in_the_place_of_landmarks_or_beside_them(
    body: PointBody, tmp_path: Path, inputs: Inputs
) -> None:
    network, kinematics = by_votes(inputs, tmp_path / "ik.safetensors")
    shot, rng = shots(body, 5), np.random.default_rng(0)
    sight = shot.exact()
    crop = facing(shot.place[:, :2] / shot.place[:, 2:] + 0.05)
    places, seen = voted(shot.points @ crop, np.zeros((5, LANDMARKS), bool), VoteConfig(noise=0.0), rng)
    votes = Votes(places, seen, crop)
    guess, known = kinematics(sight, votes), known_of(inputs, sight, votes)
    with torch.no_grad():
        expected = network(torch.from_numpy(known.features), torch.from_numpy(known.confidence).float())
    np.testing.assert_allclose(guess.rotations[:, 1:], expected.rotations[:, 1:], atol=2e-3)
    np.testing.assert_allclose(guess.betas, expected.betas, atol=2e-3)
    hidden = Votes(places + (seen == 0)[..., None] * 5.0, seen, crop)
    np.testing.assert_array_equal(kinematics(sight, hidden).rotations, guess.rotations)
    with pytest.raises(ValueError, match=f"take {inputs}"):
        kinematics(sight)


def test_votes_are_turned_to_the_landmarks_axes(body: PointBody) -> None:
    shot = shots(body, 3)
    sight, crop = shot.exact(), facing(shot.place[:, :2] / shot.place[:, 2:] + 0.2)
    seen = np.ones((3, len(LSP_JOINTS)))
    one = Votes(shot.points[:, list(LSP_JOINTS)] @ crop, seen, crop).turned_to(sight.T_camera_facing)
    np.testing.assert_allclose(one.places, shot.points[:, list(LSP_JOINTS)] @ sight.T_camera_facing, atol=1e-9)


def test_a_third_of_the_votes_are_blank_and_those_of_hidden_joints() -> None:
    points, hidden = np.zeros((4000, POINTS, 3)), np.zeros((4000, LANDMARKS), bool)
    hidden[:2000, MEDIAPIPE.index("left_knee")] = True
    places, seen = voted(points, hidden, VoteConfig(noise=0.1, blank=0.3), np.random.default_rng(0))
    knee = LSP_JOINTS.index(smpl_index("left_knee"))
    assert seen[:2000, knee].sum() == 0
    assert seen[2000:].mean() == pytest.approx(0.7, abs=0.01)
    assert places.std() == pytest.approx(0.1, rel=0.02)


def test_facing_turns_the_axis_into_the_ray() -> None:
    rays = np.random.default_rng(0).normal(size=(6, 2))
    turn = facing(rays)
    expected = np.concatenate([rays, np.ones((6, 1))], axis=1)
    np.testing.assert_allclose(turn[..., 2], expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-12)
    np.testing.assert_allclose(turn @ np.swapaxes(turn, 1, 2), np.broadcast_to(np.eye(3), (6, 3, 3)), atol=1e-12)


def test_a_turned_camera_sees_the_same(body: PointBody) -> None:
    """The same people in the middle of the picture: the features stay."""
    seen = shots(body, 4).exact()
    turn = seen.T_camera_facing
    ahead = np.concatenate([seen.rays, np.ones((4, LANDMARKS, 1))], axis=2) @ turn
    centred = Sight(ahead[..., :2] / ahead[..., 2:], seen.metric, seen.confidence)
    np.testing.assert_allclose(centred.features(), seen.features(), atol=0.02)


def test_blank_landmarks_do_not_count(body: PointBody) -> None:
    seen = shots(body, 3).exact()
    confidence = seen.confidence.copy()
    confidence[:, BELOW_WAIST] = 0.0
    metric = seen.metric.copy()
    metric[:, BELOW_WAIST] += 0.05
    first, second = (Sight(seen.rays, m, confidence).features() for m in (seen.metric, metric))
    np.testing.assert_allclose(first, second, atol=1e-3)


def test_points_of_the_torch_body_are_the_rigs(body: PointBody) -> None:
    people = shots(body, 3).people
    rig = LandmarkRig.from_body(load_body(None))
    for k in range(3):
        posed = rig.pose(people.rotations[k].astype(float), people.betas[k])
        both = np.concatenate([posed.joints, posed.points]) - posed.joints[0]
        np.testing.assert_allclose(people.points[k], both, atol=1e-5)


def test_a_lesson_is_right(body: PointBody) -> None:
    """What should be said, posed, gives the points that should be said; exact landmarks are those points."""
    config = replace(SMALL, clean=1.0, focal_error=0.0)
    given = lesson(shots(body, 60).people, LandmarkNoise.load(), config, np.random.default_rng(0))
    posed = body(torch.from_numpy(given.rotations).float(), torch.from_numpy(given.betas).float()).numpy()
    np.testing.assert_allclose(posed, given.points, atol=1e-4)
    assert set(np.unique(given.sight.confidence)) == {0.0, 1.0}
    whole = (given.sight.confidence == 1).all(axis=1)
    off = given.sight.metric - given.points[:, 24:]
    off = np.abs(off - off.mean(axis=1, keepdims=True))[whole].max(axis=(1, 2))
    assert len(off) > 5 and np.median(off) < 0.1, "the axes differ by a few degrees"


@pytest.mark.parametrize("kind", ["limbs", "below_waist", "scattered", "beyond_line", "box"])
def test_every_way_of_hiding_hides_something_but_not_all(body: PointBody, kind: str) -> None:
    nothing = dict.fromkeys(("limbs", "below_waist", "scattered", "beyond_line", "box"), 0.0)
    config = HidingConfig(**{**nothing, kind: 1.0})
    hidden = hide(np.random.default_rng(0), shots(body, 50).rays, config)
    share = hidden.mean(axis=1)
    assert share.max() < 1.0
    assert 0.1 < share.mean() < 0.7
    if kind == "below_waist":
        assert hidden[:, BELOW_WAIST[2:]].all() and not hidden[:, :23].any()


def test_noise_is_worse_where_nothing_is_seen(body: PointBody) -> None:
    noise, some = LandmarkNoise.load(), shots(body, 400)
    truth = some.exact().metric
    off = {}
    for name, hidden in (("seen", np.zeros((400, LANDMARKS), bool)), ("hidden", np.ones((400, LANDMARKS), bool))):
        said = some.detected(noise, np.random.default_rng(0), hidden)
        limbs = np.abs(said.metric - truth)[:, 25:]
        off[name] = np.median(limbs), said.confidence[:, 25:].mean()
    assert off["hidden"][0] > 1.5 * off["seen"][0]
    assert off["hidden"][1] < off["seen"][1] - 0.2


def test_noise_of_a_sequence_lasts() -> None:
    noise = LandmarkNoise.load()
    z = noise.numbers_over_time(np.random.default_rng(0), np.arange(3000) / 30)[:, :-2]
    near, far = ((z[lag:] * z[:-lag]).mean() / (z**2).mean() for lag in (1, 60))
    assert near > 0.7 and abs(far) < 0.2
    assert z.std() == pytest.approx(1.0, abs=0.1)


def test_mistaken_sides_show_the_other_sides_truth(body: PointBody) -> None:
    noise, some = LandmarkNoise.load(), shots(body, 3)
    numbers = np.zeros((3, 200))
    reading = noise.read(numbers, some.exact().metric, np.zeros((3, LANDMARKS), bool), np.array([0.0, 1.0, 1.0]))
    left, right = MEDIAPIPE.names.index("left_wrist"), MEDIAPIPE.names.index("right_wrist")
    assert reading.order[0, left] == right and reading.order[1, left] == left


def test_damaged_tables_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "noise.npz").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"noise\.npz.*landmark_noise"):
        LandmarkNoise.load(tmp_path / "noise.npz")


@pytest.mark.parametrize("damage", ["nonsense", "other network", "missing"])
def test_damaged_weights_are_refused_by_name(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "w.safetensors"
    if damage == "nonsense":
        path.write_bytes(b"nonsense")
    elif damage == "other network":
        save_inverse_kinematics(path, InverseKinematicsNetwork(7, LANDMARKS, POINTS, SMALL.network), {})
    with pytest.raises(InputError, match=r"w\.safetensors.*train inverse_kinematics"):
        InverseKinematics.load(path)


def error(network: InverseKinematicsNetwork, body: PointBody) -> float:
    given = next(lessons(library(), replace(SMALL, seed=9), body, LandmarkNoise.load()))
    with torch.no_grad():
        told = network(torch.from_numpy(given.sight.features()), torch.from_numpy(given.sight.confidence).float())
    return float((told.points - torch.from_numpy(given.points)).abs().mean())


def test_training_learns(body: PointBody) -> None:
    untrained = error(train_inverse_kinematics(library(), replace(SMALL, steps=1)), body)
    assert error(train_inverse_kinematics(library(), SMALL), body) < 0.6 * untrained


@pytest.mark.parametrize("inputs", ["landmarks", "votes", "both"])
def test_one_command_trains_from_motion_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inputs: Inputs) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    theta = np.random.default_rng(0).normal(size=(40, 72)) * 0.2
    np.savez(tmp_path / "clip.npz", poses=theta, trans=np.zeros((40, 3)), mocap_framerate=30.0)
    text = (
        "task: inverse_kinematics\nsteps: 3\npool: 50\nbatch: 8\n"
        f"network: {{inpainting_width: 8, kinematics_width: 8, inputs: {inputs}, dropout: 0.1, batch_norm: true}}\n"
    )
    (tmp_path / "mine.yaml").write_text(text)
    job = TrainingJob.read(str(tmp_path / "mine.yaml"), "cpu", tmp_path / "out", motion=tmp_path / "clip.npz")
    report = run_training(job)
    assert "°" in report and "mm" in report
    read = InverseKinematics.load(tmp_path / "out/inverse_kinematics.safetensors")
    assert read.metadata["task"] == job.task and read.inputs == inputs


def test_every_joint_has_landmarks_that_show_its_turn() -> None:
    np.testing.assert_allclose(MEDIAPIPE.turn_evidence.sum(axis=1), 1.0)


def test_the_fit_follows_the_guess_where_nothing_is_seen() -> None:
    """An arm that is not seen, and that the detector believes to hang, goes where the guess has it."""
    fitter = LandmarkFitter(LandmarkRig.from_body(load_body(None)), JointPrior.anatomical(), FitConfig())
    theta = np.zeros((24, 3))
    theta[smpl_index("left_shoulder"), 2] = theta[smpl_index("right_shoulder"), 2] = 0.3
    truth = observe(fitter, upright(theta, 0.0), np.zeros(10), np.array([0.0, 0.0, 4.0]), 0.002)
    arm = [k for k, name in enumerate(MEDIAPIPE.names) if name.startswith("left_") and 13 <= k < 23]
    pixels, metric, visibility = truth.seen.pixels.copy(), truth.seen.metric.copy(), truth.seen.visibility.copy()
    down = np.linspace(0.28, 0.6, len(arm))[:, None] * np.array([0.1, 1.0, 0.0])
    visibility[arm], metric[arm] = 0.0, metric[11] + down
    pixels[arm] = pixels[11] + 360 * down[:, :2]
    seen = LandmarkObservation(truth.seen.camera, pixels, metric, visibility)
    rotations = matrix_from_axis_angle(upright(theta, 0.0))
    guess = PoseGuess(rotations, np.zeros(10), np.full(24, 0.1), np.zeros((POINTS, 3)))
    off = {}
    for name, belief in (("alone", Belief.stranger()), ("guessed", replace(Belief.stranger(), guess=guess))):
        result = fitter.fit(seen, belief, initial_state(fitter.rig, seen, belief.betas), 30)
        off[name] = mpjpe(result.posed.joints[[18, 20]], truth.joints[[18, 20]])
        if name == "guessed":
            start = guessed_state(fitter.rig, seen, belief.betas, guess)
            np.testing.assert_allclose(start.transl, truth.transl, atol=0.1)
    assert off["guessed"] < 0.4 * off["alone"]
    assert off["alone"] > 100


def test_the_shipped_weights_know_where_a_hidden_limb_is() -> None:
    """Sitting people, exact but for the blank feet and shins: nearer than where the knees would be straight."""
    body, kinematics = PointBody(load_body(None)), InverseKinematics.load()
    rng, count = np.random.default_rng(0), 40
    theta = np.zeros((count, 24, 3))
    theta[:, [smpl_index("left_hip"), smpl_index("right_hip")], 0] = -1.45
    theta[:, [smpl_index("left_knee"), smpl_index("right_knee")], 0] = 1.5
    theta[:, smpl_index("left_shoulder"), 2], theta[:, smpl_index("right_shoulder"), 2] = -1.1, 1.1
    theta += rng.normal(size=theta.shape) * 0.05
    theta[:, 0] = rng.uniform(-0.8, 0.8, (count, 1)) * np.array([0.0, 1.0, 0.0])
    people = body.people(matrix_from_axis_angle(theta).astype(np.float32), np.zeros((count, 10)))
    upright_camera = np.tile(np.diag([1.0, -1.0, -1.0]), (count, 1, 1))
    some = Shots(people, upright_camera, np.tile([0.0, 0.0, 3.5], (count, 1)))
    seen = some.exact()
    confidence = seen.confidence.copy()
    confidence[:, BELOW_WAIST[4:]] = 0.0
    guess = kinematics(Sight(seen.rays, seen.metric, confidence))
    feet = [smpl_index("left_ankle"), smpl_index("right_ankle")]
    off = np.linalg.norm(guess.points[:, feet] - some.points[:, feet], axis=2)
    assert off.mean() < 0.25
    assert (
        guess.spread[:, smpl_index("left_knee")].mean()
        > 1.2 * kinematics(seen).spread[:, smpl_index("left_knee")].mean()
    )


def test_the_shipped_weights_say_where_they_come_from() -> None:
    metadata = InverseKinematics.load().metadata
    assert "CMU" in metadata["data"] and "MIT" in metadata["data"]
    assert InverseKinematics.load().inpainting.inputs == FEATURES


def test_a_track_guesses_at_what_it_never_saw() -> None:
    """Somebody who sits, feet and shins behind a table from the first frame, where the detector has them straight."""
    fitter = LandmarkFitter(LandmarkRig.from_body(load_body(None)), JointPrior.anatomical(), FitConfig())
    theta = np.zeros((24, 3))
    theta[[smpl_index("left_hip"), smpl_index("right_hip")], 0] = -1.45
    theta[[smpl_index("left_knee"), smpl_index("right_knee")], 0] = 1.5
    theta[smpl_index("left_shoulder"), 2], theta[smpl_index("right_shoulder"), 2] = -1.1, 1.1
    truth = observe(fitter, upright(theta, 0.7), np.zeros(10), np.array([0.0, 0.0, 3.5]), 0.002)
    shins, knees = np.arange(27, 33), np.array([25, 26] * 3)
    metric, pixels, visibility = truth.seen.metric.copy(), truth.seen.pixels.copy(), truth.seen.visibility.copy()
    ahead = truth.seen.metric[knees] - truth.seen.metric[knees - 2]
    metric[shins], visibility[shins] = truth.seen.metric[knees] + 0.9 * ahead, 0.0
    pixels[shins] = 2 * pixels[knees] - pixels[knees - 2]
    seen, off = LandmarkObservation(truth.seen.camera, pixels, metric, visibility), {}
    for name, kinematics in (("time", None), ("guess", InverseKinematics.load())):
        track = PersonFitter(fitter, TrackConfig(), MotionPredictor.load(), kinematics)
        results = [track.update(k / 30, seen) for k in range(15)]
        off[name] = np.linalg.norm(
            results[-1].posed.joints[7:9] - results[-1].posed.joints[0] - truth.joints[7:9] + truth.joints[0], axis=1
        ).mean()
    assert off["guess"] < 0.8 * off["time"]


def test_the_measured_tables_are_those_of_the_errors() -> None:
    """ReadingErrors of known spread, growth and correlation come back as such."""
    rng, count = np.random.default_rng(0), 1500
    truth = rng.normal(size=(count, LANDMARKS, 3)) * 0.3
    together = rng.normal(size=(count, 1, 1))
    error = 0.05 * (0.8 * together + 0.6 * rng.normal(size=(count, LANDMARKS, 5)))
    error[..., 2] -= 0.4 * truth[..., 2]
    logit = np.full((count, LANDMARKS, 1), 3.0) + 0.3 * rng.normal(size=(count, LANDMARKS, 1))
    hidden = rng.random((count, LANDMARKS)) < 0.2
    errors = ReadingErrors(truth, np.concatenate([logit, error], axis=2), hidden, 0.1 * rng.normal(size=count))
    noise = tables(errors, 0.9, np.array([0.9, 0.4]))
    kind = int(np.digitize(0.95, EDGES))
    np.testing.assert_allclose(noise.slope[kind, :, 2], -0.4, atol=0.08)
    np.testing.assert_allclose(noise.spread[kind], 0.05, rtol=0.15)
    np.testing.assert_allclose(noise.visible[..., 0], 3.0, atol=0.1)
    assert noise.scale[1] == pytest.approx(0.1, rel=0.1) and noise.missing[0] == pytest.approx(0.1)
    z = noise.numbers(np.random.default_rng(1), 4000)[:, :-2].reshape(4000, LANDMARKS, 6)
    # of the 0.64 that two landmarks' errors have in common, a part is in how large all of a person's errors are
    assert 0.3 < np.corrcoef(z[:, 3, 5], z[:, 9, 5])[0, 1] < 0.64


def test_what_the_detector_says_is_written_down_beside_the_truth() -> None:
    pytest.importorskip("mediapipe")
    pose = Pose(np.array([np.pi, 0.0, 0.0]), np.zeros(69), np.zeros(10), np.array([0.0, 0.0, 3.0]))
    row = Watcher().at(np.zeros((256, 256, 3), np.uint8), pose, Camera.default(256, 256))
    assert row is not None
    readings = Readings.of([{**row, "hidden": np.zeros(LANDMARKS, bool)}])
    assert readings.pixels.shape == (1, LANDMARKS, 2) and readings.metric.shape == (1, LANDMARKS, 3)
    assert len(readings.found().score) == 0, "there is nobody in a black picture"
    near = Pose(pose.global_orient, pose.body_pose, pose.betas, np.array([0.0, 0.0, 0.1]))
    assert Watcher().at(np.zeros((256, 256, 3), np.uint8), near, Camera.default(256, 256)) is None
