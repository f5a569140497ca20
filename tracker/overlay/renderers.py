"""Lit meshes over pictures with exact intrinsics: our own rasteriser, and pyrender (OpenGL) for whoever asks for it.

Pixel centres are at integers + 0.5 here as everywhere (`core/camera.py`); OpenGL samples there too, so intrinsics pass
through unchanged. OpenGL looks along -z with y up, so meshes are turned by half a turn about x on their way in.
"""

from __future__ import annotations

import logging
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from kernels import mesh_drawing
from kernels.raster_values import Intrinsics, RasterMesh, unlit
from tracker.core.arrays import Array
from tracker.core.camera import NEAREST_Z, Camera
from tracker.core.errors import RunError

_FARTHEST_Z = 1000.0
_DEBIAN_PACKAGES = "libegl1 libgl1-mesa-dri libgles2"

Picture = NDArray[np.uint8]

_R_GL_CAMERA = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class OverlayMesh:
    """A closed surface with its light already on it: a renderer only has to blend the colours of the corners."""

    vertices: Array
    """(V, 3) m, camera frame."""
    faces: NDArray[np.integer[Any]]
    """(F, 3), counter-clockwise seen from outside."""
    colours: Array
    """(V, 3) RGB in 0..1, as shown."""


@dataclass(frozen=True)
class MeshRendering:
    """Meshes over nothing."""

    colour: NDArray[np.uint8]
    """(height, width, 3) RGB, already multiplied by the coverage."""
    coverage: NDArray[np.uint8]
    """(height, width), 255 where a mesh fills the pixel; in between at its edges."""
    depth: NDArray[np.float32]
    """(height, width) m along z; 0 where there is nothing."""


class Renderer(Protocol):
    """What the overlay draws with."""

    def draw_over(self, picture: Picture, camera: Camera, meshes: Sequence[OverlayMesh], alpha: float) -> Picture:
        """A new picture with the meshes over it, hiding each other and cut at NEAREST_Z. camera: of this picture."""
        ...

    def covers(self, camera: Camera, mesh: OverlayMesh) -> NDArray[np.bool_]:
        """(height, width) True where the mesh covers the middle of the pixel, or at least half of it."""
        ...

    def close(self) -> None:
        """Frees what rendering holds; the renderer is not used again."""
        ...


class RasterRenderer:
    """The rasteriser of `kernels` on a CPU: C++ where it can be built, and quick enough for a live picture."""

    def draw_over(self, picture: Picture, camera: Camera, meshes: Sequence[OverlayMesh], alpha: float) -> Picture:
        """See Renderer."""
        lit = [
            mesh_drawing.LitMesh(
                _float32(mesh.vertices), np.ascontiguousarray(mesh.faces, np.int32), _float32(255 * mesh.colours)
            )
            for mesh in meshes
        ]
        return mesh_drawing.draw_over(np.ascontiguousarray(picture), lit, _intrinsics(camera), alpha, NEAREST_Z)

    def covers(self, camera: Camera, mesh: OverlayMesh) -> NDArray[np.bool_]:
        """See Renderer."""
        return _covers(camera, mesh)

    def close(self) -> None:
        """Nothing is held."""


class GpuRenderer:
    """The same on a GPU, in CUDA."""

    def __init__(self, device: str) -> None:
        self._device = device

    def draw_over(self, picture: Picture, camera: Camera, meshes: Sequence[OverlayMesh], alpha: float) -> Picture:
        """See Renderer."""
        import torch

        from kernels import raster

        def put(array: NDArray[Any]) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

        flat = [
            RasterMesh(
                put(_float32(mesh.vertices)),
                put(mesh.faces.astype(np.int32)),
                put(_float32(255 * mesh.colours)),
                put(np.zeros(mesh.vertices.shape, np.float32)),
            )
            for mesh in meshes
        ]
        drawn = raster.shade_overlay(put(picture), flat, _intrinsics(camera), unlit(alpha), NEAREST_Z)
        return np.asarray(drawn.cpu().numpy(), np.uint8)

    def covers(self, camera: Camera, mesh: OverlayMesh) -> NDArray[np.bool_]:
        """See Renderer."""
        return _covers(camera, mesh)

    def close(self) -> None:
        """Nothing is held."""


