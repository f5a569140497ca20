"""The rasteriser's ops on a GPU."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from kernels import cuda
from kernels.build import pointer
from kernels.cuda import blocks, floats, integers, pointers, record

_THREADS = 128
_SAMPLE_ROWS = 4

_Raster = record(
    "RasterArguments",
    [
        *pointers("vertices faces keys"),
        *integers("n_vertices n_faces width height"),
        *((name, ctypes.c_double) for name in ("fx", "fy", "cx", "cy", "near")),
        *integers("rows skip_backs"),
    ],
)
_Resolve = record("ResolveArguments", [("raster", _Raster), *pointers("depth barycentric triangle")])
_Lighting = record(
    "Lighting",
    [
        *floats("ambient"),
        ("key", ctypes.c_float * 3),
        *floats("key_strength"),
        ("fill", ctypes.c_float * 3),
        *floats("fill_strength"),
    ],
)
_Overlay = record(
    "OverlayArguments",
    [("raster", _Raster), *pointers("normals colours image"), ("light", _Lighting), *floats("alpha")],
)
_Normals = record("NormalsArguments", [*pointers("vertices faces normals"), *integers("n_vertices n_faces")])

Camera = tuple[float, float, float, float]
Surface = tuple[Tensor, Tensor]


def _fill(
    surface: Surface, camera: Camera, size: tuple[int, int], near: float, rows: int, skip_backs: bool
) -> tuple[Tensor, ctypes.Structure]:
    vertices, faces = surface
    keys = torch.zeros((size[1] * rows, size[0]), dtype=torch.int64, device=vertices.device)
    arguments = _Raster(
        *map(pointer, (vertices, faces, keys)),
        vertices.shape[0],
        faces.shape[0],
        *size,
        *camera,
        near,
        rows,
        skip_backs,
    )
    cuda.launch("raster_fill", (blocks(faces.shape[0], _THREADS), 1), _THREADS, arguments)
    return keys, arguments


def rasterize(surface: Surface, camera: Camera, size: tuple[int, int], near: float) -> tuple[Tensor, Tensor, Tensor]:
    """Depth, triangle and barycentrics, as `raster.Raster` holds them."""
    keys, filled = _fill(surface, camera, size, near, 1, False)
    shape, device = (size[1], size[0]), keys.device
    depth = torch.empty(shape, device=device)
    barycentric = torch.empty((*shape, 3), device=device)
    triangle = torch.empty(shape, dtype=torch.int32, device=device)
    arguments = _Resolve(filled, *map(pointer, (depth, barycentric, triangle)))
    cuda.launch("raster_resolve", (blocks(size[0], _THREADS), size[1]), _THREADS, arguments)
    return depth, triangle, barycentric


def vertex_normals(surface: Surface) -> Tensor:
    """(V, 3) unit normals."""
    vertices, faces = surface
    normals = torch.zeros_like(vertices)
    arguments = _Normals(*map(pointer, (vertices, faces, normals)), vertices.shape[0], faces.shape[0])
    cuda.launch("raster_add_normals", (blocks(faces.shape[0], _THREADS), 1), _THREADS, arguments)
    cuda.launch("raster_scale_normals", (blocks(vertices.shape[0], _THREADS), 1), _THREADS, arguments)
    return normals


def shade_overlay(
    image: Tensor,
    surface: Surface,
    attributes: tuple[Tensor, Tensor],
    view: tuple[Camera, float, bool],
    style: ctypes.Structure,
) -> Tensor:
    """Draws over image (H, W, 3), in place.

    attributes: normals and colours. view: camera, near plane, whether to skip backs.
    """
    size = (image.shape[1], image.shape[0])
    keys, filled = _fill(surface, view[0], size, view[1], _SAMPLE_ROWS, view[2])
    light = _Lighting(style.ambient, style.key, style.key_strength, style.fill, style.fill_strength)
    arguments = _Overlay(filled, *map(pointer, (*attributes, image)), light, style.alpha)
    cuda.launch("raster_overlay", (blocks(size[0], _THREADS), size[1]), _THREADS, arguments)
    del keys  # alive until here: the kernels read it
    return image
