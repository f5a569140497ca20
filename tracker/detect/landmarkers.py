"""MediaPipe's pose landmarker with its conventions turned into ours.

It takes every picture by itself: following people is `follow.py`'s. Pixels are in the picture's own coordinates (pixel
centres at integers + 0.5).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.body.landmark_set import MEDIAPIPE
from tracker.core.arrays import Array
from tracker.core.errors import RunError
from tracker.core.mask import PlacedMask
from tracker.detect.similarity import BODY_POINTS
from tracker.detect.stderr_filter import native_chatter_held_back

HIPS = [MEDIAPIPE.index("left_hip"), MEDIAPIPE.index("right_hip")]
SHOULDERS = [MEDIAPIPE.index("left_shoulder"), MEDIAPIPE.index("right_shoulder")]
NETWORK_SIZE = 256
"""px: side of the landmark network's input."""
REGION_SIDE = 2.6
"""Side of the region that MediaPipe cuts out for that network, over the distance from mid-hips to the farthest landmark
(median over real clips; 2.2 to 3.4)."""
_SEEN = 0.5


@dataclass(frozen=True)
class PoseReading:
    """One pose as MediaPipe gives it, in the pixels of the picture that it was given."""

    landmarks2d: Array
    """(33, 2) px."""
    landmarks3d: Array
    """(33, 3) m, the hips' midpoint at the origin."""
    visibility: Array
    """(33,) 0..1."""
    presence: Array
    """(33,) 0..1: how likely the point lies in the region that the network saw."""
    mask: PlacedMask
    """Of that picture."""

    def inside(self, width: float, height: float) -> NDArray[np.bool_]:
        """(33,) whether each landmark lies in the picture."""
        points = self.landmarks2d
        return ((points >= 0) & (points < [width, height])).all(axis=1)

    def quality(self, width: float, height: float) -> float:
        """Mean presence of the landmarks in the picture; legs below its edge say nothing against a person."""
        inside = self.inside(width, height)
        return float(self.presence[inside].mean()) if inside.any() else 0.0

    def visible_points(self, width: float, height: float) -> Array:
        """(n, 2) px: those of the 13 body points that lie in the picture and are not hidden."""
        visible = (self.inside(width, height) & (self.visibility >= _SEEN))[BODY_POINTS]
        return self.landmarks2d[BODY_POINTS][visible]


@dataclass(frozen=True)
class LandmarkerSettings:
    """What the landmarker is opened with."""

    num_poses: int
    min_detection: float
    min_presence: float
    min_tracking: float


class ImageLandmarker:
    """Takes each picture by itself. MediaPipe's chatter is held back until it has seen a person."""

    def __init__(self, bundle: bytes, settings: LandmarkerSettings) -> None:
        """Raises RunError when MediaPipe refuses the bundle."""
        with native_chatter_held_back():
            from mediapipe.tasks.python import BaseOptions, vision

            options = vision.PoseLandmarkerOptions(
                base_options=BaseOptions(model_asset_buffer=bundle),
                running_mode=vision.RunningMode.IMAGE,
                num_poses=settings.num_poses,
                min_pose_detection_confidence=settings.min_detection,
                min_pose_presence_confidence=settings.min_presence,
                min_tracking_confidence=settings.min_tracking,
                output_segmentation_masks=True,
            )
            try:
                self._native = vision.PoseLandmarker.create_from_options(options)
            except (RuntimeError, ValueError) as error:
                raise RunError(f"mediapipe cannot open the pose landmarker: {_first_line(error)}") from error
        self._warmed_up = False

    def close(self) -> None:
        with native_chatter_held_back():
            self._native.close()

    def read(self, image: NDArray[np.uint8]) -> list[PoseReading]:
        """The poses in an (h, w, 3) RGB picture. Raises RunError when MediaPipe fails."""
        with self._quietly():
            try:
                result = self._native.detect(_mediapipe_image(image))
            except (RuntimeError, ValueError) as error:
                raise RunError(f"mediapipe failed on a picture: {_first_line(error)}") from error
        return self._readings(result, image)

    def _quietly(self) -> AbstractContextManager[None]:
        # Both networks have been set up, and have had their say, once a person was found.
        return nullcontext() if self._warmed_up else native_chatter_held_back()

    def _readings(self, result: Any, image: NDArray[np.uint8]) -> list[PoseReading]:
        self._warmed_up = self._warmed_up or bool(result.pose_landmarks)
        poses = zip(result.pose_landmarks, result.pose_world_landmarks, result.segmentation_masks or [], strict=True)
        return [_reading(*pose, image.shape[1], image.shape[0]) for pose in poses]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _mediapipe_image(image: NDArray[np.uint8]) -> Any:
    import mediapipe

    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))


def _reading(landmarks: Any, world: Any, mask: Any, width: int, height: int) -> PoseReading:
    flat = np.array([(p.x * width, p.y * height, p.visibility, p.presence) for p in landmarks])
    probability = mask.numpy_view().reshape(height, width)
    return PoseReading(
        landmarks2d=centred_landmarks(flat[:, :2]),
        landmarks3d=np.array([(p.x, p.y, p.z) for p in world]),
        visibility=flat[:, 2].clip(0, 1),
        presence=flat[:, 3].clip(0, 1),
        mask=PlacedMask.whole(np.asarray(cv2.convertScaleAbs(probability, alpha=255.0), np.uint8)),
    )


def centred_landmarks(landmarks: Array) -> Array:
    """MediaPipe's (33, 2) landmarks in pixels, freed of the shift that its way of cutting out regions causes.

    MediaPipe samples the network's input pixel i at the picture's pixel number s·i + x0 where it should take
    s·(i + ½) + x0 − ½ (s picture pixels per input pixel). The landmarks come out too far along the region's axes by
    half an input pixel and too low by half a picture pixel. The region is centred on the hips and turned with the
    torso; its side is known only roughly, which leaves a tenth of a pixel where the shift was one.
    """
    hips = landmarks[HIPS].mean(axis=0)
    up = landmarks[SHOULDERS].mean(axis=0) - hips
    turn = np.arctan2(up[0], -up[1])
    farthest = float(np.linalg.norm(landmarks - hips, axis=1).max())
    half_step = 0.5 * REGION_SIDE * farthest / NETWORK_SIZE
    cosine, sine = np.cos(turn), np.sin(turn)
    return landmarks - half_step * np.array([cosine - sine, sine + cosine]) + 0.5
