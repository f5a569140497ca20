"""From a detector's landmarks, some of them hidden or wrong, to a whole pose: two trained networks, in numpy.

The first fills in and straightens the landmarks and SMPL's joints (inpainting), the second turns these into joint
rotations and a shape (GIK-Net of Best of Both Worlds, §3.2), and says how sure it is of each joint. Both see the person
as a camera does that looks straight at them, so that neither the place in the picture nor the focal length matters:

- landmarks in metres, about their own middle;
- landmarks in the picture as rays z = 1, about their middle and in units of their own spread, and that spread;
- how much each landmark is seen. One with confidence 0 is blank: its coordinates do not count.

Dense maps vote for joints, too (`networks/dense_maps.py`): networks that were trained for it take the votes in the
place of the landmarks, or beside them.

`networks/inverse_kinematics_networks.py` has the networks in torch, `run.py train inverse_kinematics` trains them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tracker.body.landmark_set import MEDIAPIPE
from tracker.body.smpl_joints import LSP_JOINTS
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array
from tracker.core.errors import InputError
from tracker.core.geometry import skew
from tracker.core.rotation6d import rotations_from_6d_numpy
from tracker.core.tensor_file import load_arrays
from tracker.networks.inverse_kinematics_inputs import Inputs
from tracker.networks.perceptron import ResidualPerceptron
from tracker.weights import weights_file

WEIGHTS = weights_file("inverse_kinematics")
_WHAT = "inverse kinematics (`run.py train inverse_kinematics` makes them)"

_LANDMARKS = len(MEDIAPIPE.names)
POINTS = NUM_JOINTS + _LANDMARKS
"""What inpainting gives: SMPL's joints, then the landmarks."""
FEATURES = 6 * _LANDMARKS + 1
VOTE_FEATURES = 4 * len(LSP_JOINTS)
OUTPUTS = 6 * NUM_JOINTS + NUM_BETAS + NUM_JOINTS
"""Rotations as 6D, β, and the logarithm of each joint's standard deviation."""
_BLANK_WEIGHT = 1e-3
_FARTHEST = 3.0
"""m, and units of spread: landmarks beyond are drawn to here."""
_LEAST_Z = 0.2
_SMALLEST = 1e-4


@dataclass(frozen=True)
class Sight:
    """One person's landmarks; batches in the leading dimensions."""

    rays: Array
    """(..., 33, 2): where the camera sees them, at z = 1."""
    metric: Array
    """(..., 33, 3) m, axes of a camera that looks straight at the person."""
    confidence: Array
    """(..., 33) 0..1."""

    @cached_property
    def T_camera_facing(self) -> Array:
        """(..., 3, 3): from the camera that looks straight at the landmarks' middle to this one, without roll."""
        return facing((self._weight[..., None] * self.rays).sum(axis=-2))

    @cached_property
    def _weight(self) -> Array:
        weight = self.confidence + _BLANK_WEIGHT
        return weight / weight.sum(axis=-1, keepdims=True)

    def features(self) -> Array:
        """(..., FEATURES) float32."""
        weight, known = self._weight[..., None], (self.confidence > 0)[..., None]
        directions = np.concatenate([self.rays, np.ones_like(self.rays[..., :1])], axis=-1) @ self.T_camera_facing
        flat = directions[..., :2] / np.maximum(directions[..., 2:], _LEAST_Z)
        flat = flat - (weight * flat).sum(axis=-2, keepdims=True)
        spread = np.sqrt((weight * flat**2).sum(axis=(-1, -2))) + _SMALLEST
        metric = self.metric - (weight * self.metric).sum(axis=-2, keepdims=True)
        points = np.concatenate([metric, flat / spread[..., None, None]], axis=-1).clip(-_FARTHEST, _FARTHEST)
        columns = np.concatenate([points * known, self.confidence[..., None]], axis=-1)
        batch = self.confidence.shape[:-1]
        return np.concatenate([columns.reshape(*batch, -1), np.log(spread)[..., None]], axis=-1).astype(np.float32)


@dataclass(frozen=True)
class Votes:
    """What dense maps say of `LSP_JOINTS` of one person; batches in the leading dimensions."""

    places: Array
    """(..., 14, 3) m from the pelvis, axes of the camera that looks straight at the crop."""
    confidence: Array
    """(..., 14) 0..1; 0 where nobody voted, and the place does not count."""
    T_camera_facing: Array
    """(..., 3, 3): from those axes to the camera's."""

    def features(self) -> Array:
        """(..., VOTE_FEATURES) float32."""
        known = (self.confidence > 0)[..., None]
        columns = np.concatenate([self.places.clip(-_FARTHEST, _FARTHEST) * known, self.confidence[..., None]], axis=-1)
        return columns.reshape(*self.confidence.shape[:-1], -1).astype(np.float32)

    def turned_to(self, T_camera_facing: Array) -> Votes:
        """The same in other axes."""
        turn = np.swapaxes(T_camera_facing, -1, -2) @ self.T_camera_facing
        return Votes(self.places @ np.swapaxes(turn, -1, -2), self.confidence, T_camera_facing)


