"""Points that a posed body carries: what fitting to landmarks needs of a body, without its mesh.

Linear blend skinning is linear in the rest vertices, so a landmark that is a weighted mean of vertices needs only,
for each bone, the weighted sum of the vertices that the bone moves. With bone i's world rotation R_i, rest joint J_i
and posed joint P_i:

    p_k = Σ_i R_i (A_ki − w_ki J_i) + w_ki P_i,     A_ki = Σ_v ρ_kv W_vi x_v(β),     w_ki = Σ_v ρ_kv W_vi

where ρ is the landmark's regressor, W the blend weights and x_v(β) the rest vertices. Pose-dependent offsets
(SMPL's posedirs, millimetres at landmarks) are left out. `kernels.landmarks` has the derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kernels import landmarks
from kernels.landmarks_values import CarriedPoints
from tracker.body.landmark_set import MEDIAPIPE, bone_points
from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array
from tracker.core.geometry import matrix_from_axis_angle

if TYPE_CHECKING:
    from tracker.body.model import BodyModel

_REFERENCE_HEIGHT = 1.7
"""m, the body height for which the landmarks' offsets are written."""
_LEAST_WEIGHT = 1e-6
"""A bone that moves less than this part of a landmark is left out."""


@dataclass(frozen=True)
class PosedPoints:
    """Landmarks and joints of one pose, before `transl` is added."""

    points: Array
    """(n, 3) m."""
    joints: Array
    """(24, 3) m."""
    rest_joints: Array
    """(24, 3) m, of this shape in the T-pose."""
    world_rotations: Array
    """(24, 3, 3)"""


@dataclass(frozen=True)
class LandmarkRig:
    """The MediaPipe landmarks of one body model as functions of its pose and shape.

    Most landmarks hang on one bone and a few on two or three, so A and w are kept as their non-zero (landmark, bone)
    pairs.
    """

    carried: CarriedPoints

    @classmethod
    def from_body(cls, body: BodyModel) -> LandmarkRig:
        """The 33 landmarks in MediaPipe's order on this body."""
        vertices = body.v_template.double().numpy()
        rest, rest_betas, weights = _carried_by_bones(*body.joints_by_shape)
        skin = [name for name in MEDIAPIPE.names if name not in bone_points()]
        rows = [MEDIAPIPE.names.index(name) for name in skin]
        rho = body.landmark_regressor(skin).double().numpy()
        rest[rows], rest_betas[rows], weights[rows] = _carried_by_skin(body, rho)
        offsets = MEDIAPIPE.offsets * float(np.ptp(vertices[:, 1])) / _REFERENCE_HEIGHT
        rest += weights[:, :, None] * offsets[:, None, :]
        return cls(_carried_points(body, rest, rest_betas, weights))

    @classmethod
    def of_places(cls, body: BodyModel, regressor: Array) -> LandmarkRig:
        """Other places of the body instead: regressor (n, V) has their shares of the vertices."""
        return cls(_carried_points(body, *_carried_by_skin(body, regressor)))

    @property
    def parents(self) -> NDArray[np.int32]:
        """(24,): -1 for the pelvis."""
        return self.carried.parents

    @property
    def root_slope(self) -> Array:
        """(3, 10) m: how the pelvis's rest place moves with β."""
        slope: Array = self.carried.joints_betas[0]
        return slope

    def root_at_rest(self, betas: Array) -> Array:
        """(3,) m: the pelvis of this shape in the T-pose."""
        place: Array = self.carried.joints[0] + self.root_slope @ betas
        return place

    def pose(self, rotations: Array, betas: Array) -> PosedPoints:
        """rotations: (24, 3, 3) of each joint relative to its parent; betas: (10,)."""
        return _posed(self.carried, rotations, betas)

    def joints_of(self, world_rotations: Array, betas: Array) -> Array:
        """(n, 24, 3) m: the joints of one shape, betas (10,), in poses (n, 24, 3, 3) whose `world_rotations` are
        known, as `pose` has them."""
        carried, parents = self.carried, self.parents[1:]
        rest = carried.joints + carried.joints_betas @ betas
        bones = np.einsum("nkij,kj->nki", world_rotations[:, parents], rest[1:] - rest[parents])
        joints: Array = rest[0] + self._bones_to_joint @ bones
        return joints

    @cached_property
    def _bones_to_joint(self) -> Array:
        """(24, 23): 1 for the bones that lead from the pelvis to a joint."""
        leads = np.eye(len(self.parents))
        for joint, parent in enumerate(self.parents[1:], start=1):
            leads[joint] += leads[parent]
        return leads[:, 1:]

    def pose_from_theta(self, theta: Array, betas: Array) -> PosedPoints:
        """theta: (24, 3) axis-angle."""
        return self.pose(matrix_from_axis_angle(theta), betas)


