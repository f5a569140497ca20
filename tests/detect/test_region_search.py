"""Half-hidden people, found by the landmark network alone: where it looks, and whom it believes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from tests.detect.test_person_finder import first_frames, needs_mediapipe, opened
from tests.people_scene import TEMPLATE
from tracker.core.affine import apply_affine
from tracker.core.arrays import Array
from tracker.core.crop import crop_transform
from tracker.core.detection import LandmarkCrop
from tracker.core.mask import PlacedMask
from tracker.detect.candidate import Candidate, candidate_of
from tracker.detect.detect_config import DetectConfig
from tracker.detect.follow import Followed, Region
from tracker.detect.looks_anew import LOOKS, LooksAnew
from tracker.detect.pose_reading import PoseReading
from tracker.detect.region_search import BESIDE, half_hidden_people, starts
from tracker.detect.similarity import BODY_POINTS, body_size, pose_similarity

CONFIG = DetectConfig()
SIZE = (640, 360)
PICTURE = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
PICTURE[:, 0] = 255  # by which it is told from its mirror image
PERSON = TEMPLATE * 200 + np.array([200.0, 190.0])


@pytest.mark.parametrize("size", [(640, 360), (360, 640), (500, 500)])
@pytest.mark.parametrize("share", [0.6, 0.9, 1.2])
def test_wherever_somebody_large_is_a_region_is_about_them(size: tuple[int, int], share: float) -> None:
    rng = np.random.default_rng(0)
    side = 1.4 * share * size[1]
    for centre in rng.uniform([0.1, 0.2], [0.9, 0.8], (50, 2)) * size:
        off = [np.linalg.norm(r.centre - centre) / side for r in starts(*size) if 0.7 < r.side / side < 1.5]
        assert min(off) < 0.3


def test_of_a_strip_no_more_is_tried() -> None:
    assert len(starts(20_000, 200)) <= 2 * len(starts(1920, 1080))


@dataclass
class Seer:
    """A landmark network that sees these poses, each in regions that are about it, and sends regions halfway there."""

    poses: Sequence[Array]
    fancies: bool = False
    """Whether it is sure of somebody in every region, and each time of somebody else."""
    blind_to_mirrors: bool = False
    reach: float = 0.3
    """Of a pose's own region, within which the middle of one is about it."""
    looks: int = 0
    network: Path = field(default=Path("seer.tflite"), init=False)
    engine: str = field(default="none", init=False)
    device: str = field(default="none", init=False)

    def follow(
        self, image: np.ndarray, regions: Sequence[Region], painted: Sequence[PlacedMask] = ()
    ) -> list[Followed]:
        mirrored = not image[0, 0].any()
        poses = [pose * [-1, 1] + [SIZE[0], 0] if mirrored else pose for pose in self.poses]
        return [self._look(region, [] if mirrored and self.blind_to_mirrors else poses) for region in regions]

    def _look(self, region: Region, poses: Sequence[Array]) -> Followed:
        self.looks += 1
        own = [Region.around(pose) for pose in poses]
        near = [np.linalg.norm(r.centre - region.centre) < self.reach * r.side for r in own]
        if self.fancies:
            there = Region(region.centre, region.side * (1 + 0.4 * (self.looks % 5)), region.turn)
            return answer(region, TEMPLATE * there.side / 2 + there.centre, 0.99, there)
        if not any(near):
            return answer(region, TEMPLATE * region.side / 2 + region.centre, 0.0, region)
        pose, target = next((p, r) for p, r, is_near in zip(poses, own, near, strict=True) if is_near)
        halfway = Region((region.centre + target.centre) / 2, (region.side + target.side) / 2, 0.0)
        return answer(region, pose, 0.9, halfway)

    def close(self) -> None: ...


def answer(region: Region, pose: Array, presence: float, then: Region) -> Followed:
    """pose: (33, 2) px of the picture."""
    crop = LandmarkCrop(np.zeros((256, 256, 3), np.uint8), crop_transform(region.box, 256, 256, region.turn), {})
    to_crop = np.linalg.inv(np.vstack([crop.T_frame_crop, [0, 0, 1]]))[:2]
    mask = PlacedMask.whole(np.full((256, 256), 255, np.uint8))
    reading = PoseReading(apply_affine(to_crop, pose), np.zeros((33, 3)), np.ones(33), np.ones(33), mask)
    return Followed(reading, crop, presence, then)


