"""Finding people: the looks that are taken, and where what they see lands in the frame.

MediaPipe is replaced by a landmarker that sees red bars as people, and only those that are tall enough in the 224
pixels to which it shrinks a picture, as MediaPipe's own detector does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest

from tests.people_scene import TEMPLATE
from tracker.body.landmark_set import MEDIAPIPE
from tracker.core.arrays import Array
from tracker.core.detection import LandmarkCrop
from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.core.mask import PlacedMask
from tracker.detect import DetectConfig, LandmarkDetector, landmark_detector
from tracker.detect.candidate import Candidate, candidate_of
from tracker.detect.erase import erased
from tracker.detect.follow import Followed, Region
from tracker.detect.picture_landmarker import PictureLandmarker
from tracker.detect.pose_reading import PoseReading
from tracker.detect.search import Searcher, SearchTask
from tracker.detect.similarity import body_size, box_overlap, mask_overlap, pose_similarity, share_on_mask, shared_box
from tracker.runtime.engine_config import EngineConfig

WIDTH, HEIGHT = 1280, 720
RED = (230, 20, 20)
ASPECT = 0.36
"""Width of a bar over its height: the template's."""
WHOLE = DetectConfig().min_detection
"""Pieces of the frame are looked at with less."""


class BarLandmarker:
    """Sees each upright red bar as a person; keeps the pictures that it was shown."""

    smallest = 40.0
    largest = 1.0
    """Of a picture's side."""

    def __init__(self) -> None:
        self.shown: list[np.ndarray] = []
        self.looks: list[np.ndarray] = []
        self.presence = 0.99
        self.hidden: list[Candidate] = []
        self.searched = 0

    def read(self, image: np.ndarray, min_detection: float = 0.5, known: Sequence[Region] = ()) -> list[PoseReading]:
        (self.shown if min_detection >= WHOLE else self.looks).append(image)
        red = ((image[..., 0] > 150) & (image[..., 1] < 90)).astype(np.uint8)
        count, _, boxes, _ = cv2.connectedComponentsWithStats(red)
        found = (boxes[k] for k in range(1, count))
        return [self._pose(image, red, *(float(v) for v in box[:4])) for box in found if self._is_seen(image, box)]

    @property
    def follower(self) -> BarFollower:
        """What looks anew."""
        return BarFollower(EngineConfig(), ())

    def half_hidden(self, image: np.ndarray) -> list[Candidate]:
        """Whom it would see by regions alone."""
        self.searched += 1
        return list(self.hidden)

    def close(self) -> None:
        self.shown.clear()
        self.looks.clear()

    def _is_seen(self, image: np.ndarray, box: np.ndarray) -> bool:
        part = box[3] / max(image.shape[:2])
        return box[3] > box[2] and self.smallest / 224 <= part <= self.largest

    def _pose(self, image: np.ndarray, red: np.ndarray, x: float, y: float, w: float, h: float) -> PoseReading:
        landmarks = TEMPLATE * h + np.array([x + w / 2, y])
        mask = np.zeros(image.shape[:2], np.uint8)
        mask[int(y) : int(y + h), int(x) : int(x + w)] = 255
        return PoseReading(landmarks, np.zeros((33, 3)), np.full(33, 0.95), np.full(33, self.presence), whole(mask))


