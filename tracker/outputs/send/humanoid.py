"""People as avatars: SMPL's joints as the human bones of Unity, which VRM and VMC have too.

An avatar at rest stands in a T-pose with its arms level, its legs straight down and no rotation at any bone. SMPL's
rest pose has the same axes but arms and legs that are not quite straight, so the bones of the limbs get the rotation
that makes the avatar's arm point where the person's arm points. Unity's frame is left-handed: x right, y up, z forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from tracker.body.smpl_joints import SMPL_JOINTS, SMPL_PARENTS, smpl_index
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.geometry import matrix_from_axis_angle, skew
from tracker.core.person import Person

_SIDE_BONES = {
    "UpperLeg": "hip", "LowerLeg": "knee", "Foot": "ankle", "Toes": "foot",
    "Shoulder": "collar", "UpperArm": "shoulder", "LowerArm": "elbow", "Hand": "wrist",
}  # fmt: skip
_MIDDLE_BONES = {
    "Hips": "pelvis", "Spine": "spine1", "Chest": "spine2", "UpperChest": "spine3", "Neck": "neck", "Head": "head",
}  # fmt: skip
HUMAN_BONES: dict[str, int] = {name: smpl_index(joint) for name, joint in _MIDDLE_BONES.items()} | {
    f"{side}{bone}": smpl_index(f"{side.lower()}_{joint}")
    for side in ("Left", "Right")
    for bone, joint in _SIDE_BONES.items()
}
"""Unity's HumanBodyBones → SMPL's joint at which the bone begins."""

_REST = {"shoulder": (1.0, 0.0, 0.0), "elbow": (1.0, 0.0, 0.0), "wrist": (1.0, 0.0, 0.0), "hip": (0.0, -1.0, 0.0),
         "knee": (0.0, -1.0, 0.0)}  # fmt: skip
"""Where a left bone points in the avatar's T-pose, in SMPL's axes: x to the body's left, y up, z to the front."""
_LIMBS = np.array([smpl_index(f"{side}_{joint}") for side in ("left", "right") for joint in _REST])
_LIMB_ENDS = np.array([SMPL_PARENTS.index(int(joint)) for joint in _LIMBS])
_LIMB_REST = np.array([np.multiply(way, (side, 1, 1)) for side in (1, -1) for way in _REST.values()])
_PARENTS = np.array(SMPL_PARENTS)
_MIRROR = np.array([-1.0, 1.0, 1.0])
_MIRRORED_QUATERNION = np.array([1.0, -1.0, -1.0, 1.0])


@dataclass(frozen=True)
class AvatarPose:
    """One person's bones in Unity's frame, for joints in SMPL's order."""

    places: Array
    """(24, 3) m, world."""
    rotations: Array
    """(24, 4) xyzw, world."""
    local_places: Array
    """(24, 3) m from the parent, in its axes; the root's are the world's."""
    local_rotations: Array
    """(24, 4) xyzw, relative to the parent."""

    @classmethod
    def of(cls, person: Person, T_world_camera: Array) -> AvatarPose:
        """The person in a world that is y up and right-handed, x to the right of who looks against z."""
        places = person.joints3d @ T_world_camera[:3, :3].T + T_world_camera[:3, 3]
        world = _world_rotations(person.pose.theta, T_world_camera[:3, :3])
        world[_LIMBS] = world[_LIMBS] @ _limb_corrections(world, places)
        parents = world[_PARENTS[1:]].swapaxes(1, 2)
        local = world.copy()
        local[1:] = parents @ world[1:]
        offsets = places.copy()
        offsets[1:] = (parents @ (places[1:] - places[_PARENTS[1:]])[..., None])[..., 0]
        return cls(places * _MIRROR, _mirrored(world), offsets * _MIRROR, _mirrored(local))


def _world_rotations(theta: Array, R_world_camera: Array) -> Array:
    """(24, 3) rad → (24, 3, 3): each joint's rotation in the world."""
    rotations = matrix_from_axis_angle(np.asarray(theta, np.float64))
    rotations[0] = R_world_camera @ rotations[0]
    for joint in range(1, NUM_JOINTS):
        rotations[joint] = rotations[_PARENTS[joint]] @ rotations[joint]
    return rotations


def _limb_corrections(world: Array, places: Array) -> Array:
    """(n, 3, 3): from where each limb's bone points in the avatar's T-pose to where it points in this body's own."""
    bones = (world[_LIMBS].swapaxes(1, 2) @ (places[_LIMB_ENDS] - places[_LIMBS])[..., None])[..., 0]
    rest = bones / np.linalg.norm(bones, axis=1, keepdims=True)
    turn = skew(np.cross(_LIMB_REST, rest))
    cosine = (_LIMB_REST * rest).sum(axis=1)[:, None, None]
    return np.eye(3) + turn + turn @ turn / (1 + cosine)


def _mirrored(matrices: Array) -> Array:
    """(n, 3, 3) in a right-handed frame → (n, 4) xyzw in the left-handed one with x the other way round."""
    return Rotation.from_matrix(matrices).as_quat() * _MIRRORED_QUATERNION


class FollowedPerson:
    """Who of several people moves the one avatar: the same one for as long as they are in view."""

    def __init__(self, person_id: int | None = None) -> None:
        """person_id: this one and nobody else; None begins with the largest in the picture."""
        self._wanted, self._current = person_id, person_id

    def among(self, people: Sequence[Person]) -> Person | None:
        """None while there is nobody."""
        present = {person.person_id: person for person in people}
        if self._wanted is None and self._current not in present and present:
            self._current = max(present.values(), key=_height).person_id
        return None if self._current is None else present.get(self._current)


def _height(person: Person) -> float:
    """px"""
    return float(person.bbox[3] - person.bbox[1])


BONE_NAMES = tuple(name for name, joint in sorted(HUMAN_BONES.items(), key=lambda bone: bone[1]))
"""Parents before children."""
BONE_JOINTS = np.array([HUMAN_BONES[name] for name in BONE_NAMES])
assert set(SMPL_JOINTS) - {SMPL_JOINTS[joint] for joint in BONE_JOINTS} == {"left_hand", "right_hand"}
