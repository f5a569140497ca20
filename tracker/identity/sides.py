"""Which side of somebody is the left one, decided over time.

Now and then a landmark network takes a front for a back for some frames: what it calls left is right, and the depth is
reversed. One frame does not tell, those around it do, because nobody turns round between two frames. So each sighting
is either as the network says or turned about; every change between the two costs what the pose then jumps by, being
turned about costs for as long as it lasts, and of all courses through what is known of the future the cheapest wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from tracker.body.landmark_set import MEDIAPIPE
from tracker.core.arrays import Array
from tracker.core.detection import Detection, TrackedDetection
from tracker.detect.similarity import BODY_POINTS, body_size

_WRONG_COST = 2.5
"""Nats a second: how much less likely it is that the network is wrong than that it is right."""
_LONGEST_STEP = 0.5
"""s: sightings that are farther apart count as if they were not."""
_JUMP_COST = 8.0
"""Nats, of a jump at most: poses beyond it have nothing to do with each other."""
_CHANGE_COST = 1.5
"""Nats, of beginning to be wrong, and of ceasing."""
_AT_THE_END = (0.0, _JUMP_COST + _CHANGE_COST)
"""What being as the detector says, and being turned about, costs at the end of what is known: it does not last."""
_JITTER = 0.16
"""Standard deviation of the distance between the poses of two frames, in body sizes in the picture and in space."""
_SPEED = 1.2
"""Body sizes a second, of limbs against the body, that add to it."""
_TINY = 1e-6


@dataclass(frozen=True)
class Sighting:
    """The landmarks of somebody at one time, as the detector says."""

    time: float
    """s"""
    landmarks2d: Array
    """(33, 2) px."""
    landmarks3d: Array
    """(33, 3) m."""

    @classmethod
    def of(cls, time: float, detection: Detection) -> Sighting:
        return cls(time, detection.landmarks2d, detection.landmarks3d)

    def is_that(self, other: Sighting) -> bool:
        """Whether both are of one detection."""
        return self.landmarks2d is other.landmarks2d


@dataclass(frozen=True)
class _Step:
    """From one sighting to the next."""

    before: Sighting
    after: Sighting
    same: float
    """Nats that it costs when the detector is right in both, or wrong in both,"""
    other: float
    """and when it is wrong in one of them."""

    @classmethod
    def between(cls, before: Sighting, after: Sighting) -> _Step:
        seconds = after.time - before.time
        if seconds > _LONGEST_STEP:
            return cls(before, after, 0.0, _CHANGE_COST)
        variance = _JITTER**2 + (_SPEED * seconds) ** 2
        turned = after.landmarks2d[MEDIAPIPE.mirror], MEDIAPIPE.turned_about(after.landmarks3d)
        squares = (_distance2(before, after.landmarks2d, after.landmarks3d), _distance2(before, *turned))
        same, other = (min(0.5 * square / variance, _JUMP_COST) for square in squares)
        return cls(before, after, same, other + _CHANGE_COST)

    def led_to(self, plain: float, turned: float) -> tuple[float, float]:
        """What the earlier sighting costs with all that follows, as the detector says and turned about; plain, turned:
        the same of the later one."""
        wrong = _WRONG_COST * min(self.after.time - self.before.time, _LONGEST_STEP)
        return min(self.same + plain, self.other + turned), wrong + min(self.other + plain, self.same + turned)


class SideKeeper:
    """Turns sightings about whose sides are exchanged; of each identity in the order of time."""

    def __init__(self) -> None:
        self._steps: dict[int, dict[float, _Step]] = {}
        """By identity and by time of the later sighting: what the last call has needed."""
        self._given: dict[int, tuple[Sighting, bool]] = {}
        """Of each identity the last sighting, and whether it was turned about."""

    def settled(self, person: TrackedDetection, time: float, later: Sequence[Sighting]) -> TrackedDetection:
        """The person as they are at this time, s. later: all that is known of the same identity's future."""
        key, now = person.person_id, Sighting.of(time, person.detection)
        last, was_turned = self._given.get(key, (None, False))
        course = [*([] if last is None else [last]), now, *later]
        steps = [self._step(key, before, after) for before, after in pairwise(course)]
        self._steps[key] = {step.after.time: step for step in steps}
        plain, turned = _AT_THE_END
        for step in reversed(steps if last is None else steps[1:]):
            plain, turned = step.led_to(plain, turned)
        if last is None:
            turned += _CHANGE_COST
        else:
            plain += steps[0].other if was_turned else steps[0].same
            turned += steps[0].same if was_turned else steps[0].other
        self._given[key] = now, turned < plain
        return replace(person, detection=turned_about(person.detection)) if turned < plain else person

    def _step(self, key: int, before: Sighting, after: Sighting) -> _Step:
        known = self._steps.get(key, {}).get(after.time)
        if known is not None and known.before.is_that(before) and known.after.is_that(after):
            return known
        return _Step.between(before, after)


def turned_about(detection: Detection) -> Detection:
    """What the detector would have said had it not taken the front for the back, or the back for the front."""
    order = MEDIAPIPE.mirror
    return replace(
        detection,
        landmarks2d=detection.landmarks2d[order],
        landmarks3d=MEDIAPIPE.turned_about(detection.landmarks3d),
        visibility=detection.visibility[order],
    )


def _distance2(before: Sighting, landmarks2d: Array, landmarks3d: Array) -> float:
    """Square of the mean distance of the body's points from where they were against its middle, in body sizes."""
    moved = (landmarks2d - before.landmarks2d)[BODY_POINTS]
    flat = np.linalg.norm(moved - moved.mean(axis=0), axis=1).mean() / body_size(before.landmarks2d)
    space = before.landmarks3d[BODY_POINTS]
    size = np.sqrt(((space - space.mean(axis=0)) ** 2).sum(axis=1).mean())
    deep = np.linalg.norm(landmarks3d[BODY_POINTS] - space, axis=1).mean() / max(size, _TINY)
    return float(flat**2 + deep**2)
