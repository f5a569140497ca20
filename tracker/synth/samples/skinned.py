"""A dressed person as one mesh that shape and pose move: every layer hangs on the body's vertices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from tracker.body.model import PARENTS, BodyModel
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array

Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PosedJoints:
    """A posed skeleton, before the translation is added."""

    places: Array
    """(24, 3) m."""
    bones: Float32
    """(24, 3, 4): takes a point at rest to where the joint carries it."""
    local: Array
    """(24, 3, 3) rotations relative to the parent."""


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Joints as functions of shape and pose, and the body's pose correctives; what `BodyModel` gives, in numpy."""

    joints: Array
    """(24, 3) m at β = 0."""
    joint_dirs: Array
    """(24, 3, 10)."""
    correctives: tuple[tuple[int, NDArray[np.int64], Float32], ...]
    """For each joint that has some: vertices (N,) and offsets (3 N, 9) per entry of its rotation minus identity."""
    vertices: int
    """Of the body."""

    @classmethod
    def of(cls, model: BodyModel) -> Skeleton:
        regressor = model.joint_regressor.double().numpy()
        blocks = tuple(
            (block.joint, np.array(block.vertices), np.array(block.offsets).reshape(-1, 9))
            for block in model.pose_blocks
        )
        template, dirs = model.v_template.double().numpy(), model.shapedirs.double().numpy()
        return cls(regressor @ template, np.tensordot(regressor, dirs, axes=1), blocks, len(template))

    def pose(self, rotations: Array, betas: Array) -> PosedJoints:
        """rotations: (24, 3, 3) relative to the parents; betas: (10,)."""
        rest = self.joints + self.joint_dirs @ betas
        world, places = np.empty((NUM_JOINTS, 3, 3)), np.empty((NUM_JOINTS, 3))
        world[0], places[0] = rotations[0], rest[0]
        for joint in range(1, NUM_JOINTS):
            parent = PARENTS[joint]
            world[joint] = world[parent] @ rotations[joint]
            places[joint] = places[parent] + world[parent] @ (rest[joint] - rest[parent])
        offset = places - np.einsum("jab,jb->ja", world, rest)
        return PosedJoints(places, np.dstack([world, offset]).astype(np.float32), rotations)

    def corrections(self, local: Array) -> Float32:
        """(body's vertices, 3) m that joint rotations (24, 3, 3) add to the body at rest."""
        offsets = np.zeros((self.vertices, 3), np.float32)
        for joint, vertices, directions in self.correctives:
            entries = (local[joint] - np.eye(3)).ravel().astype(np.float32)
            offsets[vertices] += (directions @ entries).reshape(-1, 3)
        return offsets


@dataclass(frozen=True, eq=False)
class Hull:
    """Vertices that hang on a body: (V, …)."""

    template: Float32
    """(V, 3) m at β = 0."""
    shapedirs: Float32
    """(V, 3, 10)."""
    weights: Float32
    """(V, 24)."""
    origin: csr_matrix
    """(V, body's vertices): of whose pose correctives each takes how much."""

    def posed(self, skeleton: Skeleton, joints: PosedJoints, betas: Array) -> Float32:
        """(V, 3) m, before the translation is added."""
        rest = self.template + (self._flat_dirs @ betas.astype(np.float32)).reshape(-1, 3)
        rest += self._sparse_origin @ skeleton.corrections(joints.local)
        blended = self.weights @ joints.bones.reshape(NUM_JOINTS, 12)
        x, y, z = rest.T
        columns = [
            blended[:, 4 * i] * x + blended[:, 4 * i + 1] * y + blended[:, 4 * i + 2] * z + blended[:, 4 * i + 3]
            for i in range(3)
        ]
        return np.stack(columns, axis=1)

    @cached_property
    def _flat_dirs(self) -> Float32:
        return np.ascontiguousarray(self.shapedirs.reshape(-1, NUM_BETAS))

    @cached_property
    def _sparse_origin(self) -> csr_matrix:
        return self.origin.astype(np.float32).tocsr()
