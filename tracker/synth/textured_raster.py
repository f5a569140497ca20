"""Draws textured triangles with the project's own rasteriser; their shade comes per vertex, worked out beforehand."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from kernels import raster
from kernels.raster_values import Intrinsics
from tracker.core.arrays import Array
from tracker.core.camera import NEAREST_Z, Camera

_SAMPLES = 2
"""Rays along a pixel's side."""
_MARGIN = 16
"""Texels around each texture."""
_LEVELS = 4
"""Of a texture's pyramid: each is half as large as the one before."""


@dataclass(frozen=True)
class TexturedMesh:
    """Triangles with a texture; their vertices move."""

    faces: NDArray[np.int64]
    uv: Array
    """(V, 2) in 0..1, v up."""
    texture: NDArray[np.uint8]
    """(h, w, 3) sRGB."""


@dataclass(frozen=True)
class TexturedRendering:
    """Meshes over nothing."""

    colour: NDArray[np.uint8]
    """(height, width, 3) RGB, already multiplied by the coverage."""
    coverage: NDArray[np.uint8]
    """(height, width), 255 where a mesh fills the pixel; in between at its edges."""
    depth: NDArray[np.float32]
    """(height, width) m along z, of the nearest that a pixel sees; 0 where there is nothing."""


class TexturedRaster:
    """Draws one set of meshes over and over, as one mesh with one texture."""

    def __init__(self, meshes: list[TexturedMesh]) -> None:
        texture, uvs = _one_texture(meshes)
        starts = np.cumsum([0, *(len(mesh.uv) for mesh in meshes[:-1])])
        faces = np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)])
        self._faces = torch.from_numpy(faces.astype(np.int32))
        self._uv = np.concatenate(uvs).astype(np.float32)
        self._pyramid = [texture.astype(np.float32)]
        for _ in range(_LEVELS - 1):
            height, width = self._pyramid[-1].shape[:2]
            smaller = (max(width // 2, 1), max(height // 2, 1))
            halved = cv2.resize(self._pyramid[-1], smaller, interpolation=cv2.INTER_AREA)
            self._pyramid.append(np.asarray(halved, np.float32))

    def draw(self, camera: Camera, vertices: list[Array], shade: list[Array]) -> TexturedRendering:
        """The meshes as the camera sees them.

        vertices: (V, 3) m, camera frame, of each mesh; shade: (V, 3) factors on its texture's colours there.
        """
        fine = Intrinsics(*(_SAMPLES * value for value in (camera.fx, camera.fy, camera.cx, camera.cy)))
        size = (_SAMPLES * camera.width, _SAMPLES * camera.height)
        points = torch.from_numpy(np.concatenate(vertices).astype(np.float32))
        drawn = raster.rasterize(points, self._faces, fine, size, NEAREST_Z)
        attributes = np.concatenate([self._uv, np.concatenate(shade)], axis=1, dtype=np.float32)
        values = raster.interpolate(drawn, self._faces, torch.from_numpy(attributes))
        covered = drawn.triangle.numpy() >= 0
        uv = values[..., :2].contiguous()
        texture = torch.from_numpy(self._texture_for(uv.numpy(), covered))
        texels = raster.sample_texture(texture, uv)
        colour = np.clip((texels * values[..., 2:]).numpy(), 0, 255) * covered[..., None]
        depth = np.where(covered, drawn.depth.numpy(), np.inf)
        return TexturedRendering(
            np.rint(_blocks(colour).mean(axis=(1, 3))).astype(np.uint8),
            np.rint(255 * _blocks(covered[..., None].astype(np.float32)).mean(axis=(1, 3))[..., 0]).astype(np.uint8),
            _zero_where_infinite(_blocks(depth[..., None]).min(axis=(1, 3))[..., 0]),
        )

    def _texture_for(self, uv: NDArray[np.float32], covered: NDArray[np.bool_]) -> NDArray[np.float32]:
        """The level of the pyramid whose texels are about as large as the samples: finer ones would flicker."""
        beside = covered[:, 1:] & covered[:, :-1]
        if not beside.any():
            return self._pyramid[0]
        height, width = self._pyramid[0].shape[:2]
        step = np.hypot(*((uv[:, 1:] - uv[:, :-1])[beside] * (width, height)).T)
        level = math.floor(math.log2(max(float(np.median(step)), 1.0)))
        return self._pyramid[min(level, _LEVELS - 1)]


def _blocks(values: NDArray) -> NDArray:
    """(h, w, C) → (h / samples, samples, w / samples, samples, C)."""
    height, width, channels = values.shape
    return values.reshape(height // _SAMPLES, _SAMPLES, width // _SAMPLES, _SAMPLES, channels)


def _zero_where_infinite(depth: NDArray) -> NDArray[np.float32]:
    return np.where(np.isfinite(depth), depth, 0).astype(np.float32)


def _one_texture(meshes: list[TexturedMesh]) -> tuple[NDArray[np.uint8], list[Array]]:
    """All textures in one, in columns as wide as the widest, and each mesh's uv in it.

    Each gets a margin in its border's colours, or its neighbours would bleed into it where it is drawn small.
    """
    margin = ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0))
    tiles = [np.pad(mesh.texture, margin, mode="edge") for mesh in meshes]
    width = max(tile.shape[1] for tile in tiles)
    places = _columns([tile.shape[0] for tile in tiles], width)
    height = max(y + tile.shape[0] for (_, y), tile in zip(places, tiles, strict=True))
    whole = np.zeros((height, max(x for x, _ in places) + width, 3), np.uint8)
    uvs = []
    for (x, y), tile, mesh in zip(places, tiles, meshes, strict=True):
        whole[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
        size = np.array([mesh.texture.shape[1], mesh.texture.shape[0]])
        low = np.array([x + _MARGIN, height - y - tile.shape[0] + _MARGIN])
        uvs.append((mesh.uv * size + low) / [whole.shape[1], height])
    return whole, uvs


def _columns(heights: list[int], width: int) -> list[tuple[int, int]]:
    """Where each tile goes, x and y of its upper left corner, so that the whole is about square."""
    tallest = max(*heights, math.isqrt(sum(heights) * width))
    places, x, y = [], 0, 0
    for height in heights:
        if y + height > tallest:
            x, y = x + width, 0
        places.append((x, y))
        y += height
    return places
