"""RGB to a video's planes: colours that the standard names, FFmpeg's conversion, and the C++ against the reference."""

from __future__ import annotations

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from kernels import colour
from kernels.implementation import Implementation

IMPLEMENTATIONS = [Implementation.REFERENCE, Implementation.CPU]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        ((0, 0, 0), (16, 128, 128)),
        ((255, 255, 255), (235, 128, 128)),
        ((255, 0, 0), (63, 102, 240)),
        ((0, 255, 0), (173, 42, 26)),
        ((0, 0, 255), (32, 240, 118)),
    ],
)
def test_colours_are_those_of_the_standard(
    implementation: Implementation, rgb: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    planes = colour.yuv420(np.full((4, 6, 3), rgb, np.uint8), implementation)
    assert planes.shape == (6, 6)
    assert (planes[:4] == expected[0]).all()
    assert (planes[4] == expected[1]).all() and (planes[5] == expected[2]).all()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_each_plane_has_its_pixels_in_place(implementation: Implementation) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[0, 3] = 255
    image[2:, :2] = (0, 0, 255)
    planes = colour.yuv420(image, implementation)
    assert planes[0].tolist() == [16, 16, 16, 235]
    assert planes[2].tolist() == [32, 32, 16, 16]
    assert planes[4].tolist() == [128, 128, 240, 128]


@pytest.mark.parametrize("size", [(2, 2), (30, 46), (16, 1034)])
def test_cpp_as_reference(size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    found, right = (colour.yuv420(image, each).astype(int) for each in IMPLEMENTATIONS)
    # The last digits of a sum decide between two neighbours: seldom.
    assert np.abs(found - right).max() <= 1 and (found != right).mean() < 0.002


def test_ffmpeg_converts_alike() -> None:
    y, x = np.mgrid[:64, :96]
    image = np.stack([2 * x, 3 * y, 255 - x - y], axis=-1).astype(np.uint8)
    theirs = VideoReformatter().reformat(
        av.VideoFrame.from_ndarray(image, "rgb24"),
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
    )
    difference = np.abs(colour.yuv420(image).astype(int) - theirs.to_ndarray())
    assert difference.max() <= 2 and difference.mean() < 0.6


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((5, 4, 3), np.uint8),
        np.zeros((4, 3, 3), np.uint8),
        np.zeros((4, 8, 3), np.uint8)[:, ::2],
    ],
)
def test_bad_pictures_are_named(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"^image:"):
        colour.yuv420(image)
