"""Draws textured triangles through pyrender, which serves as a plain rasteriser here: the shade comes per vertex.

Software OpenGL spends its time on pixels that pass through pyrender's own lighting; with the light worked out per
vertex of the dense mesh, what is left is a multiplication.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.camera import Camera
from tracker.renderer import PyrenderRenderer, Rendering
from tracker.types import Array

_NEAR, _FAR = 0.1, 30.0
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


@dataclass(frozen=True)
class Beam:
    """Parallel light, as an orthographic camera: a picture of what it meets."""

    R_beam_camera: Array
    """(3, 3) turns the camera's axes into the beam's, whose z is along the light."""
    centre: Array
    """(3,) m, camera frame: in the middle of the picture and of the depth range."""
    half_width: float
    """m; the height follows from the picture's shape."""
    half_depth: float
    """m before and behind the centre that are drawn."""


class Rasteriser(PyrenderRenderer):
    """Draws one set of meshes over and over. Used from one thread at a time; `close` frees it."""

    def __init__(self, meshes: list[TexturedMesh]) -> None:
        """Raises RunError when there is no OpenGL to be had."""
        super().__init__()
        import pyrender

        self._gl = pyrender
        self._meshes = meshes
        self._materials = [_material(mesh.texture) for mesh in meshes]
        self._scene = pyrender.Scene(bg_color=[0.0, 0.0, 0.0, 0.0])
        self._placed: Any = None

    def place(self, vertices: list[Array], shade: list[Array]) -> None:
        """Sets each mesh's vertices (V, 3) m, camera frame, and the factors (V, 3) on its texture's colours there."""
        primitives = [
            self._gl.Primitive(
                positions=(at @ _GL_FROM_CV).astype(np.float32),
                color_0=np.pad(factor.astype(np.float32), ((0, 0), (0, 1)), constant_values=1.0),
                texcoord_0=mesh.uv.astype(np.float32),
                indices=mesh.faces.astype(np.uint32),
                material=material,
                mode=self._gl.GLTF.TRIANGLES,
            )
            for mesh, material, at, factor in zip(self._meshes, self._materials, vertices, shade, strict=True)
        ]
        if self._placed is not None:
            self._scene.remove_node(self._placed)
        self._placed = self._scene.add(self._gl.Mesh(primitives))

    def picture(self, camera: Camera) -> Rendering:
        """The placed meshes as the camera sees them."""
        view = self._gl.IntrinsicsCamera(camera.fx, camera.fy, camera.cx, camera.cy, _NEAR, _FAR)
        flags = self._gl.RenderFlags.RGBA | self._gl.RenderFlags.FLAT
        rgba, depth = self._view((camera.width, camera.height), view, np.eye(4), flags)
        return Rendering(np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3]), depth)

    def reach(self, beam: Beam, size: tuple[int, int]) -> NDArray[np.float32]:
        """How far along the beam it gets, in metres from its centre; infinite where it meets nothing.

        size: (width, height) of the picture, whose y is down.
        """
        pose = np.eye(4)
        pose[:3, :3] = _GL_FROM_CV @ beam.R_beam_camera.T @ _GL_FROM_CV
        pose[:3, 3] = _GL_FROM_CV @ (beam.centre - beam.half_depth * beam.R_beam_camera[2])
        near, far = 1e-3, 2 * beam.half_depth
        view = self._gl.OrthographicCamera(beam.half_width, beam.half_width * size[1] / size[0], near, far)
        depth = self._view(size, view, pose, self._gl.RenderFlags.DEPTH_ONLY)
        # pyrender takes every depth for a perspective one: back to the buffer's, then to the orthographic one
        buffer = (far + near - 2 * near * far / np.where(depth > 0, depth, near)) / (far - near)
        along = near + (buffer + 1) / 2 * (far - near) - beam.half_depth
        return np.where(depth > 0, along, np.inf).astype(np.float32)

    def _view(self, size: tuple[int, int], view: Any, pose: Array, flags: int) -> Any:
        node = self._scene.add(view, pose=pose)
        self._scene.main_camera_node = node
        self._offscreen.viewport_width, self._offscreen.viewport_height = size
        try:
            return self._offscreen.render(self._scene, flags)
        finally:
            self._scene.remove_node(node)
            self._leave()


def _material(texture: NDArray[np.uint8]) -> Any:
    import pyrender

    return pyrender.MetallicRoughnessMaterial(
        baseColorTexture=pyrender.Texture(source=texture, source_channels="RGB"),
        metallicFactor=0.0,
        roughnessFactor=1.0,
        doubleSided=True,
    )
