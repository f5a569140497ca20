"""From MakeHuman's rest pose (arms at 45°, elbows bent) to SMPL's: the same pose for every phenotype, with its joints.

Works on the left side in world axes and mirrors the result. All rotations are per sample: bodies of other proportions
need slightly other angles to come to the same pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from tracker.body.bake_source import BakeSource
from tracker.body.model import JOINT_NAMES
from tracker.core.arrays import Array

PELVIS = np.array([0.0, -0.22, 0.03])
"""Where every shape has its pelvis joint: about where SMPL's is, so that transl carries over within centimetres."""

_CLAVICLE_LIFT, _SHOULDER_LIFT = np.radians(1.0), np.radians(4.0)
_UPPER_TWIST, _FOREARM_TWIST = 0.5, 0.6
"""Shares of the twist that the first of two bones of the upper arm and the second of the forearm take."""
_LEG_SPREAD = np.radians(2.5)
"""Of the line from hip to ankle; MakeHuman stands with 5°."""

_MIRROR = np.array([-1.0, 1.0, 1.0])

_BLENDS: dict[str, dict[str, float]] = {
    "spine1": {"spine03": 0.35, "spine02": 0.65},
    "spine2": {"spine02": 0.25, "spine01": 0.75},
    "spine3": {"spine01": 0.75, "neck01": 0.25},
    "neck": {"neck01": 0.6, "neck02": 0.4},
    "head": {"head": 1.0},
    "left_collar": {"clavicle.L": 0.45, "shoulder01.L": 0.55},
    "left_shoulder": {"upperarm01.L": 1.0},
    "left_elbow": {"lowerarm01.L": 1.0},
    "left_wrist": {"wrist.L": 1.0},
    "left_hand": {"finger2-1.L": 0.3, "finger3-1.L": 0.4, "finger4-1.L": 0.3},
    "left_knee": {"lowerleg01.L": 1.0},
    "left_ankle": {"foot.L": 1.0},
    "left_foot": {"toe1-1.L": 0.25, "toe2-1.L": 0.25, "toe3-1.L": 0.25, "toe4-1.L": 0.25},
}
_HIP_SPREAD = 0.81
"""MakeHuman's hip joints lie at the outside of the femoral heads."""
_PELVIS_HEIGHT = 0.60
"""SMPL's pelvis joint is not between the hips: its place between their midpoint (0) and spine03 (1)."""


@dataclass(frozen=True)
class PosedSamples:
    """S bodies in the T-pose, the pelvis joint at PELVIS."""

    vertices: Array
    """(S, M, 3)."""
    joints: Array
    """(S, 24, 3)."""
    heads: Array
    """(S, B, 3) of MakeHuman's bones."""


def join(*parts: PosedSamples) -> PosedSamples:
    """All samples in one."""
    fields = ("vertices", "joints", "heads")
    return PosedSamples(*(np.concatenate([getattr(part, field) for part in parts]) for field in fields))


def pose_all(source: BakeSource, phenotypes: dict[str, Array]) -> PosedSamples:
    """Bodies of these phenotypes in SMPL's rest pose."""
    vertices, heads = source.rest(phenotypes)
    rotations = _bone_rotations(source, heads)
    posed_heads = heads.copy()
    for bone, parent in enumerate(source.parents):
        if parent >= 0:
            offset = heads[:, bone] - heads[:, parent]
            posed_heads[:, bone] = posed_heads[:, parent] + _turn(rotations[:, parent], offset)
    shift = posed_heads - _turn(rotations, heads)
    blended = np.einsum("vb,sbij->svij", source.weights, np.concatenate([rotations, shift[..., None]], axis=-1))
    posed = _turn(blended[..., :3], vertices) + blended[..., 3]
    named = _joints(source, posed_heads)
    joints = np.stack([named[name] for name in JOINT_NAMES], axis=1)
    origin = joints[:, :1] - PELVIS
    return PosedSamples(posed - origin, joints - origin, posed_heads - origin)


def _bone_rotations(source: BakeSource, heads: Array) -> Array:
    """(S, B, 3, 3) world rotations; bones that are not mentioned follow their parents."""
    chosen = {**_arm(source, heads), **_leg(source, heads)}
    flip = _MIRROR[:, None] * _MIRROR[None, :]
    chosen |= {name[:-1] + "R": flip * rotation for name, rotation in chosen.items()}
    rotations = np.empty((*heads.shape[:2], 3, 3))
    for bone, (name, parent) in enumerate(zip(source.bones, source.parents, strict=True)):
        inherited = rotations[:, parent] if parent >= 0 else np.eye(3)
        rotations[:, bone] = chosen.get(name, inherited)
    return rotations


