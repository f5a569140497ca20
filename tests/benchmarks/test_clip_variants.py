"""Variants of clips show the same things in another way."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from benchmarks.clip_variants import VARIANTS, backwards, closer, grey, lit, mirrored, shaken, write_variant
from tracker.core.frame import Frame
from tracker.overlay.video_writer import VideoWriter
from tracker.source import open_source

SIZE = (160, 96)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Twelve frames of a bright left half."""
    picture = np.full((SIZE[1], SIZE[0], 3), 40, np.uint8)
    picture[:, : SIZE[0] // 2] = 180
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, SIZE, Fraction(25)) as video:
        for index in range(12):
            video.write(index / 25, picture)
    return path


@pytest.mark.parametrize(
    ("variant", "frames", "size", "right_is_bright"),
    [
        ("mirror", 12, SIZE, True),
        ("brighter_later", 5, SIZE, False),
        ("darker_smaller_mirror", 12, (128, 77), True),
        ("grey", 12, SIZE, False),
        ("closer", 12, SIZE, False),
        ("backwards", 12, SIZE, False),
        ("every_third", 4, SIZE, False),
        ("shaken", 12, SIZE, False),
    ],
)
def test_a_variant_has_the_clips_pictures_changed(
    clip: Path, tmp_path: Path, variant: str, frames: int, size: tuple[int, int], right_is_bright: bool
) -> None:
    written = write_variant(str(clip), variant, tmp_path / "variants")
    assert written == tmp_path / "variants" / variant / "clip.mp4" and variant in VARIANTS
    with open_source(written) as source:
        pictures = [frame.image for frame in source]
    assert len(pictures) == frames and pictures[0].shape[1::-1] == size
    left, right = (pictures[-1][:, part].mean() for part in (slice(0, size[0] // 2), slice(size[0] // 2, None)))
    assert bool(right > left) is right_is_bright


def frames_of(*middles: int) -> list[Frame]:
    """With a bright stripe there, a tenth of a second apart."""
    pictures = [np.zeros((SIZE[1], SIZE[0], 3), np.uint8) for _ in middles]
    for picture, middle in zip(pictures, middles, strict=True):
        picture[:, middle - 2 : middle + 2] = 255
    return [Frame(index, index / 10, picture) for index, picture in enumerate(pictures)]


def stripe(picture: np.ndarray) -> float:
    """Where it is."""
    return float(np.average(np.arange(picture.shape[1]), weights=picture[..., 0].mean(axis=0)))


def test_backwards_the_end_comes_first_and_time_goes_on() -> None:
    times, places = zip(*((time, stripe(picture)) for time, picture in backwards(frames_of(20, 60, 140))), strict=True)
    assert times == (0.0, 0.1, 0.2) and np.allclose(places, [139.5, 59.5, 19.5])


def test_a_shaken_picture_moves_a_little() -> None:
    places = [stripe(picture) for _, picture in shaken(frames_of(*[80] * 40))]
    assert 4 < np.ptp(places) < 0.3 * SIZE[0] and np.abs(np.diff(places)).max() < 8


def test_closer_is_the_middle_enlarged() -> None:
    (frame,) = frames_of(100)
    assert abs(stripe(closer(frame.image)) - (80 + 1.5 * 19.5)) < 1


def test_grey_has_no_colour() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    assert np.ptp(picture, axis=2).max() > 50 and np.ptp(grey(picture), axis=2).max() == 0


def test_light_keeps_black_and_white_and_a_mirror_comes_back() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, axis=2)
    brighter = lit(ramp, 0.7)
    assert brighter[0, 0, 0] == 0 and brighter[0, 255, 0] == 255 and brighter[0, 100, 0] > 110
    np.testing.assert_array_equal(mirrored(mirrored(ramp)), ramp)
