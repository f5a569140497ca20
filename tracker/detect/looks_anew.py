"""Looks at somebody framed anew: closer, wider, beside the middle, in a mirror.

Somebody who is there is seen in one pose in most of these looks; what is taken for somebody is seen in another one each
time, or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tracker.core.affine import apply_affine
from tracker.detect.candidate import Candidate
from tracker.detect.follow import Follower, Region
from tracker.detect.similarity import pose_similarity

_ALIKE = 0.5
"""Likeness of poses from which a look agrees."""
_PRESENCE = 0.3
"""How sure of anybody the network has to be in it."""


@dataclass(frozen=True)
class _Framing:
    scale: float
    """Side of the region over the person's own."""
    mirrored: bool = False
    aside: tuple[float, float] = (0.0, 0.0)
    """Of its own side, by which it is moved."""

    def of(self, region: Region) -> Region:
        return replace(region, centre=region.centre + np.array(self.aside) * region.side, side=self.scale * region.side)


_ASIDE = 0.12
_FRAMINGS = (
    _Framing(1.2, mirrored=True), _Framing(1.0, aside=(_ASIDE, 0)), _Framing(0.7), _Framing(0.85, mirrored=True),
    _Framing(1.45), _Framing(1.0, aside=(-_ASIDE, 0)), _Framing(1.0, mirrored=True), _Framing(1.0, aside=(0, -_ASIDE)),
    _Framing(0.85), _Framing(1.45, mirrored=True), _Framing(1.0, aside=(0, _ASIDE)), _Framing(1.2),
)  # fmt: skip
LOOKS = len(_FRAMINGS)
AGREEING = 8
"""Of the looks, those that must show somebody in their pose: where nobody is hardly ever do so many."""


@dataclass(frozen=True, eq=False)
class LooksAnew:
    """At people of an (h, w, 3) RGB picture."""

    follower: Follower
    image: NDArray[np.uint8]

    def agree(self, person: Candidate, enough: int = AGREEING) -> bool:
        """Whether at least so many of `LOOKS` looks show the person's pose. Raises RunError when the network fails."""
        agreeing = 0
        for left, framing in zip(range(LOOKS, 0, -1), _FRAMINGS, strict=True):
            if agreeing >= enough or agreeing + left < enough:
                break
            agreeing += self._agrees(person, framing)
        return agreeing >= enough

    def agreeing(self, person: Candidate) -> int:
        """Of `LOOKS` looks, those that show the person's pose. Raises RunError when the network fails."""
        return sum(self._agrees(person, framing) for framing in _FRAMINGS)

    def _agrees(self, person: Candidate, framing: _Framing) -> bool:
        region, width = framing.of(person.region), self.image.shape[1]
        picture, region = (self._mirrored, _mirrored(region, width)) if framing.mirrored else (self.image, region)
        (answer,) = self.follower.follow(picture, [region])
        pose = apply_affine(answer.crop.T_frame_crop, answer.reading.landmarks2d)
        if framing.mirrored:
            pose = pose * [-1, 1] + [width, 0]
        return answer.presence >= _PRESENCE and pose_similarity(pose, person.detection.landmarks2d) >= _ALIKE

    @cached_property
    def _mirrored(self) -> NDArray[np.uint8]:
        return np.ascontiguousarray(self.image[:, ::-1])


def _mirrored(region: Region, width: int) -> Region:
    """The region in the mirror image of a picture of this width."""
    return Region(np.array([width - region.centre[0], region.centre[1]]), region.side, -region.turn)
