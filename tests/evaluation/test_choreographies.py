"""Where whoever comes into a clip walks and stands, on feet that were planned and not yet drawn."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.core.arrays import Array
from tracker.evaluation.choreographies import visit
from tracker.synth.gesture import STANDING
from tracker.synth.motion import Choreography, Motion

VIEW = (4.5, 0.4)
"""The camera's distance in m and the tangent of half its angle of view."""
TIMES = np.arange(300) / 30


def somebody(place: tuple[float, float], quiet_until: float = 10.0) -> Motion:
    """Stands at (x, z) m until a time in s, then walks off along x, towards the middle and past it."""
    pelvis = np.tile([place[0], 0.9, place[1]], (len(TIMES), 1))
    pelvis[:, 0] -= np.sign(place[0]) * np.maximum(TIMES - quiet_until, 0.0)
    return Motion(TIMES, np.zeros((len(TIMES), 24, 3)), pelvis)


def visitor(person: Motion) -> Choreography:
    return visit(person, VIEW, np.random.default_rng(5))


def path_of(choreography: Choreography, times: Array = TIMES) -> Array:
    """(T, 2) m: x and z of the middle between the feet."""
    return np.mean([choreography.feet.track(foot, times).ground[:, [0, 2]] for foot in (0, 1)], axis=0)


@pytest.mark.parametrize("place", [(0.8, -0.9), (-0.8, 0.3), (0.1, -0.3), (-0.1, 0.1)])
def test_a_visitor_comes_stays_and_leaves_on_the_nearer_side(place: tuple[float, float]) -> None:
    choreography = visitor(somebody(place))
    path, side = path_of(choreography), np.sign(place[0])
    beyond = side * path[:, 0] - VIEW[1] * (VIEW[0] - path[:, 1])
    assert beyond[[0, -1]] == pytest.approx(0.6 * np.hypot(1, VIEW[1]), abs=0.05), "outside by a body's width"
    stays = (choreography.keys[0].time <= TIMES) & (choreography.keys[-1].time >= TIMES)
    assert stays[150]
    aside, nearer = ((path - place)[stays] * [side, 1]).T
    assert aside.min() >= 0.199 and aside.max() <= 0.351
    assert nearer.min() >= 0.299 and nearer.max() <= 0.401
    assert (path[:, 1] >= place[1] + 0.2).all(), "never behind the person, in front of whom they are pasted"


def test_an_arm_is_around_the_person_and_only_while_the_visitor_stays() -> None:
    for place, arm in (((0.8, -0.9), "right"), ((-0.8, -0.9), "left")):
        came, laid, kept, taken = visitor(somebody(place)).keys
        assert came.posture == taken.posture == STANDING
        assert laid.posture == kept.posture
        assert [bool(laid.posture.left), bool(laid.posture.right)] == [arm == "left", arm == "right"]
        assert came.time < laid.time < kept.time < taken.time
        assert taken.time - came.time == pytest.approx(3.0, abs=0.02)


def test_a_visitor_comes_while_the_person_is_still_there() -> None:
    staying, leaving = (visitor(somebody((0.8, -0.5), until)) for until in (10.0, 5.5))
    assert np.linalg.norm(path_of(leaving)[120] - [0.8, -0.5]) < 0.6
    assert leaving.keys[-1].time <= 5.8
    assert np.array_equal(path_of(leaving), path_of(visitor(somebody((0.8, -0.5), 5.5))))
    assert staying.seed == leaving.seed


def test_a_short_clip_begins_on_the_way() -> None:
    times = np.arange(8) / 2
    person = Motion(times, np.zeros((8, 24, 3)), np.tile([0.5, 0.9, 0.0], (8, 1)))
    choreography = visitor(person)
    keys = [key.time for key in choreography.keys]
    assert keys == sorted(set(keys))
    assert np.linalg.norm(path_of(choreography, times) - [0.5, 0.0], axis=1).min() < 0.55
