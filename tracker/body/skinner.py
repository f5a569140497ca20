"""Skins whole meshes quickly on a CPU: what `PosedBody.vertices` does, without torch and without the zeros."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kernels import mesh_drawing, skin
from tracker.core.geometry import matrix_from_axis_angle
from tracker.core.person import Pose

if TYPE_CHECKING:
    from torch import Tensor

    from tracker.body.model import BodyModel

Vertices = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Skinner:
    """One body's mesh as a function of its pose. It can go to another process, which need not load torch."""

    faces: NDArray[np.int32]
    """(F, 3), counter-clockwise seen from outside."""
    skin: skin.Skin

    @classmethod
    def of(cls, body: BodyModel) -> Skinner:
        return cls(np.ascontiguousarray(body.faces.cpu().numpy(), np.int32), _skin_of(body))

    def vertices(self, pose: Pose) -> Vertices:
        """(V, 3) m in the camera frame."""
        rotations = matrix_from_axis_angle(np.asarray(pose.theta, float))
        return skin.vertices(self.skin, rotations, np.array(pose.betas, float), np.array(pose.transl, float))


def _skin_of(body: BodyModel) -> skin.Skin:
    weights = body.weights.cpu().numpy()
    hung_on, bones = np.nonzero(weights)
    blocks = [(b.joint, b.vertices.cpu().numpy(), b.offsets.cpu().numpy()) for b in body.pose_blocks]
    regressor, dirs = body.joint_regressor.cpu().double().numpy(), body.shapedirs.cpu().double().numpy()
    return skin.Skin(
        rest=_float32(body.v_template),
        shapes=_float32(body.shapedirs.permute(2, 0, 1)),
        starts=np.searchsorted(hung_on, np.arange(len(weights) + 1)).astype(np.int32),
        bones=bones.astype(np.int32),
        weights=weights[hung_on, bones].astype(np.float32),
        touched=np.concatenate([np.zeros(0), *(v for _, v, _ in blocks)]).astype(np.int32),
        bends=np.concatenate([np.zeros(0), *(np.full(len(v), joint) for joint, v, _ in blocks)]).astype(np.int32),
        offsets=np.concatenate([np.zeros((0, 3, 9)), *(offsets for _, _, offsets in blocks)]).astype(np.float32),
        joints=regressor @ body.v_template.cpu().double().numpy(),
        joint_shapes=np.ascontiguousarray(np.tensordot(regressor, dirs, axes=1)),
        parents=np.array(body.parents, np.int32),
    )


@lru_cache(maxsize=4)
def skinner_of(body: BodyModel) -> Skinner:
    """The body's skinner, the same one for the same body."""
    return Skinner.of(body)


def dressed(
    vertices: NDArray[np.floating], faces: NDArray[np.int32], clothing: NDArray[np.float32] | None
) -> NDArray[np.floating]:
    """Skin (V, 3) m, at rest or posed, in clothes that stand out of it (V,) m along its normals; the skin itself where
    they are None."""
    if clothing is None:
        return vertices
    return vertices + clothing[:, None] * mesh_drawing.vertex_normals(_float32_array(vertices), faces)


def _float32_array(values: NDArray[np.floating]) -> Vertices:
    return np.ascontiguousarray(values, np.float32)


def _float32(tensor: Tensor) -> Vertices:
    return _float32_array(tensor.cpu().numpy())
