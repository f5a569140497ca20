"""How far landmarks and the regressed pose can be believed in one frame.

A landmark network does not know how wrong it is when something stands in front of somebody: it guesses the hidden limbs
as firmly as it sees the others. That it disagrees with another network's idea of the pose tells much of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tracker.body.body_state import BodyState
from tracker.body.kinematics import LandmarkRig
from tracker.core.arrays import NUM_JOINTS, NUM_LANDMARKS, Array
from tracker.core.camera import NEAREST_Z
from tracker.core.errors import InputError
from tracker.core.geometry import rotation_between
from tracker.core.landmark_observation import LandmarkObservation
from tracker.core.tensor_file import load_arrays
from tracker.networks.perceptron import Perceptron

WEIGHTS = Path(__file__).parent.parent / "weights" / "reliability.safetensors"
SIGNS = 7
_WHAT = "the reliability network"
_AHEAD = np.array([0.0, 0.0, 1.0])
_FARTHEST = 4.0
"""Person sizes by which a landmark can seem to be off."""


@dataclass(frozen=True)
class Spreads:
    """Standard deviations of what is known of one person in one frame."""

    pixel: Array
    """(33,) of the landmarks in the picture, each coordinate, as a part of the person's size there."""
    metric: Array
    """(33,) m, of the landmarks in space, each coordinate, scale and place apart."""
    rotation: Array
    """(24,) rad, of the regressed rotations, each component of the axis-angle."""


class Reliability:
    """The trained network in numpy."""

    def __init__(self, token: Perceptron, landmark: Perceptron, joint: Perceptron) -> None:
        self._token, self._landmark, self._joint = token, landmark, joint

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> Reliability:
        """Raises InputError when the file is missing or damaged."""
        tensors, _ = load_arrays(path, f"weights of {_WHAT}")
        try:
            token, landmark, joint = (Perceptron.of(tensors, part) for part in ("token", "landmark", "joint"))
        except ValueError as error:
            raise InputError(f"{path}: expected weights of {_WHAT}: {error}") from error
        if token.weights[0].shape[1] != SIGNS + NUM_LANDMARKS:
            raise InputError(
                f"{path}: expected {SIGNS} signs a landmark, got {token.weights[0].shape[1] - NUM_LANDMARKS}"
            )
        return cls(token, landmark, joint)

    def __call__(self, rig: LandmarkRig, observation: LandmarkObservation, regressed: BodyState) -> Spreads:
        """regressed: in the frame of the observation's camera."""
        signs = np.concatenate([signs_of(rig, observation, regressed), np.eye(NUM_LANDMARKS)], axis=1)
        tokens = _silu(self._token(signs.astype(np.float32)))
        whole = np.concatenate([tokens.mean(axis=0), tokens.max(axis=0)])
        landmarks = self._landmark(np.concatenate([tokens, np.tile(whole, (NUM_LANDMARKS, 1))], axis=1))
        joints = self._joint(np.concatenate([np.eye(NUM_JOINTS), np.tile(whole, (NUM_JOINTS, 1))], axis=1))
        pixel, metric = np.exp(landmarks.astype(float)).T
        return Spreads(pixel, metric, np.exp(joints[:, 0].astype(float)))


def signs_of(rig: LandmarkRig, observation: LandmarkObservation, regressed: BodyState) -> Array:
    """(33, SIGNS) what tells of each landmark's error, however the person is turned in the picture."""
    points = rig.pose(regressed.rotations, regressed.betas).points + regressed.transl
    size, metric = observation.size, observation.metric - observation.metric.mean(axis=0)
    flat = observation.camera.project(np.maximum(points, [-np.inf, -np.inf, NEAREST_Z]))
    apart = np.linalg.norm(flat - observation.pixels, axis=1) / size
    off = straight(points) - metric
    spread = np.linalg.norm(observation.pixels - observation.pixels.mean(axis=0), axis=1) / size
    return np.stack(
        [
            observation.visibility,
            np.log1p(np.minimum(apart, _FARTHEST) / 0.05),
            np.linalg.norm(off[:, :2], axis=1),
            off[:, 2],
            np.linalg.norm(metric[:, :2], axis=1),
            metric[:, 2],
            spread,
        ],
        axis=1,
    )


def straight(points: Array) -> Array:
    """(n, 3) m about their middle, in the axes of a camera that looks straight at it."""
    middle = points.mean(axis=0)
    return (points - middle) @ rotation_between(_AHEAD, middle)


def _silu(x: Array) -> Array:
    return x * 0.5 * (1 + np.tanh(0.5 * x))
