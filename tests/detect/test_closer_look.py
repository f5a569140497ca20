"""What a closer look at somebody shows, and that things are not followed into the files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from tests.detect.test_landmark_detector import (
    HEIGHT,
    WIDTH,
    Bar,
    BarFollower,
    BarLandmarker,
    Blind,
    picture,
)
from tracker.core.existence import Look
from tracker.core.frame import Frame
from tracker.core.mask import PlacedMask
from tracker.detect import DetectConfig, LandmarkDetector, landmark_detector
from tracker.detect.candidate import Candidate, candidate_of
from tracker.detect.closer_look import is_thin, look_closely
from tracker.detect.follow import Followed, Region
from tracker.detect.looks_anew import LOOKS
from tracker.detect.picture_landmarker import PictureLandmarker
from tracker.detect.pursuit import Pursuit
from tracker.detect.scene_view import View
from tracker.runtime.engine_config import EngineConfig

HERE, BESIDE = Bar(500.0, 150.0, 400.0), Bar(700.0, 150.0, 400.0)


def person(bar: Bar) -> Candidate:
    return candidate_of(BarLandmarker().read(picture(bar))[0], (WIDTH, HEIGHT))


def grey(level: int) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8)


def found_in(image: np.ndarray, bar: Bar = HERE) -> Pursuit:
    return Pursuit.begin(Frame(0, 0.0, image), person(bar))


def test_somebody_in_plain_sight_is_shown_by_all_framings() -> None:
    image = picture(HERE)
    existence = look_closely(found_in(image), Frame(8, 0.25, image), [], BarFollower(EngineConfig(), ()))
    assert existence.looks == (Look(agreeing=1.0, moved=0.0),)


def test_others_are_not_taken_for_the_person_who_is_looked_at() -> None:
    class Widest(BarFollower):
        """Sees whoever is on the right."""

        def _follow(self, image: np.ndarray, region: Region) -> Followed:
            read = max(self._reader.read(image), key=lambda each: each.landmarks2d[:, 0].mean())
            return super()._follow(image, Region.around(read.landmarks2d))

    image, seer = picture(HERE, BESIDE), Widest(EngineConfig(), ())
    looks = [look_closely(found_in(image), Frame(8, 0.25, image), o, seer).looks for o in ([], [person(BESIDE)])]
    (alone,), (without,) = looks
    assert alone.agreeing < 0.75 < without.agreeing


def plainly_seen(image: np.ndarray) -> Pursuit:
    begun = found_in(image)
    return begun.looked_at(0.25, look_closely(begun, Frame(8, 0.25, image), [], BarFollower(EngineConfig(), ())))


def test_who_was_in_plain_sight_is_surely_there_once_they_move() -> None:
    """No network needs to be asked for that."""
    seen, unasked = plainly_seen(before_wall()), Blind(EngineConfig(), ())
    existence = look_closely(seen, Frame(12, 0.4, before_wall(1)), [], unasked)
    assert existence.is_sure and unasked.asked == []
    assert seen.looked_at(0.4, existence).look_at == float("inf")


def test_who_keeps_still_is_looked_at_again_after_a_second() -> None:
    seen, seer = plainly_seen(before_wall()), BarFollower(EngineConfig(), ())
    early = look_closely(seen, Frame(20, 0.7, before_wall()), [], seer)
    assert early == seen.existence and seer.asked == []
    late = look_closely(seen, Frame(40, 1.3, before_wall()), [], seer)
    assert len(late.looks) == 2 and len(seer.asked) == LOOKS


def wall(seed: int = 0) -> np.ndarray:
    """A picture with something all over it."""
    coarse = np.random.default_rng(seed).integers(40, 200, (36, 64, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST))


def before_wall(seed: int = 0) -> np.ndarray:
    """Somebody in front of it."""
    image, bar = wall(seed), picture(HERE)
    standing = (bar != bar[0, 0]).any(axis=2)
    image[standing] = bar[standing]
    return image


def test_how_much_has_changed_in_a_box() -> None:
    before, now = wall(), wall()
    now[:, WIDTH // 2 :] = wall(1)[:, WIDTH // 2 :]
    left, right = (np.array([x, 100.0, x + 300.0, 600.0]) for x in (100.0, 800.0))
    first, second = View.of(before, []), View.of(now, [])
    assert first.changed(second, left) < 0.01 and 0.7 < first.changed(second, right) < 1.3
    outside = np.array([-50.0, -50.0, -10.0, -10.0])
    assert first.changed(second, outside) < 0.01


def test_light_is_no_change() -> None:
    box = np.array([100.0, 100.0, 400.0, 600.0])
    brighter = (1.2 * wall().astype(float)).clip(0, 255).astype(np.uint8)
    assert View.of(wall(), []).changed(View.of(brighter, []), box) < 0.02
    flat = [View.of(grey(level), []) for level in (100, 130)]
    assert flat[0].changed(flat[1], box) == 0.0, "nor is it where there is nothing to see"


def test_who_stands_in_front_is_left_aside() -> None:
    empty = View.of(wall(), [])
    assert empty.changed(View.of(before_wall(), []), HERE.bbox) > 0.3
    assert empty.changed(View.of(before_wall(), [person(HERE)]), HERE.bbox) < 0.1


class Chair(BarFollower):
    """Takes a bar for somebody where it follows it; framed anew it sees nobody there. It loses it every few frames."""

    def __init__(self) -> None:
        super().__init__(EngineConfig(), ())
        self.followed = 0
        self.is_looking = False

    def follow(
        self, image: np.ndarray, regions: Sequence[Region], painted: Sequence[PlacedMask] = ()
    ) -> list[Followed]:
        self.followed += 1
        return super().follow(image, regions, painted)

    def _follow(self, image: np.ndarray, region: Region) -> Followed:
        answer = super()._follow(image, region)
        own = Region.around(HERE.landmarks)
        framed_anew = abs(region.side - own.side) > 1 or np.linalg.norm(region.centre - own.centre) > 1
        return replace(answer, presence=0.0) if framed_anew or self.followed % 5 == 0 else answer


def use(monkeypatch: pytest.MonkeyPatch, follower: BarFollower) -> None:
    """Instead of the networks."""
    monkeypatch.setattr(PictureLandmarker, "open", lambda *_: BarLandmarker())
    monkeypatch.setattr(BarLandmarker, "follower", property(lambda _: follower))
    monkeypatch.setattr(landmark_detector, "open_follower", lambda *_: follower)
    monkeypatch.setattr(landmark_detector, "open_finder", lambda follower, engine: follower)


def test_what_looks_show_of_a_thing_is_remembered_when_it_is_lost_and_found_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each time it is found it is another pursuit, and looked at once."""
    use(monkeypatch, Chair())
    image = picture(HERE)
    with LandmarkDetector(DetectConfig(look_seconds=0.2, search_seconds=float("inf"))) as found:
        existences = [d.existence for i in range(30) for d in found.detect(Frame(i, i / 10, image))]
    assert not existences[0].looks
    assert existences[-1].is_nobody and len(existences[-1].looks) >= 3


