"""DeepMimic's motion files: JSON, a row of 44 numbers a frame, for its `humanoid3d` character.

A row: seconds, root place (3), root turn (4), then chest, neck, right hip (4 each), right knee (1), right ankle, right
shoulder (4 each), right elbow (1), and the same for the left. Quaternions are w, x, y, z. The character faces +x with y
up, its right is +z, and its arms hang down at rest; knees and elbows turn about z.
"""

from __future__ import annotations

import json

import numpy as np
from scipy.spatial.transform import Rotation

from tracker.core.arrays import Array
from tracker.core.geometry import matrix_from_axis_angle
from tracker.core.input_file import reading
from tracker.motion.source_motion import SourceMotion, SourceSkeleton

# name, parent, offset from it (m), numbers in a row; the toes stand for the foot's direction, which has no joint
_JOINTS: tuple[tuple[str, str, tuple[float, float, float], int], ...] = (
    ("root", "", (0.0, 0.0, 0.0), 4),
    ("chest", "root", (0.0, 0.236151, 0.0), 4),
    ("head", "chest", (0.0, 0.223894, 0.0), 4),
    ("right_hip", "root", (0.0, 0.0, 0.084887), 4),
    ("right_knee", "right_hip", (0.0, -0.421546, 0.0), 1),
    ("right_ankle", "right_knee", (0.0, -0.409870, 0.0), 4),
    ("right_shoulder", "chest", (-0.02405, 0.24350, 0.18311), 4),
    ("right_elbow", "right_shoulder", (0.0, -0.274788, 0.0), 1),
    ("left_hip", "root", (0.0, 0.0, -0.084887), 4),
    ("left_knee", "left_hip", (0.0, -0.421546, 0.0), 1),
    ("left_ankle", "left_knee", (0.0, -0.409870, 0.0), 4),
    ("left_shoulder", "chest", (-0.02405, 0.24350, -0.18311), 4),
    ("left_elbow", "left_shoulder", (0.0, -0.274788, 0.0), 1),
    ("right_wrist", "right_elbow", (0.0, -0.258947, 0.0), 0),
    ("left_wrist", "left_elbow", (0.0, -0.258947, 0.0), 0),
    ("right_toe", "right_ankle", (0.133, -0.05, 0.0), 0),
    ("left_toe", "left_ankle", (0.133, -0.05, 0.0), 0),
)
_NAMES = tuple(joint[0] for joint in _JOINTS)
_SKELETON = SourceSkeleton(
    _NAMES,
    tuple(_NAMES.index(parent) if parent else -1 for _, parent, _, _ in _JOINTS),
    np.array([offset for _, _, offset, _ in _JOINTS]),
)
_WIDTH = 4 + sum(count for *_, count in _JOINTS)


def parse_deepmimic(name: str, text: str) -> SourceMotion:
    """The content of one file. Its rate is that of its usual frame; raises InputError that names the file."""
    with reading(name, "expected a DeepMimic motion file"):
        rows = np.array(json.loads(text)["Frames"], dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != _WIDTH or len(rows) < 2:
            raise ValueError(f"its Frames have the shape {rows.shape}; expected two or more rows of {_WIDTH} numbers")
        seconds = float(np.median(rows[:, 0]))
        if not seconds > 0:
            raise ValueError(f"its frames last {seconds} s; expected more than 0")
        if not np.isfinite(rows).all():
            raise ValueError("its Frames have numbers that are not finite")
        return SourceMotion(name, _SKELETON, _rotations(rows), rows[:, 1:4], 1 / seconds)


def _rotations(rows: Array) -> Array:
    turns, column = np.tile(np.eye(3), (len(rows), len(_JOINTS), 1, 1)), 4
    for joint, (*_, count) in enumerate(_JOINTS):
        mine = rows[:, column : column + count]
        column += count
        if count == 1:
            turns[:, joint] = matrix_from_axis_angle(mine * np.array([0.0, 0.0, 1.0]))
        elif count == 4:
            turns[:, joint] = Rotation.from_quat(mine[:, [1, 2, 3, 0]]).as_matrix()
    return turns
