"""Which soles touch the floor, from what has been so far: `contacts.py` looks at a whole clip."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array
from tracker.world.body_track import FOOT_PARTS
from tracker.world.contacts import contact_edges, depth_shares, distances
from tracker.world.gravity import Plane

LONGEST_STEP = 0.35
"""s between frames beyond which nothing is known of what happened between them."""
_SPEED_SECONDS = 0.065
"""Over which a speed is measured at least; more would be late."""
_FAST = 0.4
"""m/s that end a contact: planted feet shake more behind such a filter."""
_BIAS_SECONDS, _LARGEST_BIAS = 1.0, 0.25
"""s of which the lower sole's median height over the floor is taken for an error of the distance, and m of it."""


class LiveContacts:
    """The soles of one person, in the order of CONTACT_PARTS, frame by frame."""

    def __init__(self) -> None:
        self._touching = np.zeros(FOOT_PARTS, bool)
        self._recent: deque[tuple[float, Array]] = deque()
        self._lowest: deque[tuple[float, float]] = deque()

    def add(self, time: float, soles: Array, floor: Plane, confidence: Array) -> NDArray[np.bool_]:
        """(4,): which touch the floor now. soles: (4, 3) m, camera frame; floor: as it is believed; confidence: (4,).
        Frames come in the order of time, s, none of them LONGEST_STEP after the one before."""
        heights = floor.heights(soles)
        speeds = self._speeds(time, soles, floor.up)
        ready, ended = contact_edges(speeds, heights - self._bias(time, heights), confidence, _FAST)
        self._touching = (self._touching | ready) & ~ended
        return self._touching

    def release(self, parts: NDArray[np.bool_]) -> None:
        """These do not touch the floor after all."""
        self._touching = self._touching & ~parts

    def _speeds(self, time: float, soles: Array, up: Array) -> Array:
        """(4,) m/s over the last moments; infinite before there are any."""
        recent = self._recent
        while len(recent) > 1 and time - recent[1][0] >= _SPEED_SECONDS:
            recent.popleft()
        speeds = np.full(FOOT_PARTS, np.inf)
        if recent and time - recent[0][0] >= _SPEED_SECONDS:
            speeds = distances(recent[0][1], soles, soles, depth_shares(soles, up)) / (time - recent[0][0])
        recent.append((time, soles))
        return speeds

    def _bias(self, time: float, heights: Array) -> float:
        self._lowest.append((time, float(heights.min())))
        while time - self._lowest[0][0] > _BIAS_SECONDS:
            self._lowest.popleft()
        usual = float(np.median([lowest for _, lowest in self._lowest]))
        return min(max(usual, -_LARGEST_BIAS), _LARGEST_BIAS)
