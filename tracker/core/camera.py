"""Pinhole cameras: intrinsics, projection, and crops that keep their own exact intrinsics.

OpenCV's frame: x right, y down, z forward. Pixel centres are at integers + 0.5, so that the picture spans
[0, width] × [0, height] and its centre is (width/2, height/2). Everything in the project uses this convention;
libraries that put pixel centres at integers are converted where they are called.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tracker.core.affine import affine_scale, apply_affine, invert_affine
from tracker.core.arrays import Array
from tracker.core.errors import InputError
from tracker.core.input_file import read_bytes, reading
from tracker.core.npz_file import read_npy, read_npz
from tracker.core.strict_yaml import read_yaml

_SHORTEST, _LONGEST = 1, 1_000_000
"""px: focal lengths that may be given; products of others overflow."""
_NARROWEST, _WIDEST = 0.1, 179
"""Degrees."""
_LARGEST_SIDE = 1_000_000
_INTRINSICS = "expected fx, fy, cx, cy (and width, height) in JSON or YAML, or an .npz or .npy with a 3×3 camera_matrix"

NEAREST_Z = 0.1
"""m: what is closer to the camera's plane has no usable projection, and is not drawn."""


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
        if not (math.isfinite(self.cx) and math.isfinite(self.cy)):
            raise ValueError(f"Camera: expected a principal point in pixels, got cx={self.cx}, cy={self.cy}")
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

    def project_clamped(self, points: Array) -> Array:
        """`project`, with points closer than NEAREST_Z, or behind the camera, taken to be that far in front of it."""
        return self.project(np.concatenate([points[..., :2], np.maximum(points[..., 2:], NEAREST_Z)], axis=-1))

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

    def turned_crop(self, T_frame_crop: Array, size: int) -> tuple[Camera, Array]:
        """The camera of a square crop of size × size px that may be turned, and R_crop_camera (3, 3), its roll.

        T_frame_crop: (2, 3), from pixels of the crop to pixels of this picture (`crop_transform`). Exact where fx = fy;
        otherwise both are taken for their geometric mean within the crop.
        """
        scale = affine_scale(T_frame_crop)
        cx, cy = apply_affine(invert_affine(T_frame_crop), np.array([self.cx, self.cy])).tolist()
        focal = math.sqrt(self.fx * self.fy) / scale
        roll = np.eye(3)
        roll[:2, :2] = T_frame_crop[:, :2].T / scale
        return Camera(focal, focal, cx, cy, size, size), roll


@dataclass(frozen=True)
class CameraConfig:
    """What the user knows of the camera; at most one of the three."""

    focal: float | None = None
    """px of the picture as it comes."""
    fov: float | None = None
    """Diagonal field of view, degrees."""
    intrinsics: Path | None = None
    """A file with K: JSON or YAML {fx, fy, cx, cy, width, height}, or an .npz/.npy with a 3×3 `camera_matrix`."""

    def __post_init__(self) -> None:
        given = [name for name in ("focal", "fov", "intrinsics") if getattr(self, name) is not None]
        if len(given) > 1:
            raise InputError(f"camera: give one of --focal, --fov and --intrinsics, not {' and '.join(given)}")
        if self.focal is not None and not _SHORTEST <= self.focal <= _LONGEST:
            raise InputError(f"--focal {self.focal}: expected {_SHORTEST} to {_LONGEST} pixels, such as 1500")
        if self.fov is not None and not _NARROWEST <= self.fov <= _WIDEST:
            raise InputError(f"--fov {self.fov}: expected {_NARROWEST} to {_WIDEST} degrees, such as 75")

    def guess(self, width: int, height: int) -> str | None:
        """What the user should know where nothing is known of the camera of pictures of this size."""
        if any(value is not None for value in (self.focal, self.fov, self.intrinsics)):
            return None
        return (
            f"the focal length is guessed as {Camera.default(width, height).fx:.0f} px (43 mm on 35 mm film); if it is "
            "another, all distances are wrong by as much: give --focal, --fov or --intrinsics"
        )

    def or_focal(self, focal: float | None) -> CameraConfig:
        """The same; where the user has said nothing, with this focal length (px) that the source knows of."""
        known = any(value is not None for value in (self.focal, self.fov, self.intrinsics))
        return self if known or focal is None else CameraConfig(focal=focal)

    def for_size(self, width: int, height: int) -> Camera:
        """The camera of a picture of this size. Raises InputError when the intrinsics file does not fit."""
        if self.focal is not None:
            return Camera.from_focal(self.focal, width, height)
        if self.fov is not None:
            return Camera.from_fov(self.fov, width, height)
        if self.intrinsics is not None:
            return _scaled(read_intrinsics(self.intrinsics), width, height)
        return Camera.default(width, height)


@lru_cache(maxsize=8)
def read_intrinsics(path: Path) -> Camera:
    """The camera that a file describes; without a size in the file, its principal point is taken as the middle.

    Raises InputError naming the file and what is wrong in it.
    """
    with reading(f"--intrinsics {path}", _INTRINSICS):
        data = read_bytes(path)
        if path.suffix == ".npz":
            return _camera_from_values(read_npz(data, ("camera_matrix", "image_size")))
        if path.suffix == ".npy":
            return _camera_from_values({"camera_matrix": read_npy(data)})
        return _camera_from_values(read_yaml(data))


def _camera_from_values(values: Any) -> Camera:
    if not isinstance(values, dict):
        raise ValueError(f"holds a {type(values).__name__} and no named numbers")
    if "camera_matrix" in values:
        k = np.asarray(values["camera_matrix"], dtype=float).reshape(3, 3)
        if not np.isfinite(k).all():
            raise ValueError("a camera_matrix with numbers that are not finite")
        fx, fy, cx, cy = k[0, 0], k[1, 1], k[0, 2], k[1, 2]
        width, height = np.asarray(values.get("image_size", (round(2 * cx), round(2 * cy)))).reshape(2)
    else:
        fx, fy, cx, cy = (float(values[name]) for name in ("fx", "fy", "cx", "cy"))
        if not (math.isfinite(cx) and math.isfinite(cy)):
            raise ValueError(f"has the principal point ({cx}, {cy})")
        width, height = values.get("width", round(2 * cx)), values.get("height", round(2 * cy))
    if max(abs(cx), abs(cy), width, height) > _LARGEST_SIDE or not _SHORTEST <= min(fx, fy) <= max(fx, fy) <= _LONGEST:
        raise ValueError(f"has fx {fx:g}, fy {fy:g}, cx {cx:g}, cy {cy:g}, {width}×{height}: no camera of a picture")
    return Camera(float(fx), float(fy), float(cx), float(cy), int(width), int(height))


def _scaled(camera: Camera, width: int, height: int) -> Camera:
    """The same camera at another resolution of the same shape."""
    if (camera.width, camera.height) == (width, height):
        return camera
    if abs(camera.width / camera.height - width / height) > 0.01 * width / height:
        raise InputError(
            f"--intrinsics: they are for pictures of {camera.width}×{camera.height}, these are {width}×{height}, "
            "of another shape; give the intrinsics of these pictures"
        )
    return camera.crop(np.array([0, 0, camera.width, camera.height]), width, height)


def thinned_intrinsics(intrinsics: Array, step: int) -> Array:
    """(..., 4) fx, fy, cx, cy of the picture that keeps every step-th pixel of each row and column, beginning with
    number step // 2."""
    shift = 0.5 - (step // 2 + 0.5) / step
    return intrinsics / step + shift * np.array([0.0, 0.0, 1.0, 1.0])
