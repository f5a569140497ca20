"""Meshes that are lit already, over pictures, on a CPU and in numpy: what a process that only draws needs.

`raster` has the same for tensors, other lights and GPUs. Its reference runs here, too, where the C++ cannot be built;
only then is torch loaded, which takes longer than drawing a short film.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernels import build
from kernels.array_checks import check_finite, check_kind, check_range
from kernels.implementation import Implementation
from kernels.raster_values import Intrinsics, SceneData, Shading, check_view, style_data, unlit

Single = NDArray[np.float32]
Index = NDArray[np.int32]
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class LitMesh:
    """One closed surface whose colours are what is to be shown. Raises ValueError that names an array which does not
    fit."""

    vertices: Single
    """(V, 3) m, camera frame."""
    faces: Index
    """(F, 3), counter-clockwise seen from outside."""
    colours: Single
    """(V, 3) RGB, 0..255."""

    def __post_init__(self) -> None:
        _check_surface(self.vertices, self.faces)
        check_kind("colours", self.colours, self.vertices.shape, np.float32)


def vertex_normals(vertices: Single, faces: Index, implementation: Implementation | None = None) -> Single:
    """(V, 3) unit normals: the area-weighted mean of the faces around each vertex; 0 where none has an area.

    vertices: (V, 3) float32; faces: (F, 3) int32. Raises ValueError that names the bad argument.
    """
    _check_surface(vertices, faces)
    return _NORMALS[implementation or build.cpu_implementation()](vertices, faces)


def draw_over(
    picture: Picture,
    meshes: Sequence[LitMesh],
    intrinsics: Intrinsics,
    alpha: float,
    near: float = 0.01,
    implementation: Implementation | None = None,
) -> Picture:
    """The picture (H, W, 3) with the meshes over it: antialiased edges, hiding each other, their backs left out.

    alpha: how solid they are, 0..1; near: m, what is nearer is cut off. Raises ValueError that names the bad argument.
    """
    check_kind("picture", picture, (-1, -1, 3), np.uint8)
    check_view((picture.shape[1], picture.shape[0]), near)
    if not meshes:
        return picture.copy()
    return _DRAW[implementation or build.cpu_implementation()](picture, meshes, intrinsics, unlit(alpha), near)


def _draw_cpu(
    picture: Picture, meshes: Sequence[LitMesh], intrinsics: Intrinsics, shading: Shading, near: float
) -> Picture:
    whole, drawn = _joined(meshes), picture.copy()
    height, width = picture.shape[:2]
    scene = _scene(whole.vertices, whole.faces)
    scene.width, scene.height, scene.near, scene.skip_backs = width, height, near, shading.skip_backs
    scene.fx, scene.fy, scene.cx, scene.cy = intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy
    normals = np.zeros_like(whole.vertices)  # no light asks for them
    given = (ctypes.c_void_p(array.ctypes.data) for array in (normals, whole.colours, drawn))
    build.library().raster_overlay(ctypes.byref(scene), ctypes.byref(style_data(shading)), *given, 1)
    return drawn


def _draw_reference(
    picture: Picture, meshes: Sequence[LitMesh], intrinsics: Intrinsics, shading: Shading, near: float
) -> Picture:
    import torch

    from kernels import raster_reference

    whole = _joined(meshes)
    points, corners = torch.from_numpy(whole.vertices), torch.from_numpy(whole.faces)
    shown = torch.from_numpy(np.concatenate([np.zeros_like(whole.vertices), whole.colours], axis=1))
    surface = points, raster_reference.front_faces(points, corners), shown
    rays = intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy
    style = raster_reference.Style(shading.alpha, shading.ambient, [])
    drawn = raster_reference.shade_overlay(torch.from_numpy(picture.copy()), surface, rays, style, near)
    return np.asarray(drawn.numpy(), np.uint8)


def _normals_cpu(vertices: Single, faces: Index) -> Single:
    normals = np.empty_like(vertices)
    scene = _scene(vertices, faces)
    build.library().raster_vertex_normals(ctypes.byref(scene), ctypes.c_void_p(normals.ctypes.data), 1)
    return normals


def _normals_reference(vertices: Single, faces: Index) -> Single:
    import torch

    from kernels import raster_reference

    normals = raster_reference.vertex_normals(torch.from_numpy(vertices), torch.from_numpy(faces))
    return np.asarray(normals.numpy(), np.float32)


_NORMALS = {Implementation.REFERENCE: _normals_reference, Implementation.CPU: _normals_cpu}
_DRAW = {Implementation.REFERENCE: _draw_reference, Implementation.CPU: _draw_cpu}


def _joined(meshes: Sequence[LitMesh]) -> LitMesh:
    """All of them as one scene, so that they hide each other."""
    if len(meshes) == 1:
        return meshes[0]
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return LitMesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + np.int32(start) for mesh, start in zip(meshes, starts, strict=True)]),
        np.concatenate([mesh.colours for mesh in meshes]),
    )


def _scene(vertices: Single, faces: Index) -> SceneData:
    """The triangles for C++, valid while these arrays live; the camera is whoever draws's to add."""
    return SceneData(vertices.ctypes.data, faces.ctypes.data, len(vertices), len(faces), 1, 1, 1, 1, 0, 0, 0.01, 0)


def _check_surface(vertices: Single, faces: Index) -> None:
    check_kind("vertices", vertices, (-1, 3), np.float32)
    check_finite("vertices", vertices)
    check_kind("faces", faces, (-1, 3), np.int32)
    check_range("faces", faces, 0, len(vertices))
