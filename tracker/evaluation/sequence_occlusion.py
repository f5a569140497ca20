"""Occlusion over time, of which stills say nothing: does the tracker carry a person through, and find them again?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import Array
from tracker.evaluation.occluder_textures import Textures
from tracker.evaluation.occlusion import Mask, circle_mask, painted
from tracker.evaluation.truth import CROP_MARGIN, CROP_SIDE

SEQUENCE_PROTOCOLS = ("limb", "pillar", "lower-half", "crossing")
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
    """Another person, cut out of other pictures."""

    images: Sequence[NDArray[np.uint8]]
    masks: Sequence[Mask]
    order: Sequence[int]
    """Which cut-out each frame shows; -1 for none."""
    size: tuple[int, int]
    """(w, h) px of the frames; the cut-outs are scaled to cover them."""

    def mask(self, index: int) -> Mask:
        if self.order[index] < 0:
            return np.zeros(self.size[::-1], bool)
        return self._fitted(self.masks[self.order[index]].astype(np.uint8)) > 0

    def apply(self, image: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        if self.order[index] < 0:
            return image
        share = cv2.GaussianBlur(self.mask(index).astype(np.float32), (3, 3), 0)[..., None]
        other = self._fitted(self.images[self.order[index]]).astype(np.float32)
        return np.rint(image + share * (other - image)).astype(np.uint8)

    def _fitted(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Scaled until it covers a frame; what is too much at the sides or above is cut off."""
        width, height = self.size
        scale = max(width / picture.shape[1], height / picture.shape[0])
        scaled = (max(width, round(scale * picture.shape[1])), max(height, round(scale * picture.shape[0])))
        nearest = cv2.INTER_NEAREST if picture.ndim == 2 else cv2.INTER_LINEAR
        large = np.asarray(cv2.resize(picture, scaled, interpolation=nearest), np.uint8)
        left, top = (scaled[0] - width) // 2, scaled[1] - height
        return large[top:, left : left + width]


def passing(person: Whereabouts, images: Sequence[NDArray[np.uint8]], masks: Sequence[Mask], times: Array) -> CutOuts:
    """Cut-outs at their times (N,) s in the middle of a clip; in front of a still, the one that stands nearest."""
    every = CutOuts(images, masks, range(len(times)), person.size)
    if len(person.times) > 1:
        at = person.times - (person.times[0] + person.times[-1]) / 2 + (times[0] + times[-1]) / 2
        nearest = np.abs(at[:, None] - times).argmin(axis=1)
        order = np.where((at >= times[0]) & (at <= times[-1]), nearest, -1)
    else:
        columns = [np.flatnonzero(every.mask(i).any(axis=0)) for i in range(len(times))]
        distance = [abs(c.mean() - person.joints2d[0, 0, 0]) if len(c) else np.inf for c in columns]
        order = np.array([np.argmin(distance)])
    return replace(every, order=order.tolist())


def occlusion_of(name: str, person: Whereabouts, textures: Textures, seed: int) -> Occlusion:
    """One of SEQUENCE_PROTOCOLS but the crossing, which needs another person."""
    if name == "lower-half":
        return lower_half(person)
    return (limb_patch if name == "limb" else pillar)(person, textures, seed)


def limb_patch(person: Whereabouts, textures: Textures, seed: int) -> Covering:
    """A round patch that follows the middle of a forearm or lower leg for two seconds of the clip's middle.

    It lies still on a clip of one frame, and on the whole of one that is shorter.
    """
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
    place = float(np.nanmedian(person.joints2d[:, 0, 0]))
    width = _PILLAR_WIDTH * float(np.nanmedian(_crop_scale(person)))
    mask = np.zeros(person.size[::-1], bool)
    mask[:, max(0, round(place - width / 2)) : max(0, round(place + width / 2))] = True
    return Covering([mask] * len(person.times), textures, seed)


def lower_half(person: Whereabouts) -> Blackout:
    """No light below the hips in the middle of the clip, as behind a desk or the picture's edge.

    A clip of one frame is its own middle.
    """
    seconds = person.times[-1] - person.times[0]
    share = (person.times - person.times[0]) / seconds if seconds > 0 else np.full(1, 0.5)
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
