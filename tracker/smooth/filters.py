"""Filters over time: a causal one for live pictures, a zero-phase one for files.

Both work on rotations as rotations (no Euler angles, no wrap) and on timestamps (no assumed frame rate), and both trust
what the image supports more than what was guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tracker.body.smpl_joints import SMPL_PARENTS
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.errors import require_between, require_positive
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.core.person import Pose

_MOST = 1e5
"""Hz, and Hz to a unit of speed: no camera is as quick, and far beyond it numbers overflow."""
_LONGEST = 60.0
"""s: a window as long as all of a film would take the square of its length."""


@dataclass(frozen=True)
class OneEuroConfig:
    """Casiez et al. 2012: a low-pass whose cutoff rises with speed, so that slow motion is calm and fast motion not
    late."""

    rotation_cutoff: float = 2.0
    """Hz at rest."""
    rotation_beta: float = 1.0
    """Hz per rad/s."""
    position_cutoff: float = 1.5
    """Hz at rest, across the line of sight."""
    position_beta: float = 4.0
    """Hz per m/s."""
    depth_cutoff: float = 0.6
    """Hz; depth is the noisiest of all, one picture says little about it."""
    speed_cutoff: float = 1.5
    """Hz, of the speed estimate."""
    hidden_factor: float = 0.4
    """The cutoff of a rotation that the image does not support, against that of one that it does."""

    def __post_init__(self) -> None:
        cutoffs = ("rotation_cutoff", "position_cutoff", "depth_cutoff", "speed_cutoff", "hidden_factor")
        require_between(self, cutoffs, 1 / _MOST, _MOST, "causal.")
        require_between(self, ("rotation_beta", "position_beta"), 0, _MOST, "causal.")


@dataclass(frozen=True)
class SavitzkyConfig:
    """The zero-phase filter: a local parabola through each window, weighted by time and confidence."""

    seconds: float = 0.12
    """Standard deviation of the window's weight."""
    depth_seconds: float = 0.30
    """The same for the distance, which is noisier."""
    hidden_weight: float = 0.15
    """What a rotation that the image does not support counts, against 1 for one that it does."""

    def __post_init__(self) -> None:
        require_positive(self, ("seconds", "depth_seconds"), "offline.")
        require_between(self, ("seconds", "depth_seconds"), 0, _LONGEST, "offline.")
        require_between(self, ("hidden_weight",), 1 / _MOST, 1, "offline.")


_SPREADS = 3.0
"""How far a window reaches, in standard deviations of its weight."""
_TOGETHER = 64
"""Poses that are smoothed at a time: more only take memory."""


def _far_end(joint: int) -> int:
    """The joint at the other end of this one's bone; itself where it carries none or several."""
    children = [child for child, parent in enumerate(SMPL_PARENTS) if parent == joint]
    return children[0] if len(children) == 1 else joint


_FAR_ENDS = [_far_end(joint) for joint in range(NUM_JOINTS)]


def rotation_confidence(confidence: Array) -> Array:
    """(..., 24) of joints' places → of their rotations: a bone is seen to turn when both its ends are seen.

    A hidden wrist is swung by its elbow, however well that is seen.
    """
    return np.minimum(confidence, confidence[..., _FAR_ENDS])


def _alpha(cutoff: Array, dt: float) -> Array:
    return 1 / (1 + 1 / (2 * np.pi * cutoff * dt))


