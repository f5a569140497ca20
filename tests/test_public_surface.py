"""What users build on changes on purpose only, and answers mistakes with a sentence."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import tracker
from tests.api_surface import LISTING, surface
from tests.pipeline.test_pipeline import CONFIG, SIZE, Script, somebody
from tracker import (
    AsyncTracker,
    Frame,
    InputError,
    Person,
    RunError,
    Tracker,
    TrackerConfig,
    load_config,
    load_result,
    open_source,
)
from tracker.body import load_body
from tracker.core.arrays import Array
from tracker.core.detection import Detection

PICTURE = np.full((SIZE[1], SIZE[0], 3), (10, 120, 200), np.uint8)


def scripted(frames: int) -> Tracker:
    detection, _ = somebody(0.0)
    return Tracker(CONFIG, load_body(None), Script([[detection]] * frames))


def test_the_surface_is_the_listed_one() -> None:
    listed = json.loads(LISTING.read_text(encoding="utf-8"))
    assert surface() == listed, "wanted? then: python -m tests.api_surface, and a line in CHANGELOG.md"


def test_every_name_is_there_and_no_other() -> None:
    assert set(dir(tracker)) == set(tracker.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Trackre'"):
        _ = tracker.Trackre


def test_own_pictures_are_tracked_in_either_order_of_colours() -> None:
    with scripted(6) as one, scripted(6) as other:
        for i in range(6):
            people = one.step(PICTURE, time=i / 30)
            same = other.step(Frame(i, i / 30, PICTURE))
        assert np.array_equal(people[0].pose.theta, same[0].pose.theta)
        drawn = one.draw(PICTURE, people)
        assert drawn.shape == PICTURE.shape and (drawn != PICTURE).any()
        assert people[0].vertices.shape == (len(load_body(None).v_template), 3)
        assert one.faces.max() < len(people[0].vertices)
    assert (Frame.of(PICTURE, 0, 0.0, "bgr").image == PICTURE[..., ::-1]).all()


@pytest.mark.parametrize(
    ("image", "time", "channels", "sentence"),
    [
        (PICTURE, None, "rgb", "needs its time in seconds"),
        ("picture.png", 0.0, "rgb", r"expected a numpy array \(height, width, 3\) of uint8, got str"),
        (PICTURE.astype(float), 0.0, "rgb", "of float64"),
        (PICTURE[..., 0], 0.0, "rgb", "grey pictures"),
        (PICTURE, 0.0, "gbr", "expected rgb or bgr, got 'gbr'"),
    ],
)
def test_a_wrong_picture_gets_a_sentence(image: object, time: float | None, channels: str, sentence: str) -> None:
    with scripted(1) as one, pytest.raises(InputError, match=sentence):
        one.step(image, time=time, channels=channels)  # type: ignore[arg-type]


def test_wrong_types_get_a_sentence() -> None:
    with pytest.raises(InputError, match="expected a TrackerConfig"):
        Tracker.open("live")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="expected a function of"):
        AsyncTracker(3)  # type: ignore[arg-type]


_WRONG: list[tuple[str, Callable[[Any], Any]]] = [
    ("detector: expected", lambda _: Tracker.open(None, "x")),  # type: ignore[arg-type]
    ("tracker: expected a Tracker or None", lambda _: AsyncTracker(print, "x")),  # type: ignore[arg-type]
    ("config: expected a str or Path, got 3", lambda _: load_config(3)),  # type: ignore[arg-type]
    ("config: expected a str or Path, got None", lambda _: load_config(None)),  # type: ignore[arg-type]
    ("changes: expected a dict or None", lambda _: load_config(changes=["fit.iterations=3"])),  # type: ignore[arg-type]
    ("folder: expected a str or Path, got None", lambda _: load_result(None)),  # type: ignore[arg-type]
    ("body: expected a str or Path or None, got 3", lambda _: load_result("out", 3)),  # type: ignore[arg-type]
    ("height: expected a number, got 'a'", lambda _: TrackerConfig(height="a")),  # type: ignore[arg-type]
    ("coast_seconds: expected 0 or more, got -1", lambda _: TrackerConfig(coast_seconds=-1)),
    ("source: expected a path.*got None", lambda _: open_source(None)),  # type: ignore[arg-type]
    ("source: expected a path.*got True", lambda _: open_source(True)),
    ("source: expected a path.*got 1.5", lambda one: next(one.run(1.5))),
    ("people: expected a list of Person.*got NoneType", lambda one: one.draw(PICTURE, None)),
    ("people: expected a list of Person.*holds int", lambda one: one.draw(PICTURE, [3])),
    ("people: .*got Person", lambda one: one.draw(PICTURE, one.step(PICTURE, time=0.0)[0])),
    ("time: expected a number of seconds, got 'abc'", lambda one: one.step(PICTURE, time="abc")),
]


@pytest.mark.parametrize(("sentence", "act"), _WRONG, ids=[sentence for sentence, _ in _WRONG])
def test_each_wrong_argument_is_named(sentence: str, act: Callable[[Any], Any]) -> None:
    with scripted(1) as one, pytest.raises(InputError, match=f"^{sentence}"):
        act(one)


def test_the_async_tracker_refuses_a_time_that_is_none() -> None:
    with AsyncTracker(print, scripted(1)) as tracker, pytest.raises(InputError, match="time: expected a number"):
        tracker.submit(PICTURE, time=None)  # type: ignore[arg-type]


def test_a_closed_tracker_says_so() -> None:
    with scripted(2) as one:
        one.step(PICTURE, time=0.0)
    with pytest.raises(RunError, match="the tracker is closed"):
        one.step(PICTURE, time=0.1)


def test_the_async_tracker_drops_late_pictures() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Script):
        def detect(self, frame: Frame, predicted: Sequence[Array] = ()) -> list[Detection]:
            begun.set()
            assert go_on.wait(timeout=30)
            return super().detect(frame, predicted)

    results: list[tuple[int, list[Person]]] = []
    detection, _ = somebody(0.0)
    slow = Tracker(CONFIG, load_body(None), Slow([[detection]] * 5))
    with AsyncTracker(lambda frame, people: results.append((frame.index, people)), slow) as tracker:
        tracker.submit(PICTURE, time=0.0)
        assert begun.wait(timeout=30)
        for i in range(1, 5):
            tracker.submit(PICTURE, time=i / 30)
        go_on.set()
    assert [index for index, _ in results] == [0, 4]
    assert tracker.dropped == 3


def test_an_error_in_the_callback_comes_back() -> None:
    def failing(frame: Frame, people: list[Person]) -> None:
        raise ValueError("the user's own")

    tracker = AsyncTracker(failing, scripted(1))
    tracker.submit(PICTURE, time=0.0)
    with pytest.raises(ValueError, match="the user's own"):
        tracker.close()
    with pytest.raises(RuntimeError, match="closed"):
        tracker.submit(PICTURE, time=1.0)
