"""Where a motion is heading: the next pose, and poses up to two seconds on while somebody is hidden.

A small network looks at the pose and at how it moved over four spans of the past, and says how far each joint will
have turned, and the body moved, at a few moments to come; moments between them are interpolated. It sees neither place
nor heading, only which way is up. Turns are rotation vectors in each joint's own frame; the movement is in the root's.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.errors import InputError
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.core.tensor_file import load_arrays
from tracker.networks.perceptron import Perceptron
from tracker.weights import weights_file

WEIGHTS = weights_file("predictor")
_WHAT = "the motion predictor (`run.py train predictor` makes them)"

SPANS = np.array([1, 2, 4, 8]) / 30
"""(4,) s back from now, over which the motion is looked at."""
HORIZONS = np.array([1, 3, 8, 15, 30, 60]) / 30
"""(6,) s ahead, at which the network says what will be."""
_HORIZONS = HORIZONS.tolist()
MOVING_JOINTS = 22
"""SMPL's without the hands, which turn with the wrists."""
TURN_SCALE, MOVE_SCALE = 0.2, 0.5
"""What makes speeds (rad/s, m/s) about as large as the other features."""
FEATURES = 3 + 6 * (MOVING_JOINTS - 1) + len(SPANS) * 3 * (MOVING_JOINTS + 1)
OUTPUTS = 3 * (MOVING_JOINTS + 1)
"""A horizon: turns of the joints, then the movement."""


@dataclass(frozen=True)
class Glimpse:
    """A motion up to now, as the network takes it; batches in the leading dimensions."""

    rotations: Array
    """(..., 24, 3, 3) now, each joint relative to its parent, the root to the world or the camera."""
    turning: Array
    """(..., spans, 24, 3) rad/s, mean over each span, in the joints' frames."""
    moving: Array
    """(..., spans, 3) m/s, in the axes that the root's rotation leads to."""

    def features(self, up: Array) -> Array:
        """(..., FEATURES) float32. up: (..., 3) the direction away from the ground, in the same axes."""
        root = self.rotations[..., 0, :, :]
        batch = root.shape[:-2]
        upright = (np.swapaxes(root, -1, -2) @ up[..., None])[..., 0]
        pose = np.swapaxes(self.rotations[..., 1:MOVING_JOINTS, :, :2], -1, -2).reshape(*batch, -1)
        turning = TURN_SCALE * self.turning[..., :MOVING_JOINTS, :].reshape(*batch, -1)
        moving = (MOVE_SCALE * self.moving @ root).reshape(*batch, -1)
        return np.concatenate([upright, pose, turning, moving], axis=-1).astype(np.float32)


@dataclass(frozen=True)
class Course:
    """What will be: the turn of each joint and the movement, at HORIZONS."""

    turns: Array
    """(6, 24, 3) rad, from now on."""
    moves: Array
    """(6, 3) m, in the axes that the root's rotation leads to."""

    def after(self, seconds: float) -> tuple[Array, Array]:
        """Turns (24, 3) and movement (3,) after so long; beyond the last horizon it stays."""
        to = min(bisect_right(_HORIZONS, seconds), len(_HORIZONS) - 1)
        begin = _HORIZONS[to - 1] if to else 0.0
        share = min(max((seconds - begin) / (_HORIZONS[to] - begin), 0.0), 1.0)
        if to == 0:
            return share * self.turns[0], share * self.moves[0]
        before, after = (self.turns[to - 1], self.moves[to - 1]), (self.turns[to], self.moves[to])
        turn, move = ((1 - share) * a + share * b for a, b in zip(before, after, strict=True))
        return turn, move


@dataclass(frozen=True)
class MotionPredictor:
    """The trained network."""

    network: Perceptron
    metadata: dict[str, str]

    @classmethod
    def load(cls, path: Path | None = None) -> MotionPredictor:
        """The weights that come with the project, or a user's own. Raises InputError that names the file."""
        path = WEIGHTS if path is None else path
        tensors, metadata = load_arrays(path, f"weights of {_WHAT}")
        try:
            network = Perceptron.of(tensors, "layers")
        except ValueError as error:
            raise InputError(f"{path}: expected weights of {_WHAT}: {error}") from error
        sizes = network.weights[0].shape[1], len(network.biases[-1])
        if sizes != (FEATURES, len(HORIZONS) * OUTPUTS):
            raise InputError(f"{path}: expected {FEATURES} features and {OUTPUTS} outputs a horizon, got {sizes}")
        return cls(network, metadata)

    def course(self, glimpse: Glimpse, up: Array) -> Course:
        """glimpse: without batch dimensions. up: (3,) away from the ground."""
        outputs = self.network(glimpse.features(up)).astype(np.float64).reshape(len(HORIZONS), -1)
        turns = np.zeros((len(HORIZONS), NUM_JOINTS, 3))
        turns[:, :MOVING_JOINTS] = outputs[:, :-3].reshape(len(HORIZONS), MOVING_JOINTS, 3)
        return Course(turns, outputs[:, -3:] @ glimpse.rotations[0].T)


@dataclass(frozen=True)
class Past:
    """The last half second of a track, oldest first."""

    times: tuple[float, ...]
    rotations: tuple[Array, ...]
    places: tuple[Array, ...]

    def then(self, time: float, rotations: Array, place: Array) -> Past:
        """With one more moment, without those that no span reaches any more."""
        times = (*self.times, time)
        needed = [k for k, t in enumerate(times[:-1]) if times[k + 1] > time - SPANS[-1] or t > time - SPANS[-1]]
        first = needed[0] if needed else len(times) - 1
        return Past(times[first:], (*self.rotations, rotations)[first:], (*self.places, place)[first:])

    @cached_property
    def glimpse(self) -> Glimpse:
        """Mean speeds over the spans; a span between two moments takes the longer one's, one moment stands still."""
        now, times = self.rotations[-1], np.array(self.times)
        if len(times) < 2:
            return Glimpse(now, np.zeros((len(SPANS), NUM_JOINTS, 3)), np.zeros((len(SPANS), 3)))
        before = np.searchsorted(times[:-1], times[-1] - SPANS + 1e-6, side="right") - 1
        at = np.maximum(before, 0)
        seconds = np.maximum(times[-1] - times[at], 1e-3)
        earlier = np.stack([self.rotations[i] for i in at])
        turning = axis_angle_from_matrix(earlier.swapaxes(-1, -2) @ now) / seconds[:, None, None]
        moving = (self.places[-1] - np.stack([self.places[i] for i in at])) / seconds[:, None]
        return Glimpse(now, turning, moving)


def carried(rotations: Array, turns: Array) -> Array:
    """(24, 3, 3) turned on by (24, 3) rad."""
    return rotations @ matrix_from_axis_angle(turns)
