"""A closer look at somebody who is followed: whether framings anew show their pose, and whether they move.

A chair, a curtain rail or the folds of a bed are sometimes taken for a person, and followed for as long as they stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tracker.core.existence import MOVED, Existence, Look
from tracker.core.frame import Frame
from tracker.detect.candidate import Candidate
from tracker.detect.erase import erased
from tracker.detect.follow import Follower
from tracker.detect.looks_anew import LOOKS, LooksAnew
from tracker.detect.pursuit import Pursuit
from tracker.detect.similarity import shared_box
from tracker.detect.view import View

_STILL_SECONDS = 1.0
"""Most people move within it, and then need no second look of twelve framings."""


def look_closely(person: Pursuit, frame: Frame, others: Sequence[Candidate], follower: Follower) -> Existence:
    """What is known of somebody's existence after a look at them as they are in this frame, without the others.

    Whoever has been in plain sight is first watched for whether they move, which costs next to nothing. Raises RunError
    when the network fails.
    """
    seen = person.candidate
    moved = person.surroundings.changed(View.of(frame.image, others), seen.detection.bbox)
    if person.existence.was_in_plain_sight:
        if moved >= MOVED:
            return person.existence.moving()
        if frame.time - person.begun_at < _STILL_SECONDS:
            return person.existence
    near = [each.mask.picture() for each in others if shared_box(each.detection.bbox, seen.region.box) > 0]
    image = erased(frame.image, np.maximum.reduce(near)) if near else frame.image
    return person.existence.after(Look(LooksAnew(follower, image).agreeing(seen) / LOOKS, moved))
