"""Over time it shows whom to believe in: single frames neither make a person nor a gap in one."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.body import load_body
from tracker.body.person_builder import PersonBuilder
from tracker.core.camera import Camera, CameraConfig
from tracker.core.frame import Frame
from tracker.core.person import BELIEVED, FrameRecord, Pose, TrackedFrame
from tracker.smooth.apparitions import apparitions
from tracker.smooth.delayed_smoother import DelayedSmoother, smoothed_with_delay
from tracker.smooth.filters import SavitzkyConfig
from tracker.smooth.smoothed_frames import last_betas, smoothed_frames

CAMERA = Camera.default(64, 48)
RATE = 30.0
SURE, DOUBTFUL = 0.8, 0.1
ODD = 20


def believed(levels: np.ndarray) -> list[list[bool]]:
    """Of somebody who stands still with these confidences: in the files, and as they are drawn."""
    persons = PersonBuilder(load_body(None))
    pose = Pose(np.array([np.pi, 0.0, 0.0]), np.zeros(69), np.zeros(10), np.array([0.0, 0.0, 3.0]))
    people = [persons.person(0, pose, CAMERA, np.full(24, level), 0.0) for level in levels]
    records = [FrameRecord(i, i / RATE, [person]) for i, person in enumerate(people)]
    files = smoothed_frames(records, last_betas(records), persons, CAMERA, SavitzkyConfig())
    picture = np.zeros((48, 64, 3), np.uint8)
    frames = [TrackedFrame(Frame(r.index, r.time, picture), r.people) for r in records]
    drawn = smoothed_with_delay(frames, DelayedSmoother(persons, CameraConfig(), SavitzkyConfig()))
    return [[frame.people[0].believed for frame in each] for each in (files, drawn)]


@pytest.mark.parametrize(("usual", "odd"), [(SURE, DOUBTFUL), (DOUBTFUL, SURE)])
def test_a_single_frame_is_believed_as_those_around_it(usual: float, odd: float) -> None:
    levels = np.full(2 * ODD, usual)
    levels[ODD] = odd

    for each in believed(levels):
        assert each == [usual == SURE] * len(levels)


def test_where_somebody_is_lost_for_good_belief_ends_there() -> None:
    levels = np.where(np.arange(2 * ODD) < ODD, SURE, DOUBTFUL)

    for each in believed(levels):
        assert each[: ODD - 2] == [True] * (ODD - 2)
        assert each[ODD + 2 :] == [False] * (ODD - 2)


def sightings(confidence: np.ndarray, person_id: int = 0) -> list[tuple[int, float, bool]]:
    """Identity, time and belief of somebody in every frame."""
    return [(person_id, i / RATE, bool(each > BELIEVED)) for i, each in enumerate(confidence)]


def flashing(count: int) -> np.ndarray:
    """Believed now and then, once for a third of a second."""
    confidence = np.full(count, DOUBTFUL)
    confidence[::8] = SURE
    confidence[count // 2 : count // 2 + 10] = SURE
    return confidence


def test_who_is_believed_for_moments_only_is_nobody() -> None:
    assert apparitions(sightings(flashing(200), person_id=3)) == {3}


def test_who_is_nobody_is_not_drawn_either() -> None:
    _, drawn = believed(flashing(200))

    assert not any(drawn)


def test_who_was_plainly_there_for_a_second_is_somebody() -> None:
    fallen = np.full(600, DOUBTFUL)
    fallen[: int(RATE) + 2] = SURE

    assert apparitions(sightings(fallen)) == set()


def test_who_passes_by_quickly_is_somebody() -> None:
    assert apparitions(sightings(np.full(5, SURE))) == set()
    assert all(believed(np.full(5, SURE))[1])


def test_who_was_away_was_not_there_all_the_while() -> None:
    seen_twice = [(0, 0.0, True), (0, 3.0, True)]

    assert apparitions([*seen_twice, *((0, 3.0 + i / RATE, False) for i in range(1, 30))]) == {0}


def test_each_identity_is_judged_by_its_own_frames() -> None:
    both = [*sightings(np.full(90, SURE)), *sightings(np.full(90, DOUBTFUL), person_id=1)]

    assert apparitions(sorted(both, key=lambda each: each[1])) == {1}
