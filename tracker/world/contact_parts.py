"""The places of a body that touch floors, by name and number."""

from __future__ import annotations

import numpy as np

from tracker.body.smpl_joints import smpl_index

CONTACT_PARTS = (
    "left_heel", "right_heel", "left_toe", "right_toe", "left_hand", "right_hand", "left_knee", "right_knee", "seat",
)  # fmt: skip
"""A toe's place is the ball of the foot."""
FOOT_PARTS = 4
"""The first four are the feet's."""
_JOINTS = ("left_ankle", "right_ankle", "left_foot", "right_foot", "left_hand", "right_hand", "left_knee", "right_knee",
           "pelvis")  # fmt: skip
PART_JOINTS = np.array([smpl_index(name) for name in _JOINTS])
"""(9,): the joint whose confidence says how well a part is seen."""
