"""What single frames get wrong of a body's size must not become steps in its distance."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from tracker.body import load_body
from tracker.body.person_builder import PersonBuilder
from tracker.core.camera import Camera, CameraConfig
from tracker.core.frame import Frame
from tracker.core.person import FrameRecord, Person, Pose, TrackedFrame
from tracker.smooth.delayed_smoother import DelayedSmoother, smoothed_with_delay
from tracker.smooth.filters import SavitzkyConfig
from tracker.smooth.smoothed_frames import last_betas, smoothed_frames

CAMERA = Camera.default(64, 48)
RATE = 30.0


@pytest.fixture(scope="module")
def persons() -> PersonBuilder:
    return PersonBuilder(load_body(None))


def standing(persons: PersonBuilder, count: int) -> list[Person]:
    """Somebody who stands still, in each frame with another size and as much farther away."""
    rng = np.random.default_rng(0)
    still = Pose(np.array([np.pi, 0.0, 0.0]), np.zeros(69), np.zeros(10), np.array([0.0, 0.0, 3.0]))
    shapes = 0.5 * rng.normal(size=(count, 10))
    poses = (persons.reshaped(still, betas) for betas in shapes)
    return [persons.person(0, pose, CAMERA, np.ones(24), 0.0) for pose in poses]


def depth_step(people: Iterable[Person]) -> float:
    """m, of the pelvis from frame to frame, on the average."""
    return float(np.abs(np.diff([person.joints3d[0, 2] for person in people])).mean())


def test_files_keep_the_distance_of_somebody_who_stands_still(persons: PersonBuilder) -> None:
    people = standing(persons, 60)
    records = [FrameRecord(i, i / RATE, [person]) for i, person in enumerate(people)]
    frames = smoothed_frames(records, last_betas(records), persons, CAMERA, SavitzkyConfig())
    smoothed = [record.people[0] for record in frames]
    assert depth_step(people) > 0.02
    assert depth_step(smoothed) < 1e-3
    assert {tuple(person.pose.betas) for person in smoothed} == {tuple(people[-1].pose.betas)}


def test_the_overlay_does_too_once_the_shape_is_known(persons: PersonBuilder) -> None:
    people = standing(persons, 30)
    settled = [persons.posed(persons.reshaped(people[0].pose, people[29].pose.betas), CAMERA, people[0])] * 90
    image = np.zeros((48, 64, 3), np.uint8)
    frames = [TrackedFrame(Frame(i, i / RATE, image), [person]) for i, person in enumerate([*people, *settled])]
    waiting = DelayedSmoother(persons, CameraConfig(), SavitzkyConfig())
    shown = [tracked.people[0] for tracked in smoothed_with_delay(frames, waiting)]
    assert len(shown) == len(frames)
    assert depth_step(shown[:30]) < 1e-3 < depth_step(people)