class BarFollower:
    """Sees the bar, of any size, that the middle of a region lies on."""

    network = Path("bars.tflite")

    def __init__(self, engine: EngineConfig, maps: Sequence[str]) -> None:
        self.asked: list[int] = []
        self._reader = BarLandmarker()
        self._reader.smallest = 0.0

    def follow(
        self, image: np.ndarray, regions: Sequence[Region], painted: Sequence[PlacedMask] = ()
    ) -> list[Followed]:
        self.asked.append(len(regions))
        return [self._follow(image, region) for region in regions]

    def _follow(self, image: np.ndarray, region: Region) -> Followed:
        unmoved = LandmarkCrop(image, np.eye(3)[:2], {})
        for reading in self._reader.read(image):
            low, high = reading.landmarks2d.min(axis=0), reading.landmarks2d.max(axis=0)
            if ((low <= region.centre) & (region.centre <= high)).all():
                return Followed(reading, unmoved, 0.99, Region.around(reading.landmarks2d))
        nobody = PoseReading(
            np.zeros((33, 2)), np.zeros((33, 3)), np.zeros(33), np.zeros(33), whole(np.zeros(image.shape[:2], np.uint8))
        )
        return Followed(nobody, unmoved, 0.01, region)

    def close(self) -> None:
        self.asked.clear()


class Blind(BarFollower):
    """Sees nobody."""

    def _follow(self, image: np.ndarray, region: Region) -> Followed:
        return replace(super()._follow(image, region), presence=0.0)


@dataclass(frozen=True)
class Bar:
    """A red bar: middle x, top y, height, px."""

    x: float
    y: float
    height: float

    @property
    def landmarks(self) -> Array:
        return TEMPLATE * self.height + np.array([self.x, self.y])

    @property
    def bbox(self) -> Array:
        return np.concatenate([self.landmarks.min(axis=0), self.landmarks.max(axis=0)])


def whole(mask: np.ndarray) -> PlacedMask:
    return PlacedMask.whole(mask)


def picture(*bars: Bar) -> np.ndarray:
    image = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
    for bar in bars:
        half = round(bar.height * ASPECT / 2)
        left = max(round(bar.x) - half, 0)
        image[round(bar.y) : round(bar.y + bar.height), left : round(bar.x) + half] = RED
    return image


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PictureLandmarker, "open", lambda *_: BarLandmarker())
    monkeypatch.setattr(landmark_detector, "open_follower", lambda config, *asked: BarFollower(*asked))
    monkeypatch.setattr(landmark_detector, "open_finder", lambda follower, engine: follower)


def landmarker_of(found: LandmarkDetector) -> BarLandmarker:
    landmarker = found._searcher._landmarker
    assert isinstance(landmarker, BarLandmarker)
    return landmarker


def looks_taken(found: LandmarkDetector) -> list[np.ndarray]:
    return landmarker_of(found).looks


NO_SEARCH = DetectConfig(search_seconds=math.inf, look_delay=0.0)
SMALL, LARGE = Bar(900.0, 300.0, 120.0), Bar(300.0, 100.0, 500.0)


@pytest.mark.usefixtures("fake")
def test_a_person_of_the_whole_frame_is_found_without_a_closer_look() -> None:
    with LandmarkDetector(NO_SEARCH) as found:
        (person,) = found.detect(Frame(0, 0.0, picture(LARGE)), [LARGE.bbox])
        np.testing.assert_allclose(person.landmarks2d, LARGE.landmarks, atol=1.0)
        assert person.mask is not None and person.mask.size == (WIDTH, HEIGHT)
        assert looks_taken(found) == []


@pytest.mark.usefixtures("fake")
def test_networks_are_warmed_up_by_one_look_each_which_leaves_nothing_behind() -> None:
    found = LandmarkDetector(DetectConfig())
    found.warm_up((WIDTH, HEIGHT))
    assert isinstance(found._follower, BarFollower)
    assert (found._follower.asked, len(landmarker_of(found).shown), landmarker_of(found).searched) == ([1], 1, 0)
    bar = Bar(640.0, 100.0, 500.0)
    (seen,) = found.detect(Frame(0, 0.0, picture(bar)))
    assert box_overlap(seen.bbox, bar.bbox) > 0.9


