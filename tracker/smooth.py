"""Filters over time: a causal one for live pictures, a zero-phase one for files.

Both work on rotations as rotations (no Euler angles, no wrap) and on timestamps (no assumed frame rate), and both trust
what the image supports more than what was guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tracker.body.model import PARENTS
from tracker.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.types import NUM_JOINTS, Array, Pose


@dataclass(frozen=True)
class OneEuroConfig:
    """Casiez et al. 2012: a low-pass whose cutoff rises with speed, so that slow motion is calm and fast motion not
    late."""

    rotation_cutoff: float = 2.0
    """Hz at rest."""
    rotation_beta: float = 1.0
    """Hz per rad/s."""
    position_cutoff: float = 1.5
    position_beta: float = 4.0
    """Hz per m/s."""
    depth_cutoff: float = 0.6
    """Hz; depth is the noisiest of all, one picture says little about it."""
    speed_cutoff: float = 1.5
    """Hz, of the speed estimate."""
    hidden_factor: float = 0.4
    """The cutoff of a rotation that the image does not support, against that of one that it does."""


@dataclass(frozen=True)
class SavitzkyConfig:
    """The zero-phase filter: a local parabola through each window, weighted by time and confidence."""

    seconds: float = 0.12
    """Standard deviation of the window's weight."""
    depth_seconds: float = 0.30
    hidden_weight: float = 0.15


_SPREADS = 3.0
"""How far a window reaches, in standard deviations of its weight."""


def _far_end(joint: int) -> int:
    """The joint at the other end of this one's bone; itself where it carries none or several."""
    children = [child for child, parent in enumerate(PARENTS) if parent == joint]
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
    return [smoothed_at(i, times, poses, confidence, config) for i in range(len(poses))]


def smoothed_at(middle: int, times: Array, poses: Sequence[Pose], confidence: Array, config: SavitzkyConfig) -> Pose:
    """One pose of `smooth_zero_phase`; nothing farther away than `reach(config)` seconds matters to it."""
    pose = poses[middle]
    offset, near = _window(times, middle, config.seconds)
    weight = np.exp(-0.5 * (offset / config.seconds) ** 2)
    rotations = matrix_from_axis_angle(np.stack([poses[i].theta for i in near]))
    here = matrix_from_axis_angle(pose.theta)
    tangent = axis_angle_from_matrix(here.swapaxes(1, 2) @ rotations)
    trust = config.hidden_weight + (1 - config.hidden_weight) * rotation_confidence(confidence[near])
    turned = _parabola_at_zero(offset, tangent, weight[:, None] * trust)
    theta = axis_angle_from_matrix(here @ matrix_from_axis_angle(turned))

    ray = _parabola_at_zero(offset, _places(poses, near)[:, None, :2], weight[:, None])[0]
    offset, near = _window(times, middle, config.depth_seconds)
    weight = np.exp(-0.5 * (offset / config.depth_seconds) ** 2)
    depth = _parabola_at_zero(offset, _places(poses, near)[:, None, 2:], weight[:, None])[0]
    moved = _from_ray_and_depth(np.concatenate([ray, depth]))
    return replace(pose, global_orient=theta[0], body_pose=theta[1:].reshape(-1), transl=moved)


def reach(config: SavitzkyConfig) -> float:
    """Seconds on either side of a frame that its smoothed pose depends on."""
    return _SPREADS * max(config.seconds, config.depth_seconds)


def _places(poses: Sequence[Pose], indices: NDArray[np.intp]) -> Array:
    """(n, 3): ray and depth of these poses."""
    return _ray_and_depth(np.stack([np.asarray(poses[i].transl, float) for i in indices]))


def _window(times: Array, middle: int, spread: float) -> tuple[Array, NDArray[np.intp]]:
    """Offsets (n,) s and indices (n,) of the frames within three spreads of the middle one."""
    near = np.flatnonzero(np.abs(times - times[middle]) <= _SPREADS * spread)
    return times[near] - times[middle], near


def _parabola_at_zero(offset: Array, values: Array, weight: Array) -> Array:
    """offset: (n,) s; values: (n, m, c); weight: (n, m). The values (m, c) at 0 of m weighted least-squares
    parabolas."""
    degree = min(2, len(offset) - 1)
    scale = max(float(np.abs(offset).max()), 1e-9)
    basis = np.vander(offset / scale, degree + 1, increasing=True)
    normal = np.einsum("na,nm,nb->mab", basis, weight, basis) + 1e-9 * np.eye(degree + 1)
    right = np.einsum("na,nm,nmc->mac", basis, weight, values)
    return np.linalg.solve(normal, right)[:, 0]