def known_of(inputs: Inputs, sight: Sight | None, votes: Votes | None) -> Known:
    """What networks with these inputs take. Raises ValueError when it was not given."""
    if (inputs != "votes" and sight is None) or (inputs != "landmarks" and votes is None):
        raise ValueError(f"inverse kinematics: its networks take {inputs}; they were not given")
    if inputs == "votes":
        assert votes is not None
        return Known(votes.features(), votes.confidence, votes.T_camera_facing)
    assert sight is not None
    if inputs == "landmarks":
        return Known(sight.features(), sight.confidence, sight.T_camera_facing)
    assert votes is not None
    turned = votes.turned_to(sight.T_camera_facing)
    return Known(
        np.concatenate([sight.features(), turned.features()], axis=-1),
        np.concatenate([sight.confidence, turned.confidence], axis=-1),
        sight.T_camera_facing,
    )


@dataclass(frozen=True)
class Known:
    """What the networks take."""

    features: Array
    confidence: Array
    T_camera_facing: Array
    """(..., 3, 3)."""


INPUT_SIZES: dict[Inputs, tuple[int, int]] = {
    "landmarks": (FEATURES, _LANDMARKS),
    "votes": (VOTE_FEATURES, len(LSP_JOINTS)),
    "both": (FEATURES + VOTE_FEATURES, _LANDMARKS + len(LSP_JOINTS)),
}
"""Features and confidences."""


def facing(rays: Array) -> Array:
    """(..., 2) at z = 1 → (..., 3, 3): the smallest turn of the z axis into each direction."""
    direction = np.concatenate([rays, np.ones_like(rays[..., :1])], axis=-1)
    direction = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    axis = np.stack([-direction[..., 1], direction[..., 0], np.zeros_like(direction[..., 0])], axis=-1)
    k = skew(axis)
    return np.eye(3) + k + k @ k / (1 + direction[..., 2])[..., None, None]


@dataclass(frozen=True)
class PoseGuess:
    """What the networks say; the camera's axes."""

    rotations: Array
    """(..., 24, 3, 3) of each joint relative to its parent; the first from body to camera."""
    betas: Array
    """(..., 10)."""
    spread: Array
    """(..., 24) rad: standard deviation of each joint's rotation, per axis."""
    points: Array
    """(..., POINTS, 3) m about the pelvis: the inpainted joints and landmarks."""


@dataclass(frozen=True)
class InverseKinematics:
    """The trained networks."""

    inpainting: ResidualPerceptron
    kinematics: ResidualPerceptron
    metadata: dict[str, str]
    inputs: Inputs = "landmarks"

    @classmethod
    def load(cls, path: Path | None = None) -> InverseKinematics:
        """The weights that come with the project, or a user's own. Raises InputError that names the file."""
        path = WEIGHTS if path is None else path
        tensors, metadata = load_arrays(path, f"weights of {_WHAT}")
        try:
            inputs = json.loads(metadata.get("config", "{}")).get("inputs", "landmarks")
            features, confidences = INPUT_SIZES[inputs]
            parts = [ResidualPerceptron.of(tensors, part) for part in ("inpainting", "kinematics")]
        except (KeyError, ValueError) as error:
            raise InputError(f"{path}: expected weights of {_WHAT}: {error}") from error
        sizes = [(part.inputs, part.outputs) for part in parts]
        expected = [(features, 3 * POINTS), (3 * POINTS + confidences, OUTPUTS)]
        if sizes != expected:
            raise InputError(f"{path}: expected weights of {_WHAT} with {expected} inputs and outputs, got {sizes}")
        return cls(parts[0], parts[1], metadata, inputs)

    def __call__(self, sight: Sight | None, votes: Votes | None = None) -> PoseGuess:
        """What these networks take of the two. Raises ValueError when it was not given."""
        known = known_of(self.inputs, sight, votes)
        inpainted = self.inpainting(known.features)
        completed = np.concatenate([inpainted, known.confidence.astype(np.float32)], axis=-1)
        outputs = self.kinematics(completed).astype(np.float64)
        numbers, betas, spread = np.split(outputs, [6 * NUM_JOINTS, 6 * NUM_JOINTS + NUM_BETAS], axis=-1)
        rotations = rotations_from_6d_numpy(numbers.reshape(*numbers.shape[:-1], -1, 6))
        rotations[..., 0, :, :] = known.T_camera_facing @ rotations[..., 0, :, :]
        points = inpainted.astype(np.float64).reshape(*inpainted.shape[:-1], POINTS, 3)
        return PoseGuess(rotations, betas, np.exp(spread), points @ np.swapaxes(known.T_camera_facing, -1, -2))
