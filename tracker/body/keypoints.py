"""Joint conventions and the maps between them: SMPL's 24 joints, MediaPipe's 33 landmarks, and where the
landmarks sit on a body.

MediaPipe's points are not SMPL's joints. Twelve of them are close to a joint centre and are carried rigidly by a bone
at an offset from that joint; the others (face, knuckles, heels, toes) are points on the skin, which every body model
names (`BodyModel.landmark_regressor`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.body.model import JOINT_NAMES as SMPL_JOINTS
from tracker.body.model import PARENTS as SMPL_PARENTS
from tracker.core.arrays import Array

MEDIAPIPE_LANDMARKS = (
    "nose",
    "left_eye_inner",
    "left_eye",
    "left_eye_outer",
    "right_eye_inner",
    "right_eye",
    "right_eye_outer",
    "left_ear",
    "right_ear",
    "mouth_left",
    "mouth_right",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_pinky",
    "right_pinky",
    "left_index",
    "right_index",
    "left_thumb",
    "right_thumb",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "left_heel",
    "right_heel",
    "left_foot_index",
    "right_foot_index",
)

LIMB_JOINTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
"""The six pairs that both conventions share and that 2D pose is usually judged by."""


def smpl_index(name: str) -> int:
    """Position of a joint in SMPL's order."""
    return SMPL_JOINTS.index(name)


def landmark_index(name: str) -> int:
    """Position of a landmark in MediaPipe's order."""
    return MEDIAPIPE_LANDMARKS.index(name)


