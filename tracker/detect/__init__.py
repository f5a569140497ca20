"""People in a frame: landmarks, visibility and masks by MediaPipe's pose landmarker."""

from __future__ import annotations

from tracker.detect.config import DetectConfig
from tracker.detect.detector import LandmarkDetector

__all__ = ["DetectConfig", "LandmarkDetector"]
