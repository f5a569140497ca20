"""From what a decoder gives to what the tracker takes: upright, square-pixelled RGB of 8 bits."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

# From libavutil's pixfmt.h: the codes that PyAV passes through as numbers.
COLORSPACE_UNSPECIFIED = 2
TRANSFER_PQ, TRANSFER_HLG = 16, 18

EXPANDED = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)
"""Limited range (16 black, 235 white) to full."""

SQUARE_TOLERANCE = 0.01
"""Pixel aspect ratios this close to 1 are rounding in the file's header, not anamorphic video."""


class PictureConverter:
    """Converts the pictures of one stream: colours, pixel shape and the rotation tag."""

    def __init__(self, pixel_aspect: Fraction | None) -> None:
        square = not pixel_aspect or abs(pixel_aspect - 1) <= SQUARE_TOLERANCE
        self._stretch = Fraction(1) if square else Fraction(pixel_aspect or 1)
        self._reformatter = VideoReformatter()
        self._rotation: int | None = None
        self._matrix: NDArray[np.int32] | None = None

    def __call__(self, picture: av.VideoFrame) -> NDArray[np.uint8]:
        """Returns (height, width, 3) RGB, C-contiguous and owned by the caller.

        High dynamic range (PQ, HLG) keeps its curve: it is not tone-mapped, and looks flat.
        """
        rgb = self._reformatter.reformat(
            picture,
            width=max(1, round(picture.width * self._stretch)),
            height=picture.height,
            format="rgb24",
            src_colorspace=_assumed_colorspace(picture),
            threads=1,  # more of them take twice the processor time for what is short already
        )
        image: NDArray[np.uint8] = np.asarray(rgb.to_ndarray(), np.uint8)
        if picture.format.name.startswith("gray") and picture.color_range == ColorRange.MPEG:
            image = EXPANDED[image]  # the one range that libswscale passes over
        return upright(image, self._display_matrix(picture))

    def _display_matrix(self, picture: av.VideoFrame) -> NDArray[np.int32] | None:
        """The picture's rotation tag, read where the turn is another than that of the picture before.

        A picture and what PyAV reads of its side data hold each other: both stay in memory until Python's collector
        comes by, which a steady loop gives no cause to.
        """
        if picture.rotation != self._rotation:
            self._rotation, self._matrix = picture.rotation, display_matrix(picture)
        return self._matrix


def _assumed_colorspace(picture: av.VideoFrame) -> Colorspace | None:
    """The matrix of untagged video, by size as players do it; None leaves the tag, or RGB, as it is.

    Without this an untagged HD clip is read with the matrix of standard definition, and skin turns greenish.
    """
    if picture.colorspace != COLORSPACE_UNSPECIFIED or picture.format.is_rgb:
        return None
    short, long = sorted((picture.width, picture.height))
    return Colorspace.ITU709 if long >= 1280 or short > 576 else Colorspace.ITU601


def display_matrix(picture: av.VideoFrame) -> NDArray[np.int32] | None:
    """The first two rows and columns of the rotation tag, (2, 2), up to scale; None when the picture has no tag."""
    tags: Any = picture.side_data  # PyAV's stub says a TypedDict, it is a mapping
    try:
        tag = tags["DISPLAYMATRIX"]
    except KeyError:
        return None
    a, b, _, c, d = np.frombuffer(bytes(tag), np.int32, 5)
    return np.array([[a, b], [c, d]], np.int32)


def upright(image: NDArray[np.uint8], matrix: NDArray[np.int32] | None) -> NDArray[np.uint8]:
    """Turns and mirrors a picture by its display matrix, to the nearest quarter turn.

    The matrix takes a stored pixel (x, y) to the shown (a x + c y, b x + d y): either the axes keep their places and
    may be flipped, or they change places and may be flipped.
    """
    if matrix is None:
        return image
    (a, b), (c, d) = matrix.astype(np.int64)
    if abs(a) >= abs(b):
        rows, columns = d, a
    else:
        image = image.transpose(1, 0, 2)
        rows, columns = b, c
    return np.ascontiguousarray(image[:: -1 if rows < 0 else 1, :: -1 if columns < 0 else 1])
