"""Cuts regions out of a picture without losing a fraction of a pixel.

A crop is only useful to a fit when it is known exactly which piece of the frame each of its pixels shows. Regions are
therefore continuous (they need not start at a whole pixel, they may be turned and may reach outside), and the crop of
a box agrees with `Camera.crop` of the same box. OpenCV puts pixel centres at integers, this project at integers + 0.5:
the conversion happens here and nowhere else.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from kernels.shrink import block_means
from tracker.core.affine import affine_scale, apply_affine, invert_affine
from tracker.core.arrays import Array

_HALF = 0.5
_SHIFT = 4
"""OpenCV takes the corners of polygons in sixteenths of a pixel."""
_FAR = 1e6


def square_box(bbox: Array, scale: float = 1.0) -> Array:
    """The square xyxy box (4,) px around bbox's centre whose side is `scale` times bbox's longer side."""
    x0, y0, x1, y1 = (float(v) for v in bbox)
    longer = max(x1 - x0, y1 - y0)
    if not (longer > 0 and scale > 0):
        raise ValueError(f"square_box: expected a box with an extent and a positive scale, got {bbox} and {scale}")
    centre, half = np.array([(x0 + x1) / 2, (y0 + y1) / 2]), longer * scale / 2
    return np.concatenate([centre - half, centre + half])


def crop_transform(box: Array, width: int, height: int, turn: float = 0.0) -> Array:
    """T_frame_crop (2, 3): the affine map from pixels of the crop to pixels of the frame.

    box is xyxy px in the frame; turn (rad, clockwise on the screen) rotates it about its own centre, so that a person
    whose head points along (sin turn, −cos turn) stands upright in the crop.
    """
    x0, y0, x1, y1 = (float(v) for v in box)
    if not (x1 > x0 and y1 > y0):
        raise ValueError(f"crop box: expected x1 > x0 and y1 > y0, got {(x0, y0, x1, y1)}")
    cosine, sine = math.cos(turn), math.sin(turn)
    linear = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([(x1 - x0) / width, (y1 - y0) / height])
    offset = np.array([(x0 + x1) / 2, (y0 + y1) / 2]) - linear @ np.array([width / 2, height / 2])
    return np.column_stack([linear, offset])


def crop_image(image: NDArray[np.uint8], box: Array, size: int) -> NDArray[np.uint8]:
    """The region `box` (xyxy px, may reach outside: black there) of an (h, w[, 3]) picture as (size, size[, 3]).

    What `camera` projects to some pixel of the frame, `camera.crop(box, size, size)` projects to the same content here.
    """
    return warp_crop(image, crop_transform(box, size, size), size, size)


def warp_crop(image: NDArray[np.uint8], T_frame_crop: Array, width: int, height: int) -> NDArray[np.uint8]:
    """The (height, width[, 3]) crop whose pixels show what lies at T_frame_crop of them; black outside the picture.

    Where the crop is coarser than the picture, source pixels are averaged first: without it, thin limbs and textures
    flicker from frame to frame as sample points fall on and beside them.
    """
    block = _averaging_block(T_frame_crop)
    low, high = _covered(T_frame_crop, width, height, (image.shape[1], image.shape[0]), margin=2 * block)
    if (high <= low).any():
        return np.zeros((height, width, *image.shape[2:]), np.uint8)
    # Blocks start at the crop's corner, so that shrinking by a whole number averages exactly the pixels of each block.
    start = low - (low - np.round(T_frame_crop[:, 2]).astype(np.int64)) % block
    region = _averaged(image, start, high, block)
    return sampled_crop(
        region, np.column_stack([T_frame_crop[:, :2], T_frame_crop[:, 2] - start]) / block, width, height
    )


def sampled_crop(image: NDArray[np.uint8], T_frame_crop: Array, width: int, height: int) -> NDArray[np.uint8]:
    """As `warp_crop`, but a coarse crop's pixels are single points of the picture (bilinear), as video hardware takes
    them, and as networks that were trained on such pictures want them."""
    crop = cv2.warpAffine(
        image,
        _opencv_centres(T_frame_crop),
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(0, 0, 0),
    )
    return np.asarray(crop, dtype=np.uint8)


def paste_crop(crop: NDArray[np.uint8], T_frame_crop: Array, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Puts a one-channel (h, w) crop back into an otherwise zero picture of size (width, height) px."""
    height, width = crop.shape
    canvas = np.zeros((size[1], size[0]), np.uint8)
    low, high = _covered(T_frame_crop, width, height, size)
    if (high <= low).any():
        return canvas
    T_frame_window = np.array([[1.0, 0.0, low[0]], [0.0, 1.0, low[1]]])
    T_crop_frame = invert_affine(T_frame_crop)
    T_crop_window = np.column_stack([T_crop_frame[:, :2], apply_affine(T_crop_frame, T_frame_window[:, 2])])
    canvas[low[1] : high[1], low[0] : high[0]] = warp_crop(crop, T_crop_window, *(int(v) for v in high - low))
    return canvas


