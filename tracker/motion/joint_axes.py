"""What a joint is and a motion file does not say: elbows are hinges, forearms twist, collar bones rise with the arm.

Motion files describe where bones point; how the turn about a bone's own axis is divided among its ends differs from
one to the next. Here the division is made the same for all, without moving any bone (but for the shoulders, where a
file leaves the collar bones still).
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from tracker.body.model import JOINT_NAMES
from tracker.core.arrays import Array
from tracker.core.geometry import matrix_from_axis_angle

_J = {name: index for index, name in enumerate(JOINT_NAMES)}
_SIDES = (("left", 1.0), ("right", -1.0))
_X = np.array([1.0, 0.0, 0.0])
_HINGE_BEND = np.radians([12.0, 35.0])
"""Below the first the elbow is too straight to show its axis, above the second it shows it fully."""
_STILL = np.radians(1.0)
_COLLAR_LOWERED, _COLLAR_RAISED, _COLLAR_FORWARD = 0.10, 0.45, 0.20
"""rad of a collar bone: hanging arm against a level one, arm straight up against a level one, arm straight ahead."""
_HINGE_SECONDS = 0.05


def settle(rotations: Array, rate: float) -> Array:
    """(T, 24, 3, 3) relative to the parents → the same bones with collars, elbows and forearms as said above."""
    rotations = rotations.copy()
    for side, sign in _SIDES:
        collar, shoulder, elbow, wrist = (_J[f"{side}_{name}"] for name in ("collar", "shoulder", "elbow", "wrist"))
        turned = np.linalg.norm(rotations[:, collar] - rotations[:1, collar], axis=(1, 2)).max()
        if turned < _STILL:
            raised = _collar(rotations[:, collar] @ rotations[:, shoulder], sign)
            rotations[:, shoulder] = np.swapaxes(raised, 1, 2) @ rotations[:, collar] @ rotations[:, shoulder]
            rotations[:, collar] = raised
        twist = _hinge_twist(rotations[:, elbow], sign, _HINGE_SECONDS * rate)
        _pass_down(rotations, (shoulder, elbow), twist)
        # the hand's turn about the forearm is made by the whole forearm
        _pass_down(rotations, (elbow, wrist), _twist_about_x(rotations[:, wrist]) / 2)
    return rotations


def _pass_down(rotations: Array, joints: tuple[int, int], angle: Array) -> None:
    """Turns the upper joint by `angle` (T,) about its bone and the lower one back."""
    turn = matrix_from_axis_angle(angle[:, None] * _X)
    upper, lower = joints
    rotations[:, upper] = rotations[:, upper] @ turn
    rotations[:, lower] = np.swapaxes(turn, 1, 2) @ rotations[:, lower]


def _hinge_twist(elbow: Array, sign: float, frames: float) -> Array:
    """(T,) rad about the upper arm after which the elbow bends about SMPL's y axis.

    A straight elbow has no axis: it takes the one usual in the clip.
    """
    forearm = elbow @ (sign * _X)
    bend = np.arctan2(np.hypot(forearm[:, 1], forearm[:, 2]), sign * forearm[:, 0])
    axis = np.arctan2(-forearm[:, 1], forearm[:, 2])
    usual = float(np.angle((np.sin(bend) * np.exp(1j * axis)).sum()))
    low, high = _HINGE_BEND
    shown = np.clip((bend - low) / (high - low), 0.0, 1.0)
    # the way from the usual axis, smoothed in time where the elbow shows its axis badly
    off = np.angle(np.exp(1j * (axis - usual)))
    weight = gaussian_filter1d(shown, frames, mode="nearest") + 1e-6
    return usual + shown * gaussian_filter1d(shown * off, frames, mode="nearest") / weight


def _collar(arm: Array, sign: float) -> Array:
    """(T, 3, 3) of the collar bone, from the upper arm's rotation in the chest (T, 3, 3)."""
    direction = arm @ (sign * _X)
    level = np.arccos(np.clip(-direction[:, 1], -1.0, 1.0)) / (np.pi / 2) - 1  # −1 hanging, 0 level, 1 straight up
    lift = np.where(level < 0, _COLLAR_LOWERED, _COLLAR_RAISED) * level
    forward = _COLLAR_FORWARD * direction[:, 2]
    rotvec = np.stack([np.zeros_like(lift), -sign * forward, sign * lift], axis=1)
    return matrix_from_axis_angle(rotvec)


def _twist_about_x(rotation: Array) -> Array:
    """(T, 3, 3) → (T,) rad in (−π, π]: the turn about x of the swing-twist decomposition."""
    quaternion = Rotation.from_matrix(rotation).as_quat()
    angle = 2 * np.arctan2(quaternion[:, 0], quaternion[:, 3])
    return np.angle(np.exp(1j * angle))
