"""What the landmark network's metres mean on our body.

The network learned its 3D landmarks from another body model. Between the same two points its bones are longer or
shorter, and lead elsewhere, than ours: its hips lie 3 cm farther out, its knees 7 cm lower, its face is deeper by 4 cm,
whoever it looks at. The heavy network, besides, sees heads 9 cm nearer to the camera and feet 5 cm farther from it than
they are, whether it sees a face or a back. As they are, such landmarks let people lean towards the camera. So every
point is moved, against the one that it hangs on, by what `python -m benchmarks.metric_landmarks` measures on people
whose truth is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.body.landmark_set import MEDIAPIPE, mirrored_name
from tracker.core.arrays import Array

HIPS, SHOULDERS = ("left_hip", "right_hip"), ("left_shoulder", "right_shoulder")
_KNEE, _ANKLE, _WRIST = ("left_knee",), ("left_ankle",), ("left_wrist",)

# Each landmark of the left side and the middle: the ones whose middle it hangs on, and those that give its bone's
# direction, which leads from the second to the first of them.
_Points = tuple[str, ...]
_LEFT_BONES: dict[str, tuple[_Points, tuple[_Points, _Points]]] = {
    **dict.fromkeys(
        ("nose", "left_eye_inner", "left_eye", "left_eye_outer", "left_ear", "mouth_left"),
        (SHOULDERS, (SHOULDERS, HIPS)),
    ),
    **dict.fromkeys(("left_shoulder", "left_hip"), (HIPS, (SHOULDERS, HIPS))),
    "left_knee": (("left_hip",), (("left_hip",), _KNEE)),
    "left_ankle": (_KNEE, (_KNEE, _ANKLE)),
    **dict.fromkeys(("left_heel", "left_foot_index"), (_ANKLE, (_KNEE, _ANKLE))),
    "left_elbow": (("left_shoulder",), (("left_shoulder",), ("left_elbow",))),
    "left_wrist": (("left_elbow",), (("left_elbow",), _WRIST)),
    **dict.fromkeys(("left_pinky", "left_index", "left_thumb"), (_WRIST, (("left_elbow",), _WRIST))),
}

TOWARDS_CAMERA = np.array([0.0, 0.0, -1.0])
"""In the axes of a camera that looks straight at the person."""

# How far each is off from what it hangs on (mm): to the body's left, up along the bone, forward, and towards the
# camera, wherever the person looks. Arms point anywhere, and their turn about themselves is not known: of them only the
# lengths are corrected, and how near they are.
_Millimetres = dict[str, tuple[int, int, int, int]]
_FULL: _Millimetres = {
    "nose": (0, -3, 46, -8),
    "left_eye_inner": (3, 0, 41, -6),
    "left_eye": (-5, 0, 46, -6),
    "left_eye_outer": (-15, 1, 51, -7),
    "left_ear": (27, -11, -10, -4),
    "mouth_left": (5, -2, 24, -8),
    "left_shoulder": (12, 24, 12, 1),
    "left_hip": (22, 0, 0, 0),
    "left_knee": (-17, -45, -13, 8),
    "left_ankle": (9, -3, 0, -5),
    "left_heel": (12, 13, 34, -1),
    "left_foot_index": (12, -26, -32, 33),
    "left_elbow": (0, -13, 0, 22),
    "left_wrist": (0, -17, 0, 0),
    "left_pinky": (0, 5, 0, 9),
    "left_index": (0, -3, 0, 13),
    "left_thumb": (0, 31, 0, -2),
}
_HEAVY: _Millimetres = {
    "nose": (0, -35, 52, 89),
    "left_eye_inner": (1, -41, 45, 106),
    "left_eye": (-8, -42, 50, 107),
    "left_eye_outer": (-19, -48, 55, 98),
    "left_ear": (25, -78, -6, 96),
    "mouth_left": (3, -38, 31, 89),
    "left_shoulder": (5, 42, 10, -15),
    "left_hip": (10, 0, 0, 0),
    "left_knee": (-16, -39, -6, 24),
    "left_ankle": (11, -43, -5, -49),
    "left_heel": (15, 21, 37, 5),
    "left_foot_index": (1, 14, -37, 2),
    "left_elbow": (0, -17, 0, 30),
    "left_wrist": (0, -14, 0, -45),
    "left_pinky": (0, 11, 0, 12),
    "left_index": (0, 8, 0, 17),
    "left_thumb": (0, 26, 0, -4),
}


def _middle(names: _Points) -> Array:
    """(33,): the mean of landmarks as a row that is multiplied with all."""
    row = np.zeros(len(MEDIAPIPE.names))
    row[MEDIAPIPE.indices(names)] = 1 / len(names)
    return row


def _mirrored(names: _Points) -> _Points:
    return tuple(mirrored_name(name) for name in names)


class _Bones:
    """The table for both sides, as matrices over the 33 landmarks."""

    def __init__(self) -> None:
        count = len(MEDIAPIPE.names)
        self.hangs = np.zeros((count, count))
        """Rows: the middle that each landmark hangs on."""
        self.along = np.zeros((count, count))
        """Rows: the upper end of its bone minus the lower one."""
        for name, (on, (upper, lower)) in _LEFT_BONES.items():
            self._write(name, on, (upper, lower))
            self._write(mirrored_name(name), _mirrored(on), (_mirrored(upper), _mirrored(lower)))
        side = _middle(("left_hip",)) - _middle(("right_hip",))
        self.side = side + _middle(("left_shoulder",)) - _middle(("right_shoulder",))
        # hips hang on their own middle, which stays; the others move with what they hang on
        moving = self.hangs.copy()
        moving[MEDIAPIPE.indices(HIPS + SHOULDERS)] = 0.0
        self.summed = np.linalg.inv(np.eye(count) - moving)
        """Rows: all bones that lead from the middle of the hips to a landmark."""

    def _write(self, name: str, on: _Points, ends: tuple[_Points, _Points]) -> None:
        k, (upper, lower) = MEDIAPIPE.index(name), ends
        self.hangs[k], self.along[k] = _middle(on), _middle(upper) - _middle(lower)


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


@dataclass(frozen=True)
class NetworkSkeleton:
    """The body that a landmark network has learned its metres from, against ours."""

    offsets: Array
    """(33, 3) m: how far each landmark is off from what it hangs on, along its bone's axes."""
    nearer: Array
    """(33,) m: by how much it is nearer to the camera than that, besides."""

    @classmethod
    def of(cls, millimetres: _Millimetres) -> NetworkSkeleton:
        """From those of the left side and the middle."""
        offsets = np.zeros((len(MEDIAPIPE.names), 4))
        for name, offset in millimetres.items():
            metres = 1e-3 * np.array(offset, float)
            offsets[MEDIAPIPE.index(mirrored_name(name))] = metres * np.array([-1.0, 1.0, 1.0, 1.0])
            offsets[MEDIAPIPE.index(name)] = metres
        return cls(offsets[:, :3], offsets[:, 3])

    def on_our_body(self, metric: Array) -> Array:
        """(33, 3) m, the middle of the hips at the origin, z away from a camera that looks straight at the person: the
        network's 3D landmarks, as the points of our body lie."""
        off = np.einsum("kij,kj->ki", bone_frames(metric), self.offsets) + self.nearer[:, None] * TOWARDS_CAMERA
        moved: Array = metric - _BONES.summed @ off
        return moved


FULL_SKELETON, HEAVY_SKELETON = NetworkSkeleton.of(_FULL), NetworkSkeleton.of(_HEAVY)


def _unit(vectors: Array) -> Array:
    length: Array = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, 1e-9)
