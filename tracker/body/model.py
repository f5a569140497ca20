"""SMPL's body function in stages: a body, the body with a shape, the shaped body with a pose.

Each stage is a frozen value that the next one is made from, so that what depends on the shape only is computed once
for a whole track. The convention is smplx's: vertices = SMPL(θ, β) + transl, the root turns about the pelvis joint,
and the translation is added afterwards. Metres, radians; y up, z to the front, x to the body's left in the rest pose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tracker.body.smpl_joints import SMPL_JOINTS, SMPL_PARENTS
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array

JOINT_NAMES, PARENTS = SMPL_JOINTS, SMPL_PARENTS

LANDMARK_NAMES = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_pinky", "right_pinky", "left_index", "right_index",
    "left_thumb", "right_thumb", "left_heel", "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
"""Places on the surface that a landmark detector reports and that are not joints; left is the body's left."""


@dataclass(frozen=True, eq=False)
class PoseBlock:
    """How the rotation of one joint offsets the vertices around it."""

    joint: int
    vertices: Int[Tensor, " N"]
    offsets: Float[Tensor, "N 3 9"]
    """m per entry of the rotation minus identity, row-major."""


@dataclass(frozen=True, eq=False)
class BodyModel:
    """A body in SMPL's form. Tensors share one floating dtype and device; see `to`."""

    name: str
    """'free-body', or 'smpl:' and the file's stem; it tells whose β these are."""
    v_template: Float[Tensor, "V 3"]
    shapedirs: Float[Tensor, "V 3 10"]
    posedirs: Float[Tensor, "V 3 207"] | None
    """Offsets per entry of the 23 joint rotations minus identity, row-major; None for a body without."""
    joint_regressor: Float[Tensor, "24 V"]
    weights: Float[Tensor, "V 24"]
    faces: Int[Tensor, "F 3"]
    parents: tuple[int, ...] = PARENTS
    landmark_weights: Float[Tensor, "21 V"] | None = None
    """Rows in the order of LANDMARK_NAMES; None only while a body is being put together."""
    faces_uv: Int[Tensor, "F 3"] | None = None
    """Rows of `uv` for the corners of each face; None for a body without texture coordinates."""
    uv: Float[Tensor, "N 2"] | None = None
    """In 0..1, v up."""
    base_vertex_index: Int[Tensor, " V"] | None = None
    """Index of each vertex in MakeHuman's base mesh, to which its clothes and hair are bound."""

    @cached_property
    def part_labels(self) -> Int[Tensor, " V"]:
        """The joint with the largest weight at each vertex."""
        return self.weights.argmax(dim=1)

    @cached_property
    def joints_by_shape(self) -> tuple[Array, Array]:
        """(24, 3) m at β = 0, and their derivative (24, 3, 10)."""
        regressor = self.joint_regressor.double().numpy()
        places = regressor @ self.v_template.double().numpy()
        return places, np.tensordot(regressor, self.shapedirs.double().numpy(), axes=1)

    @cached_property
    def pose_blocks(self) -> tuple[PoseBlock, ...]:
        """`posedirs` joint by joint without the vertices that a joint does not correct: few on the free body."""
        if self.posedirs is None:
            return ()
        by_joint = self.posedirs.unflatten(-1, (NUM_JOINTS - 1, 9))
        blocks = []
        for joint in range(1, NUM_JOINTS):
            vertices = by_joint[:, :, joint - 1].flatten(1).any(dim=1).nonzero()[:, 0]
            if len(vertices):
                blocks.append(PoseBlock(joint, vertices, by_joint[vertices, :, joint - 1].contiguous()))
        return tuple(blocks)

    def to(self, target: torch.dtype | torch.device | str) -> BodyModel:
        """The same body in another floating dtype or on another device; indices stay integers."""
        moved: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor) and (value.is_floating_point() or not isinstance(target, torch.dtype)):
                moved[field.name] = value.to(target)
        return replace(self, **moved)

    def with_shape(self, betas: Float[Tensor, "*batch 10"]) -> ShapedBody:
        """The body at rest with these shape coefficients."""
        if betas.shape[-1] != NUM_BETAS:
            raise ValueError(f"betas: expected shape (..., {NUM_BETAS}), got {tuple(betas.shape)}")
        rest_vertices = self.v_template + torch.einsum("vcb,...b->...vc", self.shapedirs, betas)
        return ShapedBody(self, rest_vertices, self.joint_regressor @ rest_vertices)

    def landmark_regressor(self, names: Sequence[str]) -> Float[Tensor, "L V"]:
        """Rows that give the named surface points (of LANDMARK_NAMES) from this body's vertices."""
        if self.landmark_weights is None:
            raise ValueError(f"{self.name}: this body has no landmarks; load it with tracker.body.load_body")
        unknown = [name for name in names if name not in LANDMARK_NAMES]
        if unknown:
            raise ValueError(f"landmarks: expected names among {', '.join(LANDMARK_NAMES)}; got {', '.join(unknown)}")
        return self.landmark_weights[[LANDMARK_NAMES.index(name) for name in names]]


