"""Poses that are easily taken for the true one: what a volume must tell from it.

A single camera hardly sees whether a limb points towards it or away, how limbs are turned about their own axes, which
way somebody faces, and where joints are to a few centimetres. Rivals are wrong in just these ways.
"""

from __future__ import annotations

import numpy as np

from tracker.body.smpl_joints import SMPL_PARENTS, smpl_index
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.geometry import matrix_from_axis_angle
from tracker.training.depth_flip import SEGMENTS, direction, local_rotations, segment_turned, turned_over

_FLIPPED = 0.35
"""How often each of SEGMENTS is."""
_TWIST = 0.4
"""rad, about its own axis."""
_LEAST_TURN, _MOST_TURN = 0.3, np.pi
"""rad: of the whole body about its spine."""
_LEAST_NOISE, _MOST_NOISE = 0.1, 0.4
"""rad: of every joint."""
_FARTHEST_START = 0.3
"""rad: the same, where a fit begins."""


def rival(rng: np.random.Generator, world: Array, joints: Array) -> Array:
    """(24, 3, 3) rotations in the camera's frame, of somebody who looks nearly like the pose world (24, 3, 3), its
    joints at (24, 3) m in the camera's frame."""
    kind = rng.integers(3)
    if kind == 0:
        return depth_flipped(rng, world, joints)
    if kind == 1:
        return _turned_about_spine(rng, world, joints)
    return _noisy(rng, world, rng.uniform(_LEAST_NOISE, _MOST_NOISE))


def nearby(rng: np.random.Generator, world: Array) -> Array:
    """(24, 3, 3) rotations in the camera's frame, as far from the pose world (24, 3, 3) as a fit may begin."""
    return _noisy(rng, world, rng.uniform(0.0, _FARTHEST_START))


def depth_flipped(rng: np.random.Generator, world: Array, joints: Array) -> Array:
    """Some limbs point away instead of towards the camera or the reverse, at least one, and are twisted a little; each
    looks as long as before."""
    flips = rng.random(len(SEGMENTS)) < _FLIPPED
    flips[rng.integers(len(SEGMENTS))] = True
    turned = world
    for flip, segment in zip(flips, SEGMENTS, strict=True):
        twist = matrix_from_axis_angle(rng.normal(0.0, _TWIST) * direction(joints, segment))
        turned = segment_turned(turned, segment, twist)
        if flip:
            turned = turned_over(turned, joints, segment)
    return turned


def _turned_about_spine(rng: np.random.Generator, world: Array, joints: Array) -> Array:
    spine = direction(joints, (smpl_index("pelvis"), smpl_index("neck")))
    angle = rng.choice([-1, 1]) * rng.uniform(_LEAST_TURN, _MOST_TURN)
    return _noisy(rng, matrix_from_axis_angle(angle * spine) @ world, _LEAST_NOISE)


def _noisy(rng: np.random.Generator, world: Array, spread: float) -> Array:
    noisy = local_rotations(world) @ matrix_from_axis_angle(rng.normal(0.0, spread, (NUM_JOINTS, 3)))
    for joint, parent in enumerate(SMPL_PARENTS[1:], start=1):
        noisy[joint] = noisy[parent] @ noisy[joint]
    return noisy