def _sided(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{side}_{name}" for name in names for side in ("left", "right"))


LIMB_SMPL = np.array([smpl_index(name) for name in _sided(LIMB_JOINTS)])
LIMB_LANDMARKS = np.array([landmark_index(name) for name in _sided(LIMB_JOINTS)])
"""(12,) the same joints, in the same order, in either convention."""


def _mirrored(name: str) -> str:
    if "left" in name:
        return name.replace("left", "right")
    return name.replace("right", "left")


LANDMARK_MIRROR = np.array([landmark_index(_mirrored(name)) for name in MEDIAPIPE_LANDMARKS])
"""(33,) for each landmark the one on the other side of the body."""


@dataclass(frozen=True)
class BonePoint:
    """A landmark near a joint centre: carried by `bone`, which ends at `joint`."""

    bone: str
    joint: str


_LEFT_BONE_POINTS = {
    "left_shoulder": BonePoint("left_collar", "left_shoulder"),
    "left_elbow": BonePoint("left_shoulder", "left_elbow"),
    "left_wrist": BonePoint("left_elbow", "left_wrist"),
    "left_hip": BonePoint("pelvis", "left_hip"),
    "left_knee": BonePoint("left_hip", "left_knee"),
    "left_ankle": BonePoint("left_knee", "left_ankle"),
}


def bone_points() -> dict[str, BonePoint]:
    """The twelve landmarks that are carried by a bone, by MediaPipe's name."""
    right = {_mirrored(k): BonePoint(_mirrored(p.bone), _mirrored(p.joint)) for k, p in _LEFT_BONE_POINTS.items()}
    return _LEFT_BONE_POINTS | right


# Where the detector puts its points, against the joint's centre or the point of that name on the skin: mm on a body of
# 1.7 m, axes of SMPL's rest pose (x to the body's left, y up, z forward). Measured by `benchmarks/landmark_map.py`.
_LEFT_OFFSETS_MM = {
    "nose": (0, 22, -18),
    "left_eye_inner": (-6, 18, -9),
    "left_eye": (-5, 14, -20),
    "left_eye_outer": (-7, 17, -15),
    "left_ear": (-20, 18, 12),
    "mouth_left": (-7, 18, -3),
    "left_shoulder": (-7, 28, -2),
    "left_elbow": (-22, 2, 2),
    "left_wrist": (9, 0, 1),
    "left_pinky": (-4, -6, 27),
    "left_index": (-17, -9, -17),
    "left_thumb": (14, 10, -27),
    "left_hip": (7, -7, 20),
    "left_knee": (2, -13, -4),
    "left_ankle": (-4, 14, 13),
    "left_heel": (-11, 12, 20),
    "left_foot_index": (26, 14, -11),
}


def landmark_offsets() -> Array:
    """(33, 3) m: where each landmark lies, against the joint or the point on the skin that it is named after."""
    offsets = np.zeros((len(MEDIAPIPE_LANDMARKS), 3))
    for name, millimetres in _LEFT_OFFSETS_MM.items():
        offset = 1e-3 * np.array(millimetres)
        offsets[landmark_index(_mirrored(name))] = offset * np.array([-1.0, 1.0, 1.0])
        offsets[landmark_index(name)] = offset
    return offsets


# How a landmark's visibility speaks for SMPL's joints: those between landmarks take the mean of their neighbours.
_JOINT_EVIDENCE: dict[str, tuple[str, ...]] = {
    "pelvis": ("left_hip", "right_hip"),
    "spine1": ("left_hip", "right_hip", "left_shoulder", "right_shoulder"),
    "spine2": ("left_hip", "right_hip", "left_shoulder", "right_shoulder"),
    "spine3": ("left_shoulder", "right_shoulder"),
    "neck": ("left_shoulder", "right_shoulder"),
    "head": ("nose", "left_ear", "right_ear"),
    **{f"{s}_collar": (f"{s}_shoulder",) for s in ("left", "right")},
    **{f"{s}_hand": (f"{s}_index", f"{s}_pinky") for s in ("left", "right")},
    **{f"{s}_foot": (f"{s}_foot_index", f"{s}_heel") for s in ("left", "right")},
}


def landmark_to_joint_matrix() -> Array:
    """(24, 33) rows summing to 1: the mean over the landmarks that speak for each SMPL joint."""
    matrix = np.zeros((len(SMPL_JOINTS), len(MEDIAPIPE_LANDMARKS)))
    for row, joint in enumerate(SMPL_JOINTS):
        evidence = _JOINT_EVIDENCE.get(joint, (joint,))
        for name in evidence:
            matrix[row, landmark_index(name)] = 1 / len(evidence)
    return matrix


# Which landmarks show how a joint is turned: those on the bone beyond it.
_TURN_EVIDENCE: dict[str, tuple[str, ...]] = {
    **{name: ("left_shoulder", "right_shoulder", "left_hip", "right_hip") for name in ("pelvis", "spine1", "spine2")},
    "spine3": ("left_shoulder", "right_shoulder"),
    "neck": ("nose", "left_ear", "right_ear"),
    "head": ("nose", "left_ear", "right_ear"),
    **{f"{s}_collar": (f"{s}_shoulder",) for s in ("left", "right")},
    **{f"{s}_shoulder": (f"{s}_elbow",) for s in ("left", "right")},
    **{f"{s}_elbow": (f"{s}_wrist",) for s in ("left", "right")},
    **{f"{s}_{joint}": (f"{s}_index", f"{s}_pinky") for s in ("left", "right") for joint in ("wrist", "hand")},
    **{f"{s}_hip": (f"{s}_knee",) for s in ("left", "right")},
    **{f"{s}_knee": (f"{s}_ankle",) for s in ("left", "right")},
    **{f"{s}_{joint}": (f"{s}_foot_index", f"{s}_heel") for s in ("left", "right") for joint in ("ankle", "foot")},
}


def landmark_to_turn_matrix() -> Array:
    """(24, 33) rows summing to 1: the mean over the landmarks that show how each SMPL joint is turned."""
    matrix = np.zeros((len(SMPL_JOINTS), len(MEDIAPIPE_LANDMARKS)))
    for row, joint in enumerate(SMPL_JOINTS):
        for name in _TURN_EVIDENCE[joint]:
            matrix[row, landmark_index(name)] = 1 / len(_TURN_EVIDENCE[joint])
    return matrix


SKELETON_EDGES = tuple((parent, joint) for joint, parent in enumerate(SMPL_PARENTS) if parent >= 0)
"""Bones as (parent, child) pairs in SMPL's order."""


# How much less sure the detector is of a landmark's depth than of the hips', measured on rendered people whose truth is
# known (`benchmarks/landmark_map.py`): robust standard deviations of 0.05 m at the trunk, 0.09 at elbows and knees,
# 0.15
# and more at hands and feet; across the line of sight it is 0.03 everywhere.
_DEPTH_FACTORS = {"elbow": 1.5, "knee": 1.6, "wrist": 2.4, "ankle": 2.6, "heel": 2.8, "foot_index": 3.4}
_HAND_DEPTH_FACTOR = 2.6
_HAND = ("pinky", "index", "thumb")


def landmark_depth_factors() -> Array:
    """(33,) standard deviation of each 3D landmark's depth against that of the hips."""
    factors = np.ones(len(MEDIAPIPE_LANDMARKS))
    for k, name in enumerate(MEDIAPIPE_LANDMARKS):
        part = name.removeprefix("left_").removeprefix("right_")
        factors[k] = _HAND_DEPTH_FACTOR if part in _HAND else _DEPTH_FACTORS.get(part, 1.0)
    return factors