class CausalFilter:
    """One-Euro over one person's poses. β passes through: the track already shares it."""

    def __init__(self, config: OneEuroConfig) -> None:
        self.config = config
        self._time: float | None = None
        self._rotations = np.zeros((NUM_JOINTS, 3, 3))
        self._transl = np.zeros(3)
        self._turning = np.zeros((NUM_JOINTS, 3))
        self._moving = np.zeros(3)

    def __call__(self, time: float, pose: Pose, confidence: Array) -> Pose:
        """time: s, later than the call before; confidence: (24,) 0..1."""
        rotations, transl = matrix_from_axis_angle(pose.theta), np.asarray(pose.transl, float)
        if self._time is None or time <= self._time:
            self._time, self._rotations, self._transl = time, rotations, transl
            return pose
        dt, self._time = time - self._time, time
        trust = self.config.hidden_factor + (1 - self.config.hidden_factor) * rotation_confidence(confidence)
        self._turn(rotations, dt, trust)
        self._move(transl, dt)
        theta = axis_angle_from_matrix(self._rotations)
        return replace(pose, global_orient=theta[0], body_pose=theta[1:].reshape(-1), transl=self._transl.copy())

    def _turn(self, rotations: Array, dt: float, trust: Array) -> None:
        step = axis_angle_from_matrix(np.swapaxes(self._rotations, 1, 2) @ rotations)
        self._turning += _alpha(np.array(self.config.speed_cutoff), dt) * (step / dt - self._turning)
        speed = np.linalg.norm(self._turning, axis=1)
        cutoff = trust * (self.config.rotation_cutoff + self.config.rotation_beta * speed)
        self._rotations = self._rotations @ matrix_from_axis_angle(_alpha(cutoff, dt)[:, None] * step)

    def _move(self, transl: Array, dt: float) -> None:
        ray = _ray_and_depth(self._transl)
        step = _ray_and_depth(transl) - ray
        # in metres at this depth, so that the speeds are those of a body
        self._moving += _alpha(np.array(self.config.speed_cutoff), dt) * (step * self._transl[2] / dt - self._moving)
        rest = np.array([self.config.position_cutoff] * 2 + [self.config.depth_cutoff])
        cutoff = rest * (1 + self.config.position_beta / self.config.position_cutoff * np.abs(self._moving))
        self._transl = _from_ray_and_depth(ray + _alpha(cutoff, dt) * step)


def _ray_and_depth(transl: Array) -> Array:
    """(..., 3) m → (x/z, y/z, log z): where the picture shows the body, and how far it is, told apart.

    Depth is by far the noisier; smoothing it on its own must not shift the body in the picture.
    """
    z = np.maximum(transl[..., 2:], 1e-3)
    return np.concatenate([transl[..., :2] / z, np.log(z)], axis=-1)


def _from_ray_and_depth(value: Array) -> Array:
    z = np.exp(value[..., 2:])
    return np.concatenate([value[..., :2] * z, z], axis=-1)


def smooth_zero_phase(times: Array, poses: Sequence[Pose], confidence: Array, config: SavitzkyConfig) -> list[Pose]:
    """times: (T,) s ascending; confidence: (T, 24) 0..1. Every pose is replaced by the value at its time of a
    parabola fitted to its neighbours, in the tangent space of its own rotations; a Savitzky–Golay filter that knows
    of uneven frames.
    """
    return smoothed_rows(range(len(poses)), times, poses, confidence, config)


def smoothed_rows(
    rows: range, times: Array, poses: Sequence[Pose], confidence: Sequence[Array] | Array, config: SavitzkyConfig
) -> list[Pose]:
    """These poses of `smooth_zero_phase`; nothing farther away from them than `reach(config)` seconds matters."""
    chunks = [np.arange(i, min(i + _TOGETHER, rows.stop)) for i in range(rows.start, rows.stop, _TOGETHER)]
    return [pose for middles in chunks for pose in _smoothed(middles, times, poses, confidence, config)]


def smoothed_confidence(rows: range, times: Array, confidence: Sequence[Array], config: SavitzkyConfig) -> list[Array]:
    """(24,) of each of these smoothed poses: the mean of the poses that it is made of, by their weight in time.

    So a doubtful frame among good ones is no gap, and a good one among doubtful ones no person. What is not believed at
    all stays so.
    """
    near, _, weight = _window(times, np.arange(rows.start, rows.stop), config.seconds)
    weight /= weight.sum(axis=1, keepdims=True)
    first, last = near.min(), near.max() + 1
    known = np.stack(confidence[first:last])
    mean = np.einsum("mn,mnj->mj", weight, known[near - first])
    believed = known[rows.start - first : rows.stop - first].any(axis=1)
    return list(mean * believed[:, None])