def test_regions_that_come_to_one_pose_are_a_person() -> None:
    (person,) = half_hidden_people(Seer([PERSON]), PICTURE, CONFIG)
    np.testing.assert_allclose(person.detection.landmarks2d, PERSON, atol=1e-6)
    assert person.region.is_about(Region.around(PERSON)), "it is followed from where the regions have come to"


def test_two_people_are_two() -> None:
    other = PERSON + np.array([250.0, 0.0])
    found = half_hidden_people(Seer([PERSON, other]), PICTURE, CONFIG)
    (first,) = half_hidden_people(Seer([PERSON, other]), PICTURE, replace(CONFIG, max_people=1))
    np.testing.assert_array_equal(first.detection.landmarks2d, found[0].detection.landmarks2d)
    assert sorted(round(each.detection.landmarks2d[:, 0].mean()) for each in found) == sorted(
        round(pose[:, 0].mean()) for pose in (PERSON, other)
    )


def test_regions_that_agree_on_nobody_are_nobody() -> None:
    assert half_hidden_people(Seer([], fancies=True), PICTURE, CONFIG) == []
    seer = Seer([])
    assert half_hidden_people(seer, PICTURE, CONFIG) == []
    assert seer.looks == len(starts(*SIZE)), "where nobody can be is looked at once"


def test_who_is_not_seen_in_a_mirror_is_nobody_unless_many_regions_agree() -> None:
    assert half_hidden_people(Seer([PERSON], reach=0.1), PICTURE, CONFIG) != []
    assert half_hidden_people(Seer([PERSON], reach=0.1, blind_to_mirrors=True), PICTURE, CONFIG) == []
    assert half_hidden_people(Seer([PERSON], reach=0.6, blind_to_mirrors=True), PICTURE, CONFIG) != []


def test_beside_somebody_more_looks_have_to_agree() -> None:
    seer = Seer([PERSON], reach=0.6, blind_to_mirrors=True)  # looks in a mirror are four of twelve
    assert half_hidden_people(seer, PICTURE, CONFIG) != []
    assert half_hidden_people(seer, PICTURE, CONFIG, ((1, LOOKS - 4),)) != []
    assert half_hidden_people(seer, PICTURE, CONFIG, ((1, LOOKS - 3),)) == []
    assert half_hidden_people(Seer([PERSON]), PICTURE, CONFIG, BESIDE)[0].detection.agreed


def candidate(seer: Seer) -> Candidate:
    (answered,) = seer.follow(PICTURE, [Region.around(PERSON)])
    reading = replace(answered.reading, landmarks2d=PERSON)
    return candidate_of(reading, SIZE, replace(answered, region=Region.around(PERSON)))


def test_looks_stop_as_soon_as_they_are_enough_or_can_no_more_be() -> None:
    seer, nobody = Seer([PERSON]), Seer([])
    person = candidate(seer)
    seer.looks = 0
    assert LooksAnew(seer, PICTURE).agree(person, 8) and seer.looks == 8
    assert LooksAnew(seer, PICTURE).agree(person, LOOKS) and seer.looks == 8 + LOOKS
    assert not LooksAnew(nobody, PICTURE).agree(person, 8) and nobody.looks == LOOKS - 7


def test_a_network_that_is_not_sure_is_not_believed() -> None:
    assert half_hidden_people(Seer([PERSON]), PICTURE, replace(CONFIG, min_presence=0.95)) == []


@needs_mediapipe
def test_a_man_behind_a_box_is_found_and_nobody_where_there_is_none() -> None:
    with opened() as landmarker:
        (frame,) = first_frames("sam2_juggle.mp4", 1)
        (man,) = landmarker.read(frame.image, 0.5)
        points = man.landmarks2d[BODY_POINTS]
        hips = int(man.landmarks2d[[23, 24], 1].mean())
        boxed, empty = frame.image.copy(), frame.image.copy()
        boxed[hips:] = (120, 110, 90)
        reach = body_size(man.landmarks2d)
        left, right = (int(x) for x in (points[:, 0].min() - reach, points[:, 0].max() + reach))
        empty[:, max(left, 0) : right] = (120, 110, 90)
        (found,) = landmarker.half_hidden(boxed)
        shown = points[:, 1] < hips
        off = np.linalg.norm(found.detection.landmarks2d[BODY_POINTS] - points, axis=1)[shown]
        assert off.mean() < 0.15 * reach and pose_similarity(found.detection.landmarks2d, man.landmarks2d) > 0.5
        assert landmarker.half_hidden(empty) == []
