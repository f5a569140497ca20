"""Tracker: one frame in, the people in it out. No files, no threads, no clock: the frames carry the time."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Protocol

import numpy as np
from threadpoolctl import ThreadpoolController

from tracker.body import FREE_BODY_NAME, BodyModel, load_body
from tracker.body.body_state import BodyState
from tracker.body.joint_limits import JointPrior
from tracker.body.keypoints import landmark_to_joint_matrix
from tracker.body.kinematics import LandmarkRig
from tracker.body.person_builder import PersonBuilder
from tracker.core.arrays import Array
from tracker.core.camera import Camera, CameraConfig
from tracker.core.detection import Detection, TrackedDetection
from tracker.core.frame import Frame
from tracker.core.landmark_observation import LandmarkObservation
from tracker.core.person import Person
from tracker.detect import DetectConfig, LandmarkDetector
from tracker.extract.extractor import PictureConfig, Pictures, PictureView
from tracker.fit.landmark_fitter import FitConfig, LandmarkFit, LandmarkFitter
from tracker.fit.person_fitter import PersonFitter, TrackConfig
from tracker.fit.pose_prior import PosePrior
from tracker.fit.trust import TrustConfig, cover_of, trust
from tracker.identity import IdentityConfig, IdentityTracker
from tracker.initialise.inverse_kinematics import InverseKinematics
from tracker.initialise.motion_predictor import MotionPredictor
from tracker.networks.landmark_network import FEATURES
from tracker.smooth.filters import CausalFilter, OneEuroConfig, SavitzkyConfig
from tracker.source import open_source

_log = logging.getLogger("tracker")


@dataclass(frozen=True)
class TrackerConfig:
    """Every stage's configuration; a YAML file holds the differences from these defaults."""

    camera: CameraConfig = field(default_factory=CameraConfig)
    detect: DetectConfig = field(default_factory=DetectConfig)
    identity: IdentityConfig = field(default_factory=IdentityConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    track: TrackConfig = field(default_factory=TrackConfig)
    trust: TrustConfig = field(default_factory=TrustConfig)
    smooth: OneEuroConfig = field(default_factory=OneEuroConfig)
    zero_phase: SavitzkyConfig = field(default_factory=SavitzkyConfig)
    causal_filter: bool = True
    """False gives out the fits as they are (for the zero-phase filter of files, or for measuring)."""
    coast_seconds: float = 0.4
    """A person whom the detector loses is carried forward by their motion for so long."""
    picture: PictureConfig = field(default_factory=PictureConfig)
    body: Path | None = None
    """A user's SMPL file; None is the built-in free body."""


STAGES = ("detect", "identify", "picture", "fit", "smooth")
_TIMED_FRAMES = 100_000
"""Calls of each stage whose times are kept, so that a camera that runs for days does not fill the memory."""
_FORGET_SECONDS = 60.0
_NEAREST_Z = 0.01
"""m: joints behind the camera are projected as if they were this far in front of it."""


class Detector(Protocol):
    """Finds people's landmarks in a frame."""

    @property
    def engine(self) -> str:
        """What runs its network, with the version."""
        ...

    @property
    def device(self) -> str:
        """What that runs on."""
        ...

    def detect(self, frame: Frame, predicted: Sequence[Array] = ()) -> list[Detection]: ...

    def forget(self) -> None:
        """Nothing that comes has to do with the frames so far."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Found:
    """A frame and who was found where in it."""

    frame: Frame
    people: Sequence[TrackedDetection]
    views: Mapping[int, PictureView] = field(default_factory=dict)
    """What the picture's networks see of each, by identity; of those only who were looked at."""


class Tracker:
    """People's SMPL pose, shape and place, frame after frame.

    >>> for frame, people in Tracker.open(TrackerConfig()).run("video.mp4"):
    ...     print(frame.time, [person.pose.transl for person in people])
    """

    def __init__(
        self, config: TrackerConfig, body: BodyModel, detector: Detector, pictures: Pictures | None = None
    ) -> None:
        """pictures: asked after the landmarks (`tracker.extract.extractor`)."""
        self.config, self.body, self.detector = config, body, detector
        self.persons, self._pictures = PersonBuilder(body), pictures
        self._rig, self._outline = self.persons.rig, self.persons.outline
        self.stage_seconds = {stage: deque[float](maxlen=_TIMED_FRAMES) for stage in STAGES}
        self._fitter = LandmarkFitter(self._rig, JointPrior.anatomical(), config.fit, PosePrior.load())
        self._predictor, self._kinematics = MotionPredictor.load(), InverseKinematics.load()
        self._evidence = landmark_to_joint_matrix()
        # the fit's matrices are small: more threads only wait for each other
        self._blas = ThreadpoolController()
        self._know_nobody()

    def _know_nobody(self) -> None:
        self.identity = IdentityTracker(self.config.identity, self.config.detect.max_people)
        self._tracks: dict[int, PersonFitter] = {}
        self._filters: dict[int, CausalFilter] = {}
        self._last: dict[int, tuple[float, Array]] = {}

    def restart(self) -> None:
        """Forgets everybody: the next frame is seen as a tracker that was just opened sees it, which is much slower."""
        self.detector.forget()
        self._know_nobody()

    @property
    def engine(self) -> str:
        """What runs the landmark network, with its version, for the record."""
        return self.detector.engine

    @property
    def device(self) -> str:
        """What the landmark network runs on, for the record."""
        return self.detector.device

    @classmethod
    def open(cls, config: TrackerConfig | None = None) -> Tracker:
        """A tracker with the body and the detector that the configuration names. The picture is asked with the built-in
        body only: what the shipped networks have learned belongs to its surface.

        Raises InputError when a file it names is unusable or the detector is not installed.
        """
        config = config or TrackerConfig()
        body = load_body(config.body)
        asked = config.picture.enabled and body.name == FREE_BODY_NAME
        if config.picture.enabled and not asked:
            _log.info("%s: fitted to landmarks alone; the picture's networks know the built-in body only", body.name)
        if not asked:
            return cls(config, body, LandmarkDetector(config.detect))
        detector = LandmarkDetector(replace(config.detect, features=tuple(FEATURES)))
        return cls(config, body, detector, Pictures(body, LandmarkRig.from_body(body), config.picture))

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees the detector and the networks."""
        self.detector.close()
        if self._pictures is not None:
            self._pictures.close()

    def run(self, spec: str) -> Iterator[tuple[Frame, list[Person]]]:
        """Every frame of a source (see `open_source`) with its people."""
        with open_source(spec) as source:
            for frame in source:
                yield frame, self.step(frame)

    def step(self, frame: Frame) -> list[Person]:
        """The people in a frame, by identity. Frames come in the order of their time."""
        return self.pose(self.look(self.find(frame)))

    def find(self, frame: Frame) -> Found:
        """The first third of a step: who is where in the frame. It knows nothing of the others, so that a thread may
        find people in the next frame while others look at those of this one and pose them."""
        clock = _StageClock(self.stage_seconds)
        detections = self.detector.detect(frame, self.identity.predicted_boxes(frame.time))
        clock.lap("detect")
        tracked = self.identity.assign(frame, detections)
        clock.lap("identify")
        return Found(frame, tracked)

    def look(self, found: Found) -> Found:
        """The second third: what the networks see in the picture of each. In the order of the frames, too."""
        clock = _StageClock(self.stage_seconds)
        camera = self.config.camera.for_size(*found.frame.size)
        views = {}
        if self._pictures is not None:
            looks = {t.person_id: t.detection.look for t in found.people}
            views = {key: self._pictures.view(look, camera) for key, look in looks.items() if look is not None}
        clock.lap("picture")
        return replace(found, views=views)

    def pose(self, found_people: Found) -> list[Person]:
        """The last third: what pose they have, by identity. One call for each `find`, in the same order."""
        clock = _StageClock(self.stage_seconds)
        frame, tracked = found_people.frame, found_people.people
        camera = self.config.camera.for_size(*frame.size)
        with self._blas.limit(limits=1, user_api="blas"):
            found = {t.person_id: self._fit(frame.time, camera, t, found_people.views) for t in tracked}
        clock.lap("fit")
        people = {key: self._smoothed(key, frame.time, camera, *fit) for key, fit in found.items()}
        people |= self._coasting(frame.time, camera, set(found))
        clock.lap("smooth")
        self._forget(frame.time)
        return [people[key] for key in sorted(people)]

    def _fit(
        self, time: float, camera: Camera, tracked: TrackedDetection, views: Mapping[int, PictureView]
    ) -> tuple[BodyState, Array, float]:
        person_id, detection = tracked.person_id, tracked.detection
        seen = LandmarkObservation(camera, detection.landmarks2d, detection.landmarks3d, detection.visibility)
        if person_id not in self._tracks:
            self._tracks[person_id] = PersonFitter(self._fitter, self.config.track, self._predictor, self._kinematics)
        track = self._tracks[person_id]
        result = track.update(time, seen, views.get(person_id))
        cost = result.cost / len(detection.visibility)
        believed = self._trust(cost, result.state, camera, detection)
        if believed < self.config.trust.restart_below:
            track.forget_pose()
        confidence = believed * self._confidence(detection, result)
        self._last[person_id] = (time, confidence)
        return result.state, confidence, cost

    def _trust(self, cost: float, state: BodyState, camera: Camera, detection: Detection) -> float:
        """0..1: how far the fit is to be believed."""
        if detection.mask is None:
            return trust(cost, None, self.config.trust)
        posed = self._rig.pose(state.rotations, state.betas)
        points = self._outline.points(posed, state.betas) + state.transl
        in_front = points[:, 2] > _NEAREST_Z
        pixels, parts = camera.project(points[in_front]), self._outline.parts[in_front]
        return trust(cost, cover_of(pixels, parts, detection.mask), self.config.trust)

    def _confidence(self, detection: Detection, result: LandmarkFit) -> Array:
        """(24,): what the detector sees of each joint's landmarks, less where the fit does not agree with it; and, if
        the picture was asked, the mean of that and of what the picture shows."""
        agreement = 1 / (1 + (result.residual / self.config.fit.outlier) ** 2)
        confidence = np.clip(self._evidence @ (detection.visibility * agreement), 0.0, 1.0)
        return confidence if result.support is None else (confidence + result.support) / 2

    def _smoothed(
        self, person_id: int, time: float, camera: Camera, state: BodyState, confidence: Array, nll: float
    ) -> Person:
        pose = state.to_pose()
        if self.config.causal_filter:
            causal = self._filters.setdefault(person_id, CausalFilter(self.config.smooth))
            pose = causal(time, pose, confidence)
        return self.persons.person(person_id, pose, camera, confidence, nll)

    def _forget(self, time: float) -> None:
        """Drops what is kept of people who have been away for so long that they would get a new identity."""
        for key in [key for key, (last, _) in self._last.items() if time - last > _FORGET_SECONDS]:
            for store in (self._last, self._tracks, self._filters):
                store.pop(key, None)

    def _coasting(self, time: float, camera: Camera, found: set[int]) -> dict[int, Person]:
        """The people whom the detector has just lost, where their motion was taking them, less and less sure."""
        people = {}
        for key, (last, confidence) in self._last.items():
            absent = time - last
            if key in found or absent > self.config.coast_seconds or not self._tracks[key].has_pose:
                continue
            fading = confidence * (1 - absent / self.config.coast_seconds)
            state = self._tracks[key].coast(time)
            people[key] = self._smoothed(key, time, camera, state, fading, float("nan"))
        return people


class _StageClock:
    """Times the stages of one step; it measures, nothing depends on it."""

    def __init__(self, seconds: Mapping[str, deque[float]]) -> None:
        self._seconds, self._last = seconds, perf_counter()

    def lap(self, stage: str) -> None:
        now = perf_counter()
        self._seconds[stage].append(now - self._last)
        self._last = now
