"""Occluders are where and as large as the protocols say, and hide exactly what they cover."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tracker.core.errors import InputError
from tracker.evaluation.occluder_textures import Textures, made_up
from tracker.evaluation.occlusion import (
    STUDY_JOINTS,
    JointShape,
    SlidingPatch,
    circle_mask,
    covered,
    painted,
    polygon_mask,
)
from tracker.evaluation.sequence_occlusion import (
    LIMB_SECONDS,
    CutOuts,
    Whereabouts,
    limb_patch,
    lower_half,
    passing,
    pillar,
)

SIZE = (640, 480)
BOX = np.array([100.0, 0.0, 548.0, 448.0])
"""A crop of twice 224 px."""
JOINTS = np.random.default_rng(0).uniform(150, 400, (24, 2))


@pytest.mark.parametrize(("side", "stride", "places"), [(40, 10, 19), (80, 10, 15), (80, 40, 4)])
def test_the_patch_slides_over_the_whole_crop(side: int, stride: int, places: int) -> None:
    placements = list(SlidingPatch(side, stride).placements(SIZE, BOX, JOINTS, 0))
    assert len(placements) == places**2
    first = placements[0].mask
    assert first.sum() == pytest.approx((2 * side) ** 2, rel=0.03)
    assert first[1, 101]
    assert not first[1, 98]
    assert not first[2 * side + 1, 101]
    columns = np.flatnonzero(placements[1].mask.any(axis=0))
    assert columns[0] == pytest.approx(100 + 2 * stride, abs=1)


@pytest.mark.parametrize("degree", [1, 3, 5])
def test_shapes_have_the_papers_sizes(degree: int) -> None:
    """Widths and radii of 10 px a degree, areas of 3,000 px² a degree, on a crop that is shown at twice its size."""
    centre = np.tile([320.0, 240.0], (24, 1))
    masks = {
        shape: next(p.mask for p in JointShape(shape).placements(SIZE, BOX, centre, 3) if p.degree == degree)
        for shape in ("bar", "circle", "rectangle")
    }
    assert masks["circle"].sum() == pytest.approx(np.pi * (20 * degree) ** 2, rel=0.02)
    assert masks["rectangle"].sum() == pytest.approx(4 * 3000 * degree, rel=0.03)
    # a bar reaches from edge to edge: its width is what a circle in its middle shares with it
    inside = masks["bar"] & circle_mask(SIZE, centre[0], 150.0)
    assert inside.sum() / 300 == pytest.approx(20 * degree, rel=0.12)


@pytest.mark.parametrize("shape", ["bar", "circle", "rectangle"])
def test_one_joint_at_a_time_is_covered(shape: str) -> None:
    placements = list(JointShape(shape, (1, 5)).placements(SIZE, BOX, JOINTS, 0))
    assert [p.joint for p in placements] == [joint for joint in STUDY_JOINTS for _ in (1, 5)]
    for placement in placements:
        assert covered(placement.mask, JOINTS)[placement.joint]


def test_covered_counts_pixels_from_their_corners() -> None:
    mask = polygon_mask((10, 10), np.array([[2.0, 3.0], [5.0, 3.0], [5.0, 6.0], [2.0, 6.0]]))
    points = np.array([[2.5, 3.5], [4.9, 5.9], [1.9, 3.5], [-3.0, 3.0], [3.0, 40.0]])
    assert covered(mask, points).tolist() == [True, True, False, False, False]


def test_only_what_is_under_the_mask_changes() -> None:
    image = np.full((480, 640, 3), 77, np.uint8)
    mask = circle_mask(SIZE, np.array([630.0, 20.0]), 60.0)
    result = painted(image, mask, Textures(), np.random.default_rng(0))
    assert (result[~mask] == 77).all()
    assert (result[mask] != 77).any(axis=-1).mean() > 0.9
    assert (result == painted(image, mask, Textures(), np.random.default_rng(0))).all()
    assert (painted(image, np.zeros_like(mask), Textures(), np.random.default_rng(0)) == image).all()


def test_textures_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    Image.new("RGB", (20, 30), (200, 10, 30)).save(tmp_path / "deep" / "red.png")
    textures = Textures.from_folder(tmp_path)
    sample = textures.sample(np.random.default_rng(0), 50, 10)
    assert sample.shape == (10, 50, 3)
    assert (sample == [200, 10, 30]).all()


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match=r"--textures .*: no \.jpg"):
        Textures.from_folder(tmp_path)


def test_a_broken_texture_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"broken\.png: not a picture"):
        Textures.from_folder(tmp_path).sample(np.random.default_rng(0), 5, 5)


def test_made_up_textures_differ_and_have_structure() -> None:
    pictures = [made_up(np.random.default_rng(seed)) for seed in range(4)]
    assert all(picture.std() > 8 for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == 4


@pytest.fixture
def person() -> Whereabouts:
    """Walks to the right for ten seconds, 200 px tall."""
    times = np.arange(100) / 10
    x = 200 + 20 * times
    joints = np.zeros((100, 24, 2))
    joints[..., 0] = x[:, None]
    joints[..., 1] = np.linspace(100, 300, 24)
    joints[:, 0, 1] = 200
    boxes = np.stack([x - 40, np.full(100, 100.0), x + 40, np.full(100, 300.0)], axis=1)
    return Whereabouts(times, joints, boxes, SIZE)


def test_the_patch_follows_a_limb_for_two_seconds(person: Whereabouts) -> None:
    covering = limb_patch(person, Textures(), 0)
    on = [i for i in range(100) if covering.mask(i).any()]
    assert len(on) == pytest.approx(10 * LIMB_SECONDS, abs=1)
    assert on == list(range(on[0], on[-1] + 1))
    for i in on:
        assert np.flatnonzero(covering.mask(i).any(axis=0)).mean() == pytest.approx(person.joints2d[i, 0, 0], abs=1)


def test_the_pillar_stands_where_the_person_passes(person: Whereabouts) -> None:
    covering = pillar(person, Textures(), 0)
    mask = covering.mask(0)
    assert (mask == covering.mask(99)).all()
    assert mask[:, 299].all()
    hidden = [covered(covering.mask(i), person.joints2d[i])[0] for i in range(100)]
    assert not hidden[0]
    assert not hidden[-1]
    assert hidden[49]
    blank = np.zeros((480, 640, 3), np.uint8)
    assert (covering.apply(blank, 3) == covering.apply(blank, 60)).all()


def test_the_lower_half_goes_dark_and_comes_back(person: Whereabouts) -> None:
    white = np.full((480, 640, 3), 255, np.uint8)
    blackout = lower_half(person)
    assert (blackout.apply(white, 10) == 255).all()
    assert (blackout.apply(white, 90) == 255).all()
    dark = blackout.apply(white, 50)
    assert (dark[:199] == 255).all()
    assert (dark[201:] == 0).all()


def test_a_cut_out_person_covers_only_their_place() -> None:
    image, other = np.full((20, 30, 3), 10, np.uint8), np.full((20, 30, 3), 200, np.uint8)
    mask = np.zeros((20, 30), bool)
    mask[5:15, 10:20] = True
    result = CutOuts([other], [mask], [0], (30, 20)).apply(image, 0)
    assert (result[7:13, 12:18] == 200).all()
    assert (result[:3] == 10).all()


def test_somebody_passes_in_the_middle_of_a_clip_of_another_size_and_rate(person: Whereabouts) -> None:
    """Cut-outs of 1 s at 5 fps, of a column that walks to the right, in ten seconds at 10 fps."""
    masks = [np.zeros((24, 32), bool) for _ in range(5)]
    for i, mask in enumerate(masks):
        mask[8:, 6 * i : 6 * i + 4] = True
    others = [np.full((24, 32, 3), 200, np.uint8)] * 5
    crossing = passing(person, others, masks, np.arange(5) / 5)
    shown = [i for i in range(100) if crossing.mask(i).any()]
    assert shown == list(range(shown[0], shown[-1] + 1))
    assert len(shown) == pytest.approx(8, abs=1)
    assert (shown[0] + shown[-1]) / 2 == pytest.approx(49.5, abs=1)
    assert crossing.mask(shown[0]).shape == (480, 640)
    assert (crossing.apply(np.zeros((480, 640, 3), np.uint8), shown[0])[400, 40] == 200).all()
    assert not crossing.apply(np.zeros((480, 640, 3), np.uint8), 0).any()


def test_somebody_stands_in_front_of_a_still(person: Whereabouts) -> None:
    still = Whereabouts(person.times[:1], person.joints2d[:1], person.boxes[:1], SIZE)
    masks = [np.zeros((24, 32), bool) for _ in range(5)]
    for i, mask in enumerate(masks):
        mask[8:, 6 * i : 6 * i + 4] = True
    mask = passing(still, [np.zeros((24, 32, 3), np.uint8)] * 5, masks, np.arange(5) / 5).mask(0)
    # the person's middle is at 200 px, the second column reaches from 120 to 200
    assert np.flatnonzero(mask.any(axis=0))[[0, -1]].tolist() == [120, 199]


def test_protocols_in_time_lie_on_a_still(person: Whereabouts) -> None:
    still = Whereabouts(person.times[:1], person.joints2d[:1], person.boxes[:1], SIZE)
    for covering in (limb_patch(still, Textures(), 0), pillar(still, Textures(), 0), lower_half(still)):
        assert covering.mask(0).any()