def test_looks_at_people_in_the_first_picture_count(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, BarFollower(EngineConfig(), ()))
    with LandmarkDetector(DetectConfig()) as found:
        (somebody,) = found.detect(Frame(0, 0.0, picture(HERE)))
    assert somebody.agreed and somebody.existence.looks == (Look(agreeing=1.0, moved=0.0),)


def test_who_is_doubted_is_looked_at_at_once_when_they_move_and_not_before() -> None:
    begun = found_in(before_wall())
    doubted = begun.looked_at(0.25, begun.existence.after(Look(0.5, 0.0)))
    seer = BarFollower(EngineConfig(), ())
    assert doubted.look_at == 0.5
    still = look_closely(doubted, Frame(12, 0.4, before_wall()), [], seer)
    assert still == doubted.existence and seer.asked == []
    moving = look_closely(doubted, Frame(12, 0.4, before_wall(1)), [], seer)
    assert moving.is_sure and len(seer.asked) == LOOKS


@pytest.mark.parametrize(
    ("size", "turn", "thin"), [((300, 30), 0, True), ((300, 30), 40, True), ((300, 70), 40, False)]
)
def test_rails_are_thinner_than_people(size: tuple[int, int], turn: float, thin: bool) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(mask, [cv2.boxPoints(((600.0, 300.0), size, turn)).astype(np.int32)], 255)
    assert is_thin(PlacedMask.whole(mask)) is thin
    assert not is_thin(PlacedMask.whole(np.zeros_like(mask)))
