"""Errors of tracked people against the truth, as the field reports them; distances in millimetres.

Everything comes per frame and joint, so that callers choose frames (clean, occluded) and joints before they average.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array, require_shape
from tracker.core.geometry import axis_angle_from_matrix, similarity

MM = 1000.0
"""mm in a metre."""
STANDING_SPEED = 0.1
"""m/s: a point of a foot that is slower stands."""
_LEAST_ALIGNED = 3
"""Points that a similarity transform needs."""


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


def aligned_errors(predicted: Array, truth: Array, counted: NDArray[np.bool_] | None = None) -> Array:
    """(T, N) mm between points (T, N, 3) m after scale, rotation (no reflection) and translation that fit best.

    counted: (T, N) the points that are aligned and judged, for instance the visible ones; the others come out as NaN,
    and so do all of a frame that has fewer than three. Default: all.
    """
    _require_same(predicted, truth)
    counted = np.ones(predicted.shape[:2], bool) if counted is None else counted
    errors = np.full(predicted.shape[:2], np.nan)
    for frame in np.flatnonzero(counted.sum(axis=1) >= _LEAST_ALIGNED):
        chosen = counted[frame]
        points, true = predicted[frame, chosen], truth[frame, chosen]
        scale, rotation, translation = similarity(points, true, np.ones(len(points)))
        errors[frame, chosen] = MM * np.linalg.norm(scale * points @ rotation.T + translation - true, axis=-1)
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


def jerks(times: Array, places: Array, longest_step: float) -> Array:
    """(S, J) m/s³: the size of the third derivative of points (T, J, 3) m through each four frames; jitter is its mean.

    times as in `acceleration_errors`. The truth has jerks too: compare with its own.
    """
    steps = np.diff(times)
    if len(steps) < 3:
        return np.zeros((0, places.shape[1]))
    near = np.stack([steps[i : len(steps) - 2 + i] <= longest_step for i in range(3)]).all(axis=0)
    # the third divided difference is a sixth of the third derivative of the cubic through four moments
    span = (times[3:] - times[:-3]).reshape(-1, 1, 1) / 3
    return np.linalg.norm(np.diff(_acceleration(times, places), axis=0) / span, axis=-1)[near]


def foot_sliding(times: Array, predicted: Array, truth: Array, longest_step: float) -> Array:
    """(N,) mm/s: how fast predicted feet move while the true ones stand.

    predicted, truth: (T, F, 3) m of points of the feet, seen by a camera that does not move. A true foot stands between
    two frames when it moves slower than STANDING_SPEED. Frames farther apart than `longest_step` s are left out.
    """
    _require_same(predicted, truth)
    steps = np.diff(times)
    near = steps <= longest_step
    speed, true_speed = (
        np.linalg.norm(np.diff(each, axis=0), axis=-1)[near] / steps[near, None] for each in (predicted, truth)
    )
    return MM * speed[true_speed < STANDING_SPEED]


def angle_errors(predicted: Array, truth: Array) -> Array:
    """(T, J) degrees between rotations (T, J, 3, 3): the angle of the rotation that takes one to the other."""
    between = axis_angle_from_matrix(np.swapaxes(predicted, -1, -2) @ truth)
    return np.degrees(np.linalg.norm(between, axis=-1))


def keypoint_distances(predicted: Array, truth: Array, lengths: Array) -> Array:
    """(T, J) distances between points (T, J, 2) px in units of one length a frame (T,) px.

    With head lengths the share below 0.5 is PCKh, with the box's longer side the share below 0.05 is PCK@0.05.
    """
    require_shape("predicted", predicted, truth.shape)
    return np.linalg.norm(predicted - truth, axis=-1) / lengths[:, None]


def mean(values: Array, counted: NDArray[np.bool_] | None = None) -> float:
    """The mean of the values that count and are numbers; NaN (without a warning) of nothing."""
    chosen = values if counted is None else values[counted]
    chosen = chosen[~np.isnan(chosen)]
    return float(chosen.mean()) if chosen.size else float("nan")


def _require_same(predicted: Array, truth: Array) -> None:
    require_shape("truth", truth, (-1, -1, 3))
    require_shape("predicted", predicted, truth.shape)
