"""What becomes of a fit by how far it is believed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.fit.test_landmark_fitter import CAMERA, fitter, observe, upright
from tracker.body.body_state import BodyState
from tracker.core.detection import Detection
from tracker.core.landmark_observation import LandmarkObservation
from tracker.fit.landmark_fitter import Belief, LandmarkFit, LandmarkFitter
from tracker.fit.person_fitter import TrackConfig
from tracker.fit.tracked_person import TrackedPerson
from tracker.fit.trust import TrustConfig

__all__ = ["fitter"]
"""A fixture."""


@dataclass
class Fits:
    """Gives out one fit after another, and keeps what else is asked of it."""

    picture: LandmarkFit
    landmarks: LandmarkFit
    learned: list[tuple[LandmarkFit, float]] = field(default_factory=list)
    disbelieved: list[float] = field(default_factory=list)
    before: list[BodyState] = field(default_factory=list)
    config: TrackConfig = field(default_factory=TrackConfig)

    def update(self, time: float, observation: LandmarkObservation, evidence: None) -> LandmarkFit:
        return self.picture

    def update_alone(
        self, time: float, observation: LandmarkObservation, evidence: None, before: BodyState
    ) -> LandmarkFit:
        self.before.append(before)
        return self.landmarks

    def learn_shape(self, time: float, fit: LandmarkFit, trust: float) -> None:
        self.learned.append((fit, trust))

    def disbelieve(self, time: float) -> None:
        self.disbelieved.append(time)


class Beliefs:
    """Believes one fit after another as far as it was told to."""

    config = TrustConfig()
    persons = None

    def __init__(self, shares: list[float]) -> None:
        self._shares: Iterator[float] = iter(shares)

    def trust(self, fit: LandmarkFit, camera: object, detection: Detection) -> float:
        return next(self._shares)

    def confidence(self, fit: LandmarkFit, detection: Detection) -> np.ndarray:
        return np.ones(24)


@pytest.fixture(name="fits")
def two_fits(fitter: LandmarkFitter) -> Fits:
    person = observe(fitter, upright(np.zeros((24, 3)), 0.2), np.zeros(10), np.array([0.0, 0.0, 3.0]), 0.002)
    start = BodyState(np.tile(np.eye(3), (24, 1, 1)), np.zeros(10), np.array([0.0, 0.0, 3.0]))
    fit = fitter.fit(person.seen, Belief.stranger(), start, 5)
    return Fits(fit, replace(fit, cost=fit.cost / 2))


def fitted(fits: Fits, shares: list[float]) -> TrackedPerson:
    judge: Any = Beliefs(shares)
    person = TrackedPerson(0, fits, judge, lambda time, pose, confidence: pose)  # type: ignore[arg-type]
    detection = Detection(np.zeros((33, 2)), np.zeros((33, 3)), np.ones(33))
    camera: Any = SimpleNamespace(**vars(CAMERA))
    for index in range(2):
        person.fit(index / 10, camera, detection, None)
    return person


def test_a_believed_fit_is_kept_and_teaches_the_shape(fits: Fits) -> None:
    person = fitted(fits, [0.7, 0.4])
    assert fits.learned == [(fits.picture, 0.7), (fits.picture, 0.4)]
    assert fits.before == fits.disbelieved == []
    estimate = person.at(0.1, 0.4)
    assert estimate is not None and estimate.confidence.max() == pytest.approx(0.4)


def test_the_landmarks_alone_are_asked_where_a_fit_is_not_believed(fits: Fits) -> None:
    fitted(fits, [0.7, 0.05, 0.8])
    assert fits.learned == [(fits.picture, 0.7), (fits.landmarks, 0.8)]
    assert fits.before == [fits.picture.state], "and may begin where somebody was believed last"
    assert fits.disbelieved == []


def test_landmarks_that_are_hardly_believed_themselves_are_not(fits: Fits) -> None:
    fitted(fits, [0.7, 0.05, 0.5])
    assert fits.learned[-1] == (fits.landmarks, 0.0)
    assert fits.disbelieved == [0.1]


def test_who_was_never_believed_is_not_asked_about_twice(fits: Fits) -> None:
    fitted(fits, [0.05, 0.05])
    assert fits.before == []
    assert fits.disbelieved == [0.0, 0.1]


def test_what_nobody_believes_is_not_gone_on_from(fits: Fits) -> None:
    fitted(fits, [0.7, 0.05, 0.02])
    assert fits.learned[-1] == (fits.landmarks, 0.0)
    assert fits.disbelieved == [0.1]