@pytest.mark.usefixtures("fake")
def test_a_small_person_who_is_expected_is_found_by_a_closer_look_in_place() -> None:
    with LandmarkDetector(NO_SEARCH) as found:
        image = picture(LARGE, SMALL)
        assert len(found.detect(Frame(0, 0.0, image))) == 1, "too small for the whole frame"
        people = found.detect(Frame(1, 0.12, image), [LARGE.bbox, SMALL.bbox + np.array([9.0, -7.0, 9.0, -7.0])])
        assert len(people) == 2
        np.testing.assert_allclose(people[1].landmarks2d, SMALL.landmarks, atol=1.5)
        assert people[1].mask is not None
        mask = people[1].mask.picture()
        assert mask.shape == (HEIGHT, WIDTH)
        rows, columns = np.nonzero(mask > 127)
        assert abs(rows.min() - SMALL.y) <= 1.5 and abs(rows.max() + 1 - SMALL.y - SMALL.height) <= 1.5
        assert abs(columns.mean() + 0.5 - SMALL.x) <= 1.0


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("limit", [0, 1, 2, 5])
def test_closer_looks_are_bounded(limit: int) -> None:
    with LandmarkDetector(replace(NO_SEARCH, second_looks=limit)) as found:
        empty = [Bar(200.0 + 250 * k, 300.0, 120.0).bbox for k in range(4)]
        for index in range(6):
            before = len(looks_taken(found))
            assert found.detect(Frame(index, index / 30, picture()), empty) == []
            assert len(looks_taken(found)) - before <= limit


@pytest.mark.usefixtures("fake")
def test_with_fewer_looks_than_lost_people_all_get_their_turn() -> None:
    bars = [Bar(150.0 + 300 * k, 300.0, 100.0) for k in range(4)]
    with LandmarkDetector(replace(NO_SEARCH, second_looks=1)) as found:
        seen = [found.detect(Frame(i, i / 8, picture(*bars)), [bar.bbox for bar in bars]) for i in range(8)]
        assert {round(person.bbox[0] / 30) for people in seen for person in people} == {
            round(bar.bbox[0] / 30) for bar in bars
        }


@pytest.mark.usefixtures("fake")
def test_a_person_lying_down_is_found_when_the_look_is_turned() -> None:
    image = picture()
    image[400:440, 500:612] = RED  # wider than tall: the landmarker does not see it
    lying = np.array([500.0, 400.0, 612.0, 440.0])
    with LandmarkDetector(NO_SEARCH) as found:
        people = [p for index in range(4) for p in found.detect(Frame(index, index / 30, image), [lying])]
        assert people
        along = TEMPLATE[:, ::-1] * np.array([112.0, 112.0]) + np.array([500.0, 420.0])
        head_right = along * np.array([-1.0, 1.0]) + np.array([1112.0, 0.0])
        # the figure is symmetrical, so that only its ends tell which way the look was turned
        seen = np.sort(people[0].landmarks2d, axis=0)
        errors = [np.abs(seen - np.sort(expected, axis=0)).max() for expected in (along, head_right)]
        assert min(errors) < 1.0


@pytest.mark.usefixtures("fake")
def test_an_unsure_closer_look_is_not_believed() -> None:
    with LandmarkDetector(NO_SEARCH) as found:
        found._searcher._landmarker.presence = 0.85  # type: ignore[attr-defined]
        assert found.detect(Frame(0, 0.0, picture(SMALL)), [SMALL.bbox]) == []


@pytest.mark.usefixtures("fake")
def test_somebody_else_near_the_expected_place_is_not_taken_for_the_lost_person() -> None:
    with LandmarkDetector(NO_SEARCH) as found:
        assert found.detect(Frame(0, 0.0, picture(SMALL)), [SMALL.bbox + np.array([75.0, 0.0, 75.0, 0.0])]) == []