def _smoothed(
    middles: NDArray[np.intp],
    times: Array,
    poses: Sequence[Pose],
    confidence: Sequence[Array] | Array,
    config: SavitzkyConfig,
) -> list[Pose]:
    """The poses at these moments (m,)."""
    theta = _turned(middles, times, poses, confidence, config)
    places = _placed(middles, times, poses, config)
    return [
        replace(poses[i], global_orient=turns[0], body_pose=turns[1:].reshape(-1), transl=place)
        for i, turns, place in zip(middles, theta, places, strict=True)
    ]


def _turned(
    middles: NDArray[np.intp],
    times: Array,
    poses: Sequence[Pose],
    confidence: Sequence[Array] | Array,
    config: SavitzkyConfig,
) -> Array:
    """(m, 24, 3) rad, axis-angle."""
    near, offset, weight = _window(times, middles, config.seconds)
    first, last = near.min(), near.max() + 1
    rotations = matrix_from_axis_angle(np.stack([pose.theta for pose in poses[first:last]]))
    trust = config.hidden_weight + (1 - config.hidden_weight) * rotation_confidence(np.asarray(confidence[first:last]))
    here = rotations[middles - first]
    tangent = axis_angle_from_matrix(here[:, None].swapaxes(-1, -2) @ rotations[near - first])
    turned = _parabola_at_zero(offset, tangent, weight[:, :, None] * trust[near - first])
    return axis_angle_from_matrix(here @ matrix_from_axis_angle(turned))


def _placed(middles: NDArray[np.intp], times: Array, poses: Sequence[Pose], config: SavitzkyConfig) -> Array:
    """(m, 3) m."""
    smoothed = []
    for spread, columns in ((config.seconds, slice(0, 2)), (config.depth_seconds, slice(2, 3))):
        near, offset, weight = _window(times, middles, spread)
        first, last = near.min(), near.max() + 1
        places = _ray_and_depth(np.stack([np.asarray(pose.transl, float) for pose in poses[first:last]]))
        values = places[near - first][:, :, None, columns]
        smoothed.append(_parabola_at_zero(offset, values, weight[:, :, None])[:, 0])
    return _from_ray_and_depth(np.concatenate(smoothed, axis=1))


def _window(times: Array, middles: NDArray[np.intp], spread: float) -> tuple[NDArray[np.intp], Array, Array]:
    """Of the moments within three spreads of each middle one: indices (m, n), offsets s, weights; where one has
    fewer, what is left over weighs nothing."""
    now = times[middles]
    first = np.searchsorted(times, now - _SPREADS * spread, side="left")
    last = np.searchsorted(times, now + _SPREADS * spread, side="right")
    near = first[:, None] + np.arange(int((last - first).max()))
    inside = near < last[:, None]
    near = np.where(inside, near, middles[:, None])
    offset = times[near] - now[:, None]
    return near, offset, np.exp(-0.5 * (offset / spread) ** 2) * inside


def reach(config: SavitzkyConfig) -> float:
    """Seconds on either side of a frame that its smoothed pose depends on."""
    return _SPREADS * max(config.seconds, config.depth_seconds)


def _parabola_at_zero(offset: Array, values: Array, weight: Array) -> Array:
    """offset: (m, n) s; values: (m, n, k, c); weight: (m, n, k). The values (m, k, c) at 0 of weighted least-squares
    parabolas; through fewer than three points goes one as good as any."""
    scale = np.maximum(np.abs(offset).max(axis=1, keepdims=True), 1e-9)
    basis = (offset / scale)[:, :, None] ** np.arange(3)
    weighted = weight.swapaxes(1, 2)[:, :, None] * basis.swapaxes(1, 2)[:, None]
    normal = weighted @ basis[:, None] + 1e-9 * np.eye(3)
    right = weighted @ values.swapaxes(1, 2)
    return np.linalg.solve(normal, right)[:, :, 0]