@dataclass(frozen=True, eq=False)
class ShapedBody:
    """A body with its shape, at rest."""

    model: BodyModel
    rest_vertices: Float[Tensor, "*batch V 3"]
    rest_joints: Float[Tensor, "*batch 24 3"]

    def with_pose(
        self, theta: Float[Tensor, "*batch 24 3"], transl: Float[Tensor, "*batch 3"] | None = None
    ) -> PosedBody:
        """Poses the joints; θ is axis-angle in radians, each joint relative to its parent, the root first."""
        if theta.shape[-2:] != (NUM_JOINTS, 3):
            raise ValueError(f"theta: expected shape (..., {NUM_JOINTS}, 3), got {tuple(theta.shape)}")
        return self.with_rotations(rotation_matrices(theta), transl)

    def with_rotations(
        self, rotations: Float[Tensor, "*batch 24 3 3"], transl: Float[Tensor, "*batch 3"] | None = None
    ) -> PosedBody:
        """As `with_pose`, from rotation matrices."""
        world_rotations, joints = forward_kinematics(rotations, self.rest_joints, self.model.parents)
        if transl is not None:
            joints = joints + transl[..., None, :]
        offsets = joints - (world_rotations @ self.rest_joints[..., None])[..., 0]
        top = torch.cat([world_rotations, offsets[..., None]], dim=-1)
        bottom = top.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(*top.shape[:-2], 1, 4)
        return PosedBody(self, rotations, joints, torch.cat([top, bottom], dim=-2))


@dataclass(frozen=True, eq=False)
class PosedBody:
    """A shaped body in a pose. The mesh is made when it is asked for: fitting mostly needs the joints only."""

    shaped: ShapedBody
    rotations: Float[Tensor, "*batch 24 3 3"]
    """Of each joint relative to its parent."""
    joints: Float[Tensor, "*batch 24 3"]
    T_world_bone: Float[Tensor, "*batch 24 4 4"]
    """Takes a point of the shaped body at rest, rigidly bound to a joint, to where the pose puts it."""

    def vertices(self) -> Float[Tensor, "*batch V 3"]:
        """Linear blend skinning of the whole mesh, with pose correctives where the body has them."""
        rest, feature = self.shaped.rest_vertices, self._pose_feature()
        batch = np.broadcast_shapes(rest.shape[:-2], feature.shape[:-2])
        rest = rest.expand(*batch, -1, 3)
        for block in self.shaped.model.pose_blocks:
            offsets = torch.einsum("vcp,...p->...vc", block.offsets, feature[..., block.joint - 1, :])
            rest = rest.index_add(-2, block.vertices, offsets)
        return self._blend(rest, self.shaped.model.weights)

    def skin(self, selection: Int[Tensor, " S"]) -> Float[Tensor, "*batch S 3"]:
        """As `vertices`, for the vertices with these indices only."""
        model = self.shaped.model
        rest = self.shaped.rest_vertices[..., selection, :]
        if model.posedirs is not None:
            feature = self._pose_feature().flatten(start_dim=-2)
            rest = rest + torch.einsum("vcp,...p->...vc", model.posedirs[selection], feature)
        return self._blend(rest, model.weights[selection])

    def _pose_feature(self) -> Float[Tensor, "*batch 23 9"]:
        eye = torch.eye(3, dtype=self.rotations.dtype, device=self.rotations.device)
        return (self.rotations[..., 1:, :, :] - eye).flatten(start_dim=-2)

    def _blend(self, rest: Float[Tensor, "*batch S 3"], weights: Float[Tensor, "S 24"]) -> Float[Tensor, "*batch S 3"]:
        blended = (weights @ self.T_world_bone[..., :3, :].flatten(start_dim=-2)).unflatten(-1, (3, 4))
        return (blended[..., :3] * rest[..., None, :]).sum(dim=-1) + blended[..., 3]

    def landmarks(self, names: Sequence[str]) -> Float[Tensor, "*batch L 3"]:
        """The named surface points; skins only the vertices that they need."""
        regressor = self.shaped.model.landmark_regressor(names)
        used = regressor.any(dim=0).nonzero()[:, 0]
        return regressor[:, used] @ self.skin(used)


def rotation_matrices(axis_angle: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rodrigues' formula; its gradient is finite at zero too, where fits start."""
    squared = (axis_angle * axis_angle).sum(dim=-1)[..., None, None]
    small = squared < 1e-8
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    sine = torch.where(small, 1 - squared / 6, angle.sin() / angle)
    cosine = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / safe)
    x, y, z = axis_angle.unbind(dim=-1)
    zero = torch.zeros_like(x)
    k = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    return torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device) + sine * k + cosine * (k @ k)


def forward_kinematics(
    rotations: Float[Tensor, "*batch 24 3 3"], rest_joints: Float[Tensor, "*batch 24 3"], parents: Sequence[int]
) -> tuple[Float[Tensor, "*batch 24 3 3"], Float[Tensor, "*batch 24 3"]]:
    """World rotations and places of the joints; the root stays where it rests."""
    batch = np.broadcast_shapes(rotations.shape[:-3], rest_joints.shape[:-2])
    rotations, rest = rotations.expand(*batch, -1, 3, 3), rest_joints.expand(*batch, -1, 3)
    world, places = [rotations[..., 0, :, :]], [rest[..., 0, :]]
    for joint, parent in enumerate(parents[1:], start=1):
        offset = rest[..., joint, :] - rest[..., parent, :]
        places.append(places[parent] + (world[parent] @ offset[..., None])[..., 0])
        world.append(world[parent] @ rotations[..., joint, :, :])
    return torch.stack(world, dim=-3), torch.stack(places, dim=-2)


def vertex_normals(vertices: Float[Tensor, "*batch V 3"], faces: Int[Tensor, "F 3"]) -> Float[Tensor, "*batch V 3"]:
    """Unit normals, outwards for counter-clockwise faces, weighted by the area of the faces around a vertex."""
    a, b, c = (vertices[..., faces[:, i], :] for i in range(3))
    face_normals = torch.linalg.cross(b - a, c - a, dim=-1)
    normals = torch.zeros_like(vertices)
    for i in range(3):
        normals = normals.index_add(-2, faces[:, i], face_normals)
    return torch.nn.functional.normalize(normals, dim=-1, eps=1e-20)
