"""Pinhole cameras: intrinsics, projection, and crops that keep their own exact intrinsics.

OpenCV's frame: x right, y down, z forward. Pixel centres are at integers + 0.5, so that the picture spans
[0, width] × [0, height] and its centre is (width/2, height/2). Everything in the project uses this convention;
libraries that put pixel centres at integers are converted where they are called.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tracker.types import Array


@dataclass(frozen=True)
class Camera:
    """Intrinsics of a picture of a given size, no distortion."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.fx) and math.isfinite(self.fy) and self.fx > 0 and self.fy > 0):
            raise ValueError(f"Camera: expected positive focal lengths in pixels, got fx={self.fx}, fy={self.fy}")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"Camera: expected a size of at least 1×1 pixels, got {self.width}×{self.height}")

    @classmethod
    def default(cls, width: int, height: int) -> Camera:
        """Unknown intrinsics: focal length √(W² + H²) px, principal point at the centre (CLIFF's convention)."""
        return cls.from_focal(math.hypot(width, height), width, height)

    @classmethod
    def from_focal(cls, focal: float, width: int, height: int) -> Camera:
        """Focal length in pixels of this picture, principal point at the centre."""
        return cls(focal, focal, width / 2, height / 2, width, height)

    @classmethod
    def from_fov(cls, fov_degrees: float, width: int, height: int) -> Camera:
        """Diagonal field of view in degrees, the figure that camera makers print."""
        if not 0 < fov_degrees < 180:
            raise ValueError(f"fov: expected degrees between 0 and 180, got {fov_degrees}")
        return cls.from_focal(math.hypot(width, height) / 2 / math.tan(math.radians(fov_degrees) / 2), width, height)

    @property
    def matrix(self) -> Array:
        """(3, 3) K, pixels."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    def project(self, points: Array) -> Array:
        """(..., 3) m in the camera frame → (..., 2) px. Points at z ≤ 0 give meaningless pixels: test z first."""
        z = points[..., 2:3]
        return points[..., :2] / z * np.array([self.fx, self.fy]) + np.array([self.cx, self.cy])

    def rays(self, pixels: Array) -> Array:
        """(..., 2) px → (..., 3) directions with z = 1."""
        xy = (pixels - np.array([self.cx, self.cy])) / np.array([self.fx, self.fy])
        return np.concatenate([xy, np.ones_like(xy[..., :1])], axis=-1)

    def crop(self, box: Array, width: int, height: int) -> Camera:
        """The camera of this picture's region `box` (xyxy px, may reach outside), resized to width × height.

        Projection with it lands on the same picture content exactly: no weak perspective is involved.
        """
        x0, y0, x1, y1 = (float(v) for v in box)
        if not (x1 > x0 and y1 > y0):
            raise ValueError(f"crop box: expected x1 > x0 and y1 > y0, got {(x0, y0, x1, y1)}")
        sx, sy = width / (x1 - x0), height / (y1 - y0)
        return Camera(self.fx * sx, self.fy * sy, (self.cx - x0) * sx, (self.cy - y0) * sy, width, height)
