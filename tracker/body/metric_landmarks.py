"""What the landmark network's metres mean on our body.

The network learned its 3D landmarks from another body model. Between the same two points its bones are longer or
shorter, and lead elsewhere, than ours: its hips lie 2 cm farther out, its knees 4 cm lower, its face is deeper by 4 cm,
whoever it looks at. As they are, such landmarks let people lean towards the camera. So every point is moved, against
the one that it hangs on, by what `python -m benchmarks.metric_landmarks` measures on people whose truth is known.
"""

from __future__ import annotations

import numpy as np

from tracker.body.landmark_set import MEDIAPIPE, mirrored_name
from tracker.core.arrays import Array

HIPS, SHOULDERS = ("left_hip", "right_hip"), ("left_shoulder", "right_shoulder")
_KNEE, _ANKLE, _WRIST = ("left_knee",), ("left_ankle",), ("left_wrist",)

# Each landmark, the ones whose middle it hangs on, and how far off it is from there (mm): to the body's left, up along
# the bone, and forward. The bone leads from the second to the first of the points that give its direction.
_LEFT_BONES: dict[str, tuple[tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]], tuple[float, float, float]]] = {
    "nose": (SHOULDERS, (SHOULDERS, HIPS), (0, -5, 37)),
    "left_eye_inner": (SHOULDERS, (SHOULDERS, HIPS), (4, -1, 32)),
    "left_eye": (SHOULDERS, (SHOULDERS, HIPS), (-6, -1, 38)),
    "left_eye_outer": (SHOULDERS, (SHOULDERS, HIPS), (-16, 1, 43)),
    "left_ear": (SHOULDERS, (SHOULDERS, HIPS), (25, -12, -13)),
    "mouth_left": (SHOULDERS, (SHOULDERS, HIPS), (6, -4, 15)),
    "left_shoulder": (HIPS, (SHOULDERS, HIPS), (6, 28, 2)),
    "left_hip": (HIPS, (SHOULDERS, HIPS), (21, 0, 0)),
    "left_knee": (("left_hip",), (("left_hip",), _KNEE), (-19, -43, -22)),
    "left_ankle": (_KNEE, (_KNEE, _ANKLE), (17, -7, -5)),
    "left_heel": (_ANKLE, (_KNEE, _ANKLE), (14, 18, 37)),
    "left_foot_index": (_ANKLE, (_KNEE, _ANKLE), (-10, -38, -23)),
    "left_elbow": (("left_shoulder",), (("left_shoulder",), ("left_elbow",)), (0, -18, 0)),
    "left_wrist": (("left_elbow",), (("left_elbow",), _WRIST), (0, -14, 0)),
    "left_pinky": (_WRIST, (("left_elbow",), _WRIST), (0, 5, 0)),
    "left_index": (_WRIST, (("left_elbow",), _WRIST), (0, -7, 0)),
    "left_thumb": (_WRIST, (("left_elbow",), _WRIST), (0, 30, 0)),
}
"""Arms point anywhere, and their turn about themselves is not known: of them only the lengths are corrected."""


def _middle(names: tuple[str, ...]) -> Array:
    """(33,): the mean of landmarks as a row that is multiplied with all."""
    row = np.zeros(len(MEDIAPIPE.names))
    row[MEDIAPIPE.indices(names)] = 1 / len(names)
    return row


def _mirrored(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(mirrored_name(name) for name in names)


class _Bones:
    """The table for both sides, as matrices over the 33 landmarks."""

    def __init__(self) -> None:
        count = len(MEDIAPIPE.names)
        self.hangs = np.zeros((count, count))
        """Rows: the middle that each landmark hangs on."""
        self.along = np.zeros((count, count))
        """Rows: the upper end of its bone minus the lower one."""
        self.offsets = np.zeros((count, 3))
        """m"""
        for name, (on, (upper, lower), offset) in _LEFT_BONES.items():
            k, metres = MEDIAPIPE.index(name), 1e-3 * np.array(offset, float)
            self._write(k, on, (upper, lower), metres)
            other = MEDIAPIPE.index(mirrored_name(name))
            if other != k:
                ends = (_mirrored(upper), _mirrored(lower))
                self._write(other, _mirrored(on), ends, metres * np.array([-1.0, 1.0, 1.0]))
        side = _middle(("left_hip",)) - _middle(("right_hip",))
        self.side = side + _middle(("left_shoulder",)) - _middle(("right_shoulder",))
        # hips hang on their own middle, which stays; the others move with what they hang on
        moving = self.hangs.copy()
        moving[MEDIAPIPE.indices(HIPS + SHOULDERS)] = 0.0
        self.summed = np.linalg.inv(np.eye(count) - moving)
        """Rows: all bones that lead from the middle of the hips to a landmark."""

    def _write(self, k: int, on: tuple[str, ...], ends: tuple[tuple[str, ...], tuple[str, ...]], offset: Array) -> None:
        upper, lower = ends
        self.hangs[k], self.along[k], self.offsets[k] = _middle(on), _middle(upper) - _middle(lower), offset


_BONES = _Bones()


def bone_frames(metric: Array) -> Array:
    """(33, 3, 3): for each of the 3D landmarks (33, 3) its bone's axes as columns: left, up along the bone, forward.
    Left and forward become short where the bone itself leads to a side and says nothing of them."""
    up = _unit(_BONES.along @ metric)
    side = _unit(_BONES.side @ metric)
    left = side - (up @ side)[:, None] * up
    return np.stack([left, up, np.cross(left, up)], axis=2)


def hanging(metric: Array) -> Array:
    """(33, 3): each 3D landmark from the middle that it hangs on."""
    return metric - _BONES.hangs @ metric


def on_our_body(metric: Array) -> Array:
    """(33, 3) m, the middle of the hips at the origin, along any axes: the network's 3D landmarks, as the points of our
    body lie."""
    off = np.einsum("kij,kj->ki", bone_frames(metric), _BONES.offsets)
    moved: Array = metric - _BONES.summed @ off
    return moved


def _unit(vectors: Array) -> Array:
    length: Array = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, 1e-9)
