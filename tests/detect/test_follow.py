"""Following people in their own regions: where the region lies, what the network says there, when more is looked at."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests import SHARED
from tests.detect.test_landmark_detector import LARGE, Bar, BarFollower, BarLandmarker, picture
from tests.people_scene import TEMPLATE
from tracker.core.affine import apply_affine
from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.core.mask import PlacedMask
from tracker.detect import DetectConfig, LandmarkDetector, follow, landmark_detector
from tracker.detect.crop_landmarks import refined
from tracker.detect.follow import Followed, NetworkFollower, Region
from tracker.detect.picture_landmarker import PictureLandmarker
from tracker.runtime.engine_config import EngineConfig

JUGGLER = SHARED / "videos" / "sam2_juggle.mp4"

needs_mediapipe = pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", "import mediapipe"], capture_output=True, check=False).returncode != 0,
    reason="mediapipe is not installed",
)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PictureLandmarker, "open", lambda *_: BarLandmarker())
    monkeypatch.setattr(landmark_detector, "open_follower", lambda config, *asked: BarFollower(*asked))
    monkeypatch.setattr(landmark_detector, "open_finder", lambda follower, engine: follower)


def whole_looks(found: LandmarkDetector) -> int:
    assert isinstance(found._searcher._landmarker, BarLandmarker)
    return len(found._searcher._landmarker.shown)


QUIET = DetectConfig(search_seconds=math.inf, look_delay=0.0)


@pytest.mark.parametrize("turn", [0.0, 0.7, math.pi / 2, -2.5])
def test_a_region_holds_the_person_upright(turn: float) -> None:
    cosine, sine = math.cos(turn), math.sin(turn)
    landmarks = (TEMPLATE * 300) @ np.array([[cosine, sine], [-sine, cosine]]) + np.array([500.0, 400.0])
    region = Region.around(landmarks)
    inverse = np.linalg.inv(np.vstack([region.transform, [0, 0, 1]]))[:2]
    crop = apply_affine(inverse, landmarks)
    assert ((crop > 0) & (crop < 256)).all()
    shoulders, hips = crop[[11, 12]].mean(axis=0), crop[[23, 24]].mean(axis=0)
    np.testing.assert_allclose(hips, [128, 128], atol=0.01)
    assert abs(shoulders[0] - hips[0]) < 0.01 and shoulders[1] < hips[1]


def test_a_rim_point_gives_size_and_turn() -> None:
    region = Region.on_rim(np.array([100.0, 200.0]), np.array([180.0, 200.0]))
    assert region.side == pytest.approx(200.0) and region.turn == pytest.approx(math.pi / 2)
    assert Region.on_rim(np.zeros(2), np.zeros(2)).side > 0


@needs_mediapipe
def test_the_heavy_network_has_to_be_surer_of_somebody_and_less_of_what_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    region = Region(np.full(2, 128.0), 256.0, 0.0)
    answers = []
    for heavy in (False, True):
        monkeypatch.setattr(follow, "is_heavy", lambda file, heavy=heavy: heavy)
        follower = NetworkFollower(EngineConfig())
        answers.append(follower.follow(noise, [region])[0])
        follower.close()
    np.testing.assert_allclose(answers[1].presence, answers[0].presence ** 3, rtol=1e-6)
    assert 0 < answers[1].presence < answers[0].presence
    assert (answers[1].reading.visibility > answers[0].reading.visibility).all()


def test_heat_corrects_a_landmark_near_it_and_leaves_cold_ones_alone() -> None:
    rows, columns = np.mgrid[0:64, 0:64]
    heat = np.zeros((64, 64, 3), np.float32)
    for channel, (x, y) in enumerate([(101.0, 62.0), (30.0, 200.0)]):
        heat[..., channel] = 0.98 * np.exp(-((4 * columns - x) ** 2 + (4 * rows - y) ** 2) / 50.0)
    points = np.array([[104.0, 58.0], [90.0, 90.0], [-20.0, 300.0]])
    got = refined(points, heat)
    np.testing.assert_allclose(got[0], [101.0, 62.0], atol=0.6)
    np.testing.assert_array_equal(got[1:], points[1:])


@pytest.mark.usefixtures("fake")
def test_who_is_followed_costs_four_whole_looks_a_second() -> None:
    with LandmarkDetector(QUIET) as found:
        for i in range(60):
            bar = Bar(300.0 + 4 * i, 100.0, 500.0)
            (person,) = found.detect(Frame(i, i / 30, picture(bar)), [bar.bbox])
            np.testing.assert_allclose(person.landmarks2d, bar.landmarks, atol=1.0)
        assert whole_looks(found) == 8


@pytest.mark.usefixtures("fake")
def test_who_is_too_small_for_the_whole_frame_is_followed_all_the_same() -> None:
    with LandmarkDetector(QUIET) as found:
        found.detect(Frame(0, 0.0, picture(LARGE)))
        for i in range(1, 20):
            small = Bar(LARGE.x, LARGE.y + 20 * i, LARGE.height - 20 * i)
            (person,) = found.detect(Frame(i, i / 30, picture(small)))
            np.testing.assert_allclose(person.landmarks2d, small.landmarks, atol=1.0)


@pytest.mark.usefixtures("fake")
def test_a_lost_person_brings_a_look_at_the_whole_frame_soon() -> None:
    with LandmarkDetector(QUIET) as found:
        found.detect(Frame(0, 0.0, picture(LARGE)))
        found.detect(Frame(1, 1 / 30, picture(LARGE)), [LARGE.bbox])
        assert whole_looks(found) == 1
        away = Bar(1000.0, 100.0, 500.0)
        for i in range(2, 5):
            people = found.detect(Frame(i, i / 30, picture(away)), [LARGE.bbox])
        assert whole_looks(found) == 2
        np.testing.assert_allclose(people[0].landmarks2d, away.landmarks, atol=1.0)


@pytest.mark.usefixtures("fake")
def test_nobody_is_followed_over_a_gap() -> None:
    with LandmarkDetector(QUIET) as found:
        found.detect(Frame(0, 0.0, picture(LARGE)))
        found.detect(Frame(1, 5.0, picture(LARGE)))
        assert whole_looks(found) == 2
        (person,) = found.detect(Frame(2, 10.0, picture(Bar(900.0, 100.0, 500.0))))
        assert person.bbox[0] > 700, "where nobody was before"


@pytest.mark.usefixtures("fake")
def test_two_regions_on_one_person_give_one_person() -> None:
    left, right = Bar(300.0, 100.0, 500.0), Bar(900.0, 100.0, 500.0)
    with LandmarkDetector(QUIET) as found:
        assert len(found.detect(Frame(0, 0.0, picture(left, right)))) == 2
        on_the_left = Region.around(left.landmarks + 5.0)
        found._followed = [replace(p, candidate=replace(p.candidate, region=on_the_left)) for p in found._followed]
        assert len(found.detect(Frame(1, 1 / 30, picture(left)))) == 1


@pytest.mark.parametrize(("field", "value"), [("look_seconds", -1.0), ("look_delay", -1.0)])
def test_senseless_configuration_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{field}.*got {value}"):
        DetectConfig(**{field: value})


class Blind(BarFollower):
    """Loses everybody from some time on."""

    sees = True

    def follow(
        self, image: np.ndarray, regions: Sequence[Region], painted: Sequence[PlacedMask] = ()
    ) -> list[Followed]:
        return super().follow(image if self.sees else np.zeros_like(image), regions, painted)


@pytest.mark.parametrize("finder_sees", [True, False])
@pytest.mark.usefixtures("fake")
def test_of_whom_the_follower_loses_the_finder_is_asked(monkeypatch: pytest.MonkeyPatch, finder_sees: bool) -> None:
    follower, finder = Blind(EngineConfig(), ()), Blind(EngineConfig(), ())
    monkeypatch.setattr(landmark_detector, "open_follower", lambda *_: follower)
    monkeypatch.setattr(landmark_detector, "open_finder", lambda *_: finder)
    with LandmarkDetector(replace(QUIET, look_seconds=math.inf)) as found:
        assert len(found.detect(Frame(0, 0.0, picture(LARGE)))) == 1
        finder.asked.clear()
        assert len(found.detect(Frame(1, 0.03, picture(LARGE)), [LARGE.bbox])) == 1
        assert finder.asked == []  # who is seen is not looked at twice
        follower.sees, finder.sees = False, finder_sees
        people = found.detect(Frame(2, 0.06, picture(LARGE)))
        assert len(people) == finder_sees and finder.asked[0] == 1
