"""A cut is seen; a pan, a flash of the sun, a moving person and noise are none."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from tests.people_scene import Figure, detection_of, frame_of
from tracker.core.frame import Frame
from tracker.identity import IdentityTracker, SceneWatcher

SIZE = (160, 120)


def scenery(seed: int, tint: tuple[int, int, int]) -> np.ndarray:
    """(120, 320, 3): blobs in the tint's colours."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0.3, 1.0, (6, 16, 1)) * np.array(tint)
    return cv2.resize(coarse, (320, 120), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


FOREST, ROOM = scenery(0, (60, 200, 80)), scenery(1, (230, 180, 150))


def scenes(pictures: list[np.ndarray], rate: float = 30.0) -> list[int]:
    watcher = SceneWatcher()
    return [watcher.scene_of(Frame(i, i / rate, np.ascontiguousarray(p))) for i, p in enumerate(pictures)]


def view(of: np.ndarray, x: int = 0) -> np.ndarray:
    return of[:, x : x + SIZE[0]]


def test_each_cut_begins_a_scene() -> None:
    third = scenery(2, (40, 60, 220))
    assert scenes([view(FOREST)] * 3 + [view(ROOM)] * 3 + [view(third)] * 2) == [0] * 3 + [1] * 3 + [2] * 2


def test_a_scene_that_comes_back_soon_is_the_same() -> None:
    grey = np.full((120, 160, 3), 127, np.uint8)
    assert scenes([view(FOREST)] * 3 + [grey] * 30 + [view(FOREST)] * 2) == [0] * 3 + [1] * 30 + [0] * 2
    assert scenes([view(FOREST)] * 3 + [grey] * 95 + [view(FOREST)] * 2)[-1] == 2, "after three seconds it is not"


@pytest.mark.parametrize("step", [2, 8])
def test_a_pan_is_no_cut(step: int) -> None:
    assert set(scenes([view(FOREST, x) for x in range(0, 160, step)])) == {0}


def test_sun_noise_and_flat_pictures_are_no_cuts() -> None:
    rng = np.random.default_rng(0)
    dark = [rng.integers(0, 8, (120, 160, 3)).astype(np.uint8) for _ in range(5)]
    glare = [np.clip(view(FOREST).astype(int) + 15 * k, 0, 255).astype(np.uint8) for k in range(6)]
    fade = [np.full((120, 160, 3), 8 * k, np.uint8) for k in range(20)]
    for pictures in (dark, glare, fade):
        assert set(scenes(pictures)) == {0}


def test_other_proportions_are_a_cut_until_the_first_come_back_and_another_size_is_none() -> None:
    small, narrow = (cv2.resize(view(FOREST), size, interpolation=cv2.INTER_AREA) for size in ((80, 60), (60, 80)))
    assert scenes([view(FOREST)] * 3 + [narrow] * 3 + [view(FOREST)] * 2) == [0] * 3 + [1] * 3 + [0] * 2
    assert set(scenes([view(FOREST)] * 3 + [small] * 3)) == {0}


def test_a_time_that_goes_back_begins_a_scene_that_is_none_of_those_before() -> None:
    watcher = SceneWatcher()
    times = [100.0, 100.1, 0.0, 0.1, 0.1, 0.05]
    pictures = [Frame(i, time, view(FOREST).copy()) for i, time in enumerate(times)]
    assert [watcher.scene_of(each) for each in pictures] == [0, 0, 1, 1, 1, 2]
    room = Frame(6, 0.06, view(ROOM).copy())
    assert [watcher.scene_of(each) for each in (room, replace(pictures[0], time=0.07))] == [3, 2]


def test_identities_end_at_a_cut_and_come_back_with_their_scene() -> None:
    tracker, here = IdentityTracker(), Figure(300.0)

    def identities(first: int, count: int) -> set[int]:
        given = [tracker.assign(frame_of([here], i, i / 30), [detection_of(here)]) for i in range(first, first + count)]
        return {person.person_id for people in given for person in people}

    assert identities(0, 20) == {0}
    tracker.enter(1)
    assert tracker.predicted_boxes(20 / 30) == []
    assert identities(20, 20) == {1}
    tracker.enter(0)
    assert identities(40, 20) == {0}
    tracker.enter(2)
    assert identities(300, 5) == {2}