@dataclass(frozen=True)
class Outline:
    """A few hundred points spread over the skin: enough to say how far a posed body reaches in the picture."""

    carried: CarriedPoints
    parts: NDArray[np.integer]
    """(n,): the bone that moves each point most."""

    @classmethod
    def from_body(cls, body: BodyModel, count: int = 400) -> Outline:
        every = slice(None, None, max(len(body.v_template) // count, 1))
        weights = body.weights[every].double().numpy()
        rest = weights[:, :, None] * body.v_template[every, None].double().numpy()
        rest_betas = weights[:, :, None, None] * body.shapedirs[every, None].double().numpy()
        return cls(_carried_points(body, rest, rest_betas, weights), weights.argmax(axis=1))

    def pose(self, rotations: Array, betas: Array) -> PosedPoints:
        """As `LandmarkRig.pose`, with these points."""
        return _posed(self.carried, rotations, betas)


def _posed(carried: CarriedPoints, rotations: Array, betas: Array) -> PosedPoints:
    turned, shape = (np.ascontiguousarray(value, np.float64) for value in (rotations, betas))
    return PosedPoints(*landmarks.pose(carried, turned, shape))


def _carried_points(body: BodyModel, rest: Array, rest_betas: Array, weights: Array) -> CarriedPoints:
    """A (n, 24, 3), its derivative (n, 24, 3, 10) and w (n, 24) as their non-zero pairs."""
    joints, joints_betas = body.joints_by_shape
    points, bones = np.nonzero(weights > _LEAST_WEIGHT)
    kept = weights[points, bones]
    return CarriedPoints(
        rest[points, bones] - kept[:, None] * joints[bones],
        rest_betas[points, bones] - kept[:, None, None] * joints_betas[bones],
        kept,
        bones.astype(np.int32),
        points.astype(np.int32),
        joints,
        joints_betas,
        np.array(body.parents, np.int32),
    )


def _carried_by_skin(body: BodyModel, regressor: Array) -> tuple[Array, Array, Array]:
    """A (n, 24, 3), its derivative (n, 24, 3, 10) and w (n, 24) of places that are means of vertices, (n, V)."""
    used = regressor.any(axis=0)  # a few hundred of the body's vertices at most
    rho, blend = regressor[:, used], body.weights.double().numpy()[used]
    vertices, shapedirs = body.v_template.double().numpy()[used], body.shapedirs.double().numpy()[used]
    rest = np.einsum("kv,vi,vc->kic", rho, blend, vertices, optimize=True)
    rest_betas = np.einsum("kv,vi,vcb->kicb", rho, blend, shapedirs, optimize=True)
    return rest, rest_betas, rho @ blend


def _carried_by_bones(joints: Array, joints_betas: Array) -> tuple[Array, Array, Array]:
    """A (33, 24, 3), its derivative (33, 24, 3, 10) and w (33, 24) of the landmarks near joints; zero for the
    others."""
    count = len(MEDIAPIPE.names)
    rest, rest_betas = np.zeros((count, NUM_JOINTS, 3)), np.zeros((count, NUM_JOINTS, 3, NUM_BETAS))
    weights = np.zeros((count, NUM_JOINTS))
    for name, point in bone_points().items():
        k, bone, joint = MEDIAPIPE.index(name), smpl_index(point.bone), smpl_index(point.joint)
        rest[k, bone] = joints[joint]
        rest_betas[k, bone] = joints_betas[joint]
        weights[k, bone] = 1.0
    return rest, rest_betas, weights
