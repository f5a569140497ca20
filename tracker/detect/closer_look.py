"""A closer look at somebody who is followed: whether framings anew show their pose, and whether they move.

A chair, a curtain rail or the folds of a bed are sometimes taken for a person, and followed for as long as they stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.core.existence import MOVED, Existence, Look
from tracker.core.frame import Frame
from tracker.core.mask import IN_MASK, PlacedMask
from tracker.detect.candidate import Candidate
from tracker.detect.erase import erased
from tracker.detect.follow import Follower
from tracker.detect.looks_anew import LOOKS, LooksAnew
from tracker.detect.pursuit import Pursuit
from tracker.detect.scene_view import View
from tracker.detect.similarity import shared_box

_THIN = 0.18
"""Of a silhouette's spread along it, that across it. In 125 runs of real clips it was 0.21 or more in the median of
everybody, also of who lay or stood sideways, and 0.15 to 0.17 of three curtain rails."""


def look_closely(person: Pursuit, frame: Frame, others: Sequence[Candidate], follower: Follower) -> Existence:
    """What is known of somebody's existence after a look at them as they are in this frame, without the others.

    Whether they have moved is seen at once. The framings, which take a network, are left to when they move, or it is
    time. Raises RunError when the network fails.
    """
    shown, existence = person.candidate, person.existence
    moved = person.surroundings.changed(View.of(frame.image, others), shown.detection.bbox)
    if moved >= MOVED and existence.was_in_plain_sight:
        return existence.moving()
    if frame.time < person.look_at and not (moved >= MOVED and existence.kept_still):
        return existence
    agreeing = looks_without(others, shown, frame.image, follower).agreeing(shown) / LOOKS
    return existence.after(Look(agreeing, moved, is_thin(shown.mask)))


def looks_without(
    others: Sequence[Candidate], person: Candidate, image: NDArray[np.uint8], follower: Follower
) -> LooksAnew:
    """At an (h, w, 3) RGB picture from which the others are painted out, where they are near the person."""
    near = [each.mask.picture() for each in others if shared_box(each.detection.bbox, person.region.box) > 0]
    return LooksAnew(follower, erased(image, np.maximum.reduce(near)) if near else image)


def is_thin(silhouette: PlacedMask) -> bool:
    """Whether it is as long and thin as nobody is. One without a pixel is not."""
    inside = (silhouette.picture() >= IN_MASK).astype(np.uint8)
    moments = cv2.moments(inside, binaryImage=True)
    across, along = np.linalg.eigvalsh([[moments["mu20"], moments["mu11"]], [moments["mu11"], moments["mu02"]]])
    return bool(across < _THIN**2 * along)
