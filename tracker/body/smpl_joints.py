"""SMPL's 24 joints by name, and the limbs that SMPL shares with other conventions."""

from __future__ import annotations

import numpy as np

SMPL_JOINTS = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
SMPL_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)

LIMB_JOINTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
"""The six pairs that all conventions share and that 2D pose is usually judged by."""


def smpl_index(name: str) -> int:
    """Position of a joint in SMPL's order."""
    return SMPL_JOINTS.index(name)


def sided(names: tuple[str, ...]) -> tuple[str, ...]:
    """Each name for the left and for the right side of the body."""
    return tuple(f"{side}_{name}" for name in names for side in ("left", "right"))


LIMB_SMPL = np.array([smpl_index(name) for name in sided(LIMB_JOINTS)])
"""(12,) the limbs' joints in SMPL's order."""

LSP_JOINTS = tuple(
    smpl_index(name) for name in (*sided(("ankle", "knee", "hip", "wrist", "elbow", "shoulder")), "neck", "head")
)
"""The fourteen joints of the LSP data set: each has much of the body's surface around it."""

SKELETON_EDGES = tuple((parent, joint) for joint, parent in enumerate(SMPL_PARENTS) if parent >= 0)
"""Bones as (parent, child) pairs in SMPL's order."""
