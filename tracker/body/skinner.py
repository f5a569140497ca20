"""Skins whole meshes quickly on a CPU: what `PosedBody.vertices` does, without torch and without the zeros.

A vertex hangs on two or three of the 24 bones, so the blend of bone transforms is a sparse product; correctives touch
the few vertices around their joint. Single precision is a hundredth of a millimetre here.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from tracker.body.model import BodyModel
from tracker.geometry import matrix_from_axis_angle
from tracker.types import NUM_JOINTS, Array, Pose

Vertices = NDArray[np.float32]


class Skinner:
    """One body's mesh as a function of its pose; the arrays are made once."""

    def __init__(self, body: BodyModel) -> None:
        self.faces: NDArray[np.int32] = np.ascontiguousarray(body.faces.cpu().numpy(), np.int32)
        """(F, 3), counter-clockwise seen from outside."""
        self._template = _float32(body.v_template)
        self._shapedirs = _float32(body.shapedirs).reshape(self._template.size, -1)
        self._weights = csr_matrix(_float32(body.weights))
        self._regressor = csr_matrix(_float32(body.joint_regressor))
        self._parents = body.parents
        self._blocks = [(b.joint, b.vertices.cpu().numpy(), _float32(b.offsets)) for b in body.pose_blocks]

    def vertices(self, pose: Pose) -> Vertices:
        """(V, 3) m in the camera frame."""
        rest = self._template + (self._shapedirs @ pose.betas.astype(np.float32)).reshape(-1, 3)
        rest_joints = (self._regressor @ rest).astype(float)
        rotations = matrix_from_axis_angle(pose.theta)
        for joint, touched, offsets in self._blocks:
            rest[touched] += offsets @ (rotations[joint] - np.eye(3)).astype(np.float32).ravel()
        bones = self._bones(rotations, rest_joints, pose.transl)
        blended = np.asarray(self._weights @ bones.reshape(NUM_JOINTS, 12)).reshape(-1, 3, 4)
        return np.asarray(np.einsum("vij,vj->vi", blended[..., :3], rest) + blended[..., 3], np.float32)

    def _bones(self, rotations: Array, rest_joints: Array, transl: Array) -> Vertices:
        """T_camera_bone (24, 3, 4)."""
        world, places = np.array(rotations), np.array(rest_joints)
        for joint, parent in enumerate(self._parents[1:], start=1):
            world[joint] = world[parent] @ rotations[joint]
            places[joint] = places[parent] + world[parent] @ (rest_joints[joint] - rest_joints[parent])
        offsets = places - np.einsum("jab,jb->ja", world, rest_joints) + transl
        with np.errstate(over="ignore"):  # what lies farther away than a float can say is infinitely far away
            return np.concatenate([world, offsets[..., None]], axis=2).astype(np.float32)


@lru_cache(maxsize=4)
def skinner_of(body: BodyModel) -> Skinner:
    """The body's skinner, the same one for the same body."""
    return Skinner(body)


def _float32(tensor: Tensor) -> Vertices:
    return np.ascontiguousarray(tensor.cpu().numpy(), np.float32)
