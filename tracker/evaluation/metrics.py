"""Errors of tracked people against the truth, as the field reports them; distances in millimetres.

Everything comes per frame and joint, so that callers choose frames (clean, occluded) and joints before they average.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.geometry import similarity
from tracker.types import Array, require_shape

MM = 1000.0
"""mm in a metre."""


@dataclass(frozen=True)
class JointErrors:
    """Errors of T frames with J joints."""

    root_relative: Array
    """(T, J) mm with the roots brought together; its mean is MPJPE. The root's own column is 0."""
    aligned: Array
    """(T, J) mm after the best similarity transform of each frame; its mean is PA-MPJPE."""
    root: Array
    """(T, 3) mm: the root's error along the camera's axes, predicted minus true; the third is depth."""

    def of(self, frames: NDArray[np.bool_]) -> JointErrors:
        """The errors of the chosen frames (T,)."""
        return JointErrors(self.root_relative[frames], self.aligned[frames], self.root[frames])

    @property
    def mpjpe(self) -> float:
        """mm; NaN without frames."""
        return mean(self.root_relative)

    @property
    def pa_mpjpe(self) -> float:
        """mm; NaN without frames."""
        return mean(self.aligned)

    @property
    def per_joint(self) -> Array:
        """(J,) mm: the mean of each joint's root-relative error over the frames."""
        return self.root_relative.mean(axis=0)


def joint_errors(predicted: Array, truth: Array, root: int = 0) -> JointErrors:
    """predicted, truth: (T, J, 3) m in the camera frame; `root` is the joint that is taken as the origin.

    All joints count in both means, the root too, as 3DNBF's and its predecessors' evaluations do for SMPL's joints.
    """
    _require_same(predicted, truth)
    return JointErrors(
        root_relative=relative_errors(predicted, truth, predicted[:, root], truth[:, root]),
        aligned=aligned_errors(predicted, truth),
        root=MM * (predicted[:, root] - truth[:, root]),
    )


def relative_errors(predicted: Array, truth: Array, predicted_root: Array, true_root: Array) -> Array:
    """(T, N) mm between points (T, N, 3) m when the roots (T, 3) m are brought together.

    With vertices as points its mean is PVE.
    """
    _require_same(predicted, truth)
    return MM * np.linalg.norm((predicted - predicted_root[:, None]) - (truth - true_root[:, None]), axis=-1)


def aligned_errors(predicted: Array, truth: Array) -> Array:
    """(T, N) mm between points (T, N, 3) m after scale, rotation (no reflection) and translation that fit best."""
    _require_same(predicted, truth)
    weights = np.ones(predicted.shape[1])
    errors = np.empty(predicted.shape[:2])
    for frame, (points, true) in enumerate(zip(predicted, truth, strict=True)):
        scale, rotation, translation = similarity(points, true, weights)
        errors[frame] = MM * np.linalg.norm(scale * points @ rotation.T + translation - true, axis=-1)
    return errors


def acceleration_errors(times: Array, predicted: Array, truth: Array, longest_step: float) -> Array:
    """(S, J) mm/s²: the distance between predicted and true acceleration in the middle of three frames.

    times: (T,) s, ascending, evenly spaced or not; predicted, truth: (T, J, 3) m. Where two frames are farther apart
    than `longest_step` s there is no acceleration to speak of: such threes are left out, so S ≤ T − 2.
    """
    _require_same(predicted, truth)
    steps = np.diff(times)
    near = (steps[:-1] <= longest_step) & (steps[1:] <= longest_step)
    difference = _acceleration(times, predicted - truth)[near]
    return MM * np.linalg.norm(difference, axis=-1)


def _acceleration(times: Array, places: Array) -> Array:
    """(T − 2, ...) second derivative of the parabola through each three moments."""
    steps = np.diff(times).reshape(-1, *[1] * (places.ndim - 1))
    velocity = np.diff(places, axis=0) / steps
    return 2 * np.diff(velocity, axis=0) / (steps[1:] + steps[:-1])


def mean(values: Array) -> float:
    """The mean, NaN (without a warning) of nothing."""
    return float(values.mean()) if values.size else float("nan")


def _require_same(predicted: Array, truth: Array) -> None:
    require_shape("truth", truth, (-1, -1, 3))
    require_shape("predicted", predicted, truth.shape)