@pytest.mark.usefixtures("fake")
def test_known_people_are_painted_out_of_a_closer_look() -> None:
    beside = Bar(LARGE.x + 150, 400.0, 110.0)
    with LandmarkDetector(NO_SEARCH) as found:
        people = found.detect(Frame(0, 0.0, picture(LARGE, beside)), [LARGE.bbox, beside.bbox])
        assert len(people) == 2
        for look in looks_taken(found):
            tall = [p for p in BarLandmarker().read(look) if np.ptp(p.landmarks2d[:, 1]) > 0.6 * len(look)]
            assert tall == [], "the large person must be gone"


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(("largest", "expected"), [(0.5, 1), (0.4, 0)])
def test_a_stranger_is_believed_in_when_looks_framed_anew_agree(
    monkeypatch: pytest.MonkeyPatch, largest: float, expected: int
) -> None:
    """They see a person as 0.33, 0.45 and 0.62 of their side, each straight and in a mirror; four are enough."""
    monkeypatch.setattr(BarLandmarker, "largest", largest)
    with LandmarkDetector(DetectConfig(look_delay=0.0)) as found:
        assert len(found.detect(Frame(0, 0.0, picture(SMALL)))) == expected


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(("x", "sees", "expected"), [(8.0, True, 1), (8.0, False, 0), (900.0, True, 0)])
def test_whoever_is_cut_off_by_the_edge_is_believed_when_closer_looks_agree(
    monkeypatch: pytest.MonkeyPatch, x: float, sees: bool, expected: int
) -> None:
    """Of which the landmark network is asked alone, since wider ones miss them."""
    monkeypatch.setattr(BarLandmarker, "largest", 0.4)
    if not sees:
        monkeypatch.setattr(BarLandmarker, "follower", property(lambda _: Blind(EngineConfig(), ())))
    with LandmarkDetector(DetectConfig(look_delay=0.0)) as found:
        assert len(found.detect(Frame(0, 0.0, picture(replace(SMALL, x=x))))) == expected


@pytest.mark.usefixtures("fake")
def test_a_small_stranger_is_found_in_the_first_frame() -> None:
    with LandmarkDetector() as found:
        (person,) = found.detect(Frame(0, 0.0, picture(SMALL)))
        np.testing.assert_allclose(person.landmarks2d, SMALL.landmarks, atol=1.5)


@pytest.mark.usefixtures("fake")
def test_who_is_tiny_is_found_in_the_first_frame_where_nobody_larger_is() -> None:
    tiny = Bar(900.0, 300.0, 60.0)
    with LandmarkDetector() as found:
        (person,) = found.detect(Frame(0, 0.0, picture(tiny)))
        np.testing.assert_allclose(person.landmarks2d, tiny.landmarks, atol=1.5)
        fine = len(looks_taken(found))
    with LandmarkDetector() as found:
        found.detect(Frame(0, 0.0, picture(tiny, LARGE)))
        assert len(looks_taken(found)) < fine / 2, "beside somebody large no look is as fine"


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("rate", [5.0, 30.0, 60.0])
@pytest.mark.parametrize("every", [0.5, 1.5])
def test_the_search_costs_one_look_per_search_seconds(rate: float, every: float) -> None:
    with LandmarkDetector(DetectConfig(search_seconds=every, look_delay=0.0)) as found:
        found.detect(Frame(0, 0.0, picture()))
        first = len(looks_taken(found))
        assert first > 4, "the first frame is searched all over"
        for index in range(1, round(3.0 * rate) + 1):
            found.detect(Frame(index, index / rate, picture()))
        assert 3 / every - 1 <= len(looks_taken(found)) - first <= 3 / every


@pytest.mark.usefixtures("fake")
def test_a_stranger_who_comes_later_is_found_by_the_search() -> None:
    with LandmarkDetector(DetectConfig(search_seconds=0.2)) as found:
        found.detect(Frame(0, 0.0, picture()))
        times = [i / 10 for i in range(1, 31) if found.detect(Frame(i, i / 10, picture(SMALL)))]
        assert times and times[0] <= 2.5


