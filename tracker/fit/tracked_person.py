"""One person over time: fit, trust, confidence, filter, and where they are while the detector has lost them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tracker.body.body_state import BodyState
from tracker.body.landmark_set import MEDIAPIPE
from tracker.body.person_builder import PersonBuilder
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.detection import Detection
from tracker.core.landmark_observation import LandmarkObservation
from tracker.core.person import Pose
from tracker.fit.landmark_fitter import LandmarkFit
from tracker.fit.person_fitter import ImageEvidence, PersonFitter
from tracker.fit.trust import TrustConfig, cover_of, trust

PoseFilter = Callable[[float, Pose, Array], Pose]
"""Time s, pose, (24,) confidence → the pose as it is given out. Called in the order of time."""


@dataclass(frozen=True)
class FitEstimate:
    """What a frame's fit has come to."""

    time: float
    """s"""
    state: BodyState
    confidence: Array
    """(24,) 0..1."""
    nll: float
    """Per landmark."""


class FitJudge:
    """How far a fit is believed, as a whole and joint by joint."""

    def __init__(self, config: TrustConfig, outlier: float, persons: PersonBuilder) -> None:
        """outlier: standard deviations at which a landmark's agreement with the fit is halved."""
        self.config, self._outlier, self.persons = config, outlier, persons
        self._evidence = MEDIAPIPE.joint_evidence

    def trust(self, fit: LandmarkFit, camera: Camera, detection: Detection) -> float:
        """0..1, from the cost and from how much of the person's mask the body covers.

        A pose that the picture has chosen costs more than one that follows the landmarks: where a track begins, it is
        these that must fit together. Later such a pose is what is taken up when nothing fits, and seldom right.
        """
        cost = (fit.cost if fit.cost_of_landmarks is None else fit.cost_of_landmarks) / len(detection.visibility)
        if detection.mask is None:
            return trust(cost, None, self.config)
        pixels, parts = self.persons.outline_in(camera, fit.state)
        return trust(cost, cover_of(pixels, parts, detection.mask), self.config)

    def confidence(self, fit: LandmarkFit, detection: Detection) -> Array:
        """(24,): the visibility of each joint's landmarks, less where the fit does not agree with them; with features,
        the mean of that and of how far the picture supports the joint."""
        agreement = 1 / (1 + (fit.residual / self._outlier) ** 2)
        confidence = np.clip(self._evidence @ (detection.visibility * agreement), 0.0, 1.0)
        return confidence if fit.support is None else (confidence + fit.support) / 2


class TrackedPerson:
    """One identity: everything that is kept of them from frame to frame."""

    def __init__(self, person_id: int, fitter: PersonFitter, judge: FitJudge, pose_filter: PoseFilter) -> None:
        self.person_id = person_id
        self._fitter, self._judge, self._filter = fitter, judge, pose_filter
        self._persons = judge.persons
        self._estimate: FitEstimate | None = None
        self._believed: FitEstimate | None = None

    def fit(self, time: float, camera: Camera, detection: Detection, evidence: ImageEvidence | None) -> None:
        """Fits them to a frame. time: s, later than the call before; evidence: None where there are no features."""
        observation = LandmarkObservation(
            camera, detection.landmarks2d, detection.landmarks3d, detection.visibility, detection.palms
        )
        fit = self._fitter.update(time, observation, evidence)
        share = self._judge.trust(fit, camera, detection)
        if share < self._judge.config.restart_below and (before := self._lately_believed(time)) is not None:
            fit = self._fitter.update_alone(time, observation, evidence, before)
            share = self._judge.trust(fit, camera, detection)
            share = share if share >= self._judge.config.alone_from else 0.0
        self._fitter.learn_shape(time, fit, share)
        confidence = share * self._judge.confidence(fit, detection)
        self._estimate = FitEstimate(time, fit.state, confidence, fit.cost / len(detection.visibility))
        if share < self._judge.config.restart_below:
            self._fitter.disbelieve(time)
        else:
            self._believed = self._estimate

    def _lately_believed(self, time: float) -> BodyState | None:
        """The last pose that was; None for who never was, and may well be nobody, or not for long."""
        last = self._believed
        return last.state if last is not None and time - last.time <= self._fitter.config.forget_seconds else None

    def forget_pose(self) -> None:
        """They are not carried on from where they were: what comes next is another scene."""
        self._fitter.forget_pose()
        self._believed = None

    def exchange_pose(self, other: TrackedPerson) -> None:
        """Each is carried on from where the other one was; the shapes stay."""
        self._fitter.exchange_pose(other._fitter)
        self._filter, other._filter = other._filter, self._filter
        self._estimate, other._estimate = other._estimate, self._estimate
        self._believed, other._believed = other._believed, self._believed

    def at(self, time: float, coast_seconds: float) -> FitEstimate | None:
        """The fit of this moment; or, for so long after the last one, where the motion was leading, less and less
        sure; None beyond that."""
        estimate = self._estimate
        if estimate is None or estimate.time == time:
            return estimate
        absent = time - estimate.time
        if absent > coast_seconds or not self._fitter.has_pose:
            return None
        fading = estimate.confidence * (1 - absent / coast_seconds)
        return FitEstimate(time, self._fitter.coast(time), fading, float("nan"))

    def filtered(self, estimate: FitEstimate) -> Pose:
        """The pose to give out, in the shape that all frames share. Called in the order of time.

        The shape comes before the filter: under each frame's own, what one frame gets wrong of the size becomes a step
        in the distance.
        """
        pose = self._persons.reshaped(estimate.state.to_pose(), self._fitter.betas)
        return self._filter(estimate.time, pose, estimate.confidence)

    def absent_seconds(self, time: float) -> float:
        """Since the last fit; 0 before the first."""
        return 0.0 if self._estimate is None else time - self._estimate.time
