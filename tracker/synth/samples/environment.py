"""SampleLight from all around, as nine spherical harmonics, and the strongest of it as a lamp that casts shadows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from kernels import raster
from kernels.raster_values import Intrinsics
from tracker.core.arrays import Array
from tracker.synth.samples.skinned import Float32

_COSINE = np.array([1.0, *[2 / 3] * 3, *[1 / 4] * 5])
"""What a surface's cosine makes of each harmonic, over π (Ramamoorthi and Hanrahan 2001, eq. 8)."""
_RADIANCE = (16, 32)
_LEVELS = (np.arange(64) + 0.5) / 32 - 1
_SHADOW_SIZE = 128
_BIAS = 0.05
"""m behind the surface that casts shadows where they begin."""
_FAR = 40.0
"""m: a lamp so far that its light is almost parallel."""


_SPREAD = np.stack(
    [[np.cos(i * 2.4) * np.sqrt(1 - y * y), y, np.sin(i * 2.4) * np.sqrt(1 - y * y)] for i, y in enumerate(_LEVELS)]
)
"""(64, 3) directions, evenly spread."""


@dataclass(frozen=True, eq=False)
class SampleLight:
    """World frame, y up; linear RGB, 1 turns a white surface white."""

    harmonics: Array
    """(9, 3) of the radiance that comes from everywhere, times the cosine's factors."""
    towards_lamp: Array
    """(3,) unit."""
    lamp: Array
    """(3,) from it on a surface that faces it; 0 for none."""

    def on_what_faces(self, towards: Array) -> float:
        """The mean light on surfaces that a viewer in this direction (3,) sees."""
        normals = _SPREAD[_SPREAD @ towards > 0.2]
        return float(self.falling_on(normals, 1.0).mean())

    def falling_on(self, normals: Array, lit: Array | float) -> Array:
        """(N, 3) on surfaces with these unit normals (N, 3); `lit` (N,) in 0..1 says where the lamp reaches."""
        around = np.maximum(harmonics(normals) @ self.harmonics, 0.02)
        facing = np.maximum(normals @ self.towards_lamp, 0.0) * lit
        return np.asarray(around + facing[:, None] * self.lamp)


@dataclass(frozen=True, eq=False)
class Environment:
    """SampleLight from all around, as equirectangular pictures: see `sphere`."""

    radiance: Array
    """(h, 2 h, 3) linear RGB, small."""
    panorama: NDArray[np.uint8] | None
    """(H, 2 H, 3) sRGB: what one sees when looking there; None where nothing is to be seen but colours."""

    def turned(self, share: float) -> Environment:
        """Turned about the vertical by this share of a circle."""
        columns = round(share * self.radiance.shape[1])
        radiance = np.roll(self.radiance, columns, axis=1)
        if self.panorama is None:
            return Environment(radiance, None)
        step = columns * self.panorama.shape[1] // self.radiance.shape[1]
        return Environment(radiance, np.roll(self.panorama, step, axis=1))


def harmonics(d: Array) -> Array:
    """(N, 9) real spherical harmonics up to order 2 of unit vectors (N, 3)."""
    x, y, z = d.T
    columns = [
        np.full_like(x, 0.282095), 0.488603 * y, 0.488603 * z, 0.488603 * x, 1.092548 * x * y, 1.092548 * y * z,
        0.315392 * (3 * z * z - 1), 1.092548 * x * z, 0.546274 * (x * x - y * y),
    ]  # fmt: skip
    return np.stack(columns, axis=1)


@lru_cache(maxsize=4)
def sphere(height: int, width: int) -> tuple[Array, Array]:
    """Directions (h, w, 3) of an equirectangular picture's pixels, y up, its middle along −z; solid angles (h, w)."""
    polar = (np.arange(height) + 0.5) / height * np.pi
    azimuth = (np.arange(width) + 0.5) / width * 2 * np.pi
    sine = np.sin(polar)[:, None]
    up = np.broadcast_to(np.cos(polar)[:, None], (height, width))
    directions = np.stack([-sine * np.sin(azimuth), up, sine * np.cos(azimuth)], axis=-1)
    area = np.broadcast_to(sine * (np.pi / height) * (2 * np.pi / width), (height, width))
    return directions, area


