"""Joint angles as biomechanics names them, from SMPL's rotations; `docs/angles.md` defines each.

Axes of every segment in the body's rest pose, as the ISB has them: X to the front, Y up, Z to the right. Degrees.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.spatial.transform import Rotation

from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import Array
from tracker.core.geometry import matrix_from_axis_angle
from tracker.export.sequence import PersonSequence

_R_ISB_SMPL = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
"""SMPL at rest has x to the left, y up, z to the front."""
R_LAB_WORLD = _R_ISB_SMPL
"""The laboratory's X is the world's z, towards the camera, so that somebody who faces it has rotation 0."""
_SIDES = (("left", "l", -1.0), ("right", "r", 1.0))
"""Name, its letter, and the sign of turns about X and Y, which mirror."""


def joint_angles(person: PersonSequence) -> dict[str, Array]:
    """Name → (T,) degrees."""
    local = _local_rotations(person)
    angles = _pelvis(_pelvis_in_lab(person)) | _trunk(local)
    for side, _, sign in _SIDES:
        legs = _leg(local, side, sign) | _arm(local, side, sign)
        angles |= {f"{side}_{name}": values for name, values in legs.items()}
    return angles


def joint_angles_in_blocks(person: PersonSequence) -> Iterator[tuple[PersonSequence, dict[str, Array]]]:
    """Rows of the person and their `joint_angles`; turns of the pelvis go on from one block to the next."""
    last: float | None = None
    for block in person.blocks():
        angles = joint_angles(block)
        rotation = angles["pelvis_rotation"]
        if last is not None:
            rotation += 360 * np.round((last - rotation[0]) / 360)
        last = rotation[-1]
        yield block, angles


def opensim_coordinates(person: PersonSequence) -> dict[str, Array]:
    """Name → (T,) degrees or, for pelvis_t*, metres: the coordinates of OpenSim's full-body models (Rajagopal 2016)."""
    angles = joint_angles(person)
    tilt, obliquity, rotation = _cardan(_pelvis_in_lab(person), "ZXY")
    place = person.joints_y_up[:, 0].astype(float) @ R_LAB_WORLD.T
    found_values: dict[str, Array] = {"pelvis_tilt": tilt, "pelvis_list": obliquity, "pelvis_rotation": rotation}
    found_values |= {f"pelvis_t{axis}": place[:, i] for i, axis in enumerate("xyz")}
    for side, letter, _ in _SIDES:
        found_values |= {f"{theirs}_{letter}": sign * angles[f"{side}_{ours}"] for theirs, ours, sign in _OPENSIM_LIMBS}
    return found_values | {
        "lumbar_extension": -angles["trunk_flexion"],
        "lumbar_bending": angles["trunk_lateral_bend"],
        "lumbar_rotation": angles["trunk_rotation"],
    }


_OPENSIM_LIMBS = (
    ("hip_flexion", "hip_flexion", 1),
    ("hip_adduction", "hip_adduction", 1),
    ("hip_rotation", "hip_rotation", 1),
    ("knee_angle", "knee_flexion", 1),
    ("ankle_angle", "ankle_dorsiflexion", 1),
    ("subtalar_angle", "ankle_inversion", 1),
    ("arm_flex", "shoulder_flexion", 1),
    ("arm_add", "shoulder_abduction", -1),
    ("arm_rot", "shoulder_rotation", 1),
    ("elbow_flex", "elbow_flexion", 1),
)
"""Theirs, ours, and the sign between them."""


def _local_rotations(person: PersonSequence) -> Array:
    """(T, 24, 3, 3) of each joint relative to its parent, in ISB's axes."""
    return _R_ISB_SMPL @ matrix_from_axis_angle(person.theta.astype(float)) @ _R_ISB_SMPL.T


def _pelvis_in_lab(person: PersonSequence) -> Array:
    """(T, 3, 3): the pelvis' orientation, identity for somebody upright who faces the camera."""
    turned = person.T_yup_camera[..., :3, :3] @ matrix_from_axis_angle(person.theta[:, 0].astype(float))
    return R_LAB_WORLD @ turned @ _R_ISB_SMPL.T


def _pelvis(rotations: Array) -> dict[str, Array]:
    rotation, obliquity, tilt = _cardan(rotations, "YXZ")
    return {
        "pelvis_tilt": -tilt,
        "pelvis_obliquity": obliquity,
        "pelvis_rotation": np.degrees(np.unwrap(np.radians(rotation))),
    }


def _trunk(local: Array) -> dict[str, Array]:
    spine = local[:, smpl_index("spine1")] @ local[:, smpl_index("spine2")] @ local[:, smpl_index("spine3")]
    flexion, bend, rotation = _cardan(spine, "ZXY")
    return {"trunk_flexion": -flexion, "trunk_lateral_bend": bend, "trunk_rotation": rotation}


def _leg(local: Array, side: str, sign: float) -> dict[str, Array]:
    hip = _cardan(local[:, smpl_index(f"{side}_hip")], "ZXY")
    knee = _cardan(local[:, smpl_index(f"{side}_knee")], "ZXY")
    ankle = _cardan(local[:, smpl_index(f"{side}_ankle")], "ZXY")
    return {
        "hip_flexion": hip[0],
        "hip_adduction": sign * hip[1],
        "hip_rotation": sign * hip[2],
        "knee_flexion": -knee[0],
        "ankle_dorsiflexion": ankle[0],
        "ankle_inversion": sign * ankle[1],
    }


def _arm(local: Array, side: str, sign: float) -> dict[str, Array]:
    collar, shoulder, elbow = (local[:, smpl_index(f"{side}_{name}")] for name in ("collar", "shoulder", "elbow"))
    hanging = Rotation.from_euler("X", -sign * 90, degrees=True).as_matrix()
    upper = collar @ shoulder @ hanging
    swing, twist = _swing_and_twist(upper)
    outwards = np.array([0.0, 0.0, sign])
    bent = np.clip((outwards * (elbow @ outwards)).sum(axis=-1), -1.0, 1.0)
    return {
        "shoulder_flexion": swing[:, 2],
        "shoulder_abduction": -sign * swing[:, 0],
        "shoulder_rotation": sign * twist,
        "elbow_flexion": np.degrees(np.arccos(bent)),
    }


def _swing_and_twist(rotations: Array) -> tuple[Array, Array]:
    """(T, 3, 3) → the smallest turns (T, 3) that bring a hanging arm to where it points, as rotation vectors, and the
    turns (T,) about its own length before them."""
    quaternions = Rotation.from_matrix(rotations).as_quat()
    norm = np.hypot(quaternions[:, 1], quaternions[:, 3])
    twist = np.zeros_like(quaternions)
    twist[:, 3] = 1.0
    certain = norm > 1e-6
    twist[certain, 1] = quaternions[certain, 1] / norm[certain]
    twist[certain, 3] = quaternions[certain, 3] / norm[certain]
    turns = Rotation.from_quat(twist)
    swing = Rotation.from_quat(quaternions) * turns.inv()
    return np.degrees(swing.as_rotvec()), np.degrees(turns.as_rotvec()[:, 1])


def _cardan(rotations: Array, order: str) -> Array:
    """(T, 3, 3) → (3, T) degrees of intrinsic turns about these axes, in their order."""
    with np.errstate(all="ignore"):
        return Rotation.from_matrix(rotations).as_euler(order, degrees=True).T
