"""What palms that are seen by themselves say of a pose: how forearms and wrists are turned.

A hand is turned about its forearm by the forearm itself and by the wrist, SMPL's elbow and wrist joint. So of the turn
about the forearm each has its share, and the wrist alone has the bend, of which the landmarks say as much.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kernels.landmarks_values import RotationPull
from tracker.body.body_state import BodyState
from tracker.body.kinematics import LandmarkRig
from tracker.body.landmark_set import MEDIAPIPE
from tracker.body.smpl_joints import SMPL_JOINTS
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.core.palms import Palms, palm_axes

_FOREARMS_SHARE = 0.62
"""Of the turn about the forearm, the elbow joint's: as the variances of the two in `joint_limits`."""
_OUTLIER = 1.6
"""rad between a palm as it is seen and as the pose has it, from which it loses its pull (Geman–McClure): what the hand
network takes for a hand's back would turn the whole arm."""
_WRISTS = np.array([1.0, 0.3, 0.3])
"""What the wrist's turn about the forearm counts, and its bends: where fingers point, the network is as far off (20°)
as a pose without it; where palms face, less."""
_STILL = np.zeros((NUM_JOINTS, 3))


class _Side:
    """One of a body's hands at rest."""

    def __init__(self, rig: LandmarkRig, side: str) -> None:
        self.arm, self.elbow, self.hand = (
            SMPL_JOINTS.index(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist")
        )
        rest = rig.pose(np.tile(np.eye(3), (NUM_JOINTS, 1, 1)), np.zeros(NUM_BETAS)).points
        points = MEDIAPIPE.indices([f"{side}_{name}" for name in ("wrist", "index", "pinky")])
        self.axes = palm_axes(*rest[points])


class PalmEvidence:
    """For one body model."""

    def __init__(self, rig: LandmarkRig, spread: float) -> None:
        """spread: rad, how far off palms are taken to be seen."""
        self._rig, self._spread = rig, spread
        self._left, self._right = _Side(rig, "left"), _Side(rig, "right")

    def pull(self, palms: Palms, state: BodyState) -> RotationPull | None:
        """What draws forearms and wrists to the palms that are seen; forearms are taken to point where they do in the
        given pose. None where no palm is seen."""
        seen_sides = list(self._seen(palms))
        if not seen_sides:
            return None
        targets, slope = np.tile(np.eye(3), (NUM_JOINTS, 1, 1)), np.zeros((NUM_JOINTS, 3))
        world = self._rig.pose(state.rotations, state.betas).world_rotations
        for side, turned in seen_sides:
            bent = state.rotations[side.elbow] @ _about_forearm(-_turn_about_forearm(state.rotations[side.elbow]))
            hand = (world[side.arm] @ bent).T @ turned
            forearms = _about_forearm(_FOREARMS_SHARE * _turn_about_forearm(hand))
            targets[side.elbow], targets[side.hand] = bent @ forearms, forearms.T @ hand
            off = float(np.linalg.norm(axis_angle_from_matrix(world[side.hand].T @ turned)))
            counts = 1 / (1 + (off / _OUTLIER) ** 2) / self._spread
            slope[side.elbow, 0] = counts
            slope[side.hand] = counts * _WRISTS
        return RotationPull(targets, _STILL, _STILL, slope)

    def _seen(self, palms: Palms) -> Iterator[tuple[_Side, Array]]:
        """Each hand that is seen, and how it is turned in the camera's frame (3, 3)."""
        for side, axes in ((self._left, palms.left), (self._right, palms.right)):
            if axes is not None:
                yield side, axes @ side.axes.T


def _turn_about_forearm(rotation: Array) -> float:
    """rad, of the swing–twist decomposition; forearms lie along x at rest."""
    vector = axis_angle_from_matrix(rotation)
    angle = float(np.linalg.norm(vector))
    if angle < 1e-9:
        return 0.0
    return 2 * float(np.arctan2(np.sin(angle / 2) * vector[0] / angle, np.cos(angle / 2)))


def _about_forearm(angle: float) -> Array:
    return matrix_from_axis_angle(np.array([angle, 0.0, 0.0]))
