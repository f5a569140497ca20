"""How far limbs are bent, for a curve beside a timeline: plain angles between bones, in degrees."""

from __future__ import annotations

import numpy as np

from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import Array

BENDS = {
    "knee": ("hip", "knee", "ankle"),
    "elbow": ("shoulder", "elbow", "wrist"),
    "hip": ("neck", "pelvis", "knee"),
    "shoulder": ("hip", "shoulder", "elbow"),
}
"""Name → the three joints between whose bones the angle lies."""
_STRAIGHT = {"knee", "elbow", "hip"}
"""Of which a straight limb is 0°; at the shoulder 0° is an arm along the trunk."""
_MIDDLE = {"neck", "pelvis"}


def bends(joints: Array, name: str, side: str) -> Array:
    """(T, 24, 3) m → (T,) degrees of one of BENDS on the left or right."""
    a, b, c = (joints[:, smpl_index(each if each in _MIDDLE else f"{side}_{each}")] for each in BENDS[name])
    first, second = a - b, c - b
    cosine = (first * second).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    angle = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
    return 180.0 - angle if name in _STRAIGHT else angle
