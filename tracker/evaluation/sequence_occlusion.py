"""Occlusion over time, of which stills say nothing: does the tracker carry a person through, and find them again?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.evaluation.occlusion import Mask, circle_mask, painted
from tracker.evaluation.texture import Textures
from tracker.evaluation.truth import CROP_MARGIN, CROP_SIDE
from tracker.keypoints import smpl_index
from tracker.types import Array

SEQUENCE_PROTOCOLS = ("limb", "pillar", "lower half", "crossing")
LIMB_SECONDS = 2.0
"""How long a patch follows a limb."""
_LIMBS = tuple((smpl_index(f"{side}_{a}"), smpl_index(f"{side}_{b}")) for side in ("left", "right")
               for a, b in (("elbow", "wrist"), ("knee", "ankle")))  # fmt: skip
_LIMB_RADIUS, _PILLAR_WIDTH = 30.0, 56.0
"""px of the 224² crop."""
_BLACKOUT = (0.3, 0.7)
"""The share of the clip between which the lower half is dark."""


@dataclass(frozen=True)
class Whereabouts:
    """Where a person is in the pictures of a clip: what occluders are placed by, true or tracked."""

    times: Array
    """(T,) s."""
    joints2d: Array
    """(T, 24, 2) px."""
    boxes: Array
    """(T, 4) xyxy px."""
    size: tuple[int, int]
    """(w, h) px of the pictures."""


class Occlusion(Protocol):
    """Something in front of a clip."""

    def mask(self, index: int) -> Mask:
        """(h, w) what it hides in one frame."""
        ...

    def apply(self, image: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        """The frame with it."""
        ...


@dataclass(frozen=True)
class Covering:
    """Masks with a texture that stays the same over the clip."""

    masks: Sequence[Mask]
    textures: Textures
    seed: int

    def mask(self, index: int) -> Mask:
        return self.masks[index]

    def apply(self, image: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        return painted(image, self.masks[index], self.textures, np.random.default_rng(self.seed))


@dataclass(frozen=True)
class Blackout:
    """Masks without any light."""

    masks: Sequence[Mask]

    def mask(self, index: int) -> Mask:
        return self.masks[index]

    def apply(self, image: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        return np.where(self.masks[index][..., None], np.uint8(0), image)


@dataclass(frozen=True)
class CutOuts:
    """Another person, cut out of pictures of the same camera."""

    images: Sequence[NDArray[np.uint8]]
    masks: Sequence[Mask]

    def mask(self, index: int) -> Mask:
        return self.masks[index]

    def apply(self, image: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        share = cv2.GaussianBlur(self.masks[index].astype(np.float32), (3, 3), 0)[..., None]
        return np.rint(image + share * (self.images[index].astype(np.float32) - image)).astype(np.uint8)


def limb_patch(person: Whereabouts, textures: Textures, seed: int) -> Covering:
    """A round patch that follows the middle of a forearm or lower leg for two seconds of the clip's middle."""
    rng = np.random.default_rng([seed, 1])
    upper, lower = _LIMBS[rng.integers(len(_LIMBS))]
    start = person.times[0] + rng.uniform(0.25, 0.5) * (person.times[-1] - person.times[0] - LIMB_SECONDS)
    during = (person.times >= start) & (person.times < start + LIMB_SECONDS)
    centres = person.joints2d[:, [upper, lower]].mean(axis=1)
    radii = _LIMB_RADIUS * _crop_scale(person)
    empty = np.zeros(person.size[::-1], bool)
    masks = [circle_mask(person.size, centres[i], radii[i]) if during[i] else empty for i in range(len(centres))]
    return Covering(masks, textures, seed)


def pillar(person: Whereabouts, textures: Textures, seed: int) -> Covering:
    """A pillar from floor to ceiling, where the person passes; it stands there from beginning to end."""
    place = float(np.median(person.joints2d[:, 0, 0]))
    width = _PILLAR_WIDTH * float(np.median(_crop_scale(person)))
    mask = np.zeros(person.size[::-1], bool)
    mask[:, max(0, round(place - width / 2)) : max(0, round(place + width / 2))] = True
    return Covering([mask] * len(person.times), textures, seed)


def lower_half(person: Whereabouts) -> Blackout:
    """No light below the hips in the middle of the clip, as behind a desk or the picture's edge."""
    share = (person.times - person.times[0]) / (person.times[-1] - person.times[0])
    rows = np.arange(person.size[1])[:, None] + 0.5
    masks = []
    for at, hips in zip(share, person.joints2d[:, 0, 1], strict=True):
        dark = (rows > hips) & (_BLACKOUT[0] <= at < _BLACKOUT[1])
        masks.append(np.broadcast_to(dark, person.size[::-1]))
    return Blackout(masks)


def _crop_scale(person: Whereabouts) -> Array:
    """(T,) px of the frame a pixel of the 224² crop."""
    sides = (person.boxes[:, 2:] - person.boxes[:, :2]).max(axis=1)
    return CROP_MARGIN * sides / CROP_SIDE
