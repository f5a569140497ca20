"""What a detector's landmarks mean: their names, their mirror images, where they sit on a body, what they tell.

MediaPipe's points are not SMPL's joints. Twelve of them are close to a joint centre and are carried rigidly by a bone
at an offset from that joint; the others (face, knuckles, heels, toes) are points on the skin, which every body model
names (`BodyModel.landmark_regressor`). The tracker works in MediaPipe's 33; a detector with other points says which
they are and has them arranged (`LandmarkSet.detection`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tracker.body.smpl_joints import LIMB_JOINTS, SMPL_JOINTS, sided
from tracker.core.arrays import Array, require_shape
from tracker.core.detection import Detection
from tracker.core.mask import PlacedMask


def mirrored_name(name: str) -> str:
    """The same point on the other side of the body."""
    return name.replace("left", "right") if "left" in name else name.replace("right", "left")


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
    right = {
        mirrored_name(k): BonePoint(mirrored_name(p.bone), mirrored_name(p.joint)) for k, p in _LEFT_BONE_POINTS.items()
    }
    return _LEFT_BONE_POINTS | right


# Where the detector puts its points, against the joint's centre or the point of that name on the skin: mm on a body of
# 1.7 m, axes of SMPL's rest pose (x to the body's left, y up, z forward). Measured by `benchmarks/landmark_map.py`: the
# mean of made-up people and of whole rigged ones, in poses of captured motion; faces and shoulders halfway to it.
_LEFT_OFFSETS_MM = {
    "nose": (0, 16, -23),
    "left_eye_inner": (-6, 12, -12),
    "left_eye": (-6, 8, -22),
    "left_eye_outer": (-8, 11, -17),
    "left_ear": (-22, 15, 12),
    "mouth_left": (-6, 14, -10),
    "left_shoulder": (-12, 29, -2),
    "left_elbow": (-28, 4, 6),
    "left_wrist": (7, -2, 5),
    "left_pinky": (-12, -8, 25),
    "left_index": (-19, -9, -17),
    "left_thumb": (14, 10, -24),
    "left_hip": (4, -5, 31),
    "left_knee": (-4, -7, -7),
    "left_ankle": (1, 24, 8),
    "left_heel": (-5, 22, 19),
    "left_foot_index": (16, 5, -34),
}


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


# How much less sure the detector is of a landmark's depth than of the hips', measured on rendered people whose truth is
# known (`benchmarks/metric_landmarks.py`): robust standard deviations of 0.07 m at the trunk, 0.09 at elbows and
# knees, 0.12 and more at hands and feet.
_DEPTH_FACTORS = {"elbow": 1.2, "knee": 1.25, "wrist": 1.55, "ankle": 1.6, "heel": 1.7, "foot_index": 1.85}
_HAND_DEPTH_FACTOR = 1.6
_HAND = ("pinky", "index", "thumb")


@dataclass(frozen=True)
class LandmarkSet:
    """The points that a detector gives, in its order. Left and right are the person's."""

    names: tuple[str, ...]
    """Among MediaPipe's names those that the tracker can use; others are allowed and left out."""

    def index(self, name: str) -> int:
        """Position of a landmark."""
        return self.names.index(name)

    def indices(self, names: Sequence[str]) -> NDArray[np.intp]:
        """Positions of several landmarks."""
        return np.array([self.index(name) for name in names])

    @cached_property
    def mirror(self) -> NDArray[np.intp]:
        """(n,) for each landmark the one on the other side of the body."""
        return self.indices([mirrored_name(name) for name in self.names])

    def turned_about(self, landmarks3d: Array) -> Array:
        """3D landmarks (n, 3) along the camera's axes as they are when a front was taken for a back: the sides are
        exchanged, and what was said to be near is far. In the picture both look the same."""
        return landmarks3d[self.mirror] * np.array([1.0, 1.0, -1.0])

    @cached_property
    def limbs(self) -> NDArray[np.intp]:
        """(12,) the limbs' joints, in the order of `LIMB_SMPL`."""
        return self.indices(sided(LIMB_JOINTS))

    @cached_property
    def offsets(self) -> Array:
        """(n, 3) m: where each landmark lies, against the joint or the point on the skin that it is named after, on a
        body of 1.7 m in the axes of SMPL's rest pose."""
        offsets = np.zeros((len(self.names), 3))
        for name, millimetres in _LEFT_OFFSETS_MM.items():
            offset = 1e-3 * np.array(millimetres)
            if mirrored_name(name) in self.names:
                offsets[self.index(mirrored_name(name))] = offset * np.array([-1.0, 1.0, 1.0])
            if name in self.names:
                offsets[self.index(name)] = offset
        return offsets

    @cached_property
    def joint_evidence(self) -> Array:
        """(24, n) rows summing to 1: the mean over the landmarks that speak for each SMPL joint."""
        return self._means({joint: _JOINT_EVIDENCE.get(joint, (joint,)) for joint in SMPL_JOINTS})

    @cached_property
    def turn_evidence(self) -> Array:
        """(24, n) rows summing to 1: the mean over the landmarks that show how each SMPL joint is turned."""
        return self._means(_TURN_EVIDENCE)

    def _means(self, evidence: dict[str, tuple[str, ...]]) -> Array:
        matrix = np.zeros((len(SMPL_JOINTS), len(self.names)))
        for row, joint in enumerate(SMPL_JOINTS):
            for name in evidence[joint]:
                matrix[row, self.index(name)] = 1 / len(evidence[joint])
        return matrix

    @cached_property
    def depth_factors(self) -> Array:
        """(n,) standard deviation of each 3D landmark's depth against that of the hips."""
        parts = [name.removeprefix("left_").removeprefix("right_") for name in self.names]
        return np.array([_HAND_DEPTH_FACTOR if part in _HAND else _DEPTH_FACTORS.get(part, 1.0) for part in parts])

    def detection(
        self, landmarks2d: Array, landmarks3d: Array, visibility: Array, mask: PlacedMask | None = None
    ) -> Detection:
        """A person with these landmarks, arranged as the tracker wants them; what is missing is blank.

        landmarks2d: (n, 2) px in the frame; landmarks3d: (n, 3) m, the hips' midpoint at the origin, axes along the
        camera's; visibility: (n,) 0..1. Raises ValueError for other shapes, or when a limb's joint is not in the set.
        """
        for name, value, size in (("landmarks2d", landmarks2d, (2,)), ("landmarks3d", landmarks3d, (3,))):
            require_shape(name, value, (len(self.names), *size))
        require_shape("visibility", visibility, (len(self.names),))
        missing = [name for name in (*sided(LIMB_JOINTS), "nose") if name not in self.names]
        if missing:
            raise ValueError(f"landmarks: the tracker needs the nose and the limbs' joints; missing {missing}")
        given = [name for name in MEDIAPIPE.names if name in self.names]
        here, there = self.indices(given), MEDIAPIPE.indices(given)

        def arranged(values: Array, blank: Array) -> Array:
            rows = np.tile(blank, (len(MEDIAPIPE.names), *([1] * blank.ndim)))
            rows[there] = values[here]
            return rows

        # the missing lie in the middle of the others: they are blank, but boxes and means take all
        flat, metric = (arranged(each, each[here].mean(axis=0)) for each in (landmarks2d, landmarks3d))
        return Detection(flat, metric, arranged(visibility, np.zeros(())), mask)


MEDIAPIPE = LandmarkSet(
    (
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
)
"""The 33 of MediaPipe's pose landmarker, which are the tracker's own."""

COCO = LandmarkSet(("nose", *sided(("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"))))
"""The 17 that most 2D pose detectors give."""
