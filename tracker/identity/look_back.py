"""People of a recording from the first frame in which they can be seen, and the right way round.

Somebody is found a while after they have come into view, or have come out from behind something: the whole picture is
looked at only so often, and it takes a pose that is easily recognised. Following them backwards from there is easy. So
frames wait a few seconds until what comes later is known. That tells, too, in which of them left and right are
exchanged (`sides.py`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np

from tracker.core.arrays import Array
from tracker.core.detection import Detection, LandmarkCrop, TrackedDetection
from tracker.core.frame import Frame
from tracker.detect.similarity import BODY_POINTS, pose_similarity
from tracker.identity.identity import Reappearance
from tracker.identity.meetings import Exchange
from tracker.identity.sides import SideKeeper, Sighting

_ONE_POSE = 0.5
"""Likeness of poses in one frame, or one frame apart, from which they are one."""
_BYTES = 240_000_000
"""Of pictures and networks' maps that wait, 2.5 s of one person in 720p; beyond it they wait for less long."""
_FLASH = 2
"""Frames in which something that is no person is taken for one."""
_FLASH_SECONDS = 0.5
"""After so long without another sighting so few of them are believed to be such a flash."""


Seen = TypeVar("Seen", bound="SeenFrame")


@dataclass(frozen=True)
class SeenFrame:
    """A frame and who was detected where in it."""

    frame: Frame
    people: Sequence[TrackedDetection]
    scene: int = 0
    """Another one after each cut."""
    absent: frozenset[int] = frozenset()
    """Identities of whom it is known that they are not in this frame, and do not come back soon."""
    exchanges: Sequence[Exchange] = ()
    """Of whom it turned out in this frame that they had been taken for each other in those before it."""
    nobodies: frozenset[int] = frozenset()
    """Identities of which it is known by this frame that they are nobody's, and who are among its people still."""

    @property
    def ids(self) -> set[int]:
        return {person.person_id for person in self.people}

    def without(self: Seen, nobodies: frozenset[int]) -> Seen:
        """The frame in which these are nobody's identities."""
        people = [each for each in self.people if each.person_id not in nobodies]
        return replace(self, people=people, absent=self.absent | nobodies, nobodies=frozenset())

    @property
    def nbytes(self) -> int:
        """What it holds in memory, about."""
        crops = [person.detection.crop for person in self.people]
        maps = sum(each.nbytes for crop in crops if crop is not None for each in crop.maps.values())
        return self.frame.image.nbytes + maps


@runtime_checkable
class BackwardDetector(Protocol):
    """A detector that can follow somebody backwards, too."""

    def detect_near(self, frame: Frame, near: Detection, others: Sequence[Detection]) -> Detection | None:
        """Who is in a frame about where somebody was in the next one, and not one of the others; None for nobody."""
        ...


class Identities(Protocol):
    """Knows who has been away."""

    def rejoined(self, back: Reappearance, present: Collection[int]) -> int | None:
        """Who somebody was before, whose identity they have from now on; None where nobody. present: the identities
        seen from their first sighting on."""
        ...


@dataclass(frozen=True)
class LookBackLimits:
    """How far one looks back."""

    seconds: float
    """How long frames wait."""
    max_people: int
    """In a frame."""
    coast_seconds: float
    """How long somebody who is missed is still taken to be there, if they come back."""


