"""Palms that are seen turn forearms and wrists, and let go of what cannot be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.fit.test_landmark_fitter import fitter, observe, upright
from tracker.body.body_state import BodyState
from tracker.body.landmark_set import MEDIAPIPE
from tracker.body.smpl_joints import SMPL_JOINTS
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.core.palms import Palms, palm_axes
from tracker.fit.landmark_fitter import Belief, LandmarkFitter
from tracker.fit.palm_evidence import PalmEvidence
from tracker.initialise.landmark_start import initial_state

__all__ = ["fitter"]
ELBOW, WRIST = SMPL_JOINTS.index("left_elbow"), SMPL_JOINTS.index("left_wrist")
FINGERS = [MEDIAPIPE.index(f"left_{name}") for name in ("index", "pinky", "thumb")]
BETAS, TRANSL = np.zeros(10), np.array([0.1, 0.2, 3.0])


def turned_hand(wrist: tuple[float, float, float], twist: float) -> np.ndarray:
    theta = np.zeros((24, 3))
    theta[SMPL_JOINTS.index("left_shoulder")] = [0.0, -0.4, -0.9]
    theta[ELBOW] = axis_angle_from_matrix(
        matrix_from_axis_angle(np.array([0, -1.2, 0.0])) @ matrix_from_axis_angle(np.array([twist, 0, 0]))
    )
    theta[WRIST] = wrist
    return upright(theta, 0.5)


def palm(fitter: LandmarkFitter, theta: np.ndarray) -> np.ndarray:
    points = fitter.rig.pose_from_theta(theta, BETAS).points
    return palm_axes(*points[[MEDIAPIPE.index(f"left_{name}") for name in ("wrist", "index", "pinky")]])


def off(fitter: LandmarkFitter, theta: np.ndarray, palms: Palms) -> float:
    """Degrees by which the fitted palm faces elsewhere, of landmarks that say nothing of fingers."""
    truth = observe(fitter, theta, BETAS, TRANSL, noise=0.002)
    visibility = truth.seen.visibility.copy()
    visibility[FINGERS] = 0.0
    seen = replace(truth.seen, visibility=visibility, palms=palms)
    found = fitter.fit(seen, Belief.stranger(), initial_state(fitter.rig, seen, BETAS), 30)
    truly = fitter.rig.pose_from_theta(theta, BETAS).world_rotations[WRIST]
    return float(np.degrees(np.arccos(found.posed.world_rotations[WRIST][:, 1] @ truly[:, 1])))


@pytest.mark.parametrize(("wrist", "twist"), [((0.0, 0.2, 0.2), 0.6), ((0.3, 0.0, -0.3), 0.7), ((0.0, 0.0, 0.3), -0.8)])
def test_a_palm_turns_hand_and_forearm(fitter: LandmarkFitter, wrist: tuple[float, float, float], twist: float) -> None:
    theta = turned_hand(wrist, twist)
    without = off(fitter, theta, Palms())
    with_it = off(fitter, theta, Palms(left=palm(fitter, theta)))
    assert with_it < 0.7 * without, (with_it, without)


def test_a_palm_that_cannot_be_moves_little(fitter: LandmarkFitter) -> None:
    theta = turned_hand((0.0, 0.0, 0.2), 0.1)
    wrong = palm(fitter, theta) @ matrix_from_axis_angle(np.array([np.pi, 0, 0]))
    assert off(fitter, theta, Palms(left=wrong)) < off(fitter, theta, Palms()) + 15


def test_a_palm_as_the_pose_has_it_asks_for_nothing(fitter: LandmarkFitter) -> None:
    theta = turned_hand((0.2, -0.1, 0.3), 0.5)
    evidence = PalmEvidence(fitter.rig, 0.3)
    rotations = matrix_from_axis_angle(theta)
    state = BodyState(rotations, BETAS, TRANSL)
    pull = evidence.pull(Palms(left=palm(fitter, theta)), state)
    assert pull is not None
    # the same hand, though wrist and forearm may share the turn in another way
    hand, asked = rotations[ELBOW] @ rotations[WRIST], pull.targets[ELBOW] @ pull.targets[WRIST]
    assert np.linalg.norm(axis_angle_from_matrix(hand.T @ asked)) < 0.05
    assert set(np.flatnonzero(pull.slope.any(axis=1))) == {ELBOW, WRIST}
    assert evidence.pull(Palms(), state) is None
