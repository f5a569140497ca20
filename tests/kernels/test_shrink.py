"""Shrinking by a whole number: by hand, and the C++ against OpenCV."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.implementation import Implementation
from kernels.shrink import block_means

IMPLEMENTATIONS = [Implementation.REFERENCE, Implementation.CPU]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_by_hand(implementation: Implementation) -> None:
    image = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 94]], np.uint8)
    assert block_means(image, (0, 0), (3, 3), 3, implementation).tolist() == [[50]]  # 454 / 9
    # from one pixel outside: a corner of 10 and three black ones is 2.5
    assert block_means(image, (-1, -1), (3, 3), 2, implementation).tolist() == [[3, 13], [28, 71]]
    assert block_means(image, (2, 2), (5, 3), 3, implementation).tolist() == [[10]]


@pytest.mark.parametrize("block", [1, 2, 3, 4, 5, 6, 7, 10, 16, 17])
@pytest.mark.parametrize("shape", [(61, 83, 3), (83, 61)], ids=["colours", "one channel"])
def test_the_cpu_agrees_with_opencv(block: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(block)
    image = rng.integers(0, 256, shape, dtype=np.uint8)
    for low, high in (((0, 0), (61, 61)), ((-5, 3), (90, 40)), ((7, -9), (40, 100)), ((-200, 90), (-99, 120))):
        found, expected = (block_means(image, low, high, block, each) for each in IMPLEMENTATIONS[::-1])
        np.testing.assert_array_equal(found, expected)


def test_a_piece_of_a_picture_and_extremes_on_the_cpu() -> None:
    image = np.full((90, 90, 3), 255, np.uint8)
    whole = block_means(image[10:70, 20:80], (0, 0), (60, 60), 3, Implementation.CPU)
    assert whole.shape == (20, 20, 3) and (whole == 255).all()
    strided = np.random.default_rng(0).integers(0, 256, (60, 60, 6), dtype=np.uint8)[..., ::2]
    found, expected = (block_means(strided, (0, 0), (60, 60), 3, each) for each in IMPLEMENTATIONS)
    np.testing.assert_array_equal(found, expected)
    large = np.full((256, 512), 255, np.uint8)
    assert block_means(large, (0, 0), (512, 256), 256, Implementation.CPU).tolist() == [[255, 255]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((4, 4)), (0, 0), (4, 4), 2), "image: expected uint8"),
        ((np.zeros((4, 4), np.uint8), (0, 0), (4, 4), 0), "block: expected 1 to 256"),
        ((np.zeros((4, 4), np.uint8), (4, 0), (4, 4), 2), "high: expected more than low"),
    ],
)
def test_senseless_arguments_are_refused_by_name(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        block_means(*arguments)
