"""How a synthetic scene is lit: a soft key light, a fill, and light from all around, the same for people and rooms."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array
from tracker.synth.texture import smoothstep

GAMMA = 2.2


@dataclass(frozen=True)
class Lighting:
    """World frame: y up, z towards the camera. Strengths are linear RGB: 1 turns a white surface white."""

    towards_key: tuple[float, float, float] = (0.45, 0.80, 0.60)
    key: tuple[float, float, float] = (0.80, 0.77, 0.71)
    towards_fill: tuple[float, float, float] = (-0.8, 0.25, 0.6)
    fill: tuple[float, float, float] = (0.13, 0.14, 0.16)
    above: tuple[float, float, float] = (0.40, 0.41, 0.42)
    """From the ceiling."""
    below: tuple[float, float, float] = (0.25, 0.22, 0.19)
    """From the floor."""

    @property
    def key_direction(self) -> Array:
        """(3,) unit, towards the key light."""
        return np.array(self.towards_key) / np.linalg.norm(self.towards_key)

    def falling_on(self, normals: Array, key_visible: Array, openness: Array | float = 1.0) -> Array:
        """(N, 3) linear RGB on surfaces with these normals (N, 3), world frame.

        key_visible: (N,) in 0..1, how much of the key light gets there; openness: the same for the light all around.
        """
        fill_direction = np.array(self.towards_fill) / np.linalg.norm(self.towards_fill)
        # a soft light reaches a little beyond the edge of a surface's day side
        key = np.clip((normals @ self.key_direction + 0.12) / 1.12, 0.0, None) * key_visible
        fill = np.clip(normals @ fill_direction, 0.0, None)
        up = 0.5 + 0.5 * normals[:, 1]
        around = up[:, None] * np.array(self.above) + (1 - up)[:, None] * np.array(self.below)
        return key[:, None] * np.array(self.key) + (fill[:, None] * np.array(self.fill) + around) * np.reshape(
            openness, (-1, 1)
        )

    def highlight(self, normals: Array, towards_camera: Array, key_visible: Array, sharpness: float) -> Array:
        """(N,) Blinn–Phong highlight of the key light, for vectors (N, 3) in the world frame."""
        half = self.key_direction + towards_camera
        half /= np.linalg.norm(half, axis=1, keepdims=True)
        return np.clip((normals * half).sum(axis=1), 0.0, 1.0) ** sharpness * key_visible


@dataclass(frozen=True)
class Beam:
    """The part of the key light that falls on the stage, as an orthographic picture with y down."""

    R_beam_camera: Array
    """(3, 3) turns the camera's axes into the beam's, whose z is along the light."""
    centre: Array
    """(3,) m, camera frame: the middle of the picture, and 0 along the light."""
    half_width: float
    """m; the height follows from the picture's shape."""
    size: tuple[int, int]
    """(width, height) px."""

    def pixels(self, points: Array) -> tuple[Array, Array]:
        """(N, 3) m, camera frame → (N, 2) px, and (N,) m along the light."""
        local = (points - self.centre) @ self.R_beam_camera.T
        scale = self.size[0] / (2 * self.half_width)
        return local[:, :2] * scale + np.array(self.size) / 2, local[:, 2]


@dataclass(frozen=True)
class ShadowMap:
    """How far the key light gets."""

    beam: Beam
    reach: NDArray[np.float32]
    """(h, w) m along the beam to what it meets first; infinite where it meets nothing."""

    @classmethod
    def of(cls, beam: Beam, points: Array) -> ShadowMap:
        """From points (N, 3) m, camera frame, that lie on the surfaces as densely as the map's pixels."""
        width, height = beam.size
        pixels, along = beam.pixels(points)
        x, y = pixels.astype(np.int64).T
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        reach = np.full(width * height, np.inf, np.float32)
        np.minimum.at(reach, (y * width + x)[inside], along[inside].astype(np.float32))
        # closes the gaps between the points
        closed = cv2.erode(reach.reshape(height, width), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
        return cls(beam, np.asarray(closed, np.float32))

    def visible(self, points: Array, bias: float) -> Array:
        """(N,) in 0..1: the share of the light that reaches the points; what is nearer than `bias` m does no harm."""
        pixels, along = self.beam.pixels(points)
        height, width = self.reach.shape
        total = np.zeros(len(points))
        for dx, dy in _TAPS:
            x = np.clip((pixels[:, 0] + dx).astype(int), 0, width - 1)
            y = np.clip((pixels[:, 1] + dy).astype(int), 0, height - 1)
            total += self.reach[y, x] > along - bias
        return total / len(_TAPS)

    def ground(self, ground_along: Array) -> NDArray[np.float32]:
        """(h, w) share of the light that reaches the ground behind everything, soft where its shadow falls from high.

        ground_along: (h, w) m along the beam at which each pixel meets the ground.
        """
        taken = np.isfinite(self.reach).astype(np.float32)
        height = np.where(taken > 0, ground_along - np.where(taken > 0, self.reach, 0), 0).astype(np.float32)
        sharp, soft = (cv2.GaussianBlur(taken, (0, 0), sigma) for sigma in (1.1, 5.0))
        mean_height = cv2.GaussianBlur(height, (0, 0), 3.5) / np.maximum(cv2.GaussianBlur(taken, (0, 0), 3.5), 1e-3)
        blend = smoothstep(0.1, 1.3, mean_height)
        contact = cv2.GaussianBlur(taken * (height < 0.12), (0, 0), 2.5)
        return ((1 - sharp + (sharp - soft) * blend) * (1 - 0.35 * contact)).astype(np.float32)


_TAPS = tuple((dx, dy) for dx in (-1.6, 0.0, 1.6) for dy in (-1.6, 0.0, 1.6))


def shown(linear: Array) -> NDArray[np.uint8]:
    """Linear RGB → 8-bit sRGB."""
    return np.rint(np.clip(linear, 0, 1) ** (1 / GAMMA) * 255).astype(np.uint8)
