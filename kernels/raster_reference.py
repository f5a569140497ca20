"""The rasteriser in plain torch: the definition, and what runs where nothing faster can.

Written for reading, not for speed. The C++ and CUDA kernels are compared with these functions, value by value and
gradient by gradient (which autograd provides here). Formulas: docs/kernels.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

Vector = tuple[float, ...]


@dataclass(frozen=True)
class Style:
    """How surfaces are lit: (unit direction to the light, strength) for each light."""

    alpha: float
    ambient: float
    lights: list[tuple[Vector, float]]


def pixel_rays(intrinsics: Vector, size: tuple[int, int], offset: tuple[float, float] = (0.5, 0.5)) -> Tensor:
    """(H, W, 3) float64 directions with z = 1 through the point `offset` of each pixel."""
    fx, fy, cx, cy = intrinsics
    x = (torch.arange(size[0], dtype=torch.float64) + offset[0] - cx) / fx
    y = (torch.arange(size[1], dtype=torch.float64) + offset[1] - cy) / fy
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([grid_x, grid_y, torch.ones_like(grid_x)], dim=-1)


def _screen_box(corners: Tensor, intrinsics: Vector, size: tuple[int, int], near: float) -> tuple[int, int, int, int]:
    """x0, x1, y0, y1 of the pixels that a triangle (3, 3) may touch, all if it reaches behind the near plane."""
    width, height = size
    if float(corners[:, 2].min()) < near:
        return 0, width, 0, height
    fx, fy, cx, cy = intrinsics
    x, y = fx * corners[:, 0] / corners[:, 2] + cx, fy * corners[:, 1] / corners[:, 2] + cy
    x0, x1 = (min(max(int(v), 0), width) for v in (x.min() - 1, x.max() + 2))
    y0, y1 = (min(max(int(v), 0), height) for v in (y.min() - 1, y.max() + 2))
    return x0, x1, y0, y1


def rasterize(
    vertices: Tensor,
    faces: Tensor,
    intrinsics: Vector,
    size: tuple[int, int],
    near: float,
    offset: tuple[float, float] = (0.5, 0.5),
) -> tuple[Tensor, Tensor, Tensor]:
    """Depth (H, W), triangle (H, W) and barycentrics (H, W, 3) seen at the point `offset` of each pixel.

    A ray meets a triangle where its three triple products with the edges have one sign: homogeneous rasterisation,
    which needs no clipping.
    """
    rays = pixel_rays(intrinsics, size, offset)
    shape = rays.shape[:2]
    depth = torch.full(shape, math.inf, dtype=torch.float64)
    triangle = torch.full(shape, -1, dtype=torch.int32)
    barycentric = torch.zeros((*shape, 3), dtype=torch.float64)
    points = vertices.double()
    for index, face in enumerate(faces.tolist()):
        corners = points[face]
        x0, x1, y0, y1 = _screen_box(corners, intrinsics, size, near)
        part = slice(y0, y1), slice(x0, x1)
        v0, v1, v2 = corners
        edges = torch.stack([torch.linalg.cross(v1, v2), torch.linalg.cross(v2, v0), torch.linalg.cross(v0, v1)])
        u = rays[part] @ edges.T
        total = u.sum(dim=-1)
        z = torch.dot(v0, edges[0]) / total
        inside = ((u >= 0).all(dim=-1) | (u <= 0).all(dim=-1)) & (total != 0)
        hit = inside & (z >= near) & (z < depth[part])
        depth[part] = torch.where(hit, z, depth[part])
        triangle[part] = torch.where(hit, index, triangle[part])
        barycentric[part] = torch.where(hit[..., None], u / total[..., None], barycentric[part])
    return depth.float(), triangle, barycentric.float()


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """(V, 3) unit normals, weighted by the faces' areas; 0 where no face has an area."""
    v0, v1, v2 = vertices[faces.long()].unbind(dim=1)
    face_normals = torch.linalg.cross(v1 - v0, v2 - v0)
    sums = torch.zeros_like(vertices)
    for corner in range(3):
        sums.index_add_(0, faces[:, corner].long(), face_normals)
    return torch.nn.functional.normalize(sums, dim=-1)


def front_faces(vertices: Tensor, faces: Tensor) -> Tensor:
    """The faces (F, 3) that a camera at the origin does not see from behind."""
    v0, v1, v2 = vertices[faces.long()].unbind(dim=1)
    return faces[(torch.linalg.cross(v1 - v0, v2 - v0) * v0).sum(dim=-1) <= 0]


def interpolate(triangle: Tensor, barycentric: Tensor, faces: Tensor, attributes: Tensor) -> Tensor:
    """(H, W, C) of vertex attributes (V, C); 0 where triangle is -1."""
    corners = faces.long()[triangle.clamp(min=0).long()]
    blended = (attributes[corners] * barycentric[..., None]).sum(dim=-2)
    return torch.where((triangle >= 0)[..., None], blended, 0.0)


def sample_texture(texture: Tensor, uv: Tensor) -> Tensor:
    """(…, C): bilinear, repeated outside 0..1, v counted upwards, texel centres at (i + 0.5) / size."""
    height, width, _ = texture.shape
    x, y = uv[..., 0].remainder(1) * width - 0.5, (1 - uv[..., 1].remainder(1)) * height - 0.5
    x0, y0 = x.floor(), y.floor()
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    columns = [(x0.long() + i) % width for i in (0, 1)]
    rows = [(y0.long() + i) % height for i in (0, 1)]
    top = (1 - fx) * texture[rows[0], columns[0]] + fx * texture[rows[0], columns[1]]
    bottom = (1 - fx) * texture[rows[1], columns[0]] + fx * texture[rows[1], columns[1]]
    return (1 - fy) * top + fy * bottom


# Four samples of a pixel, (x, y), no two in one row or column.
ROTATED_GRID = ((0.375, 0.125), (0.875, 0.375), (0.125, 0.625), (0.625, 0.875))


def shade_overlay(
    image: Tensor, surface: tuple[Tensor, Tensor, Tensor], intrinsics: Vector, style: Style, near: float
) -> Tensor:
    """The lit surface over the image (H, W, 3) uint8, four samples a pixel.

    surface: vertices (V, 3), faces (F, 3), and attributes (V, 6): unit normal, colour 0..255.
    """
    vertices, faces, attributes = surface
    if faces.shape[0] == 0:
        return image
    size = (image.shape[1], image.shape[0])
    v0, v1, v2 = vertices[faces.long()].unbind(dim=1)
    face_normals = torch.linalg.cross(v1 - v0, v2 - v0)
    total = torch.zeros(image.shape, dtype=torch.float32)
    for offset in ROTATED_GRID:
        _, triangle, barycentric = rasterize(vertices, faces, intrinsics, size, near, offset)
        values = interpolate(triangle, barycentric, faces, attributes)
        facing = (face_normals[triangle.clamp(min=0).long()] * pixel_rays(intrinsics, size, offset)).sum(dim=-1)
        normal = torch.nn.functional.normalize(values[..., :3], dim=-1)
        normal = torch.where((facing > 0)[..., None], -normal, normal)
        brightness = torch.full(facing.shape, style.ambient)
        for direction, strength in style.lights:
            brightness = brightness + strength * (normal @ torch.tensor(direction)).clamp(min=0)
        lit = brightness[..., None] * values[..., 3:]
        covered = (triangle >= 0)[..., None]
        total += torch.where(covered, style.alpha * lit + (1 - style.alpha) * image, image.float())
    return (total / len(ROTATED_GRID) + 0.5).clamp(0, 255).to(torch.uint8)