def _arm(source: BakeSource, heads: Array) -> dict[str, Array]:
    """Upper arm along x with the elbow's hinge vertical, forearm straight, palm down; twists spread along the bones."""
    at = {name: heads[:, source.bone(f"{name}.L")] for name in _ARM_POINTS}
    x_axis, y_axis = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
    upper, fore = at["lowerarm01"] - at["upperarm01"], at["wrist"] - at["lowerarm01"]
    knuckles = at["finger3-1"] - at["wrist"]
    back = np.cross(knuckles, at["finger5-1"] - at["finger2-1"])
    hinge = np.cross(fore, upper)
    to_upper, to_fore = _align(upper, hinge, x_axis, y_axis), _align(fore, hinge, x_axis, y_axis)
    to_hand = _align(knuckles, back, x_axis, y_axis)
    shoulder = _about([0.0, 0.0, 1.0], _CLAVICLE_LIFT + _SHOULDER_LIFT)
    shoulder = np.broadcast_to(shoulder, to_upper.shape)
    return {
        "clavicle.L": np.broadcast_to(_about([0.0, 0.0, 1.0], _CLAVICLE_LIFT), to_upper.shape),
        "shoulder01.L": shoulder,
        "upperarm01.L": _part_of_twist(_swing(shoulder, to_upper, upper), to_upper, _UPPER_TWIST),
        "upperarm02.L": to_upper,
        "lowerarm01.L": to_fore,
        "lowerarm02.L": _part_of_twist(to_fore, _swing(to_hand, to_fore, fore), _FOREARM_TWIST),
        "wrist.L": to_hand,
    }


_ARM_POINTS = ("upperarm01", "lowerarm01", "wrist", "finger2-1", "finger3-1", "finger5-1")


def _leg(source: BakeSource, heads: Array) -> dict[str, Array]:
    """Legs nearly parallel and straight, feet flat as they were."""
    hip, ankle = heads[:, source.bone("upperleg01.L")], heads[:, source.bone("foot.L")]
    line = ankle - hip
    turn = _LEG_SPREAD - np.arctan2(line[:, 0], -line[:, 1])
    return {
        "upperleg01.L": Rotation.from_rotvec(turn[:, None] * np.array([0.0, 0.0, 1.0])).as_matrix(),
        "foot.L": np.broadcast_to(np.eye(3), (len(heads), 3, 3)),
    }


def _joints(source: BakeSource, heads: Array) -> dict[str, Array]:
    joints = {
        name: np.sum([share * heads[:, source.bone(bone)] for bone, share in blend.items()], axis=0)
        for name, blend in _BLENDS.items()
    }
    hip = heads[:, source.bone("upperleg01.L")] * np.array([_HIP_SPREAD, 1.0, 1.0])
    joints["left_hip"] = hip
    middle = hip * np.array([0.0, 1.0, 1.0])
    joints["pelvis"] = middle + _PELVIS_HEIGHT * (heads[:, source.bone("spine03")] - middle) * np.array([0.0, 1.0, 0.3])
    for name in [name for name in joints if name.startswith("left_")]:
        joints[name.replace("left_", "right_")] = joints[name] * _MIRROR
    return joints


def _about(axis: list[float], angle: float) -> Array:
    return Rotation.from_rotvec(angle * np.array(axis)).as_matrix()


def _turn(rotations: Array, points: Array) -> Array:
    return np.einsum("...ij,...j->...i", rotations, points)


def _align(direction: Array, up: Array, to_direction: Array, to_up: Array) -> Array:
    """Takes `direction` (S, 3) to `to_direction` exactly, and `up` as near as it can to `to_up`."""
    return _frame(np.broadcast_to(to_direction, direction.shape), np.broadcast_to(to_up, up.shape)) @ np.swapaxes(
        _frame(direction, up), -1, -2
    )


def _frame(direction: Array, up: Array) -> Array:
    first = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    second = up - (up * first).sum(axis=-1, keepdims=True) * first
    second = second / np.linalg.norm(second, axis=-1, keepdims=True)
    return np.stack([first, second, np.cross(first, second)], axis=-1)


def _swing(start: Array, goal: Array, direction: Array) -> Array:
    """`start`, turned by the smallest rotation that brings `direction` to where `goal` takes it."""
    src, dst = _turn(start, direction), _turn(goal, direction)
    src, dst = (v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (src, dst))
    axis = np.cross(src, dst)
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    angle = np.arctan2(sine, (src * dst).sum(axis=-1, keepdims=True))
    rotvec = np.where(sine > 1e-9, axis / np.maximum(sine, 1e-9) * angle, 0.0)
    return Rotation.from_rotvec(rotvec).as_matrix() @ start


def _part_of_twist(start: Array, goal: Array, share: float) -> Array:
    """Part of the way from one rotation to another."""
    step = Rotation.from_matrix(goal @ np.swapaxes(start, -1, -2)).as_rotvec()
    return Rotation.from_rotvec(share * step).as_matrix() @ start
