"""A pose while it is being fitted: rotation matrices in the place of axis-angles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.core.person import Pose

_ROTATION = slice(0, 3 * NUM_JOINTS)
_BETAS = slice(_ROTATION.stop, _ROTATION.stop + NUM_BETAS)
_TRANSL = slice(_BETAS.stop, _BETAS.stop + 3)


@dataclass(frozen=True)
class BodyState:
    """A pose while it is being fitted."""

    rotations: Array
    """(24, 3, 3) of each joint relative to its parent; the first from body to camera."""
    betas: Array
    transl: Array

    @classmethod
    def from_pose(cls, pose: Pose) -> BodyState:
        return cls(matrix_from_axis_angle(pose.theta), np.asarray(pose.betas, float), np.asarray(pose.transl, float))

    def to_pose(self) -> Pose:
        theta = axis_angle_from_matrix(self.rotations)
        return Pose(theta[0], theta[1:].reshape(-1), self.betas, self.transl)

    def turned(self, turn: Array, root: Array) -> BodyState:
        """The same body in a camera frame turned by `turn` (3, 3). root: (3,) m, where its pelvis is at rest."""
        rotations = np.concatenate([(turn @ self.rotations[0])[None], self.rotations[1:]])
        return BodyState(rotations, self.betas, turn @ (self.transl + root) - root)

    def with_betas(self, betas: Array, root_slope: Array) -> BodyState:
        """The same pose, its pelvis in the same place, with another shape.

        root_slope: (3, 10) m, how the pelvis's place at rest moves with β.
        """
        return BodyState(self.rotations, betas, self.transl + root_slope @ (self.betas - betas))

    def moved(self, step: Array) -> BodyState:
        """step: (85,) in the solver's order: rotations in each joint's own frame, β, transl."""
        turn = matrix_from_axis_angle(step[_ROTATION].reshape(NUM_JOINTS, 3))
        return BodyState(self.rotations @ turn, self.betas + step[_BETAS], self.transl + step[_TRANSL])