@pytest.mark.usefixtures("fake")
def test_stills_far_apart_are_searched_all_over() -> None:
    with LandmarkDetector() as found:
        for index in range(3):
            bar = Bar(300.0 + 300 * index, 300.0, 120.0)
            (person,) = found.detect(Frame(index, 2.0 * index, picture(bar)))
            np.testing.assert_allclose(person.landmarks2d, bar.landmarks, atol=1.5)


@pytest.mark.usefixtures("fake")
def test_half_hidden_people_are_looked_for_where_nobody_is_found() -> None:
    with LandmarkDetector(DetectConfig(search_seconds=0.2, look_delay=0.0)) as found:
        landmarker = landmarker_of(found)
        bar = LARGE
        (hidden,) = landmarker.read(picture(bar))
        landmarker.hidden = [candidate_of(hidden, (WIDTH, HEIGHT))]
        assert len(found.detect(Frame(0, 0.0, picture(bar)))) == 1 and landmarker.searched == 0, "he is plainly there"
        found.forget()
        (person,) = found.detect(Frame(0, 0.0, picture()))
        np.testing.assert_allclose(person.landmarks2d, bar.landmarks, atol=1.5)
        assert landmarker.searched == 1
        landmarker.hidden = []
        for index in range(1, 61):
            found.detect(Frame(index, index / 10, picture()))
        assert 2 <= landmarker.searched <= 5, "now and then while nobody comes"


@pytest.mark.parametrize(("punctual", "searched"), [(True, [1, 1, 2, 2, 2]), (False, [1, 1, 1, 1, 1])])
def test_half_hidden_people_are_looked_for_soon_where_something_comes_into_the_picture(
    punctual: bool, searched: list[int]
) -> None:
    """At most once a second while something goes on; live it would keep the search from those in plain sight."""
    coming = picture()
    coming[200:600, 900:1100] = np.random.default_rng(0).integers(0, 120, (400, 200, 3), dtype=np.uint8)
    seer = BarLandmarker()
    searcher = Searcher(DetectConfig(punctual=punctual), cast(PictureLandmarker, seer))
    counts = []
    for time, image in ((0.0, picture()), (1.5, picture()), (2.0, coming), (2.5, picture()), (3.5, coming)):
        searcher.search(SearchTask(Frame(round(10 * time), time, image), begins=time == 0))
        counts.append(seer.searched)
    assert counts == searched


@pytest.mark.usefixtures("fake")
def test_half_hidden_people_are_looked_for_beside_plain_ones_in_a_first_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, hidden = Bar(300.0, 150.0, 400.0), Bar(900.0, 200.0, 380.0)
    only_plain = BarLandmarker().read(picture(plain))
    for config, number in ((DetectConfig(), 2), (NO_SEARCH, 1), (DetectConfig(max_people=1), 1)):
        with LandmarkDetector(config) as found:
            landmarker = found._searcher._landmarker
            monkeypatch.setattr(landmarker, "read", lambda image, *_: only_plain if len(image) == HEIGHT else [])
            people = found.detect(Frame(0, 0.0, picture(plain, hidden)))
            assert len(people) == number
            np.testing.assert_allclose(people[0].landmarks2d, plain.landmarks, atol=1.5)
            assert people[0].agreed or config is NO_SEARCH
            if number == 2:
                np.testing.assert_allclose(people[1].landmarks2d, hidden.landmarks, atol=1.5)


@pytest.mark.usefixtures("fake")
def test_somebody_whom_no_look_sees_in_that_pose_is_looked_for_by_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    (right,) = BarLandmarker().read(picture(LARGE))
    wrong = replace(right, landmarks2d=right.landmarks2d * np.array([1.0, -1.0]) + np.array([0.0, 700.0]))
    for config, seen, doubt in ((DetectConfig(), right, 1.0), (NO_SEARCH, wrong, 0.5)):
        with LandmarkDetector(config) as found:
            monkeypatch.setattr(found._searcher._landmarker, "read", lambda *_: [wrong])
            (person,) = found.detect(Frame(0, 0.0, picture(LARGE)))
            np.testing.assert_allclose(person.landmarks2d, seen.landmarks2d, atol=1.5)
            np.testing.assert_allclose(person.visibility, doubt * seen.visibility)