def values_at(image: NDArray[np.uint8], points: Array) -> NDArray[np.uint8]:
    """(...) of a one-channel picture at the points (..., 2) px, bilinear between its pixels' centres; 0 outside."""
    places = (points.reshape(-1, 1, 2) - _HALF).astype(np.float32)
    if len(places) == 0:
        return np.zeros(points.shape[:-1], np.uint8)
    values = cv2.remap(
        image, places, np.zeros(0, np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(0,)
    )
    return np.asarray(values, np.uint8).reshape(points.shape[:-1])


def frame_in_crop(T_frame_crop: Array, shape: tuple[int, ...], size: tuple[int, int]) -> NDArray[np.uint8]:
    """255 for the pixels of a crop of this (height, width) that show a frame of this (width, height), 0 for others."""
    width, height = size
    corners = apply_affine(invert_affine(T_frame_crop), np.array([[0.0, 0], [width, 0], [width, height], [0, height]]))
    # as far as is of use: OpenCV counts in whole numbers
    near = np.clip(corners - _HALF, -_FAR, _FAR)
    shown = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(shown, np.round(near * (1 << _SHIFT)).astype(np.int32), (255,), shift=_SHIFT)
    return shown


def _covered(
    T_frame_crop: Array, width: int, height: int, size: tuple[int, int], margin: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Whole-pixel corners (low, high), inside a picture of this size, of the rectangle that contains the whole crop."""
    corners = apply_affine(T_frame_crop, np.array([[0.0, 0.0], [width, 0.0], [0.0, height], [width, height]]))
    low = np.clip(np.floor(corners.min(axis=0)) - margin, 0, size).astype(np.int64)
    high = np.clip(np.ceil(corners.max(axis=0)) + margin, 0, size).astype(np.int64)
    return low, high


def _averaging_block(T_frame_crop: Array) -> int:
    """How many source pixels one crop pixel spans along a side, rounded down, at least 1."""
    return max(1, math.floor(affine_scale(T_frame_crop) + 1e-6))


def _averaged(
    image: NDArray[np.uint8], start: NDArray[np.int64], stop: NDArray[np.int64], block: int
) -> NDArray[np.uint8]:
    """Means over block × block pixels of image[start:stop] (corners as x, y); what lies outside counts as black."""
    if block == 1:
        return image[start[1] : stop[1], start[0] : stop[0]]
    return block_means(image, (int(start[0]), int(start[1])), (int(stop[0]), int(stop[1])), block)


def _opencv_centres(transform: Array) -> Array:
    """The same map between pictures whose pixel centres are at integers."""
    shift = transform[:, :2] @ np.full(2, _HALF) - _HALF
    return np.column_stack([transform[:, :2], transform[:, 2] + shift])
