"""How far landmarks are believed: the network in numpy, what it is trained on, and what the fit does with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tracker.body import load_body
from tracker.body.body_state import BodyState
from tracker.body.joint_limits import JointPrior
from tracker.body.kinematics import LandmarkRig
from tracker.core.camera import Camera
from tracker.core.errors import InputError
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.core.landmark_observation import LandmarkObservation
from tracker.core.tensor_file import save_plain
from tracker.fit.landmark_fitter import Belief, FitConfig, LandmarkFitter
from tracker.fit.reliability import SIGNS, Reliability, Spreads, signs_of, straight
from tracker.networks.reliability_network import ReliabilityNetwork
from tracker.training.read_people import ReadPerson
from tracker.training.threads import threads
from tracker.training.train_reliability import ReliabilityTraining, misreadings, train_on

CAMERA = Camera(400.0, 400.0, 128.0, 128.0, 256, 256)
PLACE = np.array([0.1, 0.3, 4.0])


@pytest.fixture(scope="module")
def rig() -> LandmarkRig:
    return LandmarkRig.from_body(load_body(None))


def somebody(seed: int) -> BodyState:
    turns = np.random.default_rng(seed).normal(0.0, 0.25, (24, 3))
    turns[0] = [np.pi, 0.0, 0.0]  # the body's up is the picture's
    return BodyState(matrix_from_axis_angle(turns), np.zeros(10), PLACE)


def seen(rig: LandmarkRig, state: BodyState) -> LandmarkObservation:
    points = rig.pose(state.rotations, state.betas).points + state.transl
    return LandmarkObservation(CAMERA, CAMERA.project(points), straight(points), np.ones(33))


def person(rig: LandmarkRig, seed: int, off: float) -> ReadPerson:
    """Somebody whose landmarks are `off` (m, and sizes in the picture), and whose regressed pose is right."""
    state, rng = somebody(seed), np.random.default_rng(seed)
    observed = seen(rig, state)
    pixels = observed.pixels + off * observed.size * rng.normal(size=(33, 2))
    metric = observed.metric + off * rng.normal(size=(33, 3))
    four = np.array([CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy])
    place = (state.rotations, state.betas, state.transl)
    return ReadPerson(pixels, metric, np.ones(33), *place, four, *place)


def test_numpy_gives_what_torch_gives(rig: LandmarkRig, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = ReliabilityNetwork(SIGNS, 16)
    save_plain(tmp_path / "weights.safetensors", dict(network.state_dict()), {})
    reliability = Reliability.load(tmp_path / "weights.safetensors")
    observed, regressed = seen(rig, somebody(1)), somebody(2)
    spreads = reliability(rig, observed, regressed)
    with torch.no_grad():
        landmarks, joints = network(torch.from_numpy(signs_of(rig, observed, regressed)).float()[None])
    np.testing.assert_allclose(np.stack([spreads.pixel, spreads.metric], axis=1), landmarks[0].exp(), rtol=1e-4)
    np.testing.assert_allclose(spreads.rotation, joints[0].exp(), rtol=1e-4)


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    save_plain(tmp_path / "weights.safetensors", {"layers.0.weight": torch.zeros(1, 1)}, {})
    with pytest.raises(InputError, match="reliability"):
        Reliability.load(tmp_path / "weights.safetensors")


def test_who_is_read_rightly_has_no_errors(rig: LandmarkRig) -> None:
    read = misreadings([person(rig, 1, 0.0)])
    for errors in (read.pixel, read.metric, read.rotation):
        assert float(errors.abs().max()) < 1e-5


def test_signs_stay_as_the_picture_turns(rig: LandmarkRig) -> None:
    observed, regressed = seen(rig, somebody(1)), somebody(2)
    roll = matrix_from_axis_angle(np.array([0.0, 0.0, 1.1]))
    turned = replace(
        observed,
        pixels=(observed.pixels - 128) @ roll[:2, :2].T + 128,
        metric=observed.metric @ roll.T,
    )
    also = regressed.turned(roll, rig.root_at_rest(regressed.betas))
    mine, theirs = signs_of(rig, observed, regressed), signs_of(rig, turned, also)
    size = turned.size / observed.size  # of an upright box
    np.testing.assert_allclose(theirs[:, [0, 2, 3, 4, 5]], mine[:, [0, 2, 3, 4, 5]], atol=1e-6)
    np.testing.assert_allclose(theirs[:, 6] * size, mine[:, 6], atol=1e-6)


def test_training_learns_who_is_misread(rig: LandmarkRig) -> None:
    """Landmarks that are off disagree with the regressed pose, which here is right."""
    people = [person(rig, seed, 0.01 if seed % 2 else 0.2) for seed in range(80)]
    read = misreadings(people)
    with threads(1):
        network, _ = train_on(read, ReliabilityTraining(steps=200, batch=32, width=16, learning_rate=5e-3))
    with torch.no_grad():
        landmarks, _ = network(read.signs)
    spread = landmarks[..., 0].exp().mean(1)
    assert float(spread[0::2].mean()) > 4 * float(spread[1::2].mean())


def test_landmarks_that_are_believed_less_pull_less(rig: LandmarkRig) -> None:
    truth, other = somebody(1), somebody(2)
    fitter = LandmarkFitter(rig, JointPrior.anatomical(), FitConfig())
    observed = seen(rig, other)

    def angle_to_truth(factor: float) -> float:
        spreads = Spreads(np.full(33, 0.01 * factor), np.full(33, 0.1 * factor), np.full(24, 0.1))
        belief = replace(Belief.stranger(), regressed=truth.rotations, spreads=spreads)
        state = fitter.fit(observed, belief, truth, 30).state
        turns = axis_angle_from_matrix(np.swapaxes(truth.rotations[1:], 1, 2) @ state.rotations[1:])
        return float(np.linalg.norm(turns, axis=1).mean())

    assert angle_to_truth(100.0) < 0.8 * angle_to_truth(1.0)
