"""Captured motion for made-up people: pieces of clips that were held out of training, placed in view of the camera."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.errors import InputError
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.motion.motion_clip import MotionClip, rest_joints
from tracker.motion.motion_library import MotionLibrary
from tracker.synth.figure import Figure
from tracker.synth.motion import Motion

_TRIES = 100
"""Pieces looked at for one that stays in view."""
_FLESH = 0.07
"""m from a joint to the skin below it, where the body lies on the floor."""
_SOLES = [smpl_index(f"{side}_foot") for side in ("left", "right")]
_ON_THE_FLOOR = 10.0
"""% of the moments in which the body touches the floor at least; the rest may be leaps."""


def held_out_clips(path: Path, rate: float, frames: int) -> list[MotionClip]:
    """The clips that networks are not trained on, at this rate, as far as they have so many frames.

    path: anything that `read_motion` takes. Raises InputError as that, and when no clip is long enough.
    """
    _, held_out = MotionLibrary.open(path, rate).split()
    clips = [clip for clip in held_out.clips if len(clip.theta) >= frames]
    if not clips:
        raise InputError(
            f"--motion {path}: none of its {len(held_out.clips)} held-out clips lasts {frames / rate:g} s; "
            "give longer ones, or fewer --seconds"
        )
    return clips


def captured_motion(
    clips: Sequence[MotionClip], figure: Figure, times: Array, stage: Array, rng: np.random.Generator
) -> Motion:
    """A piece of one of the clips at times (T,) s of their rate, on the floor, turned and placed on the stage.

    stage: (2, 2) m, the least and greatest x and z where the pelvis should be. Of a hundred random pieces the first
    that stays on it is taken, or the one that leaves it least.
    """
    tried = (_turned(clips[rng.integers(len(clips))], len(times), rng) for _ in range(_TRIES))
    best, least = None, math.inf
    for theta, pelvis in tried:
        beyond = float((np.ptp(pelvis[:, [0, 2]], axis=0) - np.ptp(stage, axis=1)).max())
        if beyond < least:
            best, least = (theta, pelvis), beyond
        if beyond <= 0:
            break
    assert best is not None
    theta, pelvis = best
    ground = pelvis[:, [0, 2]]
    pelvis[:, [0, 2]] += stage.mean(axis=1) - (ground.min(axis=0) + ground.max(axis=0)) / 2
    return Motion(times, theta, _on_the_floor(theta, pelvis, figure))


def _turned(clip: MotionClip, frames: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """theta (T, 24, 3) and pelvis (T, 3) m of a random piece, turned about the vertical."""
    start = rng.integers(len(clip.theta) - frames + 1)
    theta = clip.theta[start : start + frames].astype(float)
    pelvis = clip.transl[start : start + frames] + rest_joints()[0]
    turn = matrix_from_axis_angle(np.array([0.0, rng.uniform(-math.pi, math.pi), 0.0]))
    theta[:, 0] = axis_angle_from_matrix(turn @ matrix_from_axis_angle(theta[:, 0]))
    return theta, pelvis @ turn.T


def _on_the_floor(theta: Array, pelvis: Array, figure: Figure) -> Array:
    """The pelvis (T, 3), raised or lowered as a whole so that this figure's lowest parts stand or lie at height 0."""
    rest = figure.shaped.rest_joints.numpy().astype(float)
    beneath = np.full(NUM_JOINTS, _FLESH)
    beneath[_SOLES] = rest[_SOLES, 1] - figure.floor
    heights = figure.joints(theta, pelvis - rest[0])[..., 1] - beneath
    lowest = np.percentile(heights.min(axis=1), _ON_THE_FLOOR)
    return pelvis - np.array([0.0, float(lowest), 0.0])
