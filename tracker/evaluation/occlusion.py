"""Occlusion protocols for still pictures: the adversarial sliding patch and shapes over one joint at a time.

Sizes are in pixels of a 224² picture of the person, as the papers give them; here they are laid over the whole frame,
scaled with the person. What is under an occluder is known exactly, so joints and pixels can be judged apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.body.smpl_joints import LIMB_SMPL, smpl_index
from tracker.core.arrays import Array
from tracker.evaluation.occluder_textures import Textures
from tracker.evaluation.truth import CROP_SIDE

Mask = NDArray[np.bool_]

STUDY_JOINTS = tuple(int(joint) for joint in (*LIMB_SMPL, smpl_index("neck"), smpl_index("head")))
"""The fourteen joints of Human3.6M's evaluation that shapes are laid over, in SMPL's order."""
SHAPES = ("bar", "circle", "rectangle")
PATCHES = {"patch-40": 40, "patch-80": 80}
"""Sides, px of the crop."""
STILL_PROTOCOLS = (*PATCHES, *SHAPES)
DEGREES = (1, 2, 3, 4, 5)
_WIDTH_A_DEGREE, _AREA_A_DEGREE = 10.0, 3000.0
"""px and px² of the crop: bars' width and circles' radius; rectangles' area."""
_SHIFT = 4
"""Bits of a fraction of a pixel in OpenCV's drawing."""


@dataclass(frozen=True)
class Placement:
    """One picture of a protocol: where the occluder is."""

    degree: int
    """0 where the protocol knows none."""
    joint: int
    """The joint that it is laid over, -1 for none."""
    mask: Mask
    """(h, w) of the frame."""


@dataclass(frozen=True)
class SlidingPatch:
    """A square patch at every place of a grid over the person's crop."""

    side: int = 80
    stride: int = 10

    def placements(self, size: tuple[int, int], box: Array, _joints: Array, _seed: int) -> Iterator[Placement]:
        """For a frame of size (w, h) px, row by row. box: (4,) the person's crop, xyxy px."""
        scale = (box[2] - box[0]) / CROP_SIDE
        starts = range(0, CROP_SIDE - self.side + 1, self.stride)
        for y in starts:
            for x in starts:
                corner = box[:2] + scale * np.array([x, y])
                outline = _rectangle(corner + scale * self.side / 2, scale * self.side, scale * self.side, 0.0)
                yield Placement(0, -1, polygon_mask(size, outline))


@dataclass(frozen=True)
class JointShape:
    """Bars, circles or rectangles of growing size over one joint at a time, turned at random."""

    shape: str
    degrees: tuple[int, ...] = DEGREES

    def placements(self, size: tuple[int, int], box: Array, joints: Array, seed: int) -> Iterator[Placement]:
        """As SlidingPatch's; joints: (24, 2) px, those that are NaN are left out."""
        scale = (box[2] - box[0]) / CROP_SIDE
        for joint in (joint for joint in STUDY_JOINTS if np.isfinite(joints[joint]).all()):
            rng = np.random.default_rng([seed, SHAPES.index(self.shape), joint])
            angle, aspect = rng.uniform(0, math.pi), rng.uniform(0.5, 2.0)
            for degree in self.degrees:
                mask = self._mask(size, joints[joint], scale, (degree, angle, aspect))
                yield Placement(degree, joint, mask)

    def _mask(self, size: tuple[int, int], centre: Array, scale: float, form: tuple[int, float, float]) -> Mask:
        degree, angle, aspect = form
        width = scale * _WIDTH_A_DEGREE * degree
        if self.shape == "circle":
            return circle_mask(size, centre, width)
        if self.shape == "bar":
            return polygon_mask(size, _rectangle(centre, 2 * scale * CROP_SIDE, width, angle))
        area = scale**2 * _AREA_A_DEGREE * degree
        return polygon_mask(size, _rectangle(centre, math.sqrt(area * aspect), math.sqrt(area / aspect), angle))


StillProtocol = SlidingPatch | JointShape


def still_protocol(name: str, stride: int, degrees: tuple[int, ...] = DEGREES) -> StillProtocol:
    """One of STILL_PROTOCOLS. stride: px of the crop between a patch's places; the papers' is 10."""
    return JointShape(name, degrees) if name in SHAPES else SlidingPatch(PATCHES[name], stride)


def _rectangle(centre: Array, width: float, height: float, angle: float) -> Array:
    """(4, 2) px corners."""
    cosine, sine = math.cos(angle), math.sin(angle)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [width / 2, height / 2]
    return centre + corners @ np.array([[cosine, sine], [-sine, cosine]])


def polygon_mask(size: tuple[int, int], outline: Array) -> Mask:
    """(h, w) inside a convex polygon (n, 2) px of a picture of size (w, h)."""
    picture = np.zeros((size[1], size[0]), np.uint8)
    # OpenCV has pixel centres at integers
    cv2.fillConvexPoly(picture, np.rint((outline - 0.5) * 2**_SHIFT).astype(np.int32), [1], cv2.LINE_8, _SHIFT)
    return picture.astype(bool)


def circle_mask(size: tuple[int, int], centre: Array, radius: float) -> Mask:
    """(h, w) inside a circle."""
    y, x = np.ogrid[0 : size[1], 0 : size[0]]
    inside: Mask = (x + 0.5 - centre[0]) ** 2 + (y + 0.5 - centre[1]) ** 2 <= radius**2
    return inside


def covered(mask: Mask, points: Array) -> NDArray[np.bool_]:
    """(N,) which points (N, 2) px are under the mask; points outside the picture are not."""
    column, row = np.floor(points).astype(int).T
    inside = (column >= 0) & (row >= 0) & (column < mask.shape[1]) & (row < mask.shape[0])
    under = np.zeros(len(points), bool)
    under[inside] = mask[row[inside], column[inside]]
    return under


def painted(image: NDArray[np.uint8], mask: Mask, textures: Textures, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture with a textured occluder over it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    result = image.copy()
    if len(rows):
        region = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        inside = mask[region]
        result[region][inside] = textures.sample(rng, inside.shape[1], inside.shape[0])[inside]
    return result
