"""Crops: where a point of the frame lands in them, to a fraction of a pixel."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.core.affine import apply_affine, invert_affine
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.crop import crop_image, crop_transform, paste_crop, square_box, warp_crop

WIDTH, HEIGHT = 320, 240


def picture_with_blob(centre: Array, sigma: float, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Array:
    """A grey Gaussian blob whose centre of mass is at `centre` px when pixel centres are at integers + 0.5."""
    x = np.arange(size[0]) + 0.5 - centre[0]
    y = np.arange(size[1]) + 0.5 - centre[1]
    blob = np.exp(-(x[None, :] ** 2 + y[:, None] ** 2) / (2 * sigma**2))
    return np.repeat((blob * 255).round().astype(np.uint8)[..., None], 3, axis=2)


def centre_of_mass(image: Array) -> Array:
    weights = image[..., 0].astype(float)
    height, width = weights.shape
    total = weights.sum()
    return np.array(
        [
            weights.sum(axis=0) @ (np.arange(width) + 0.5) / total,
            weights.sum(axis=1) @ (np.arange(height) + 0.5) / total,
        ]
    )


def test_square_box_keeps_the_centre_and_takes_the_longer_side():
    np.testing.assert_allclose(square_box(np.array([10.0, 20.0, 30.0, 80.0]), 1.5), [-25.0, 5.0, 65.0, 95.0])


def test_square_box_of_a_point_is_refused():
    with pytest.raises(ValueError, match="extent"):
        square_box(np.array([10.0, 20.0, 10.0, 20.0]))


@pytest.mark.parametrize("scale", [0.31, 0.5, 1.0, 1.7, 2.0, 3.4, 6.0])
@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.25, 0.6), (-0.5, 0.5)])
def test_a_projected_point_lands_on_the_same_content(scale: float, offset: tuple[float, float]):
    camera = Camera.default(WIDTH, HEIGHT)
    point = np.array([0.11, -0.07, 2.0])
    size = 64
    pixel = camera.project(point)
    image = picture_with_blob(pixel, sigma=max(2.5, 2.5 * scale))
    corner = pixel - np.array([0.55, 0.45]) * size * scale + np.array(offset)
    box = np.concatenate([corner, corner + size * scale])
    expected = camera.crop(box, size, size).project(point)
    # Rounding to 8 bits and cv2's 1/32 px steps leave at most 0.03 px; half a pixel of misalignment would show 16-fold.
    np.testing.assert_allclose(centre_of_mass(crop_image(image, box, size)), expected, atol=0.03)


def test_the_whole_picture_at_its_own_size_is_unchanged():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(crop_image(image, np.array([0.0, 0.0, 64.0, 64.0]), 64), image)


def test_shrinking_by_a_whole_factor_averages_blocks():
    image = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    crop = crop_image(image, np.array([12.0, 6.0, 52.0, 46.0]), 10)
    blocks = image[6:46, 12:52].reshape(10, 4, 10, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(crop, blocks, atol=1.0)


def test_shrinking_a_fine_pattern_gives_its_mean_instead_of_aliasing():
    image = np.zeros((240, 240, 3), np.uint8)
    image[:, ::2] = 255
    crop = crop_image(image, np.array([0.3, 0.3, 230.3, 230.3]), 40)
    # Means over 5 pixels of such stripes are 2/5 or 3/5 of white; samples of single pixels would span 0..255.
    assert np.ptp(crop.astype(int)) <= 255 / 5 + 1
    assert abs(crop.mean() - 127.5) < 2


def test_inside_a_large_picture_no_black_leaks_in_at_the_crops_edge():
    image = np.full((400, 400, 3), 200, np.uint8)
    for scale in (0.7, 1.0, 2.3, 3.9):
        assert crop_image(image, np.array([50.2, 50.7, 50.2 + 64 * scale, 50.7 + 64 * scale]), 64).min() == 200


def test_outside_the_picture_is_black():
    image = np.full((50, 50, 3), 200, np.uint8)
    crop = crop_image(image, np.array([-25.0, -25.0, 75.0, 75.0]), 100)
    np.testing.assert_array_equal(crop[26:74, 26:74], 200)
    assert crop[:24].max() == 0 and crop[:, :24].max() == 0 and crop[76:].max() == 0 and crop[:, 76:].max() == 0


@pytest.mark.parametrize("box", [(-90.0, 0.0, -20.0, 70.0), (60.0, 70.0, 160.0, 170.0)])
def test_a_box_beside_the_picture_gives_a_black_crop(box: tuple[float, ...]):
    crop = crop_image(np.full((50, 50, 3), 200, np.uint8), np.array(box), 32)
    assert crop.shape == (32, 32, 3) and crop.max() == 0


@pytest.mark.parametrize("turn", [0.0, 0.4, np.pi / 2, -2.1])
def test_a_turned_crop_shows_the_content_where_the_transform_says(turn: float):
    pixel = np.array([170.3, 101.8])
    image = picture_with_blob(pixel, sigma=5.0)
    transform = crop_transform(np.array([100.0, 40.0, 240.0, 180.0]), 96, 96, turn)
    expected = apply_affine(invert_affine(transform), pixel)
    np.testing.assert_allclose(centre_of_mass(warp_crop(image, transform, 96, 96)), expected, atol=0.03)


def test_a_person_whose_head_points_right_stands_upright_after_a_quarter_turn():
    hips, head = np.array([100.0, 100.0]), np.array([140.0, 100.0])
    transform = crop_transform(np.array([50.0, 50.0, 150.0, 150.0]), 100, 100, np.pi / 2)
    to_crop = invert_affine(transform)
    np.testing.assert_allclose(apply_affine(to_crop, head) - apply_affine(to_crop, hips), [0.0, -40.0], atol=1e-9)


@pytest.mark.parametrize("turn", [0.0, 0.7])
def test_pasting_back_puts_content_where_it_was(turn: float):
    pixel = np.array([130.4, 88.7])
    image = picture_with_blob(pixel, sigma=6.0)
    transform = crop_transform(np.array([90.0, 40.0, 190.0, 140.0]), 64, 64, turn)
    crop = np.ascontiguousarray(warp_crop(image, transform, 64, 64)[..., 0])
    pasted = paste_crop(crop, transform, (WIDTH, HEIGHT))
    assert pasted.shape == (HEIGHT, WIDTH)
    np.testing.assert_allclose(centre_of_mass(pasted[..., None]), pixel, atol=0.05)


def test_pasting_a_crop_from_beside_the_picture_changes_nothing():
    transform = crop_transform(np.array([-200.0, 0.0, -100.0, 100.0]), 64, 64)
    assert paste_crop(np.full((64, 64), 255, np.uint8), transform, (WIDTH, HEIGHT)).max() == 0
