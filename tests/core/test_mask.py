"""A silhouette that is looked up where it is says what the same one, drawn into the frame, says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.fit.test_trust import disc
from tracker.core.affine import apply_affine
from tracker.core.crop import crop_transform, warp_crop
from tracker.core.mask import IN_MASK, PlacedMask
from tracker.detect.similarity import mask_overlap, share_on_mask
from tracker.fit.trust import cover_of

SIDE, SIZE = 256, (320, 240)


def placed(box: tuple[float, float, float, float], turn: float = 0.0) -> PlacedMask:
    """An ellipse, upright in a crop of the frame."""
    values = np.zeros((SIDE, SIDE), np.uint8)
    cv2.ellipse(values, (120, 130), (50, 100), 0, 0, 360, (255,), -1, cv2.LINE_AA)
    return PlacedMask.whole(values).moved(crop_transform(np.array(box), SIDE, SIDE, turn), SIZE)


PLACES = pytest.mark.parametrize(
    "mask",
    [placed((40.3, 20.1, 240.3, 220.1)), placed((60.0, 10.0, 150.0, 100.0), 0.7), placed((-90.0, 30.0, 110.0, 230.0))],
    ids=["smaller", "much smaller and turned", "half outside"],
)


@PLACES
def test_pixels_of_the_frame(mask: PlacedMask) -> None:
    drawn = mask.picture() >= IN_MASK
    assert drawn.shape == SIZE[::-1] and 0.02 < drawn.mean() < 0.5
    rows, columns = np.mgrid[0 : SIZE[1] : 2, 0 : SIZE[0] : 3]
    found = mask.covers(np.stack([columns, rows], axis=-1))
    assert found.shape == rows.shape
    # pixels that the outline crosses may differ: the drawn one is an average where the crop is finer than the frame
    rim = cv2.morphologyEx(drawn.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    assert (found == drawn[rows, columns])[~rim[rows, columns]].all()
    assert (found == drawn[rows, columns]).mean() > 0.99
    assert mask.covers(np.zeros((0, 2))).shape == (0,)


@PLACES
def test_crops_of_the_frame(mask: PlacedMask) -> None:
    T_frame_crop = crop_transform(np.array([30.0, 40.0, 130.0, 140.0]), 100, 100, 0.2)
    found, expected = mask.cropped(T_frame_crop, 100, 100), warp_crop(mask.picture(), T_frame_crop, 100, 100)
    inside = warp_crop(np.full(SIZE[::-1], 255, np.uint8), T_frame_crop, 100, 100) == 255
    assert ((found >= IN_MASK) == (expected >= IN_MASK))[inside].mean() > 0.985


@PLACES
def test_what_lies_outside_the_frame_is_taken_away(mask: PlacedMask) -> None:
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    x, y = np.moveaxis(apply_affine(mask.T_frame_mask, np.stack([columns, rows], axis=-1) + 0.5), -1, 0)
    inside = (x >= 0) & (x < SIZE[0]) & (y >= 0) & (y < SIZE[1])
    assert (mask.in_frame() == np.where(inside, mask.values, 0)).mean() > 0.99
    assert (mask.in_frame()[~inside] > 0).sum() < SIDE  # a column of pixels that the frame's edge crosses


@PLACES
def test_scores_are_those_of_the_drawn_mask(mask: PlacedMask) -> None:
    drawn = PlacedMask.whole(mask.picture())
    assert mask_overlap(mask, drawn) > 0.93
    points = np.random.default_rng(0).uniform([0, 0], SIZE, (400, 2))
    assert share_on_mask(points, mask, 0.0) == pytest.approx(share_on_mask(points, drawn, 0.0), abs=0.01)
    body = disc(70.0, 90.0, 60.0)
    parts = np.zeros(len(body), np.int64)
    first, second = cover_of(body, parts, mask), cover_of(body, parts, drawn)
    assert first is not None and second is not None and 0.05 < second < 1
    assert first == pytest.approx(second, abs=0.03)


def test_values_are_bytes_of_one_channel() -> None:
    with pytest.raises(ValueError, match="uint8, got float64"):
        PlacedMask.whole(np.zeros((4, 4)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"PlacedMask\.values: expected shape"):
        PlacedMask.whole(np.zeros((4, 4, 3), np.uint8))
