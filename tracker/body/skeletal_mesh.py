"""A body's mesh bound to its skeleton, in numpy: what showing poses that are known needs, without loading torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tracker.body.free_body_file import FREE_BODY_FILE, FREE_BODY_NAME, dense_matrix, dense_weights
from tracker.body.smpl_joints import SMPL_PARENTS
from tracker.core.arrays import NUM_JOINTS, Array

if TYPE_CHECKING:
    from tracker.body.model import BodyModel


@dataclass(frozen=True, eq=False)
class SkeletalMesh:
    """A body in SMPL's form without pose correctives; metres."""

    name: str
    """As the body model's."""
    v_template: Array
    """(V, 3)"""
    shapedirs: Array
    """(V, 3, 10)"""
    joint_regressor: Array
    """(24, V)"""
    weights: Array
    """(V, 24)"""
    faces: NDArray[np.int64]
    """(F, 3)"""
    parents: tuple[int, ...] = SMPL_PARENTS

    @classmethod
    def of(cls, body: BodyModel) -> SkeletalMesh:
        return cls(
            body.name, body.v_template.numpy(), body.shapedirs.numpy(), body.joint_regressor.numpy(),
            body.weights.numpy(), body.faces.numpy(), body.parents,
        )  # fmt: skip

    def at_rest(self, betas: Array) -> tuple[Array, Array]:
        """betas: (10,) → (V, 3) vertices and (24, 3) joints of this shape, m."""
        vertices = self.v_template + self.shapedirs @ np.asarray(betas, self.shapedirs.dtype)
        return vertices, (self.joint_regressor @ vertices).astype(np.float64)


def load_skeletal_mesh(path: Path | None = None) -> SkeletalMesh:
    """As `load_body`; only a user's file takes torch."""
    if path is None:
        return _free_mesh()
    from tracker.body.smpl_file import read_smpl_file

    return SkeletalMesh.of(read_smpl_file(path))


def _free_mesh() -> SkeletalMesh:
    with np.load(FREE_BODY_FILE, allow_pickle=False) as file:
        visible, faces = np.unique(file["faces"], return_inverse=True)
        return SkeletalMesh(
            FREE_BODY_NAME,
            file["v_template"][visible],
            file["shapedirs"][visible].astype(np.float32),
            dense_matrix(file, "joint_regressor", NUM_JOINTS)[:, visible],
            dense_weights(file)[visible],
            faces.reshape(-1, 3),
        )


def strongest(weights: Array, count: int) -> NDArray[np.float32]:
    """(V, 24) blend weights with only the `count` strongest of each vertex, which add up to 1 again."""
    order = np.argsort(-weights, axis=1)[:, :count]
    kept = np.zeros_like(weights)
    np.put_along_axis(kept, order, np.take_along_axis(weights, order, axis=1), axis=1)
    return (kept / kept.sum(axis=1, keepdims=True)).astype(np.float32)
