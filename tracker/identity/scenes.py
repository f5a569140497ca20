"""Cuts: where a film goes on somewhere else, so that nothing that was followed goes on with it.

A cut changes what is where, and which colours there are, at once. Neither a camera that pans (its colours stay) nor the
sun in the lens (what is where stays) does both. Pictures of other proportions are a cut, too, since places in the one
mean nothing in the other; and so is a time that goes back, where a clock was set or a film begins again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array
from tracker.core.frame import Frame

# On real clips without a cut, also at a fifth of their rate, pictures that follow each other correlated by 0.61 or more
# or their colours differed by 0.09 or less; at cuts by 0.37 or less, and 0.43 or more.
_MOST_CORRELATION = 0.5
_LEAST_COLOURS = 0.2
_LEAST_CHANGE = 12.0
"""Of 255, on the average: less is noise in a picture of one colour."""
_SIZE = (32, 24)
_SAMPLES = (128, 96)
"""Pixels of the picture that are looked at, at least: twice as many each way tell the same, within 0.01 of what is
compared, and take half a millisecond of a 720p picture."""
_BINS = 16
_REMEMBERED_SECONDS = 3.0
_SAME_PROPORTION = 0.02
"""Part by which those of one film differ that is scaled to whole pixels, or blocks of them."""
"""How long a scene may be away, behind a flash or a title, and still go on where it was."""


@dataclass(frozen=True)
class _Glance:
    """A picture made small."""

    proportion: float
    """The picture's width over its height."""
    pixels: NDArray[np.float32]
    """(24, 32, 3)"""
    colours: Array
    """(3, bins): root of each channel's histogram."""

    @classmethod
    def at(cls, frame: Frame) -> _Glance:
        pixels = cv2.resize(_sampled(frame.image), _SIZE, interpolation=cv2.INTER_AREA)
        bins = pixels.reshape(-1, 3) // (256 // _BINS) + np.arange(3) * _BINS
        counts = np.bincount(bins.ravel(), minlength=3 * _BINS).reshape(3, _BINS)
        return cls(frame.size[0] / frame.size[1], pixels.astype(np.float32), np.sqrt(counts / pixels[..., 0].size))

    def is_elsewhere(self, other: _Glance) -> bool:
        """Whether the two do not show one scene."""
        if not math.isclose(self.proportion, other.proportion, rel_tol=_SAME_PROPORTION):
            return True
        if np.abs(self.pixels - other.pixels).mean() < _LEAST_CHANGE:
            return False
        alike = (self.colours * other.colours).sum(axis=1).mean()
        return self._correlation(other) < _MOST_CORRELATION and np.sqrt(max(1 - alike, 0.0)) > _LEAST_COLOURS

    def _correlation(self, other: _Glance) -> float:
        """Of brightness, -1..1; 0 where one of them is flat."""
        mine, theirs = (each.pixels.mean(axis=2) for each in (self, other))
        mine, theirs = mine - mine.mean(), theirs - theirs.mean()
        return float((mine * theirs).sum() / (np.linalg.norm(mine) * np.linalg.norm(theirs) + 1e-6))


def _sampled(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every so-many-th pixel of every so-many-th row, by OpenCV: numpy takes twice as long to pick them."""
    height, width = image.shape[:2]
    step = max(1, min(width // _SAMPLES[0], height // _SAMPLES[1]))
    every = np.array([[step, 0.0, 0.0], [0.0, step, 0.0]])
    size = -(-width // step), -(-height // step)
    return np.asarray(cv2.warpAffine(image, every, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP), np.uint8)


@dataclass(frozen=True)
class _Left:
    """A scene as it was when the film went elsewhere."""

    scene: int
    time: float
    glance: _Glance


class SceneWatcher:
    """Numbers a film's scenes."""

    def __init__(self) -> None:
        self._scene, self._scenes = 0, 1
        self._last: _Glance | None = None
        self._time = 0.0
        self._left: list[_Left] = []

    def scene_of(self, frame: Frame) -> int:
        """0 until the first cut; a scene that comes back within three seconds has its own number again."""
        glance = _Glance.at(frame)
        if self._last is not None:
            if frame.time < self._time:
                self._begin()
            elif glance.is_elsewhere(self._last):
                self._cut(glance, frame.time)
        self._last, self._time = glance, frame.time
        return self._scene

    def _begin(self) -> None:
        """A scene that has nothing to do with those before it, whose times are another clock's."""
        self._left = []
        self._scene, self._scenes = self._scenes, self._scenes + 1

    def _cut(self, glance: _Glance, time: float) -> None:
        assert self._last is not None
        here = _Left(self._scene, self._time, self._last)
        recent = [left for left in self._left if 0 <= time - left.time <= _REMEMBERED_SECONDS]
        back = next((left for left in recent if not glance.is_elsewhere(left.glance)), None)
        self._left = [here, *(left for left in recent if left is not back)]
        if back is None:
            self._scene, self._scenes = self._scenes, self._scenes + 1
        else:
            self._scene = back.scene