class Mistaken(BarFollower):
    """Sees somebody small at the top of a bar in the one region in which it saw them first."""

    wrong = Bar(LARGE.x - 40, LARGE.y + 20, 0.6 * LARGE.height)

    def _follow(self, image: np.ndarray, region: Region) -> Followed:
        first = Region.around(self.wrong.landmarks)
        if np.linalg.norm(region.centre - first.centre) > 1 or abs(region.side - first.side) > 1:
            return super()._follow(image, region)
        read = self._reader.read(picture(self.wrong))[0]
        return Followed(read, LandmarkCrop(image, np.eye(3)[:2], {}), 0.99, first)


class MistakenAtFirst(BarLandmarker):
    """Is wrong in the first picture, too."""

    follower = Mistaken(EngineConfig(), ())

    def read(self, image: np.ndarray, min_detection: float = 0.5, known: Sequence[Region] = ()) -> list[PoseReading]:
        shown = image if self.shown or self.looks else picture(Mistaken.wrong)
        return super().read(shown, min_detection, known)


def test_whom_looks_framed_anew_do_not_see_so_is_let_go_for_whom_they_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PictureLandmarker, "open", lambda *_: MistakenAtFirst())
    monkeypatch.setattr(landmark_detector, "open_follower", lambda config, *asked: Mistaken(*asked))
    monkeypatch.setattr(landmark_detector, "open_finder", lambda follower, engine: follower)
    with LandmarkDetector(replace(NO_SEARCH, look_seconds=0.5)) as found:
        people = [found.detect(Frame(i, i / 10, picture(LARGE))) for i in range(12)]
        assert [len(each) for each in people] == [1] * 12
        right = [np.allclose(person.landmarks2d, LARGE.landmarks, atol=1.0) for (person,) in people]
        assert not any(right[:5]) and all(right[-4:])
        first = people[right.index(True)][0]
        assert first.agreed, "which makes it known where to look back from"
        assert found._followed[0].agreed, "and is not asked again"


