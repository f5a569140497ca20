"""People in a frame: landmarks, visibility and masks by MediaPipe's pose landmarker."""

from __future__ import annotations

from tracker.detect.detect_config import DetectConfig
from tracker.detect.detector import Detector
from tracker.detect.landmark_detector import LandmarkDetector

__all__ = ["DetectConfig", "Detector", "LandmarkDetector"]
