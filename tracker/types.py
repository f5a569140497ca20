"""The values that the stages pass to each other: frozen, with units, checked where they are made.

Metres, radians, seconds, pixels. Camera frame: x right, y down, z forward (OpenCV).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tracker.mask import PlacedMask

Array = NDArray[np.floating]

NUM_JOINTS = 24
NUM_BETAS = 10
NUM_LANDMARKS = 33


def require_shape(name: str, value: NDArray, shape: tuple[int, ...]) -> None:
    """Raises ValueError, naming the value, unless it has this shape; -1 stands for any size."""
    matches = value.ndim == len(shape) and all(
        want in (-1, have) for want, have in zip(shape, value.shape, strict=True)
    )
    if not matches:
        raise ValueError(f"{name}: expected shape {shape}, got {value.shape}")


@dataclass(frozen=True)
class Frame:
    """One picture of a source."""

    index: int
    """Position in the source, from 0, counting frames that were dropped or skipped."""
    time: float
    """Seconds: the container's timestamp for a file, the moment of capture for a camera."""
    image: NDArray[np.uint8]
    """(height, width, 3) RGB, upright: the rotation tag has been applied."""

    def __post_init__(self) -> None:
        require_shape("Frame.image", self.image, (-1, -1, 3))
        if self.image.dtype != np.uint8:
            raise ValueError(f"Frame.image: expected uint8, got {self.image.dtype}")

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) px."""
        return self.image.shape[1], self.image.shape[0]


@dataclass(frozen=True)
class Look:
    """The crop in which the landmark network saw a person, and what it said besides the landmarks."""

    image: NDArray[np.uint8]
    """(256, 256, 3) RGB."""
    T_frame_crop: Array
    """(2, 3): pixels of the crop to pixels of the frame."""
    maps: Mapping[str, NDArray[np.float32]]
    """The network's outputs, with the inner maps that were asked for: `landmark_onnx.OUTPUTS`, channels last."""


@dataclass(frozen=True)
class Detection:
    """One person as a landmark detector sees them in one frame (MediaPipe's 33 points)."""

    landmarks2d: Array
    """(33, 2) px in the frame."""
    landmarks3d: Array
    """(33, 3) m, the hips' midpoint at the origin, axes along the camera's."""
    visibility: Array
    """(33,) in 0..1: how likely the point is in the picture and not hidden."""
    mask: PlacedMask | None = None
    """Where the person is; None when the detector does not say."""
    look: Look | None = None
    """None when it was not the landmark network alone that saw them."""

    def __post_init__(self) -> None:
        require_shape("Detection.landmarks2d", self.landmarks2d, (NUM_LANDMARKS, 2))
        require_shape("Detection.landmarks3d", self.landmarks3d, (NUM_LANDMARKS, 3))
        require_shape("Detection.visibility", self.visibility, (NUM_LANDMARKS,))

    @property
    def bbox(self) -> Array:
        """(4,) xyxy px: the tight box of the landmarks."""
        return np.concatenate([self.landmarks2d.min(axis=0), self.landmarks2d.max(axis=0)])


@dataclass(frozen=True)
class TrackedDetection:
    """A detection that has been given an identity."""

    person_id: int
    detection: Detection


@dataclass(frozen=True)
class Pose:
    """SMPL's parameters for one person in one frame."""

    global_orient: Array
    """(3,) axis-angle, rad: from the body's frame to the camera's."""
    body_pose: Array
    """(69,) axis-angle, rad, joints 1..23 in SMPL's order."""
    betas: Array
    """(10,) shape coefficients of the body model in use."""
    transl: Array
    """(3,) m, camera frame; vertices = SMPL(pose, betas) + transl (as smplx)."""

    def __post_init__(self) -> None:
        require_shape("Pose.global_orient", self.global_orient, (3,))
        require_shape("Pose.body_pose", self.body_pose, (3 * (NUM_JOINTS - 1),))
        require_shape("Pose.betas", self.betas, (NUM_BETAS,))
        require_shape("Pose.transl", self.transl, (3,))

    @property
    def theta(self) -> Array:
        """(24, 3) axis-angle of all joints, global_orient first."""
        return np.concatenate([self.global_orient, self.body_pose]).reshape(NUM_JOINTS, 3)


@dataclass(frozen=True)
class Person:
    """One person in one frame, as the tracker gives them out."""

    person_id: int
    pose: Pose
    joints3d: Array
    """(24, 3) m, camera frame."""
    joints2d: Array
    """(24, 2) px in the frame."""
    joint_confidence: Array
    """(24,) in 0..1: how far the image supports the joint; low where it is hidden."""
    bbox: Array
    """(4,) xyxy px."""
    nll: float
    """Negative log-likelihood of the fit, per observation: low is good."""

    def __post_init__(self) -> None:
        require_shape("Person.joints3d", self.joints3d, (NUM_JOINTS, 3))
        require_shape("Person.joints2d", self.joints2d, (NUM_JOINTS, 2))
        require_shape("Person.joint_confidence", self.joint_confidence, (NUM_JOINTS,))
        require_shape("Person.bbox", self.bbox, (4,))
