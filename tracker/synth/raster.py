"""Draws textured triangles through pyrender, which serves as a plain rasteriser here: the shade comes per vertex.

Software OpenGL spends its time on pixels that pass through pyrender's own lighting; with the light worked out per
vertex of the dense mesh, what is left is a multiplication.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.overlay.renderers import MeshRendering, PyrenderRenderer

_NEAR, _FAR = 0.1, 30.0
_MARGIN = 16
"""Texels around each texture."""
_GL_FROM_CV = np.diag([1.0, -1.0, -1.0])
"""OpenGL's camera looks along −z with y up."""


@dataclass(frozen=True)
class TexturedMesh:
    """Triangles with a texture; their vertices move."""

    faces: NDArray[np.int64]
    uv: Array
    """(V, 2) in 0..1, v up."""
    texture: NDArray[np.uint8]
    """(h, w, 3) sRGB."""


class Rasteriser(PyrenderRenderer):
    """Draws one set of meshes over and over. Used from one thread at a time; `close` frees it.

    The meshes are drawn as one, with one texture: what OpenGL calls from Python cost is counted by the call.
    """

    def __init__(self, meshes: list[TexturedMesh]) -> None:
        """Raises RunError when there is no OpenGL to be had."""
        super().__init__()
        import pyrender

        self._gl = pyrender
        texture, uvs = _one_texture(meshes)
        starts = np.cumsum([0, *(len(mesh.uv) for mesh in meshes[:-1])])
        self._faces = np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)])
        self._uv = np.concatenate(uvs).astype(np.float32)
        self._material = pyrender.MetallicRoughnessMaterial(
            baseColorTexture=pyrender.Texture(source=texture, source_channels="RGB"), doubleSided=True
        )
        self._scene = pyrender.Scene(bg_color=[0.0, 0.0, 0.0, 0.0])

    def draw(self, camera: Camera, vertices: list[Array], shade: list[Array]) -> MeshRendering:
        """The meshes as the camera sees them.

        vertices: (V, 3) m, camera frame, of each mesh; shade: (V, 3) factors on its texture's colours there.
        """
        colours = np.pad(np.concatenate(shade).astype(np.float32), ((0, 0), (0, 1)), constant_values=1.0)
        primitive = self._gl.Primitive(
            positions=(np.concatenate(vertices) @ _GL_FROM_CV).astype(np.float32),
            color_0=colours,
            texcoord_0=self._uv,
            indices=self._faces.astype(np.uint32),
            material=self._material,
            mode=self._gl.GLTF.TRIANGLES,
        )
        view = self._gl.IntrinsicsCamera(camera.fx, camera.fy, camera.cx, camera.cy, _NEAR, _FAR)
        nodes = [self._scene.add(self._gl.Mesh([primitive])), self._scene.add(view, pose=np.eye(4))]
        self._scene.main_camera_node = nodes[1]
        self._offscreen.viewport_width, self._offscreen.viewport_height = camera.width, camera.height
        flags = self._gl.RenderFlags.RGBA | self._gl.RenderFlags.FLAT
        try:
            rgba, depth = self._offscreen.render(self._scene, flags)
        finally:
            for node in nodes:
                self._scene.remove_node(node)
            self._leave()
        return MeshRendering(np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3]), depth)


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
