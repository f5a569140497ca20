"""The body's surface as a picture: which point of the skin each texel of its texture is, and whose joint it belongs to.

What is known of some of the surface is gathered there, and filled in by networks that work on pictures (Best of Both
Worlds, §3.3). Each texel also knows the texel of the same place on the other side of the body.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree
from torch import Tensor

from kernels import raster
from kernels.raster_values import Intrinsics
from tracker.body.model import JOINT_NAMES, BodyModel
from tracker.body.smpl_joints import LSP_JOINTS
from tracker.core.errors import InputError

_OTHER_SIDE = {"left": "right", "right": "left"}


@dataclass(frozen=True, eq=False)
class UvAtlas:
    """S × S texels of a body's texture; row 0 is the top, v = 1."""

    side: int
    joints: tuple[int, ...]
    """Of SMPL's, those to which the surface is given."""
    face: Tensor
    """(S, S) int64: the triangle of the skin, −1 outside of the body's texture."""
    barycentric: Tensor
    """(S, S, 3): where in the triangle."""
    joint: Tensor
    """(S, S) int64: which of `joints` the texel belongs to (A_uv); outside, as the nearest texel of the body."""
    mirror: Tensor
    """(S, S) int64: the texel, counted row by row, of the same place on the other side; outside, the texel itself."""
    nearest: Tensor
    """(S, S) int64: the nearest texel of the body; on the body, the texel itself."""
    corners: Tensor
    """(F, 3) int64: the skin's triangles."""
    vertex_uv: Tensor
    """(V, 2): where each vertex lies, u and v in 0..1."""

    @classmethod
    def of(cls, body: BodyModel, side: int, joints: Sequence[int] = LSP_JOINTS) -> UvAtlas:
        """Raises InputError for a body without texture coordinates."""
        if body.uv is None or body.faces_uv is None:
            raise InputError(f"{body.name}: has no texture coordinates, which the surface's maps are laid out by")
        face, barycentric = _drawn(body.uv, body.faces_uv, side)
        inside = face >= 0
        points = (body.v_template[body.faces[face.clamp(min=0)]] * barycentric[..., None]).sum(2)
        here = points[inside].double().numpy()
        flat = torch.arange(side * side).reshape(side, side)
        texels = flat[inside]
        _, other = cKDTree(here).query(here * np.array([-1.0, 1.0, 1.0]))
        mirror = flat.clone()
        mirror[inside] = texels[torch.from_numpy(other)]
        rows, columns = distance_transform_edt(~inside.numpy(), return_distances=False, return_indices=True)
        nearest = torch.from_numpy(rows.astype(np.int64) * side + columns)
        joint = torch.zeros(side * side, dtype=torch.int64)
        joint[texels] = _nearest_joint(body, points[inside], joints)
        right = texels[points[inside][:, 0] < 0]
        swapped = torch.tensor(mirrored_joints(joints))
        joint[right] = swapped[joint[mirror.flatten()[right]]]
        vertex_uv = torch.zeros(len(body.v_template), 2)
        vertex_uv[body.faces.flatten()] = body.uv[body.faces_uv.flatten()].float()
        return cls(side, tuple(joints), face, barycentric, joint[nearest], mirror, nearest, body.faces, vertex_uv)

    @property
    def inside(self) -> Tensor:
        """(S, S) where the body is."""
        return self.face >= 0

    def texels(self, uv: Tensor) -> Tensor:
        """(..., 2) u and v → (...,) texels of the body, counted row by row."""
        column = (uv[..., 0] * self.side).floor().long().clamp(0, self.side - 1)
        row = ((1 - uv[..., 1]) * self.side).floor().long().clamp(0, self.side - 1)
        return self.nearest.flatten().to(uv.device)[row * self.side + column]

    def locations(self, vertices: Tensor) -> Tensor:
        """(B, V, 3) → (B, 3, S, S): where each texel is; 0 outside."""
        inside = self.inside
        corners = self.corners[self.face[inside]]
        points = (vertices[:, corners] * self.barycentric[inside].to(vertices)[None, ..., None]).sum(2)
        return self._picture(points, inside)

    def joint_map(self, places: Tensor) -> Tensor:
        """(B, J, 3) of `joints` → (B, 3, S, S): where the joint of each texel is; 0 outside."""
        return self._picture(places[:, self.joint[self.inside]], self.inside)

    def surface(self, locations: Tensor) -> Tensor:
        """(B, 3, S, S) → (B, V, 3): where the vertices are, by interpolation between texels of the body."""
        filled = self.filled(locations)
        grid = torch.stack([2 * self.vertex_uv[:, 0] - 1, 1 - 2 * self.vertex_uv[:, 1]], dim=1)
        grid = grid.to(locations)[None, :, None].expand(len(locations), -1, -1, -1)
        sampled = torch.nn.functional.grid_sample(filled, grid, align_corners=False, padding_mode="border")
        return sampled[..., 0].transpose(1, 2)

    def filled(self, maps: Tensor) -> Tensor:
        """(B, C, S, S) with the values of the nearest texel of the body outside of it."""
        return maps.flatten(2)[:, :, self.nearest.flatten()].view_as(maps)

    def mirrored(self, maps: Tensor) -> Tensor:
        """(B, C, S, S): each texel's value is that of the other side. Values stay as they are."""
        return maps.flatten(2)[:, :, self.mirror.flatten()].view_as(maps)

    def joint_means(self, maps: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """(B, J, 3) means of maps (B, 3, S, S) over each joint's known texels (B, S, S), and (B, J) how many."""
        weight = (known.to(maps.device) & self.inside.to(maps.device)).flatten(1).to(maps)
        count = len(self.joints)
        index = self.joint.flatten().to(maps.device).expand(len(maps), -1)
        total = maps.new_zeros(len(maps), count).scatter_add(1, index, weight)
        values = maps.flatten(2) * weight[:, None]
        sums = maps.new_zeros(len(maps), 3, count).scatter_add(2, index[:, None].expand(-1, 3, -1), values)
        return (sums / total[:, None].clamp(min=1)).transpose(1, 2), total

    def _picture(self, values: Tensor, inside: Tensor) -> Tensor:
        picture = values.new_zeros(len(values), 3, self.side, self.side)
        picture[:, :, inside] = values.transpose(1, 2)
        return picture


def _drawn(uv: Tensor, faces_uv: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """The triangle and the place in it that the middle of each texel shows."""
    flat = torch.stack([uv[:, 0] * side, (1 - uv[:, 1]) * side, torch.ones(len(uv))], dim=1).float().contiguous()
    drawn = raster.rasterize(flat, faces_uv.int().contiguous(), Intrinsics(1.0, 1.0, 0.0, 0.0), (side, side))
    return drawn.triangle.long(), drawn.barycentric


def _nearest_joint(body: BodyModel, points: Tensor, joints: Sequence[int]) -> Tensor:
    """(N,) of points (N, 3) m in the T-pose."""
    places = (body.joint_regressor @ body.v_template)[list(joints)]
    return torch.cdist(points.float(), places.float()).argmin(dim=1)


def mirrored_joints(joints: Sequence[int]) -> list[int]:
    """Of each of some of SMPL's joints, which of them is that of the other side."""
    names = [JOINT_NAMES[joint].split("_", maxsplit=1) for joint in joints]
    others = ["_".join([_OTHER_SIDE.get(name[0], name[0]), *name[1:]]) for name in names]
    return [list(joints).index(JOINT_NAMES.index(other)) for other in others]
