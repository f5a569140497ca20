"""Over time it shows whom to believe in: single frames neither make a person nor a gap in one."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.body import load_body
from tracker.body.person_builder import PersonBuilder
from tracker.core.camera import Camera, CameraConfig
from tracker.core.frame import Frame
from tracker.core.person import FrameRecord, Pose, TrackedFrame
from tracker.smooth.apparitions import apparitions, longest_stretch
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


def rows(confidence: np.ndarray, person_id: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Identity, time and confidence of somebody in every frame."""
    return np.full(len(confidence), person_id), np.arange(len(confidence)) / RATE, confidence


def test_who_is_believed_for_moments_only_is_nobody() -> None:
    flashing = np.full(200, DOUBTFUL)
    flashing[::8] = SURE
    flashing[100:110] = SURE

    assert apparitions(*rows(flashing, person_id=3)) == {3}


def test_who_was_plainly_there_for_a_second_is_somebody() -> None:
    fallen = np.full(600, DOUBTFUL)
    fallen[: int(RATE) + 2] = SURE

    assert apparitions(*rows(fallen)) == set()


def test_who_passes_by_quickly_is_somebody() -> None:
    assert apparitions(*rows(np.full(5, SURE))) == set()


def test_each_identity_is_judged_by_its_own_frames() -> None:
    both = [np.concatenate(each) for each in zip(rows(np.full(90, SURE)), rows(np.full(90, DOUBTFUL), 1), strict=True)]
    order = np.argsort(both[1], kind="stable")

    assert apparitions(*(each[order] for each in both)) == {1}


def test_the_longest_stretch_is_between_its_first_and_last_moment() -> None:
    holds = np.array([1, 1, 0, 1, 1, 1, 0, 1], bool)

    assert longest_stretch(np.arange(8) * 0.5, holds) == 1.0
    assert longest_stretch(np.arange(8) * 0.5, np.zeros(8, bool)) == 0.0
