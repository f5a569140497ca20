"""Tracker: one frame in, the people in it out. No files, no threads, no clock: the frames carry the time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Protocol

import numpy as np

from tracker.body import BodyModel, load_body
from tracker.camera import Camera, CameraConfig
from tracker.detect import DetectConfig, LandmarkDetector
from tracker.fit import BodyState, FitConfig, FitResult, LandmarkFitter, Observation
from tracker.identity import IdentityConfig, IdentityTracker
from tracker.keypoints import landmark_to_joint_matrix
from tracker.kinematics import LandmarkRig
from tracker.prior import JointPrior
from tracker.smooth import CausalFilter, OneEuroConfig
from tracker.source import open_source
from tracker.track import PersonTrack, TrackConfig
from tracker.types import Array, Detection, Frame, Person, Pose


@dataclass(frozen=True)
class TrackerConfig:
    """Every stage's configuration; a YAML file holds the differences from these defaults."""

    camera: CameraConfig = field(default_factory=CameraConfig)
    detect: DetectConfig = field(default_factory=DetectConfig)
    identity: IdentityConfig = field(default_factory=IdentityConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    track: TrackConfig = field(default_factory=TrackConfig)
    smooth: OneEuroConfig = field(default_factory=OneEuroConfig)
    causal_filter: bool = True
    """False gives out the fits as they are (for the zero-phase filter of files, or for measuring)."""
    coast_seconds: float = 0.4
    """A person whom the detector loses is carried forward by their motion for so long."""
    body: Path | None = None
    """A user's SMPL file; None is the built-in free body."""


class Detector(Protocol):
    """Finds people's landmarks in a frame."""

    def detect(self, frame: Frame, predicted: Sequence[Array] = ()) -> list[Detection]: ...

    def close(self) -> None: ...


class Tracker:
    """People's SMPL pose, shape and place, frame after frame.

    >>> for frame, people in Tracker.open(TrackerConfig()).run("video.mp4"):
    ...     print(frame.time, [person.pose.transl for person in people])
    """

    def __init__(self, config: TrackerConfig, body: BodyModel, detector: Detector) -> None:
        self.config, self.body, self.detector = config, body, detector
        self.rig = LandmarkRig.from_body(body)
        self.identity = IdentityTracker(config.identity, config.detect.max_people)
        self.stage_seconds: dict[str, list[float]] = {"detect": [], "identify": [], "fit": [], "smooth": []}
        self._fitter = LandmarkFitter(self.rig, JointPrior.anatomical(), config.fit)
        self._tracks: dict[int, PersonTrack] = {}
        self._filters: dict[int, CausalFilter] = {}
        self._last: dict[int, tuple[float, Array]] = {}
        self._evidence = landmark_to_joint_matrix()

    @classmethod
    def open(cls, config: TrackerConfig | None = None) -> Tracker:
        """A tracker with the body and the detector that the configuration names.

        Raises InputError when a file it names is unusable or the detector is not installed.
        """
        config = config or TrackerConfig()
        return cls(config, load_body(config.body), LandmarkDetector(config.detect))

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees the detector."""
        self.detector.close()

    def run(self, spec: str) -> Iterator[tuple[Frame, list[Person]]]:
        """Every frame of a source (see `open_source`) with its people."""
        with open_source(spec) as source:
            for frame in source:
                yield frame, self.step(frame)

    def step(self, frame: Frame) -> list[Person]:
        """The people in a frame, by identity. Frames come in the order of their time."""
        clock = _StageClock(self.stage_seconds)
        detections = self.detector.detect(frame, self.identity.predicted_boxes(frame.time))
        clock.lap("detect")
        tracked = self.identity.assign(frame, detections)
        clock.lap("identify")
        camera = self.config.camera.for_size(*frame.size)
        found = {t.person_id: self._fit(frame.time, camera, t.person_id, t.detection) for t in tracked}
        clock.lap("fit")
        people = {key: self._smoothed(key, frame.time, camera, *fit) for key, fit in found.items()}
        people |= self._coasting(frame.time, camera, set(found))
        clock.lap("smooth")
        return [people[key] for key in sorted(people)]

    def person_from_pose(self, person_id: int, camera: Camera, pose: Pose, confidence: Array, nll: float) -> Person:
        """Joints and box of a pose, in this tracker's body. camera: of the frame; confidence: (24,)."""
        posed = self.rig.pose_from_theta(pose.theta, pose.betas)
        joints3d = posed.joints + pose.transl
        points = np.concatenate([joints3d, posed.points + pose.transl])
        in_front = points[points[:, 2] > 1e-2]
        pixels = camera.project(in_front if len(in_front) else np.array([[0.0, 0.0, 1.0]]))
        safe = np.concatenate([joints3d[:, :2], np.maximum(joints3d[:, 2:], 1e-2)], axis=1)
        bbox = np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])
        return Person(person_id, pose, joints3d, camera.project(safe), confidence, bbox, nll)

    def _fit(self, time: float, camera: Camera, person_id: int, detection: Detection) -> tuple[BodyState, Array, float]:
        seen = Observation(camera, detection.landmarks2d, detection.landmarks3d, detection.visibility)
        if person_id not in self._tracks:
            self._tracks[person_id] = PersonTrack(self._fitter, self.config.track)
        result = self._tracks[person_id].update(time, seen)
        confidence = self._confidence(detection, result)
        self._last[person_id] = (time, confidence)
        return result.state, confidence, result.cost / len(detection.visibility)

    def _confidence(self, detection: Detection, result: FitResult) -> Array:
        """(24,): what the detector sees of each joint's landmarks, less where the fit does not agree with it."""
        agreement = 1 / (1 + (result.residual / self.config.fit.outlier) ** 2)
        return np.clip(self._evidence @ (detection.visibility * agreement), 0.0, 1.0)

    def _smoothed(
        self, person_id: int, time: float, camera: Camera, state: BodyState, confidence: Array, nll: float
    ) -> Person:
        pose = state.to_pose()
        if self.config.causal_filter:
            causal = self._filters.setdefault(person_id, CausalFilter(self.config.smooth))
            pose = causal(time, pose, confidence)
        return self.person_from_pose(person_id, camera, pose, confidence, nll)

    def _coasting(self, time: float, camera: Camera, found: set[int]) -> dict[int, Person]:
        """The people whom the detector has just lost, where their motion was taking them, less and less sure."""
        people = {}
        for key, (last, confidence) in self._last.items():
            absent = time - last
            if key in found or absent > self.config.coast_seconds:
                continue
            fading = confidence * (1 - absent / self.config.coast_seconds)
            state = self._tracks[key].coast(time)
            people[key] = self._smoothed(key, time, camera, state, fading, float("nan"))
        return people


class _StageClock:
    """Times the stages of one step; it measures, nothing depends on it."""

    def __init__(self, seconds: dict[str, list[float]]) -> None:
        self._seconds, self._last = seconds, perf_counter()

    def lap(self, stage: str) -> None:
        now = perf_counter()
        self._seconds[stage].append(now - self._last)
        self._last = now
