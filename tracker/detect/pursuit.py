"""Who is followed, and who has slid into somebody else's crop.

The landmark network takes whoever is plainest in its crop. Where people meet, that is often somebody else than the one
who was followed: from then on two crops are on one body, or one goes away with a passer-by. Both show: of two poses on
one body one has jumped, and whoever changes their clothes from one frame to the next is another person.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tracker.core.existence import Existence
from tracker.core.frame import Frame
from tracker.detect.candidate import Candidate, is_on_part_of, is_same_person
from tracker.detect.clothing_colour import (
    OTHER_CLOTHES,
    OWN_CLOTHES,
    Appearance,
    appearance_distance,
    appearance_of,
    blended,
)
from tracker.detect.looks_anew import AGREEING, LOOKS
from tracker.detect.scene_view import View
from tracker.detect.similarity import box_overlap, pose_similarity, shared_box

HIDDEN_SECONDS = 2.0
"""So long somebody who is hidden is looked for where they were."""
MISSED_SECONDS = 10.0
"""So long one remembers what somebody wore."""
_LEARN_SECONDS = 2.0
_DOUBT_SECONDS, _DOUBT_SHARE = 0.25, 0.5
"""Who is doubted is looked at again after this, or this part of the time for which they have been."""
_STILL_SECONDS = 1.0
"""Most people in plain sight move within it, and need no second look."""
_SAME_DOUBT = 0.5
"""Share of the smaller of two boxes from which what is found there is what was found there before."""
_STRANGE_SECONDS = 2.0
"""So long somebody who came in front of somebody else is not taken for them."""
_NEAR_SECONDS, _NEAR = 0.4, 0.2
"""So soon after they were seen people are no farther away, by `Pursuit.nearness`."""
_SAME_PLACE = 0.6
"""Likeness of poses from which they may be one person's, whatever the clothes."""


