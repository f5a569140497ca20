"""From a posed outfit or thing to lit pixels with their depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kernels import raster
from kernels.raster_values import Intrinsics
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.synth.samples.environment import SampleLight, reached_by_lamp
from tracker.synth.samples.occluder import Prop
from tracker.synth.samples.outfit import Outfit
from tracker.synth.samples.paints import Paint, SurfacePixels, albedo, look_up, shown_as
from tracker.synth.samples.sample import SIZE
from tracker.synth.samples.skinned import Float32

_FAINT = 0.3
"""A lamp that gives less casts no shadows worth the work."""
SIDE = 352
"""px along which the renderer works; averaged down to the sample's 256."""


_NEXT = np.floor((np.arange(SIZE) + 0.5) * SIDE / SIZE).astype(np.int64)
_BESIDE_MIDDLE = _NEXT[:, None] * SIDE + _NEXT


@dataclass(frozen=True, eq=False)
class RenderedMesh:
    """A rendered thing at the renderer's resolution."""

    depth: Float32
    """(SIDE, SIDE) m, infinite where there is nothing."""
    face: NDArray[np.int32]
    """(SIDE, SIDE), −1 where there is nothing."""
    colour: NDArray[np.uint8]
    """(SIDE, SIDE, 4) sRGB and 255, all 0 where there is nothing."""
    barycentric: Float32
    """(SIDE, SIDE, 3) weights of the face's corners."""


@dataclass(frozen=True, eq=False)
class SampleScene:
    """What all things of a sample share."""

    camera: Camera
    """Of the crop."""
    R_camera_world: Array
    light: SampleLight
    exposure: float
    floor: float
    """m along the world's up from the camera to the lowest point of the person."""


def shrink(values: NDArray) -> NDArray:
    """(SIDE, SIDE) → (256, 256) by taking what lies next to the middle of each pixel."""
    return values.ravel().take(_BESIDE_MIDDLE)


def corners_seen(drawn: RenderedMesh, faces: NDArray[np.int32], pixels: NDArray[np.bool_]) -> NDArray[np.int32]:
    """(N,) of those pixels (256, 256) where a mesh is seen, the vertex nearest to what they see of it."""
    where = _BESIDE_MIDDLE[pixels]
    nearest = drawn.barycentric.reshape(-1, 3).take(where, 0).argmax(axis=1)
    return faces.ravel().take(3 * drawn.face.ravel().take(where) + nearest)


def draw_outfit(scene: SampleScene, outfit: Outfit, vertices: Float32, paints: list[Paint]) -> RenderedMesh:
    """A person with vertices (V, 3) m in the camera frame."""
    rasterized = _rasterize(scene, vertices, outfit.faces)
    face, colour = rasterized.triangle.numpy(), np.zeros((SIDE, SIDE, 4), np.uint8)
    drawn = RenderedMesh(rasterized.depth.numpy(), face, colour, rasterized.barycentric.numpy())
    here = np.flatnonzero(face >= 0)
    if len(here):
        light = shown_as(_light_on(scene, outfit, vertices) * scene.exposure)
        attributes = np.concatenate([light, outfit.uv, outfit.hull.template], axis=1, dtype=np.float32)
        values = _at_pixels(rasterized, here, outfit.faces, attributes)
        pixels = SurfacePixels(face.ravel().take(here), values[:, 3:5], values[:, 5:8])
        _put(colour, here, albedo(outfit, paints, pixels) * values[:, :3])
    return drawn


def _at_pixels(
    rasterized: raster.Raster, where: NDArray[np.int64], faces: NDArray[np.int32], attributes: Float32
) -> Float32:
    """(N, C) of vertex attributes (V, C) at some pixels (N,), by their places in the flattened picture."""
    triangle = torch.from_numpy(rasterized.triangle.numpy().ravel().take(where)[None])
    weights = torch.from_numpy(rasterized.barycentric.numpy().reshape(-1, 3).take(where, 0)[None])
    return raster.interpolate(raster.Raster(weights[..., 0], triangle, weights), faces, attributes).numpy()[0]


def _put(colour: NDArray[np.uint8], where: NDArray[np.int64], values: NDArray) -> None:
    """Writes the pixels (N,) of a picture (h, w, 4); values: (N, 3) sRGB, 255 and more are white."""
    opaque = np.full((len(where), 4), 255, np.uint8)
    opaque[:, :3] = np.minimum(values, 255)
    colour.reshape(-1, 4).view(np.uint32)[where] = opaque.view(np.uint32)


def draw_prop(
    scene: SampleScene, prop: Prop, vertices: Float32, tile: tuple[NDArray[np.uint8], float] | None
) -> RenderedMesh:
    """A thing with vertices (V, 3) m in the camera frame; tile: a pattern and its repeats in a metre."""
    rasterized = _rasterize(scene, vertices, prop.faces)
    a, b, c = (vertices[prop.faces[:, i]] for i in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    normals *= -np.sign((normals * a).sum(axis=1, keepdims=True))
    light = scene.light.falling_on(normals @ scene.R_camera_world, 1.0) * scene.exposure
    face, colour = rasterized.triangle.numpy(), np.zeros((SIDE, SIDE, 4), np.uint8)
    here = np.flatnonzero(face >= 0)
    faces = face.ravel().take(here)
    if tile is None:
        _put(colour, here, 255 * shown_as(prop.colours * light)[faces])
    elif len(here):
        places = np.ascontiguousarray(prop.uv * tile[1], np.float32)
        _put(colour, here, look_up(tile[0], _at_pixels(rasterized, here, prop.faces, places)) * shown_as(light)[faces])
    return RenderedMesh(rasterized.depth.numpy(), face, colour, rasterized.barycentric.numpy())


def _rasterize(scene: SampleScene, vertices: Float32, faces: NDArray[np.int32]) -> raster.Raster:
    camera, factor = scene.camera, SIDE / SIZE
    scaled = Intrinsics(camera.fx * factor, camera.fy * factor, camera.cx * factor, camera.cy * factor)
    return raster.rasterize(torch.from_numpy(vertices), torch.from_numpy(faces), scaled, (SIDE, SIDE), near=0.05)


def _light_on(scene: SampleScene, outfit: Outfit, vertices: Float32) -> Float32:
    """(V, 3) light that each vertex receives."""
    points = np.ascontiguousarray(vertices[outfit.point_vertex])
    normals = raster.vertex_normals(points, outfit.point_faces).numpy()
    towards = scene.R_camera_world @ scene.light.towards_lamp
    dark = scene.light.lamp.max() < _FAINT
    reach = 1.0 if dark else reached_by_lamp(points, outfit.shadow_faces, towards)
    received = scene.light.falling_on(np.asarray(normals @ scene.R_camera_world.astype(np.float32)), reach)
    return received.astype(np.float32).take(outfit.point_of, 0)
