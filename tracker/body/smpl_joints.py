"""SMPL's 24 joints by name, and the limbs that SMPL shares with other conventions."""

from __future__ import annotations

import numpy as np

from tracker.body.model import JOINT_NAMES as SMPL_JOINTS
from tracker.body.model import PARENTS as SMPL_PARENTS

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
