"""Who is who after people have met, decided anew by what they wear.

Where somebody stands before somebody else, the landmark network may slide from the one to the other, and goes away with
them; places do not tell. A difference in clothes that is too small to tell strangers by does tell two people whose
clothes from before are known. So once both are seen by themselves again, their clothes now are compared, as a pair,
with those from before they met, both ways round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations

from tracker.core.arrays import Array
from tracker.detect.clothing_colour import Appearance, blended, likely_difference
from tracker.detect.similarity import shared_box

CLEAN_OVERLAP = 0.2
"""Boxes that share less of the smaller one have their own clothes in them."""
_APART_SECONDS = 0.25
"""So long each must be seen by themselves before it is decided,"""
_ALONE_SECONDS = 1.0
"""or one of them, where the other is not seen."""
_MARGIN = 1.5
"""Nats by which the other way round must fit better."""


@dataclass(frozen=True)
class Presence:
    """Where somebody with an identity is."""

    box: Array
    """(4,) xyxy px; where they should be, if they are not seen."""
    look: Appearance | None
    """What they wear in this frame; None where they are not seen."""
    known: Appearance
    """What they wore so far."""


@dataclass(frozen=True)
class Exchange:
    """Two who have been taken for each other since a time in s."""

    first: int
    second: int
    since: float
    looks: Mapping[int, Appearance]
    """What each wears in truth."""

    def of(self, person_id: int) -> int:
        """Who that is in truth."""
        return {self.first: self.second, self.second: self.first}.get(person_id, person_id)


@dataclass(frozen=True)
class _Since:
    """What somebody has worn since they were seen by themselves again."""

    look: Appearance
    seconds: float = 0.0
    sightings: int = 1

    def then(self, look: Appearance, step: float) -> _Since:
        return _Since(blended(self.look, look, 1 / (self.sightings + 1)), self.seconds + step, self.sightings + 1)


@dataclass(frozen=True)
class _Meeting:
    """Of two people, from when their boxes overlap until both are seen by themselves again."""

    before: Mapping[int, Appearance]
    """What each wore."""
    overlap: float
    """The largest so far,"""
    closest_at: float
    """s, and when that was."""
    lost_at: float | None = None
    """s, when one of them was not seen for the first time."""
    since: Mapping[int, _Since] = field(default_factory=dict)

    def together(self, time: float, overlap: float, both_seen: bool) -> _Meeting:
        """Still, or again."""
        met = self if overlap <= self.overlap else replace(self, overlap=overlap, closest_at=time)
        lost_at = time if self.lost_at is None and not both_seen else self.lost_at
        return replace(met, lost_at=lost_at, since={})

    def apart(self, step: float, looks: Mapping[int, Appearance | None]) -> _Meeting:
        """Seen by themselves, those who are seen."""
        since = dict(self.since)
        for key, look in looks.items():
            if look is not None:
                since[key] = since[key].then(look, step) if key in since else _Since(look)
        return replace(self, since=since)

    @property
    def slid_at(self) -> float:
        """s, when the one was taken for the other, if so."""
        return self.closest_at if self.lost_at is None else self.lost_at

    def is_over(self) -> bool:
        """Whether enough has been seen to decide."""
        seconds = sorted(each.seconds for each in self.since.values())
        if len(seconds) == len(self.before):
            return seconds[0] >= _APART_SECONDS
        return bool(seconds) and seconds[0] >= _ALONE_SECONDS

    def gain(self, spread: float) -> float:
        """Nats by which they fit better the other way round. spread: of one person's clothes, `appearance_spread`."""
        first, second = self.before
        other = {first: second, second: first}
        squares = 0.0
        for key, since in self.since.items():
            squares += likely_difference(self.before[key], since.look) ** 2
            squares -= likely_difference(self.before[other[key]], since.look) ** 2
        return 0.5 * squares / spread**2


class Meetings:
    """Of the people of one scene, frame by frame."""

    def __init__(self, spread: float) -> None:
        """spread: standard deviation of the difference between one person's clothes at different times."""
        self._spread = spread
        self._meetings: dict[tuple[int, int], _Meeting] = {}

    def exchanges(self, time: float, step: float, places: Mapping[int, Presence]) -> list[Exchange]:
        """Those of whom it turns out now that they were exchanged. time, step: of the frame and since the one before,
        s; places: of everybody with an identity who is about, seen or not."""
        known = self._meetings
        self._meetings = {}
        for pair in combinations(sorted(places), 2):
            meeting = _carried_on(known.get(pair), time, step, {key: places[key] for key in pair})
            if meeting is not None:
                self._meetings[pair] = meeting
        over = {pair: each for pair, each in self._meetings.items() if each.is_over()}
        self._meetings = {pair: each for pair, each in self._meetings.items() if pair not in over}
        gains = {pair: each.gain(self._spread) for pair, each in over.items()}
        exchanged: list[Exchange] = []
        for pair in sorted(gains, key=lambda each: -gains[each]):
            if gains[pair] > _MARGIN and all(other.of(key) == key for other in exchanged for key in pair):
                exchanged.append(Exchange(*pair, over[pair].slid_at, over[pair].before))
        return exchanged


def _carried_on(known: _Meeting | None, time: float, step: float, places: Mapping[int, Presence]) -> _Meeting | None:
    """The meeting of these two, one frame on; None where they do not meet."""
    first, second = places.values()
    overlap = shared_box(first.box, second.box)
    if overlap < CLEAN_OVERLAP:
        return None if known is None else known.apart(step, {key: each.look for key, each in places.items()})
    before = {key: each.known for key, each in places.items()}
    meeting = known or _Meeting(before, overlap, time)
    return meeting.together(time, overlap, first.look is not None and second.look is not None)