class LookBack(Generic[Seen]):
    """Holds frames back and gives them out with everybody who is found later. Frames come in the order of time."""

    def __init__(self, detector: BackwardDetector, identities: Identities, limits: LookBackLimits) -> None:
        """identities: of the same frames, just before they come here."""
        self._detector, self._identities, self._limits = detector, identities, limits
        self._waiting: deque[Seen] = deque()
        self._bytes = 0
        self._last_seen: dict[int, float] = {}
        self._sightings: dict[int, int] = {}
        self._scene_frames: dict[int, int] = {}
        self._given_until = -math.inf
        self._sides = SideKeeper()

    def through(self, frames: Iterable[Seen]) -> Iterator[Seen]:
        """The same frames, later, and with more in them."""
        for entry in frames:
            self._add(entry)
            while self._waited_enough(entry.frame.time):
                yield self._next()
        while self._waiting:
            yield self._next()

    def _add(self, entry: Seen) -> None:
        before = self._waiting[-1].ids if self._waiting else set()
        undone, entry = entry.exchanges, replace(entry, people=[_packed(each) for each in entry.people], exchanges=())
        self._waiting.append(entry)
        for exchange in undone:
            self._undo(exchange)
        self._bytes += entry.nbytes
        self._scene_frames[entry.scene] = self._scene_frames.get(entry.scene, 0) + 1
        newcomers = [(person, person.person_id in self._sightings) for person in entry.people]
        for person in entry.people:
            self._saw(person.person_id, entry.frame.time)
        for person, known in newcomers:
            if person.person_id not in before:
                self._follow_back(person, known)
            elif person.detection.agreed:
                self._correct_back(person)

    def _saw(self, person_id: int, time: float) -> None:
        self._sightings[person_id] = self._sightings.get(person_id, 0) + 1
        self._last_seen[person_id] = max(time, self._last_seen.get(person_id, time))

    def _follow_back(self, person: TrackedDetection, known: bool) -> None:
        """Follows somebody who was not in the frame before the last one back to where they could first be seen. Whose
        identity is new may be somebody who had left, who was last seen where this leads to, or nearby on the way.

        known: their identity is not new.
        """
        key, first, detection = person.person_id, len(self._waiting) - 1, person.detection
        plainest = detection
        seen_at = self._waiting[first].frame.time
        for place in range(first - 1, -1, -1):
            entry = self._waiting[place]
            if not self._goes_on(entry) or key in entry.ids or len(entry.people) >= self._limits.max_people:
                break
            back = Reappearance(key, seen_at, detection, plainest)
            if not known and self._was_last_seen_near(detection, place) and self._rejoin(back, first):
                return
            earlier = self._detector.detect_near(entry.frame, detection, [each.detection for each in entry.people])
            if earlier is None:
                if seen_at - entry.frame.time > self._limits.coast_seconds:
                    break
                continue
            first, detection, seen_at = place, earlier, entry.frame.time
            plainest = max(plainest, earlier, key=_plainness)
            self._put(place, [*entry.people, _packed(TrackedDetection(key, earlier))])
            self._saw(key, entry.frame.time)
        if not known:
            self._rejoin(Reappearance(key, seen_at, detection, plainest), first)

    def _correct_back(self, person: TrackedDetection) -> None:
        """Follows somebody who was seen in a wrong pose until now back in the right one, to where it was seen, too."""
        key, detection = person.person_id, person.detection
        for place in range(len(self._waiting) - 2, -1, -1):
            entry = self._waiting[place]
            wrong = next((each.detection for each in entry.people if each.person_id == key), None)
            if not self._goes_on(entry) or wrong is None or _is_one_pose(wrong, detection):
                return
            others = [each for each in entry.people if each.person_id != key]
            earlier = self._detector.detect_near(entry.frame, detection, [each.detection for each in others])
            if earlier is None or _is_one_pose(wrong, earlier):
                return
            detection = earlier
            self._put(place, [*others, _packed(TrackedDetection(key, earlier))])

    def _goes_on(self, entry: Seen) -> bool:
        """Whether places in the newest frame mean the same in this one."""
        newest = self._waiting[-1]
        return entry.scene == newest.scene and entry.frame.size == newest.frame.size

    def _was_last_seen_near(self, detection: Detection, place: int) -> bool:
        """Whether in that frame somebody is near who is not seen any more after it."""
        later = set().union(*(entry.ids for entry in list(self._waiting)[place + 1 :]))
        lost = (each.detection.bbox for each in self._waiting[place].people if each.person_id not in later)
        return any(_apart(detection.bbox, box) < max(box[2:] - box[:2]) for box in lost)

    def _rejoin(self, back: Reappearance, first: int) -> bool:
        """Gives somebody who had left, and is seen again from this place on, the identity that they had before; false
        where they are somebody else."""
        key, after = back.person_id, range(first, len(self._waiting))
        present = set().union(*(self._waiting[place].ids for place in after))
        was = self._identities.rejoined(back, present)
        if was is None:
            return False
        self._sightings[was] = self._sightings.get(was, 0) + self._sightings.pop(key)
        self._last_seen[was] = self._last_seen.pop(key)
        for place in after:
            people = self._waiting[place].people
            self._put(place, [replace(p, person_id=was) if p.person_id == key else p for p in people])
        return True

    def _undo(self, exchange: Exchange) -> None:
        """Gives two people their own identities in the frames that wait, but for the last one, which has them."""
        for place, entry in enumerate(list(self._waiting)[:-1]):
            if entry.frame.time >= exchange.since:
                self._put(place, [replace(each, person_id=exchange.of(each.person_id)) for each in entry.people])
        if exchange.since <= self._given_until:
            self._waiting[0] = replace(self._waiting[0], exchanges=[*self._waiting[0].exchanges, exchange])

    def _put(self, place: int, people: Sequence[TrackedDetection]) -> None:
        """Exchanges the people of a frame that waits."""
        before = self._waiting[place]
        self._waiting[place] = replace(before, people=people)
        self._bytes += self._waiting[place].nbytes - before.nbytes

    def _waited_enough(self, now: float) -> bool:
        if not self._waiting:
            return False
        return now - self._waiting[0].frame.time >= self._limits.seconds or self._bytes > _BYTES

    def _next(self) -> Seen:
        entry = self._waiting.popleft()
        self._bytes -= entry.nbytes
        self._given_until = entry.frame.time
        latest = self._waiting[-1].frame.time if self._waiting else float("inf")
        people = [each for each in entry.people if not self._is_flash(each.person_id, entry.scene, latest)]
        people = [self._sides.settled(each, entry.frame.time, self._later(each.person_id, entry)) for each in people]
        people = [_with_crop(each, LandmarkCrop.unpacked) for each in people]
        given = replace(entry, people=sorted(people, key=lambda each: each.person_id), absent=self._absent(entry))
        return given.without((self._waiting[-1] if self._waiting else entry).nobodies)

    def _later(self, key: int, entry: SeenFrame) -> list[Sighting]:
        """What is known of somebody's future in the same scene."""
        waiting = (each for each in self._waiting if each.scene == entry.scene)
        return [
            Sighting.of(each.frame.time, person.detection)
            for each in waiting
            for person in each.people
            if person.person_id == key
        ]

    def _is_flash(self, key: int, scene: int, latest: float) -> bool:
        few = self._sightings[key] <= _FLASH < self._scene_frames[scene] // 4
        return few and latest - self._last_seen[key] > _FLASH_SECONDS

    def _absent(self, entry: SeenFrame) -> frozenset[int]:
        """Those who do not come back within the time for which they would be carried on."""
        soon = entry.frame.time + self._limits.coast_seconds
        later = (each.ids for each in self._waiting if each.frame.time <= soon and each.scene == entry.scene)
        return frozenset(self._last_seen) - entry.ids - set().union(*later)


def _is_one_pose(first: Detection, second: Detection) -> bool:
    return pose_similarity(first.landmarks2d, second.landmarks2d) >= _ONE_POSE


def _plainness(detection: Detection) -> float:
    return float(detection.visibility[BODY_POINTS].sum())


def _apart(box: Array, other: Array) -> float:
    """px between the middles of two boxes xyxy."""
    return float(np.linalg.norm(box[:2] + box[2:] - other[:2] - other[2:]) / 2)


def _packed(person: TrackedDetection) -> TrackedDetection:
    """As they wait."""
    return _with_crop(person, LandmarkCrop.packed)


def _with_crop(person: TrackedDetection, change: Callable[[LandmarkCrop], LandmarkCrop]) -> TrackedDetection:
    crop = person.detection.crop
    if crop is None:
        return person
    return replace(person, detection=replace(person.detection, crop=change(crop)))
