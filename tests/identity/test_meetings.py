"""People who meet, and a detector that slides from the one to the other: who is who is decided by what they wear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.identity.test_look_back import LIMITS, Eyes, Nobody, ids, seen, walking
from tests.people_scene import Figure, detection_of, frame_of
from tracker.detect.clothing_colour import OTHER_CLOTHES, OWN_CLOTHES, appearance_distance, appearance_of
from tracker.identity import Exchange, IdentityTracker, LookBack, LookBackLimits, SeenFrame

STANDING = Figure(320.0, shirt=(200, 190, 180), trousers=(120, 110, 80))
WALKER = replace(STANDING, shirt=(190, 180, 170), trousers=(110, 100, 70))
"""Dressed nearly alike: strangers are not told from each other by so little."""
HIDDEN = (1.0, 1.5)
"""s, while the walker is before the one who stands."""


@dataclass
class Outcome:
    """Who is called what, after all."""

    standing: list[int | None]
    walker: list[int | None]
    exchanges: list[Exchange]


def meet(walker: Figure, rate: float, slides: bool) -> Outcome:
    """The walker comes from the left, is before the one who stands, and goes on. While they meet one of them is seen:
    the walker; or, where it slides, the one who stands until the walker is before them, then the walker."""
    tracker = IdentityTracker()
    outcome = Outcome([], [], [])
    rng = np.random.default_rng(0)
    for index in range(round(2.75 * rate)):
        time = index / rate
        passing = replace(walker, x=70.0 + 200.0 * time)
        figures = {"standing": STANDING, "walker": passing}
        if HIDDEN[0] < time < HIDDEN[1]:
            del figures["walker" if slides and passing.x < STANDING.x else "standing"]
        found = {name: detection_of(figure, rng.normal(0, 1.5, (33, 2))) for name, figure in figures.items()}
        given = tracker.assign(frame_of([STANDING, passing], index, time), list(found.values()))
        keys = {id(person.detection): person.person_id for person in given}
        for name, history in (("standing", outcome.standing), ("walker", outcome.walker)):
            history.append(keys.get(id(found[name])) if name in found else None)
        outcome.exchanges += tracker.exchanges
    return outcome


def test_clothes_of_the_pair_are_more_alike_than_those_of_strangers() -> None:
    first, second = (appearance_of(frame_of([each], 0, 0.0).image, detection_of(each)) for each in (STANDING, WALKER))
    difference = appearance_distance(first, second)
    assert difference is not None and 0.2 < difference < OWN_CLOTHES < OTHER_CLOTHES


@pytest.mark.parametrize("rate", [15.0, 30.0, 60.0])
def test_whom_the_detector_took_for_each_other_have_their_identities_back_soon(rate: float) -> None:
    outcome = meet(WALKER, rate, slides=True)
    settled = round(0.5 * rate)
    assert (outcome.standing[0], outcome.walker[0]) == (0, 1)
    assert 1 in outcome.standing, "without a slide there is nothing to correct"
    assert set(outcome.standing[-settled:]) == {0}
    assert set(outcome.walker[-settled:]) == {1}
    (exchange,) = outcome.exchanges
    assert {exchange.first, exchange.second} == {0, 1}
    assert HIDDEN[0] <= exchange.since <= HIDDEN[1]


@pytest.mark.parametrize("rate", [10.0, 30.0])
def test_who_is_followed_rightly_stays_who_they_are(rate: float) -> None:
    outcome = meet(WALKER, rate, slides=False)
    assert set(outcome.standing) == {0, None}
    assert set(outcome.walker) == {1}
    assert outcome.exchanges == []


def test_clothes_that_tell_nothing_exchange_nobody() -> None:
    assert meet(replace(STANDING, x=0.0), 30.0, slides=True).exchanges == []


def exchanged(slid: range, at: int, limits: LookBackLimits) -> tuple[list[SeenFrame], dict[int, dict[int, Figure]]]:
    """A recording of two people whom the detector took for each other in the slid frames, which turned out in the frame
    `at`; and where each of them is in truth."""
    left, right = walking(range(20), 100.0), walking(range(20), 400.0)
    found = {
        0: {i: (right if i in slid else left)[i] for i in range(20)},
        1: {i: (left if i in slid else right)[i] for i in range(20)},
    }
    frames = seen(20, found)
    frames[at] = replace(frames[at], exchanges=[Exchange(0, 1, frames[slid[0]].frame.time, {})])
    looking: LookBack[SeenFrame] = LookBack(Eyes(), Nobody(), limits)
    return list(looking.through(frames)), {0: left, 1: right}


def rightly_named(frames: Sequence[SeenFrame], truth: dict[int, dict[int, Figure]]) -> list[bool]:
    return [
        all(np.allclose(each.detection.landmarks2d, truth[each.person_id][i].landmarks) for each in frame.people)
        for i, frame in enumerate(frames)
    ]


def test_a_recording_has_their_own_identities_from_where_the_detector_slid() -> None:
    given, truth = exchanged(range(6, 9), 9, LIMITS)
    assert ids(given) == [[0, 1]] * 20
    assert rightly_named(given, truth) == [True] * 20
    assert not any(frame.exchanges for frame in given), "nothing is left to be put right"


def test_where_frames_with_the_wrong_names_are_given_out_already_the_next_one_says_so() -> None:
    given, truth = exchanged(range(6, 12), 12, replace(LIMITS, seconds=0.3))
    wrong = [i for i, right in enumerate(rightly_named(given, truth)) if not right]
    assert wrong == [6, 7, 8]
    assert [i for i, frame in enumerate(given) if frame.exchanges] == [9]
