"""Motion that is SMPL's already: AMASS files and the tracker's own person_NNN.npz."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.core.input_file import reading
from tracker.core.npz_file import read_npz
from tracker.motion.motion_clip import MotionClip, rest_joints

_RATES = ("mocap_framerate", "mocap_frame_rate")
_NAMES = ("poses", "trans", "coordinate_system", *_RATES)
_BODY_NUMBERS = 66
"""Root and 21 body joints; SMPL+H and SMPL-X go on with fingers, whose place SMPL's two hand joints take."""
_FROM_Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
_FROM_CAMERA = np.diag([1.0, -1.0, -1.0])


def read_smpl_npz(name: str, content: bytes) -> MotionClip:
    """AMASS (z up) or, with the key `coordinate_system`, the tracker's own (world, or camera, taken as level).

    Raises InputError that names the file and what is missing.
    """
    with reading(name, "expected an AMASS or person_NNN .npz with poses, trans and a rate"):
        file = read_npz(content, _NAMES)
        theta, transl = _poses(file), np.asarray(file["trans"], np.float64)
        rate = _rate(file)
        to_world = _to_y_up(file)
        if transl.shape != (len(theta), 3):
            raise ValueError(f"trans has the shape {transl.shape}; expected ({len(theta)}, 3)")
        if not (np.isfinite(theta).all() and np.isfinite(transl).all()):
            raise ValueError("poses or trans have numbers that are not finite")
    theta[:, 0] = axis_angle_from_matrix(to_world @ matrix_from_axis_angle(theta[:, 0]))
    pelvis = rest_joints()[0]
    transl = (transl + pelvis) @ to_world.T - pelvis
    return MotionClip(name, theta.astype(np.float32), transl.astype(np.float32), rate)


def _to_y_up(file: dict[str, Any]) -> Array:
    if "coordinate_system" not in file:
        return _FROM_Z_UP
    return np.eye(3) if str(file["coordinate_system"]).startswith("world") else _FROM_CAMERA


def _poses(file: dict[str, Any]) -> Array:
    poses = np.asarray(file["poses"], np.float64)
    theta = np.zeros((len(poses), NUM_JOINTS * 3))
    if poses.ndim != 2 or poses.shape[1] < _BODY_NUMBERS:
        raise ValueError(f"poses has the shape {poses.shape}; expected (frames, {_BODY_NUMBERS} or more)")
    used = NUM_JOINTS * 3 if poses.shape[1] == NUM_JOINTS * 3 else _BODY_NUMBERS
    theta[:, :used] = poses[:, :used]
    return theta.reshape(-1, NUM_JOINTS, 3)


def _rate(file: dict[str, Any]) -> float:
    for key in _RATES:
        if key in file:
            return float(file[key])
    raise KeyError(f"none of {', '.join(_RATES)}")