def raster_renderer(device: str) -> Renderer:
    """The rasteriser of `kernels` for a device."""
    return RasterRenderer() if device == "cpu" else GpuRenderer(device)


def _covers(camera: Camera, mesh: OverlayMesh) -> NDArray[np.bool_]:
    from kernels import raster

    size = (camera.width, camera.height)
    faces = np.ascontiguousarray(mesh.faces, np.int32)
    drawn = raster.rasterize(_float32(mesh.vertices), faces, _intrinsics(camera), size, NEAREST_Z)
    covered: NDArray[np.bool_] = drawn.triangle.numpy() >= 0
    return covered


def _float32(values: Array) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, np.float32)


def _intrinsics(camera: Camera) -> Intrinsics:
    return Intrinsics(camera.fx, camera.fy, camera.cx, camera.cy)


class RegionRenderer(ABC):
    """A renderer that makes pictures of meshes over nothing; only the part that the meshes touch is rendered."""

    @abstractmethod
    def render(self, camera: Camera, meshes: Sequence[OverlayMesh]) -> MeshRendering:
        """The meshes over nothing, hiding each other and cut at NEAREST_Z, in a picture of the camera's size."""

    @abstractmethod
    def close(self) -> None:
        """See Renderer."""

    def draw_over(self, picture: Picture, camera: Camera, meshes: Sequence[OverlayMesh], alpha: float) -> Picture:
        """See Renderer."""
        box = _region(camera, meshes)
        crop = camera.crop(np.array(box), box[2] - box[0], box[3] - box[1])
        result = picture.copy()
        _blend(result, self.render(crop, meshes), box, alpha)
        return result

    def covers(self, camera: Camera, mesh: OverlayMesh) -> NDArray[np.bool_]:
        """See Renderer."""
        return self.render(camera, [mesh]).coverage >= 128


class PyrenderRenderer(RegionRenderer):
    """OpenGL through pyrender, on a GPU or in software, without a display.

    It may be used from any thread, by one at a time. Several may exist at once.
    """

    def __init__(self) -> None:
        """Raises RunError, naming the packages to install, when there is no OpenGL to be had."""
        if sys.platform.startswith("linux"):
            os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
        logging.getLogger("OpenGL").setLevel(logging.WARNING)  # it tells everybody which of its extras are missing
        try:
            import pyrender

            self._offscreen = pyrender.OffscreenRenderer(64, 64)
        except ModuleNotFoundError as error:
            raise RunError(
                f"drawing meshes needs the package {error.name}; install it (pip install 'body-tracker[render]') "
                "or go without the overlay (--no-overlay)"
            ) from error
        except Exception as error:  # a dozen kinds, from ctypes' to pyrender's assertions: all mean no OpenGL
            cause = next(map(str, error.args), type(error).__name__)
            raise RunError(
                f"no OpenGL for drawing meshes ({cause}); on Debian: apt install "
                f"{_DEBIAN_PACKAGES}; or go without the overlay (--no-overlay)"
            ) from error
        from OpenGL import GL

        self._largest = int(GL.glGetIntegerv(GL.GL_MAX_RENDERBUFFER_SIZE))
        self._leave()

    def render(self, camera: Camera, meshes: Sequence[OverlayMesh]) -> MeshRendering:
        """See RegionRenderer. Raises RunError when OpenGL cannot make a picture of this size."""
        from pyrender import RenderFlags

        if max(camera.width, camera.height) > self._largest:
            raise RunError(
                f"OpenGL draws pictures of up to {self._largest} pixels a side here, this one has "
                f"{camera.width}×{camera.height}; make it smaller or go without the overlay (--no-overlay)"
            )
        self._offscreen.viewport_width, self._offscreen.viewport_height = camera.width, camera.height
        try:
            rgba, depth = self._offscreen.render(_scene(camera, meshes), RenderFlags.RGBA | RenderFlags.FLAT)
        finally:
            self._leave()
        return MeshRendering(np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3]), depth)

    def close(self) -> None:
        """See Renderer."""
        if self._offscreen is None:
            return
        offscreen, self._offscreen = self._offscreen, None
        if not _is_egl():
            offscreen.delete()
            return
        # pyrender's own delete() would also end the EGL display, and with it every other context of the process
        from OpenGL import EGL

        platform = offscreen._platform
        platform.make_current()
        offscreen._renderer.delete()
        _release(platform)
        EGL.eglDestroyContext(platform._egl_display, platform._egl_context)
        offscreen._renderer = offscreen._platform = None

    def _leave(self) -> None:
        """Lets go of the context, which otherwise stays bound to this thread and refuses all others."""
        if _is_egl():
            _release(self._offscreen._platform)


