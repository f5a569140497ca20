"""What drawing triangles takes: cameras, meshes, lights. Needs no torch."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    ArrayOrTensor = NDArray | Tensor


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera in pixels."""

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if not (np.isfinite([self.fx, self.fy, self.cx, self.cy]).all() and self.fx > 0 and self.fy > 0):
            raise ValueError(f"intrinsics: expected finite values and positive focal lengths, got {self}")


@dataclass(frozen=True)
class RasterMesh:
    """One surface to draw."""

    vertices: ArrayOrTensor
    """(V, 3) float32 m, camera frame."""
    faces: ArrayOrTensor
    """(F, 3) int32."""
    colour: ArrayOrTensor | tuple[float, float, float] = (180.0, 180.0, 200.0)
    """(3,) for the mesh or (V, 3) for each vertex; RGB, 0..255."""
    normals: ArrayOrTensor | None = None
    """(V, 3) float32; worked out from the faces if not given."""


@dataclass(frozen=True)
class DirectionalLight:
    """A directional light."""

    direction: tuple[float, float, float]
    """From the surface to the light, camera frame, any length but zero."""
    strength: float


@dataclass(frozen=True)
class Shading:
    """How `shade_overlay` lights the meshes and mixes them with the picture."""

    alpha: float = 0.85
    ambient: float = 0.42
    key: DirectionalLight = DirectionalLight((-0.45, -0.75, -0.75), 0.55)
    fill: DirectionalLight = DirectionalLight((0.8, 0.1, -0.6), 0.22)
    skip_backs: bool = False
    """Leave out faces whose corners run clockwise as seen: faster, and right if the meshes are closed and their faces'
    normals, by the right-hand rule, point outwards."""

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha: expected 0..1, got {self.alpha}")


def unlit(alpha: float) -> Shading:
    """For closed meshes whose colours have the light in them already."""
    dark = DirectionalLight((0.0, 0.0, -1.0), 0.0)
    return Shading(alpha, ambient=1.0, key=dark, fill=dark, skip_backs=True)


def check_view(size: tuple[int, int], near: float) -> None:
    """Raises ValueError for a picture (width, height) or a near plane (m) that nothing can be drawn with."""
    if not (0 < size[0] <= 16384 and 0 < size[1] <= 16384):
        raise ValueError(f"size: expected (width, height) from 1 to 16384 pixels, got {size}")
    if not near > 0:
        raise ValueError(f"near: expected a distance above 0 m, got {near}")


class SceneData(ctypes.Structure):
    """Triangles in front of a camera, as C++ reads them."""

    _fields_ = (
        ("vertices", ctypes.c_void_p),
        ("faces", ctypes.c_void_p),
        *((name, ctypes.c_int) for name in ("n_vertices", "n_faces", "width", "height")),
        *((name, ctypes.c_double) for name in ("fx", "fy", "cx", "cy", "near")),
        ("skip_backs", ctypes.c_int),
    )


class StyleData(ctypes.Structure):
    """`Shading` as C++ reads it."""

    _fields_ = (
        ("ambient", ctypes.c_float),
        ("key", ctypes.c_float * 3),
        ("key_strength", ctypes.c_float),
        ("fill", ctypes.c_float * 3),
        ("fill_strength", ctypes.c_float),
        ("alpha", ctypes.c_float),
    )


def unit(direction: tuple[float, float, float]) -> tuple[float, ...]:
    """The direction at length one. Raises ValueError for zero."""
    length = float(np.linalg.norm(direction))
    if not length > 0:
        raise ValueError(f"light direction: expected a vector that is not zero, got {direction}")
    return tuple(value / length for value in direction)


def style_data(shading: Shading) -> StyleData:
    """As C++ reads it. Raises ValueError for a light without a direction."""
    triple = ctypes.c_float * 3
    key, fill = shading.key, shading.fill
    return StyleData(
        shading.ambient, triple(*unit(key.direction)), key.strength,
        triple(*unit(fill.direction)), fill.strength, shading.alpha,
    )  # fmt: skip