def test_who_was_doubted_before_a_gap_is_nobody_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Live, where the search of the first frame after it is answered later."""
    monkeypatch.setattr(PictureLandmarker, "open", lambda *_: MistakenAtFirst())
    monkeypatch.setattr(landmark_detector, "open_follower", lambda config, *asked: Mistaken(*asked))
    monkeypatch.setattr(landmark_detector, "open_finder", lambda follower, engine: follower)
    with LandmarkDetector(replace(NO_SEARCH, look_seconds=0.5, look_delay=0.3)) as found:
        for time in np.arange(0.0, 0.65, 0.1):
            found.detect(Frame(0, float(time), picture(LARGE)))
        assert found._scout.errand is not None and found._scout.errand.doubted
        found.config = replace(found.config, punctual=False)
        for time in np.arange(5.0, 6.0, 0.1):
            if found._scout._answer is not None:
                found._scout._answer.result()
            people = found.detect(Frame(0, float(time), picture(LARGE)))
        assert len(people) == 1


@pytest.mark.usefixtures("fake")
def test_looking_back_nobody_is_guessed_behind_somebody_else() -> None:
    image = picture(SMALL)
    with LandmarkDetector(NO_SEARCH) as found:
        (near,) = found.detect(Frame(0, 0.0, image), [SMALL.bbox])
        other = found.detect(Frame(1, 5.0, picture(LARGE)), [LARGE.bbox])[0]
        earlier = found.detect_near(Frame(0, 0.0, image), near, [other])
        assert earlier is not None
        np.testing.assert_allclose(earlier.landmarks2d, SMALL.landmarks, atol=1.0)
        all_over = replace(other, mask=whole(np.full((HEIGHT, WIDTH), 255, np.uint8)))
        assert found.detect_near(Frame(0, 0.0, image), near, [all_over]) is None


@pytest.mark.usefixtures("fake")
def test_looking_back_the_finder_is_asked_of_whom_the_follower_does_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    finder = BarFollower(EngineConfig(), ())
    monkeypatch.setattr(landmark_detector, "open_finder", lambda follower, engine: finder)
    with LandmarkDetector(NO_SEARCH) as found:
        (near,) = found.detect(Frame(0, 0.0, picture(SMALL)), [SMALL.bbox])
        monkeypatch.setattr(found._follower._reader, "largest", 0.0)
        finder.asked.clear()
        earlier = found.detect_near(Frame(0, 0.0, picture(SMALL)), near, [])
        assert earlier is not None and finder.asked == [1]
        np.testing.assert_allclose(earlier.landmarks2d, SMALL.landmarks, atol=1.0)


@pytest.mark.usefixtures("fake")
def test_what_is_forgotten_changes_nothing() -> None:
    """After three frames the first one is looked at as it was when nothing was known."""
    lost = [Bar(200.0 + 250 * k, 300.0, 120.0).bbox for k in range(3)]
    with LandmarkDetector() as found:
        taken = looks_taken(found)
        found.detect(Frame(0, 0.0, picture(SMALL)), lost)
        first = [look.copy() for look in taken]
        for index in (1, 2):
            found.detect(Frame(index, index / 30, picture(LARGE)), lost)
        found.forget()
        taken.clear()
        found.detect(Frame(0, 0.0, picture(SMALL)), lost)
        assert len(taken) == len(first) > 2
        assert all((one == other).all() for one, other in zip(taken, first, strict=True))


@pytest.mark.usefixtures("fake")
def test_nobody_is_searched_for_when_enough_people_are_known() -> None:
    with LandmarkDetector(DetectConfig(max_people=1)) as found:
        found.detect(Frame(0, 0.0, picture(LARGE)))
        assert looks_taken(found) == []


@pytest.mark.usefixtures("fake")
def test_the_same_person_is_given_once_and_where_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, double = Bar(300.0, 100.0, 500.0), Bar(312.0, 130.0, 440.0)
    reader = BarLandmarker()
    poses = [reader.read(picture(bar))[0] for bar in (double, expected)]
    with LandmarkDetector(NO_SEARCH) as found:
        monkeypatch.setattr(found._searcher._landmarker, "read", lambda *_: poses)
        (person,) = found.detect(Frame(0, 0.0, picture(expected)), [expected.bbox])
        np.testing.assert_array_equal(person.landmarks2d, poses[1].landmarks2d)


@pytest.mark.usefixtures("fake")
def test_an_unlike_pose_on_the_same_mask_is_the_same_person(monkeypatch: pytest.MonkeyPatch) -> None:
    (right,) = BarLandmarker().read(picture(LARGE))
    upside_down = replace(right, landmarks2d=right.landmarks2d * np.array([1.0, -1.0]) + np.array([0.0, 700.0]))
    with LandmarkDetector(NO_SEARCH) as found:
        monkeypatch.setattr(found._searcher._landmarker, "read", lambda *_: [right, upside_down])
        assert len(found.detect(Frame(0, 0.0, picture(LARGE)))) == 1


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    "fault",
    [
        {"presence": np.full(33, 0.2)},
        {"visibility": np.full(33, 0.1)},
        {"mask": whole(np.zeros((HEIGHT, WIDTH), np.uint8))},
        {"landmarks2d": LARGE.landmarks + np.array([0.0, 690.0])},
    ],
    ids=["absent", "hidden", "off its mask", "face at the edge only"],
)
def test_what_is_plainly_no_person_is_left_out(monkeypatch: pytest.MonkeyPatch, fault: dict[str, np.ndarray]) -> None:
    (pose,) = BarLandmarker().read(picture(LARGE))
    with LandmarkDetector(NO_SEARCH) as found:
        monkeypatch.setattr(found._searcher._landmarker, "read", lambda *_: [replace(pose, **fault)])
        assert found.detect(Frame(0, 0.0, picture(LARGE))) == []


@pytest.mark.usefixtures("fake")
def test_a_person_cut_at_the_waist_by_the_picture_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a desk the legs are below the picture: MediaPipe gives them no presence and no visibility."""
    bar = Bar(640.0, 200.0, 1000.0)
    below = bar.landmarks[:, 1] > HEIGHT
    (pose,) = BarLandmarker().read(picture(LARGE))
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[200:, 400:880] = 255
    presence, visibility = np.where(below, 0.05, 0.95), ~below * 0.9
    seen = replace(pose, landmarks2d=bar.landmarks, presence=presence, visibility=visibility, mask=whole(mask))
    with LandmarkDetector(NO_SEARCH) as found:
        monkeypatch.setattr(found._searcher._landmarker, "read", lambda *_: [seen])
        assert len(found.detect(Frame(0, 0.0, picture()))) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_people", 0), ("min_detection", 1.5), ("min_presence", -0.1), ("second_looks", -1), ("search_seconds", 0.0)],
)
def test_senseless_configuration_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{field}.*got {value}"):
        DetectConfig(**{field: value})


