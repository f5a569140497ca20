"""Looking for people beside the loop: when an answer takes effect, who waits for it, and what is done with it."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from tests.detect.test_landmark_detector import LARGE, Bar, BarFollower, BarLandmarker, picture
from tracker.core.arrays import Array
from tracker.core.errors import RunError
from tracker.core.frame import Frame
from tracker.detect import DetectConfig, LandmarkDetector, landmark_detector
from tracker.detect.follow import Region
from tracker.detect.picture_landmarker import PictureLandmarker
from tracker.detect.pose_reading import PoseReading

STEP = 1 / 32
"""s between frames: sums of it are exact."""
NEWCOMER = Bar(1000.0, 100.0, 500.0)


class GatedLandmarker(BarLandmarker):
    """Looks once it is let."""

    gate = threading.Event()

    def read(self, image: np.ndarray, min_detection: float = 0.5, known: Sequence[Region] = ()) -> list[PoseReading]:
        self.gate.wait()
        return super().read(image, min_detection, known)


class BrokenLandmarker(BarLandmarker):
    """Fails from its second picture on."""

    def read(self, image: np.ndarray, min_detection: float = 0.5, known: Sequence[Region] = ()) -> list[PoseReading]:
        if self.shown:
            raise RunError("the landmarker broke")
        return super().read(image, min_detection, known)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PictureLandmarker, "open", lambda *_: GatedLandmarker())
    monkeypatch.setattr(landmark_detector, "open_follower", lambda config, *asked: BarFollower(*asked))
    monkeypatch.setattr(landmark_detector, "open_finder", lambda follower, engine: follower)
    GatedLandmarker.gate.set()


def config(punctual: bool = True) -> DetectConfig:
    return DetectConfig(search_seconds=math.inf, look_seconds=0.5, look_delay=0.25, punctual=punctual)


def first_seen(found: LandmarkDetector, frames: int = 40) -> int | None:
    """The frame in which a second person, there from the second frame on and walking, is first given out."""
    for i in range(frames):
        newcomer = Bar(NEWCOMER.x - 2 * i, NEWCOMER.y, NEWCOMER.height)
        image = picture(LARGE, newcomer) if i else picture(LARGE)
        people = found.detect(Frame(i, i * STEP, image), [LARGE.bbox])
        if len(people) == 2:
            right = max(people, key=lambda person: person.bbox[0])
            np.testing.assert_allclose(right.landmarks2d, newcomer.landmarks, atol=1.0)
            return i
    return None


@pytest.mark.usefixtures("fake")
def test_who_is_found_beside_the_loop_is_given_out_when_due_and_where_they_are_by_then() -> None:
    with LandmarkDetector(config()) as found:
        assert first_seen(found) == 16 + 8, "looked for after half a second, given out a quarter later"


@pytest.mark.usefixtures("fake")
def test_a_slow_look_is_waited_for_when_it_is_due() -> None:
    GatedLandmarker.gate.clear()
    answers: list[int | None] = []

    def run() -> None:
        with LandmarkDetector(config()) as found:
            answers.append(first_seen(found))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(0.1)
    assert thread.is_alive(), "the first frame is waited for"
    GatedLandmarker.gate.set()
    thread.join()
    assert answers == [24]


@pytest.mark.usefixtures("fake")
def test_a_camera_waits_for_no_look() -> None:
    GatedLandmarker.gate.clear()
    with LandmarkDetector(config(punctual=False)) as found:
        assert first_seen(found, 10) is None, "every frame is answered though no look is done"
        GatedLandmarker.gate.set()
        while not found._scout.is_ready:
            threading.Event().wait(0.001)
        (person,) = found.detect(Frame(10, 10 * STEP, picture(LARGE)))
        np.testing.assert_allclose(person.landmarks2d, LARGE.landmarks, atol=1.0)


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(("expected", "rest"), [([LARGE.bbox], 2.1), ([LARGE.bbox, NEWCOMER.bbox], 1.2)])
def test_a_camera_rests_between_slow_looks_and_less_while_somebody_is_lost(expected: list[Array], rest: float) -> None:
    with LandmarkDetector(config(punctual=False)) as found:
        found.detect(Frame(0, 0.0, picture(LARGE)))
        while not found._scout.is_ready:
            threading.Event().wait(0.001)
        assert len(found.detect(Frame(1, STEP, picture(LARGE)), [LARGE.bbox])) == 1
        found._scout.seconds = 0.3
        last = math.ceil(rest / STEP) - 1
        for i in range(2, last + 1):
            found.detect(Frame(i, i * STEP, picture(LARGE)), expected)
            assert found._scout.errand is None
        found.detect(Frame(last + 2, (last + 2) * STEP, picture(LARGE)), expected)
        assert found._scout.errand is not None


@pytest.mark.usefixtures("fake")
def test_a_lost_person_is_not_kept_waiting_by_an_earlier_look() -> None:
    with LandmarkDetector(config()) as found:
        for i in range(18):  # a look is sent out in frame 16, due in frame 24
            found.detect(Frame(i, i * STEP, picture(LARGE)), [LARGE.bbox])
        elsewhere = [Frame(i, i * STEP, picture(NEWCOMER)) for i in range(18, 24)]
        seen = [bool(found.detect(frame, [LARGE.bbox])) for frame in elsewhere]
        assert any(seen)


@pytest.mark.usefixtures("fake")
def test_a_failure_beside_the_loop_ends_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PictureLandmarker, "open", lambda *_: BrokenLandmarker())
    with LandmarkDetector(config()) as found, pytest.raises(RunError, match="broke"):
        for i in range(40):
            found.detect(Frame(i, i * STEP, picture(LARGE)), [LARGE.bbox])
    assert i == 24
