"""SMPL tracking of people in video: `from tracker import Tracker`.

The names are loaded when they are first asked for, so that parts of the package can be used where the person detector
is not installed. What is not listed here may change from one version to the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.core.lazy_names import names_on_demand

if TYPE_CHECKING:
    from tracker.app.clip_job import ClipReport
    from tracker.app.track_many import TrackOptions, track_many
    from tracker.async_tracker import AsyncTracker
    from tracker.body.landmark_set import COCO, MEDIAPIPE, LandmarkSet
    from tracker.config import load_config
    from tracker.core.camera import Camera
    from tracker.core.detection import Detection
    from tracker.core.errors import InputError, RunError
    from tracker.core.frame import Frame
    from tracker.core.person import Person, Pose
    from tracker.detect.detector import Detector
    from tracker.export.load_result import TrackResult, load_result
    from tracker.outputs.output import Output
    from tracker.pipeline import Tracker, TrackerConfig
    from tracker.source import open_source

__version__ = "0.1.0"

_HOMES = {
    "AsyncTracker": "async_tracker",
    "COCO": "body.landmark_set",
    "Camera": "core.camera",
    "ClipReport": "app.clip_job",
    "Detection": "core.detection",
    "Detector": "detect.detector",
    "Frame": "core.frame",
    "InputError": "core.errors",
    "LandmarkSet": "body.landmark_set",
    "Output": "outputs.output",
    "TrackResult": "export.load_result",
    "load_result": "export.load_result",
    "MEDIAPIPE": "body.landmark_set",
    "Person": "core.person",
    "Pose": "core.person",
    "RunError": "core.errors",
    "TrackOptions": "app.track_many",
    "Tracker": "pipeline",
    "TrackerConfig": "pipeline",
    "load_config": "config",
    "open_source": "source",
    "track_many": "app.track_many",
}
"""Public name → the module that holds it."""

__all__ = [
    "COCO",
    "MEDIAPIPE",
    "AsyncTracker",
    "Camera",
    "ClipReport",
    "Detection",
    "Detector",
    "Frame",
    "InputError",
    "LandmarkSet",
    "Output",
    "Person",
    "Pose",
    "RunError",
    "TrackOptions",
    "TrackResult",
    "Tracker",
    "TrackerConfig",
    "__version__",
    "load_config",
    "load_result",
    "open_source",
    "track_many",
]

__getattr__ = names_on_demand(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