def light_from_environment(radiance: Array, lamp_share: float) -> SampleLight:
    """The light of an equirectangular picture (h, w, 3), of which a share comes from its brightest side.

    Scaled so that surfaces facing all ways get 1 on the average.
    """
    directions, area = sphere(*radiance.shape[:2])
    flat, weight = directions.reshape(-1, 3), (radiance * area[..., None]).reshape(-1, 3)
    mean = float(weight.sum() / 3 / (4 * np.pi))
    weight = weight / max(mean, 1e-9)
    bright = weight.sum(axis=1) ** 2
    towards = (bright[:, None] * flat).sum(axis=0)
    towards /= max(float(np.linalg.norm(towards)), 1e-9)
    colour = (weight * np.maximum(flat @ towards, 0.0)[:, None]).sum(axis=0)
    colour /= max(float(colour.mean()), 1e-9)
    coefficients = harmonics(flat).T @ weight * _COSINE[:, None]
    # a lamp of strength 4 gives a sphere as much as light of strength 1 from all around
    return SampleLight((1 - lamp_share) * coefficients, towards, 4 * lamp_share * colour)


def procedural_environment(rng: np.random.Generator) -> Environment:
    """Sky or ceiling, floor, and a few windows and lamps."""
    directions, _ = sphere(*_RADIANCE)
    warm = rng.normal(0.0, 0.12)
    tint = np.array([1 + warm, 1.0, 1 - warm])
    above, below = rng.uniform(0.3, 1.4), rng.uniform(0.1, 0.9)
    share = (0.5 + 0.5 * directions[..., 1:2]) ** 1.5
    picture = (share * above + (1 - share) * below) * tint
    for _ in range(rng.integers(1, 4)):
        towards = rng.normal(size=3) + np.array([0.0, 0.7, 0.0])
        towards /= np.linalg.norm(towards)
        lobe = np.exp((directions @ towards - 1) / rng.uniform(0.02, 0.3))
        hue = 1 + rng.normal(0.0, 0.1) * np.array([1.0, 0.1, -1.0])
        picture = picture + lobe[..., None] * rng.uniform(1.0, 12.0) * hue
    return Environment(np.maximum(picture, 0.01), None)


def reached_by_lamp(vertices: Float32, faces: NDArray[np.int32], towards: Array) -> Array:
    """(V,) in 0..1: how much of a far lamp reaches each vertex past the mesh itself; `towards` in its own frame."""
    turn = _looking_from(towards)
    centre = vertices.mean(axis=0)
    turned = ((vertices - centre) @ turn.T).astype(np.float32)
    half = float(np.abs(turned[:, :2]).max()) * 1.05
    turned[:, 2] += np.float32(_FAR)
    focal, middle = _SHADOW_SIZE / 2 / half * _FAR, _SHADOW_SIZE / 2
    camera = Intrinsics(focal, focal, middle, middle)
    depth = raster.rasterize(turned, faces, camera, (_SHADOW_SIZE, _SHADOW_SIZE)).depth.numpy()
    pixels = turned[:, :2] / turned[:, 2:] * focal + middle
    total = np.zeros(len(vertices), np.float32)
    for dx, dy in ((-0.9, -0.3), (0.3, -0.9), (0.9, 0.3), (-0.3, 0.9)):
        x = np.clip((pixels[:, 0] + dx).astype(int), 0, _SHADOW_SIZE - 1)
        y = np.clip((pixels[:, 1] + dy).astype(int), 0, _SHADOW_SIZE - 1)
        total += depth[y, x] > turned[:, 2] - _BIAS
    return total / 4


def _looking_from(towards: Array) -> Array:
    """(3, 3) turns the mesh's frame into one whose z leads away from the lamp."""
    forward = -towards / np.linalg.norm(towards)
    helper = np.eye(3)[int(np.argmin(np.abs(forward)))]
    right = np.cross(helper, forward)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])
