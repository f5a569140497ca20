"""Limbs turned over in depth: what a single camera sees nearly the same, and a fit that steps downhill never leaves."""

from __future__ import annotations

import numpy as np

from tracker.body.smpl_joints import SMPL_PARENTS, smpl_index
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.geometry import rotation_between

Segment = tuple[int, int]
SEGMENTS: tuple[Segment, ...] = tuple(
    (smpl_index(f"{side}_{first}"), smpl_index(f"{side}_{last}"))
    for side in ("left", "right")
    for first, last in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
)
"""First and last joint of what can be turned over by itself."""
_STARTS = frozenset(first for first, _ in SEGMENTS)


def turned_over(world: Array, joints: Array, segment: Segment) -> Array:
    """The pose with one of SEGMENTS pointing to where it looks the same from the camera but for its depth, and hand or
    foot turned along; the segments after it keep their own directions.

    world: (24, 3, 3) rotations in the camera's frame; joints: (24, 3) m in it.
    """
    along, place = direction(joints, segment), joints[segment[0]]
    sight = place / np.linalg.norm(place)
    return segment_turned(world, segment, rotation_between(along, along - 2 * (along @ sight) * sight))


def towards_camera(joints: Array, segment: Segment) -> float:
    """−1..1: the cosine of the segment and the way to the camera. joints: (24, 3) m in the camera's frame."""
    place = joints[segment[0]]
    return -float(direction(joints, segment) @ place / np.linalg.norm(place))


def direction(joints: Array, segment: Segment) -> Array:
    """(3,) of unit length."""
    along = joints[segment[1]] - joints[segment[0]]
    unit: Array = along / np.linalg.norm(along)
    return unit


def segment_turned(world: Array, segment: Segment, turn: Array) -> Array:
    """(24, 3, 3) world rotations with a segment, and what only it carries, turned by (3, 3) in the camera's frame."""
    turned = world.copy()
    for joint in (segment[0], *_carried_by(segment[1])):
        turned[joint] = turn @ world[joint]
    return turned


def local_rotations(world: Array) -> Array:
    """(24, 3, 3) rotations relative to the parents' from those in the camera's frame."""
    local = world.copy()
    local[1:] = np.swapaxes(world[list(SMPL_PARENTS[1:])], 1, 2) @ world[1:]
    return local


def _carried_by(joint: int) -> tuple[int, ...]:
    """Hand or foot that a segment ends in; not the next segment, which begins there."""
    if joint in _STARTS:
        return ()
    return tuple(j for j in range(NUM_JOINTS) if j == joint or SMPL_PARENTS[j] == joint)
