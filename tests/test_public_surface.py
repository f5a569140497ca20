"""What users build on changes on purpose only, and answers mistakes with a sentence."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence

import numpy as np
import pytest

import tracker
from tests.api_surface import LISTING, surface
from tests.pipeline.test_pipeline import CONFIG, SIZE, Script, somebody
from tracker import AsyncTracker, Frame, InputError, Person, Tracker
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