@dataclass(frozen=True)
class Pursuit:
    """Somebody who is followed."""

    candidate: Candidate
    """As they were seen last."""
    own: Candidate
    """As they were seen last in their own clothes."""
    look: Appearance
    begun_at: float
    seen_at: float
    """s"""
    surroundings: View
    """In which they were found."""
    existence: Existence
    """What closer looks have shown of whether they are there at all."""
    agreed: bool
    """Whether looks framed anew have seen them, too, in the pose in which they are followed."""
    look_at: float
    """s, from which they are to be looked at again even if they keep still; inf once they are surely there."""
    doubted_since: float
    """s, in which they were found, or begun to move."""
    key: object = field(default_factory=object)
    """The same from frame to frame, and nobody else's."""

    @classmethod
    def begin(cls, frame: Frame, candidate: Candidate, others: Sequence[Candidate] = (), late: bool = False) -> Pursuit:
        """Somebody who is seen for the first time, beside these others. late: in a later picture than the first."""
        look, time = appearance_of(frame.image, candidate.detection), frame.time
        surroundings, agreed = View.of(frame.image, others), candidate.detection.agreed
        existence = replace(candidate.detection.existence, late=late)
        look_at = time + (_shortest_wait(existence) if existence.looks else 0.0)
        return cls(candidate, candidate, look, time, time, surroundings, existence, agreed, look_at, time)

    def looked_at(self, time: float, existence: Existence) -> Pursuit:
        """After a look of that time, and what is known since. The longer they have been looked at as they keep still,
        or move, the later is the next look."""
        if existence.is_sure:
            return replace(self, existence=existence, agreed=True, look_at=math.inf)
        if len(existence.looks) == len(self.existence.looks):
            return self
        since = time if self.existence.kept_still and not existence.kept_still else self.doubted_since
        look_at = time + max(_shortest_wait(existence), _DOUBT_SHARE * (time - since))
        agreed = self.agreed or existence.looks[-1].agreeing >= AGREEING / LOOKS
        return replace(self, existence=existence, agreed=agreed, look_at=look_at, doubted_since=since)

    def going_on(self, doubtful: Iterable[Pursuit]) -> Pursuit:
        """The same; who is found where somebody was who was not surely there is what was found there before."""
        box = self.candidate.detection.bbox
        there = (p for p in doubtful if shared_box(box, p.candidate.detection.bbox) >= _SAME_DOUBT)
        before = max(there, key=lambda pursuit: len(pursuit.existence.looks), default=None)
        if before is None:
            return self
        return replace(self, surroundings=before.surroundings, existence=before.existence)

    @property
    def is_covered(self) -> bool:
        """Whether something else than their own clothes was seen of them last."""
        return self.candidate is not self.own

    def hidden(self, since: float) -> Pursuit:
        """They have not been seen since that time in s: what was taken for them is somebody else."""
        return replace(self, candidate=self.own, seen_at=since)

    def wears(self, look: Appearance) -> bool:
        difference = appearance_distance(self.look, look)
        return difference is not None and difference < OWN_CLOTHES

    def is_in_place_of(self, hidden: Pursuit) -> bool:
        """Whether they are seen where somebody was, who is they then. Who wears other clothes stands before them."""
        difference = appearance_distance(self.look, hidden.look)
        if difference is not None and difference > OTHER_CLOTHES:
            return False
        return is_same_person(hidden.own.detection, self.candidate.detection)

    def is_told_from(self, others: Sequence[Appearance], look: Appearance) -> bool:
        """Whether that is in their clothes, and not in any of these."""
        differences = [appearance_distance(other, look) for other in others]
        return self.wears(look) and all(each is not None and each > OTHER_CLOTHES for each in differences)

    def is_other(self, candidate: Candidate, look: Appearance) -> bool:
        """Whether that is another person: in other clothes, and elsewhere. Who only carries a box before them stays
        where they are."""
        difference = appearance_distance(self.look, look)
        return difference is not None and difference > OTHER_CLOTHES and not self.is_in_place(candidate)

    def is_in_place(self, candidate: Candidate) -> bool:
        """Whether the candidate is where they were, in that pose."""
        return self.likeness(candidate) >= _SAME_PLACE

    def is_too_far(self, time: float, candidate: Candidate) -> bool:
        """Whether they cannot have got there yet, into that pose."""
        return time - self.seen_at <= _NEAR_SECONDS and self.nearness(candidate) < _NEAR

    def is_dressed_as(self, other: Pursuit) -> bool:
        """Whether both may be one person, who was lost and found again."""
        return self.wears(other.look)

    def likeness(self, candidate: Candidate) -> float:
        """Of the candidate's pose to theirs, 0..1."""
        return pose_similarity(self.own.detection.landmarks2d, candidate.detection.landmarks2d)

    def nearness(self, candidate: Candidate) -> float:
        """How much the candidate is where this person was, 0..2."""
        return self.likeness(candidate) + box_overlap(self.own.detection.bbox, candidate.detection.bbox)

    def then(self, time: float, candidate: Candidate, look: Appearance) -> Pursuit:
        """They are seen again."""
        if self.candidate.detection.stranger and time - self.begun_at <= _STRANGE_SECONDS:
            candidate = as_stranger(candidate)
        difference = appearance_distance(self.look, look)
        if difference is not None and difference > OTHER_CLOTHES:
            return replace(self, candidate=candidate, seen_at=time)
        rate = 1 - math.exp(-(time - self.seen_at) / _LEARN_SECONDS)
        known = self.look if difference is not None and difference > OWN_CLOTHES else blended(self.look, look, rate)
        return replace(self, candidate=candidate, own=candidate, look=known, seen_at=time)


def _shortest_wait(existence: Existence) -> float:
    """s, until they are looked at again."""
    return _STILL_SECONDS if existence.was_in_plain_sight else _DOUBT_SECONDS


def as_stranger(candidate: Candidate) -> Candidate:
    """Somebody who came in front of somebody else."""
    return replace(candidate, detection=replace(candidate.detection, stranger=True))


def _is_part_of(part: Candidate, whole: Candidate, looks: Mapping[int, Appearance]) -> bool:
    """Whether somebody is seen once as a whole and once on a part of themselves. looks: by the identity of each."""
    difference = appearance_distance(looks[id(part)], looks[id(whole)])
    return difference is not None and difference < OWN_CLOTHES and is_on_part_of(part, whole)


def ousted(
    pursuits: Sequence[Pursuit], answers: Sequence[Candidate | None], looks: Mapping[int, Appearance]
) -> set[int]:
    """Those whose crop has slid onto somebody whom another crop is on, too: all but the one who was there before; and
    those who are a part of somebody else. looks: by the identity of each answer."""
    out: set[int] = set()
    for i, first in enumerate(answers):
        for j, second in enumerate(answers[:i]):
            if first is None or second is None or i in out or j in out:
                continue
            if is_same_person(first.detection, second.detection):
                out.add(i if pursuits[i].nearness(first) <= pursuits[j].nearness(second) else j)
            elif _is_part_of(first, second, looks):
                out.add(i)
            elif _is_part_of(second, first, looks):
                out.add(j)
    return out