def test_likeness_is_one_for_equal_and_mirrored_poses_and_falls_with_distance() -> None:
    pose = TEMPLATE * 300 + 100
    assert pose_similarity(pose, pose) == pytest.approx(1.0)
    assert pose_similarity(pose, pose[MEDIAPIPE.mirror]) == pytest.approx(1.0)
    likeness = [pose_similarity(pose, pose + np.array([0.0, d * body_size(pose)])) for d in (0.1, 0.25, 0.5, 1.0)]
    assert likeness == sorted(likeness, reverse=True)
    assert likeness[1] == pytest.approx(math.exp(-0.5), abs=0.05)
    assert likeness[3] < 0.01


def test_body_size_is_near_a_third_of_the_height_and_scales() -> None:
    assert body_size(TEMPLATE * 300) == pytest.approx(0.3 * 300, rel=0.1)
    assert body_size(TEMPLATE * 600) == pytest.approx(2 * body_size(TEMPLATE * 300))


def test_overlaps_of_boxes_and_masks() -> None:
    box, part = np.array([0.0, 0.0, 10.0, 10.0]), np.array([5.0, 0.0, 10.0, 10.0])
    assert box_overlap(box, part) == pytest.approx(0.5)
    assert shared_box(box, part) == pytest.approx(1.0)
    assert box_overlap(box, box + 20) == 0.0
    mask = np.zeros((40, 40), np.uint8)
    mask[:, :20] = 255
    half = np.zeros_like(mask)
    half[:20, :20] = 255
    assert mask_overlap(whole(mask), whole(half)) == pytest.approx(0.5)
    assert mask_overlap(whole(half * 0), whole(half * 0)) == 0.0
    points = np.array([[5.0, 5.0], [22.0, 5.0], [35.0, 5.0]])
    assert share_on_mask(points, whole(mask), 0.0) == pytest.approx(1 / 3)
    assert share_on_mask(points, whole(mask), 4.0) == pytest.approx(2 / 3)


def test_painting_out_leaves_no_colour_of_the_person_and_nothing_else_changed() -> None:
    image = np.random.default_rng(0).integers(90, 130, (200, 240, 3), dtype=np.uint8)
    mask = np.zeros((200, 240), np.uint8)
    cv2.ellipse(mask, (120, 100), (30, 70), 0, 0, 360, 255, -1)
    image[mask > 0] = RED
    painted = erased(image, mask)
    assert painted[mask > 0].max() <= 135 and painted[mask > 0].min() >= 85
    away = cv2.dilate(mask, np.ones((15, 15), np.uint8)) == 0
    np.testing.assert_array_equal(painted[away], image[away])
    assert erased(image, mask * 0) is image