RENDERERS: dict[str, Callable[[str], Renderer]] = {
    "raster": raster_renderer,
    "pyrender": lambda device: PyrenderRenderer(),  # OpenGL finds its GPU by itself
}
"""By the name that a user asks for: makes one that draws on a device, where it has a choice."""


def _region(camera: Camera, meshes: Sequence[OverlayMesh]) -> tuple[int, int, int, int]:
    """xyxy px: the part of the picture that the meshes may touch.

    Its sides are multiples of 64, so that a renderer seldom has to change the size of its buffers.
    """
    vertices = np.concatenate([mesh.vertices for mesh in meshes])
    size = np.array([camera.width, camera.height])
    low, high = np.zeros(2), size.astype(float)
    if (vertices[:, 2] > NEAREST_Z).all():
        pixels = camera.project(vertices)
        low, high = np.clip(pixels.min(axis=0) - 1, 0, size - 1), np.clip(pixels.max(axis=0) + 1, 1, size)
    start = np.floor(low).astype(int)
    sides = np.maximum(64 * np.ceil((high - start) / 64), 64).astype(int)
    x0, y0, x1, y1 = (int(v) for v in (*start, *(start + sides)))
    return x0, y0, x1, y1


def _blend(picture: Picture, rendering: MeshRendering, box: tuple[int, int, int, int], alpha: float) -> None:
    """Lays the rendering of `box`, which may reach beyond the picture, over the picture in place."""
    x0, y0, x1, y1 = box
    below = picture[y0:y1, x0:x1]
    height, width = below.shape[:2]
    coverage, colour = rendering.coverage[:height, :width], rendering.colour[:height, :width]
    kept = cv2.convertScaleAbs(coverage, alpha=-alpha, beta=255.0)
    shown = cv2.multiply(below, cv2.merge([kept, kept, kept]), scale=1 / 255)
    cv2.addWeighted(colour, alpha, shown, 1.0, 0.0, dst=shown)
    picture[y0:y1, x0:x1] = shown


def _is_egl() -> bool:
    return os.environ.get("PYOPENGL_PLATFORM") == "egl"


def _release(platform: Any) -> None:
    from OpenGL import EGL

    EGL.eglMakeCurrent(platform._egl_display, EGL.EGL_NO_SURFACE, EGL.EGL_NO_SURFACE, EGL.EGL_NO_CONTEXT)


def _scene(camera: Camera, meshes: Sequence[OverlayMesh]) -> Any:
    import pyrender

    scene = pyrender.Scene(bg_color=[0.0, 0.0, 0.0, 0.0])
    for mesh in meshes:
        colours = np.concatenate([mesh.colours, np.ones((len(mesh.colours), 1))], axis=1)
        primitive = pyrender.Primitive(
            positions=(mesh.vertices @ _R_GL_CAMERA).astype(np.float32),
            indices=np.asarray(mesh.faces, np.uint32),
            color_0=colours.astype(np.float32),
            material=pyrender.MetallicRoughnessMaterial(baseColorFactor=[1.0, 1.0, 1.0, 1.0]),
        )
        scene.add(pyrender.Mesh([primitive]))
    intrinsics = pyrender.IntrinsicsCamera(camera.fx, camera.fy, camera.cx, camera.cy, NEAREST_Z, _FARTHEST_Z)
    scene.add(intrinsics, pose=np.eye(4))
    return scene
