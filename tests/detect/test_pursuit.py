"""People who meet: crops do not slide onto passers-by, and who was hidden is found again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.detect.test_landmark_detector import ASPECT, HEIGHT, WIDTH, Bar, BarFollower, BarLandmarker
from tracker.core.frame import Frame
from tracker.core.mask import PlacedMask
from tracker.detect import DetectConfig, LandmarkDetector, landmark_detector
from tracker.detect.candidate import Candidate, candidate_of
from tracker.detect.clothing_colour import appearance_of
from tracker.detect.erase import erased
from tracker.detect.follow import Followed, Region
from tracker.detect.picture_landmarker import PictureLandmarker
from tracker.detect.pursuit import Pursuit, as_stranger, ousted
from tracker.runtime.engine_config import EngineConfig

RED, CRIMSON = (230, 20, 20), (160, 75, 80)
QUIET = DetectConfig(look_seconds=10.0, look_delay=0.0, search_seconds=10.0)
_FEET = slice(27, 33)
HERE, BESIDE, FAR = (Bar(x, 100.0, 500.0) for x in (400.0, 640.0, 1000.0))


class GreedyFollower(BarFollower):
    """Sees the rightmost bar of those that reach into a region."""

    def follow(
        self, image: np.ndarray, regions: Sequence[Region], painted: Sequence[PlacedMask] = ()
    ) -> list[Followed]:
        if painted:
            image = erased(image, np.maximum.reduce([mask.picture() for mask in painted]))
        return [self._follow(image, self._drawn_to(image, region)) for region in regions]

    def _drawn_to(self, image: np.ndarray, region: Region) -> Region:
        boxes = [reading.landmarks2d for reading in self._reader.read(image)]
        near = [each for each in boxes if abs(each.mean(axis=0)[0] - region.centre[0]) < region.side / 2]
        return Region.around(max(near, key=lambda each: each[:, 0].max())) if near else region


class FadingOut(GreedyFollower):
    """The mask of whoever is on the right fades out over whoever is beside them."""

    def _follow(self, image: np.ndarray, region: Region) -> Followed:
        answer = super()._follow(image, region)
        mask, people = answer.reading.mask.picture(), (image != image[0, 0]).any(axis=2)
        if mask.any() and np.flatnonzero(mask.any(axis=0)).mean() > (HERE.x + BESIDE.x) / 2:
            mask = np.where(people, np.maximum(mask, np.uint8(150)), mask)
        return replace(answer, reading=replace(answer.reading, mask=PlacedMask.whole(mask)))


class MixingUp(BarFollower):
    """Gives whoever is at HERE the feet of somebody beside them, unless these are painted out."""

    mixes = False

    def follow(
        self, image: np.ndarray, regions: Sequence[Region], painted: Sequence[PlacedMask] = ()
    ) -> list[Followed]:
        if painted:
            image = erased(image, np.maximum.reduce([mask.picture() for mask in painted]))
        answers = [self._follow(image, region) for region in regions]
        return answers if painted or not self.mixes else [self._mixed(answer) for answer in answers]

    def _mixed(self, answer: Followed) -> Followed:
        landmarks = answer.reading.landmarks2d.copy()
        if abs(landmarks[:, 0].mean() - HERE.x) > 20:
            return answer
        landmarks[_FEET] += [BESIDE.x - HERE.x, 0.0]
        return replace(answer, reading=replace(answer.reading, landmarks2d=landmarks))


@pytest.fixture
def greedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PictureLandmarker, "open", lambda *_: BarLandmarker())
    monkeypatch.setattr(landmark_detector, "open_follower", lambda config, engine, maps: GreedyFollower(engine, maps))
    monkeypatch.setattr(landmark_detector, "open_finder", lambda follower, engine: follower)


def painted(*bars: tuple[Bar, tuple[int, int, int]]) -> np.ndarray:
    """A picture of bars in colours of their own."""
    image = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
    for bar, colour in bars:
        half = round(bar.height * ASPECT / 2)
        image[round(bar.y) : round(bar.y + bar.height), round(bar.x) - half : round(bar.x) + half] = colour
    return image


@pytest.mark.usefixtures("greedy")
def test_a_passer_by_in_other_clothes_does_not_take_the_crop_away() -> None:
    with LandmarkDetector(QUIET) as detector:
        detector.detect(Frame(0, 0.0, painted((HERE, RED))))
        for index in (1, 2, 3):
            seen = detector.detect(Frame(index, index / 30, painted((HERE, RED), (BESIDE, CRIMSON))))
            assert len(seen) == 2
            first, other = sorted(seen, key=lambda each: each.bbox[0])
            np.testing.assert_allclose(first.landmarks2d, HERE.landmarks, atol=3.0)
            assert (first.stranger, other.stranger) == (False, True)


@pytest.mark.usefixtures("greedy")
def test_nobody_has_the_feet_of_somebody_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    follower = MixingUp(EngineConfig(), ())
    monkeypatch.setattr(landmark_detector, "open_follower", lambda *_: follower)
    with LandmarkDetector(QUIET) as detector:
        both = painted((HERE, RED), (BESIDE, RED))
        assert len(detector.detect(Frame(0, 0.0, both))) == 2
        follower.mixes = True
        for index in (1, 2, 3):
            people = sorted(detector.detect(Frame(index, index / 30, both)), key=lambda each: each.bbox[0])
            for person, bar in zip(people, (HERE, BESIDE), strict=True):
                np.testing.assert_allclose(person.landmarks2d, bar.landmarks, atol=3.0)


@pytest.mark.parametrize(("clothes", "count"), [(CRIMSON, 2), (RED, 1)])
@pytest.mark.usefixtures("greedy")
def test_clothes_tell_who_is_under_the_mask_of_somebody_who_touches_them(
    monkeypatch: pytest.MonkeyPatch, clothes: tuple[int, int, int], count: int
) -> None:
    monkeypatch.setattr(landmark_detector, "open_follower", lambda config, engine, maps: FadingOut(engine, maps))
    large = replace(BESIDE, height=620.0)
    with LandmarkDetector(QUIET) as detector:
        assert len(detector.detect(Frame(0, 0.0, painted((HERE, RED), (FAR, clothes))))) == 2
        for index in (1, 2, 3):
            people = detector.detect(Frame(index, index / 30, painted((HERE, RED), (large, clothes))))
            assert len(people) == count
        if count == 2:
            leftmost = min(people, key=lambda each: each.bbox[0])
            np.testing.assert_allclose(leftmost.landmarks2d, HERE.landmarks, atol=3.0)


@pytest.mark.usefixtures("greedy")
def test_who_is_alone_is_no_stranger_whatever_is_before_their_clothes() -> None:
    with LandmarkDetector(QUIET) as detector:
        detector.detect(Frame(0, 0.0, painted((HERE, RED))))
        for index in (1, 2, 3):
            (person,) = detector.detect(Frame(index, index / 30, painted((BESIDE, CRIMSON))))
            assert not person.stranger


@pytest.mark.usefixtures("greedy")
def test_who_was_hidden_for_a_second_is_found_where_they_were() -> None:
    with LandmarkDetector(QUIET) as detector:
        detector.detect(Frame(0, 0.0, painted((HERE, RED))))
        for index in range(1, 30):
            assert not detector.detect(Frame(index, index / 30, painted()))
        (again,) = detector.detect(Frame(30, 1.0, painted((HERE, RED))))
        np.testing.assert_allclose(again.landmarks2d, HERE.landmarks, atol=3.0)


@pytest.mark.usefixtures("greedy")
def test_who_has_come_and_stands_before_somebody_is_not_taken_for_them() -> None:
    """The search sees two people; by the time of its answer one of them is behind the other."""
    with LandmarkDetector(replace(QUIET, look_seconds=0.5, look_delay=0.1)) as detector:
        for index in range(15):
            detector.detect(Frame(index, index / 30, painted((HERE, RED))))
        detector.detect(Frame(15, 0.5, painted((HERE, RED), (FAR, CRIMSON))))
        for index in (16, 17):
            (slid,) = detector.detect(Frame(index, index / 30, painted((BESIDE, CRIMSON))))
            assert not slid.stranger
        for index in (18, 19):
            (visitor,) = detector.detect(Frame(index, index / 30, painted((BESIDE, CRIMSON))))
            assert visitor.stranger
        people = detector.detect(Frame(20, 20 / 30, painted((HERE, RED), (BESIDE, CRIMSON))))
        person, visitor = sorted(people, key=lambda each: each.bbox[0])
        np.testing.assert_allclose(person.landmarks2d, HERE.landmarks, atol=3.0)
        assert (person.stranger, visitor.stranger) == (False, True)


def candidate(bar: Bar) -> Candidate:
    (reading,) = BarLandmarker().read(painted((bar, RED)))
    return candidate_of(reading, (WIDTH, HEIGHT))


def test_of_two_crops_on_one_body_that_of_who_was_there_stays() -> None:
    image = painted((HERE, RED), (BESIDE, RED))
    pursuits = [Pursuit.begin(Frame(0, 0.0, image), candidate(bar)) for bar in (BESIDE, HERE)]
    slid, here, beside = candidate(Bar(HERE.x + 4, HERE.y, HERE.height)), candidate(HERE), candidate(BESIDE)
    looks = {id(each): appearance_of(image, each.detection) for each in (slid, here, beside)}
    assert ousted(pursuits, [slid, here], looks) == {0}
    assert ousted(pursuits, [beside, here], looks) == set()


@pytest.mark.parametrize(("clothes", "out"), [(RED, {0}), (CRIMSON, set())])
def test_a_part_of_somebody_is_not_followed_beside_them(clothes: tuple[int, int, int], out: set[int]) -> None:
    """A smaller body within a larger one, of its clothes or of others."""
    inner = Bar(HERE.x, HERE.y + 100, 330.0)
    image, other = painted((HERE, RED)), painted((HERE, clothes))
    part, whole = candidate(inner), candidate(HERE)
    looks = {id(part): appearance_of(other, part.detection), id(whole): appearance_of(image, whole.detection)}
    pursuits = [Pursuit.begin(Frame(0, 0.0, image), each) for each in (part, whole)]
    assert ousted(pursuits, [part, whole], looks) == out


def test_a_box_before_the_clothes_makes_no_stranger() -> None:
    pursuit = Pursuit.begin(Frame(0, 0.0, painted((HERE, RED))), candidate(HERE))
    box = Pursuit.begin(Frame(0, 0.0, painted((HERE, CRIMSON))), candidate(HERE))
    away = Pursuit.begin(Frame(0, 0.0, painted((BESIDE, CRIMSON))), candidate(BESIDE))
    assert not pursuit.is_other(box.candidate, box.look)
    assert pursuit.is_other(away.candidate, away.look)
    assert not pursuit.is_other(away.candidate, pursuit.look)


def test_nobody_is_elsewhere_at_once() -> None:
    pursuit = Pursuit.begin(Frame(0, 0.0, painted((HERE, RED))), candidate(HERE))
    assert pursuit.is_too_far(0.2, candidate(BESIDE)) and not pursuit.is_too_far(1.0, candidate(BESIDE))
    assert not pursuit.is_too_far(0.2, candidate(Bar(HERE.x + 60, HERE.y, HERE.height)))


def test_a_stranger_stays_one_for_a_while_only() -> None:
    image = painted((HERE, RED))
    pursuit = Pursuit.begin(Frame(0, 0.0, image), as_stranger(candidate(HERE)))
    assert pursuit.then(1.0, candidate(HERE), pursuit.look).candidate.detection.stranger
    assert not pursuit.then(3.0, candidate(HERE), pursuit.look).candidate.detection.stranger


def test_clothes_are_learned_from_the_person_alone() -> None:
    image = painted((HERE, RED))
    pursuit = Pursuit.begin(Frame(0, 0.0, image), candidate(HERE))
    crimson = Pursuit.begin(Frame(0, 0.0, painted((HERE, CRIMSON))), candidate(HERE)).look
    after = pursuit.then(1.0, replace(candidate(HERE), quality=0.5), crimson)
    assert after.look is pursuit.look
    assert after.own is pursuit.own


def test_somebody_is_told_by_their_clothes_from_those_who_touch_them() -> None:
    red, crimson = (appearance_of(painted((HERE, each)), candidate(HERE).detection) for each in (RED, CRIMSON))
    pursuit = Pursuit.begin(Frame(0, 0.0, painted((HERE, RED))), candidate(HERE))
    assert pursuit.is_told_from([crimson], red)
    assert not pursuit.is_told_from([crimson], crimson)
    assert not pursuit.is_told_from([crimson, red], red)


def test_who_stands_where_somebody_was_in_other_clothes_is_not_they() -> None:
    hidden, red, crimson = (
        Pursuit.begin(Frame(0, 0.0, painted((HERE, each))), candidate(HERE)) for each in (RED, RED, CRIMSON)
    )
    beside = Pursuit.begin(Frame(0, 0.0, painted((BESIDE, RED))), candidate(BESIDE))
    assert red.is_in_place_of(hidden)
    assert not crimson.is_in_place_of(hidden) and not beside.is_in_place_of(hidden)
