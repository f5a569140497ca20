"""Meshes to pictures with exact intrinsics: the interface that drawing needs, and pyrender (OpenGL) behind it.

Pixel centres are at integers + 0.5 here as everywhere (`camera.py`); OpenGL samples there too, so intrinsics pass
through unchanged. OpenGL looks along -z with y up, so meshes are turned by half a turn about x on their way in.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tracker.camera import Camera
from tracker.errors import RunError
from tracker.types import Array

NEAREST_Z = 0.05
"""m: what is closer to the camera's plane than this is cut away."""
_FARTHEST_Z = 1000.0
_DEBIAN_PACKAGES = "libegl1 libgl1-mesa-dri libgles2"

_R_GL_CAMERA = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class Mesh:
    """A closed surface with its light already on it: a renderer only has to blend the colours of the corners."""

    vertices: Array
    """(V, 3) m, camera frame."""
    faces: NDArray[np.integer[Any]]
    """(F, 3), counter-clockwise seen from outside."""
    colours: Array
    """(V, 3) RGB in 0..1, as shown."""


@dataclass(frozen=True)
class Rendering:
    """Meshes over nothing."""

    colour: NDArray[np.uint8]
    """(height, width, 3) RGB, already multiplied by the coverage."""
    coverage: NDArray[np.uint8]
    """(height, width), 255 where a mesh fills the pixel; in between at its edges."""
    depth: NDArray[np.float32]
    """(height, width) m along z; 0 where there is nothing."""


class Renderer(Protocol):
    """What the overlay draws with."""

    def render(self, camera: Camera, meshes: Sequence[Mesh]) -> Rendering:
        """The meshes, hiding each other and cut at NEAREST_Z, in a picture of the camera's size."""
        ...

    def close(self) -> None:
        """Frees what rendering holds; the renderer is not used again."""
        ...


class PyrenderRenderer:
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

    def render(self, camera: Camera, meshes: Sequence[Mesh]) -> Rendering:
        """See Renderer. Raises RunError when OpenGL cannot make a picture of this size."""
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
        return Rendering(np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3]), depth)

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


def _is_egl() -> bool:
    return os.environ.get("PYOPENGL_PLATFORM") == "egl"


def _release(platform: Any) -> None:
    from OpenGL import EGL

    EGL.eglMakeCurrent(platform._egl_display, EGL.EGL_NO_SURFACE, EGL.EGL_NO_SURFACE, EGL.EGL_NO_CONTEXT)


def _scene(camera: Camera, meshes: Sequence[Mesh]) -> Any:
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
