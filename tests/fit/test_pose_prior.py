"""The trained pose prior: numpy says what torch says, the derivatives are right, training learns, and the shipped
weights know a body from a broken one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.pose_prior import BREAKERS, area_under_curve
from tests.motion.test_motion import library
from tracker.body.joint_limits import JointPrior
from tracker.body.model import JOINT_NAMES
from tracker.core.errors import InputError
from tracker.core.geometry import matrix_from_axis_angle
from tracker.fit.pose_prior import BODY, PosePrior
from tracker.motion.families import POSTURES, Postures
from tracker.motion.sampler import PoseSampler
from tracker.networks.pose_vae import PoseVae, PoseVaeConfig
from tracker.training import TASKS, TrainingJob, run_training
from tracker.training.train_pose_prior import PriorTraining, reconstruction, save_prior, train_prior

SMALL = PriorTraining(
    network=PoseVaeConfig(latent=8, encoder_width=24, decoder_width=24), steps=300, batch=64, pool=500, uses=50
)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[PoseVae, PosePrior]:
    """An untrained network, and the same read back for numpy."""
    torch.manual_seed(0)
    network = PoseVae(SMALL.network).eval()
    save_prior(tmp_path / "prior.safetensors", network, 0.1, {})
    return network, PosePrior.load(tmp_path / "prior.safetensors")


def poses(count: int) -> np.ndarray:
    return PoseSampler(None, seed=1).poses(np.random.default_rng(0), count)


def test_numpy_and_torch_agree(pair: tuple[PoseVae, PosePrior]) -> None:
    network, prior = pair
    some = poses(5)
    with torch.no_grad():
        code = network.encode(torch.from_numpy(some[:, BODY]))
        back = network.decode(code.mean)
    np.testing.assert_allclose(prior.encode(some), code.mean.numpy(), atol=1e-5)
    np.testing.assert_allclose(prior.decode(prior.encode(some)), back.numpy(), atol=1e-5)
    off = (some[:, BODY, :, :2] - back.numpy()[..., :2]) ** 2
    expected = 0.5 * (code.mean.numpy() ** 2).sum(1) + 0.5 * off.sum((1, 2, 3)) / 0.1**2
    np.testing.assert_allclose(prior.penalty(some), expected, rtol=1e-4)


def test_latent_derivatives_match_finite_differences(pair: tuple[PoseVae, PosePrior]) -> None:
    prior = pair[1]
    pose, h = poses(1)[0].astype(np.float64), 1e-3
    _, by_turn = prior.latent_residuals(pose)
    for joint, axis in ((1, 0), (5, 1), (18, 2), (21, 1), (0, 0), (23, 2)):
        turn = np.zeros((24, 3))
        turn[joint, axis] = h
        ahead, behind = (prior.encode(pose @ matrix_from_axis_angle(sign * turn)) for sign in (1, -1))
        np.testing.assert_allclose(by_turn[:, joint, axis], (ahead - behind) / (2 * h), atol=2e-4)


def test_training_learns() -> None:
    motion = library()
    untrained = reconstruction(train_prior(motion, replace(SMALL, steps=1)), motion.rotations)
    trained = reconstruction(train_prior(motion, SMALL), motion.rotations)
    assert trained.degrees < 0.5 * untrained.degrees
    assert trained.millimetres < 0.6 * untrained.millimetres


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second = (train_prior(library(), replace(SMALL, steps=5)).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_broken_weights_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"w\.safetensors.*train prior"):
        PosePrior.load(tmp_path / "w.safetensors")


def of_family(name: str, count: int) -> np.ndarray:
    """Calm poses of one family: its usual joints, little spread."""
    family = [posture.name for posture in POSTURES].index(name)
    postures = Postures(JointPrior.anatomical())
    means = postures._means[family] + np.random.default_rng(0).normal(size=(count, 23, 3)) * 0.06
    rotations = np.tile(np.eye(3), (count, 24, 1, 1))
    rotations[:, 1:] = matrix_from_axis_angle(means)
    return rotations


@pytest.mark.parametrize("breaker", sorted(BREAKERS))
def test_the_shipped_prior_knows_broken_poses(breaker: str) -> None:
    prior = PosePrior.load()
    good = of_family("standing", 60)
    bad = BREAKERS[breaker](np.random.default_rng(0), good)
    assert area_under_curve(prior.penalty(good), prior.penalty(bad)) > 0.85


def test_the_shipped_prior_says_where_it_comes_from() -> None:
    metadata = PosePrior.load().metadata
    assert "CMU" in metadata["data"] and "MIT" in metadata["data"]
    assert metadata["commit"] != "unknown"


def test_area_under_curve_by_hand() -> None:
    assert area_under_curve(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1.0
    assert area_under_curve(np.array([1.0, 3.0]), np.array([2.0, 4.0])) == 0.75


def test_breaking_a_knee_bends_it_backwards() -> None:
    good = of_family("standing", 20)
    bad = BREAKERS["knee backwards"](np.random.default_rng(0), good)
    knees = bad[:, [JOINT_NAMES.index("left_knee"), JOINT_NAMES.index("right_knee")]]
    # the shin, −y in the thigh's axes, swings forwards
    assert (knees[:, :, 2, 1].min(axis=1) < -0.3).all()


def job(tmp_path: Path, text: str, **given: object) -> TrainingJob:
    (tmp_path / "mine.yaml").write_text(text)
    return TrainingJob.read(str(tmp_path / "mine.yaml"), "cpu", tmp_path / "out", **given)


QUICK = "task: prior\nsteps: 4\npool: 50\nbatch: 8\nnetwork: {latent: 4, encoder_width: 8, decoder_width: 8}\n"


def test_one_command_trains_from_motion_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    theta = np.random.default_rng(0).normal(size=(40, 72)) * 0.2
    np.savez(tmp_path / "clip.npz", poses=theta, trans=np.zeros((40, 3)), mocap_framerate=30.0)
    report = run_training(job(tmp_path, QUICK, motion=tmp_path / "clip.npz"))
    assert "°" in report and "mm" in report
    assert PosePrior.load(tmp_path / "out/prior.safetensors").latent == 4
    with pytest.raises(InputError, match="--overwrite"):
        run_training(job(tmp_path, QUICK, motion=tmp_path / "clip.npz"))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("steps: 3\n", "task"),
        ("task: sing\n", "sing.*prior"),
        ("task: prior\nstep: 3\n", "unknown key 'step'"),
        ("task: prior\n", "--motion FOLDER: it was not given"),
    ],
)
def test_mistakes_in_training_are_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(InputError, match=named):
        run_training(job(tmp_path, text))


def test_every_shipped_training_config_fits_a_task() -> None:
    from tracker.training.job import CONFIG_FOLDER

    names = sorted(path.stem for path in CONFIG_FOLDER.glob("*.yaml"))
    assert names and all(TrainingJob.read(name, "cpu").task in TASKS for name in names)


def test_an_unknown_training_config_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"nothing.*prior"):
        TrainingJob.read("nothing", "cpu")
