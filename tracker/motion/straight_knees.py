"""Captured people who never straighten their knees: skeletons fitted to markers often bend them all the time.

Whoever walks or stands has a leg nearly straight much of the time. Where an actor's straighter leg, over all their
clips, hardly ever is, the skeleton says so and not the actor, and everything that is learned from such motion expects
people who stand to bend their knees. What they are bent by too much is taken off, fully where a knee is nearly straight
and not at all where it is folded; hip and ankle turn against it, so that the ankle stays in its direction from the hip
and the foot in its own, and the body rises by what its legs have become longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tracker.body.model import JOINT_NAMES
from tracker.core.arrays import Array
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.motion.motion_clip import MotionClip, joint_positions

_LEGS = np.array(
    [[JOINT_NAMES.index(f"{side}_{name}") for name in ("hip", "knee", "ankle")] for side in ("left", "right")]
)
_QUARTER, _STRAIGHT = 25.0, np.radians(8.0)
"""In this percentage of an actor's frames their straighter leg is bent by no more than this."""
_OVERSTRETCHED = np.radians(-3.0)
"""Bend beyond which a knee is not straightened."""
_LARGEST = np.radians(25.0)
"""That is taken off at most: someone who is bent by more all the time crouches or sits."""
_FOLDED = np.radians(110.0)
"""Bend at which nothing is taken off any more."""


def with_straight_knees(clips: Sequence[MotionClip]) -> list[MotionClip]:
    """The clips in their order; those of one folder are taken for one actor's."""
    actors: dict[Path, list[MotionClip]] = {}
    for clip in clips:
        actors.setdefault(Path(clip.name).parent, []).append(clip)
    excess = {actor: _excess(theirs) for actor, theirs in actors.items()}
    return [_straightened(clip, excess[Path(clip.name).parent]) for clip in clips]


def _excess(clips: Sequence[MotionClip]) -> float:
    """rad: by how much an actor's legs are bent too much."""
    straighter = np.concatenate([clip.theta[:, _LEGS[:, 1], 0].min(axis=1) for clip in clips])
    return float(np.clip(np.percentile(straighter, _QUARTER) - _STRAIGHT, 0.0, _LARGEST))


def _straightened(clip: MotionClip, excess: float) -> MotionClip:
    if excess == 0:
        return clip
    rotations = clip.rotations().astype(np.float64)
    straight = rotations.copy()
    for hip, knee, ankle in _LEGS:
        bend = clip.theta[:, knee, 0]
        fading = excess * np.clip((_FOLDED - bend) / (_FOLDED - excess), 0.0, 1.0)
        half = _about_x(np.minimum(fading, np.maximum(bend - _OVERSTRETCHED, 0.0)) / 2)
        back = np.swapaxes(half, 1, 2)
        straight[:, hip] = rotations[:, hip] @ half
        straight[:, knee] = back @ rotations[:, knee] @ back
        straight[:, ankle] = half @ rotations[:, ankle]
    rise = _lowest_ankle(rotations) - _lowest_ankle(straight)
    transl = clip.transl + rise[:, None] * np.array([0.0, 1.0, 0.0])
    theta = axis_angle_from_matrix(straight).astype(np.float32)
    return replace(clip, theta=theta, transl=transl.astype(np.float32))


def _about_x(angle: Array) -> Array:
    """(T,) rad → (T, 3, 3)"""
    return matrix_from_axis_angle(angle[:, None] * np.array([1.0, 0.0, 0.0]))


def _lowest_ankle(rotations: Array) -> Array:
    """(T,) m in the world, before `transl` is added."""
    lowest: Array = joint_positions(rotations)[:, _LEGS[:, 2], 1].min(axis=1)
    return lowest
