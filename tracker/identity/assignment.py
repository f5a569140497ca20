"""Gives detections their identities: by where a person should be, how sure that still is, and what they wear.

Every pair of a known person and a detection has a cost, a negative log-likelihood: a Gaussian of the distance between
predicted and detected pose, which widens with every second of absence, and a Gaussian of the difference in clothes.
While a person is in view their place decides; after a second behind a tree their clothes do. The cheapest assignment
over all people wins (scipy's linear_sum_assignment). Time comes from the frames: nothing counts frames per second.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from tracker.core.arrays import Array
from tracker.core.detection import Detection, TrackedDetection
from tracker.core.errors import InputError, require_between, require_positive
from tracker.core.frame import Frame
from tracker.detect.clothing_colour import (
    OTHER_CLOTHES,
    Appearance,
    appearance_distance,
    appearance_of,
    likely_difference,
)
from tracker.detect.similarity import BODY_POINTS, body_size, shared_box
from tracker.identity.identity import Identity, Reappearance
from tracker.identity.meetings import CLEAN_OVERLAP, Exchange, Meetings, Presence

_WIDEST = 1e4
"""Body sizes: likelihoods of wider spreads, and of ones as narrow, overflow."""


@dataclass(frozen=True)
class IdentityConfig:
    """When a detection is the same person as before. Distances are in body sizes, about 0.3 of a standing height."""

    lost_seconds: float = 8.0
    """Who is away for longer gets a new identity."""
    confirm_seconds: float = 0.25
    """How long a person of whom little is visible, or who overlaps another, must be seen before they are given an
    identity. Who is seen well, or in the same pose in several looks at a first picture, is given one at once, also in
    a single still picture; a person who stays doubtful in a still is left out."""
    place_spread: float = 0.35
    """Standard deviation of a person's place around its prediction at once after they were seen."""
    place_spread_per_second: float = 2.5
    """What it grows by with absence."""
    appearance_spread: float = 0.15
    """Standard deviation of the difference (Hellinger, 0..1) between one person's clothes at different times."""
    max_cost: float = 10.0
    """Negative log-likelihood above which a detection is not the same person."""
    look_back: float = 3.0
    """s that frames of a recording wait, so that whoever is found late is followed back to where they came into view,
    is known again after a longer absence, and is the right way round in each; 0 gives them out at once. It does
    not concern live pictures."""

    def __post_init__(self) -> None:
        spreads = ("place_spread", "place_spread_per_second", "appearance_spread")
        require_positive(self, ("lost_seconds", "max_cost"))
        require_between(self, spreads, 1 / _WIDEST, _WIDEST, "identity.")
        for name in ("confirm_seconds", "look_back"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name}: expected 0 or more seconds, got {getattr(self, name)}")


_UNCONFIRMED_COST = 2.0
"""A person who has an identity has the first claim on a detection."""
_UNCONFIRMED_SECONDS = 0.5
"""Who has no identity yet is forgotten after so long an absence."""
_FIRST_PATIENCE = 2.0
_PATIENCE = 4.0
"""Who has an identity is forgotten after _FIRST_PATIENCE s and _PATIENCE times as long as they had been in view, up to
lost_seconds: a ghost of a few frames must not hand its identity to the next person."""
_PREDICTED_SECONDS = 1.5
"""Places of people who have been away for longer are not worth a closer look."""
_REJOIN_SECONDS = 10.0
"""So long after somebody was last seen they are known again in a recording, where all that comes is known."""
_REJOIN_COST = 5.5
"""As clothes 0.36 apart cost (one person is below that nine times in ten, two people are above it nineteen times in
twenty), and as much again for place and size."""
_LOST_SPREAD = 1.0
"""Standard deviation of the place, in body sizes, of somebody who was just lost: it is mostly sudden movement."""
_SPREADING_SECONDS = 1.5
"""Beyond that people do not go farther away."""
_GROWTH_SPREAD = 0.35
"""Standard deviation of the logarithm of a person's size, as bending and walking nearer change it."""
_MET_SECONDS = 3.0
"""Who has been away for longer has not met anybody."""
_SLOT_SECONDS = 1.0
"""Where max_people are followed, a stranger gets the place of one who has been away for so long."""
_VISIBLE = 0.5
_WELL_SEEN_POINTS = 7
"""Visible body points (of 13) of a person whose identity needs no second sighting: head and arms are seven."""
_AGREED_POINTS = 3
"""The same where several looks have agreed on them."""
_OVERLAPPING = 0.15
"""Share of the smaller of two boxes from which one of them may be a wrong pose on the other's body."""
_SEEN_CLOTHES_COST = 4.0
_LOST_CLOTHES_COST_PER_SECOND = 12.0
"""What the wrong clothes cost at most: less than a new identity while somebody is in view, more after half a second."""
_MIXED_CLOTHES_TRUST = 0.3
"""How much the clothes of people who overlap still count."""


@dataclass(frozen=True)
class _Sighting:
    detection: Detection
    look: Appearance
    clean: bool
    """Whether the colours are the person's own: nobody else's box overlaps."""


class IdentityTracker:
    """Follows people through the detections of successive frames."""

    def __init__(self, config: IdentityConfig | None = None, max_people: int = 4) -> None:
        """At most max_people are given out in a frame, those who have been in view for longest."""
        if max_people < 1:
            raise InputError(f"max_people: expected 1 or more, got {max_people}")
        self.config = config or IdentityConfig()
        self.max_people = max_people
        self._tracks: list[Identity] = []
        self._meetings = Meetings(self.config.appearance_spread)
        self.exchanges: Sequence[Exchange] = ()
        """Of whom it turned out in the frame that was assigned last that they had been taken for each other."""
        self.nobodies: frozenset[int] = frozenset()
        """Identities of which closer looks say, by the frame that was assigned last, that they are nobody's."""
        self._time = -math.inf
        self._size = (0, 0)
        self._next_id = 0
        self._scene = 0
        self._elsewhere: dict[int, list[Identity]] = {}
        self._gone: list[Identity] = []

    def enter(self, scene: int) -> None:
        """The frames to come are of this scene: whoever was in another one is nobody here. Who is in a scene that comes
        back before they are forgotten is known again."""
        if scene != self._scene:
            self._elsewhere[self._scene], self._gone = self._tracks, []
            self._tracks = self._elsewhere.pop(scene, [])
            self._meetings = Meetings(self.config.appearance_spread)
            self._scene = scene

    def resize(self, size: tuple[int, int]) -> None:
        """The frames to come have this (width, height) px, and show what those before showed."""
        if size != self._size and self._size[0] > 0:
            factor = size[0] / self._size[0]
            self._tracks, self._gone = ([t.scaled(factor) for t in tracks] for tracks in (self._tracks, self._gone))
            self._elsewhere = {key: [t.scaled(factor) for t in tracks] for key, tracks in self._elsewhere.items()}
            self._meetings = Meetings(self.config.appearance_spread)
        self._size = size

    def predicted_boxes(self, time: float) -> list[Array]:
        """xyxy px boxes where people seen lately should be at `time`, as far as that is in the picture.

        The most established first. People without an identity are left out: a closer look at a wrong pose's place
        finds the wrong pose again.
        """
        known = [t for t in self._tracks if t.person_id is not None]
        recent = [t for t in known if t.absence(time) <= _PREDICTED_SECONDS]
        poses = [track.predicted(time) for track in sorted(recent, key=_by_standing)]
        return [box for box in map(_box_of, poses) if _centre_inside(box, self._size)]

    def assign(self, frame: Frame, detections: Sequence[Detection]) -> list[TrackedDetection]:
        """The detections of the people who have an identity, each with it, in the order of the identities.

        Identities are 0, 1, 2, … in the order in which people are confirmed; none is ever given to a second person
        that the tracker can tell from the first. Frames come in the order of their time.
        """
        frame_step = self._start(frame)
        sightings = _sightings(frame, detections)
        matches = self._matches(frame.time, sightings)
        for row, track in enumerate(self._tracks):
            sighting = sightings[matches[row]] if row in matches else None
            if sighting is None:
                self._tracks[row] = track.missed(frame_step)
            else:
                appearance = sighting.look if sighting.clean else None
                self._tracks[row] = track.updated(frame.time, frame_step, sighting.detection, appearance)
        taken = dict(matches)
        for column in sorted(set(range(len(sightings))) - set(matches.values())):
            taken[len(self._tracks)] = column
            self._tracks.append(Identity.begin(frame.time, sightings[column].detection, sightings[column].look))
        self._confirm(frame, {row: detections[column] for row, column in taken.items()})
        self._exchange(frame_step, {row: sightings[column].look for row, column in taken.items()})
        self._judge()
        return self._given_out(taken, detections)

    def _judge(self) -> None:
        known = {t.person_id: t.existence.is_nobody for t in self._tracks if t.person_id is not None}
        nobodies = {key for key, is_nobody in known.items() if is_nobody}
        self.nobodies = frozenset(nobodies | (self.nobodies - known.keys()))

    def _start(self, frame: Frame) -> float:
        """Forgets who has been away for too long; gives the seconds since the last frame.

        A source that jumps back in time, as a loop does, goes on from there; scenes that were left before it are over.
        """
        if frame.time < self._time:
            self._elsewhere = {}
            back = self._time - frame.time
            self._tracks = [
                replace(t, first_seen=t.first_seen - back, last_seen=t.last_seen - back) for t in self._tracks
            ]
        step = max(0.0, frame.time - self._time) if self._tracks else 0.0
        self._time, self._size = frame.time, frame.size
        before, self._tracks = self._tracks, self._remembered(self._tracks)
        forgotten = [t for t in before if t.person_id is not None and t.absence(frame.time) > self._patience(t)]
        self._gone = [t for t in (*self._gone, *forgotten) if t.absence(frame.time) <= _REJOIN_SECONDS]
        others = {scene: self._remembered(tracks) for scene, tracks in self._elsewhere.items()}
        self._elsewhere = {scene: tracks for scene, tracks in others.items() if tracks}
        return step

    def _remembered(self, tracks: Sequence[Identity]) -> list[Identity]:
        return [track for track in tracks if track.absence(self._time) <= self._patience(track)]

    def _patience(self, track: Identity) -> float:
        if track.person_id is None:
            return _UNCONFIRMED_SECONDS
        return min(self.config.lost_seconds, _FIRST_PATIENCE + _PATIENCE * track.standing)

    def _matches(self, time: float, sightings: Sequence[_Sighting]) -> dict[int, int]:
        """Track index → sighting index of the cheapest assignment, pairs that are too unlikely left out."""
        if not self._tracks or not sightings:
            return {}
        costs = np.array([[self._cost(track, time, sighting) for sighting in sightings] for track in self._tracks])
        # a pair that is too unlikely costs as much as leaving both alone, so that it never pushes out a likely one
        rows, columns = linear_sum_assignment(np.minimum(costs, self.config.max_cost))
        pairs = zip(rows.tolist(), columns.tolist(), strict=True)
        return {row: column for row, column in pairs if costs[row, column] < self.config.max_cost}

    def rejoined(self, back: Reappearance, present: Collection[int]) -> int | None:
        """Who somebody was before, by their clothes, size and place. They have that identity from now on. None where
        nobody. present: the identities seen from their first sighting on."""
        row = next(row for row, track in enumerate(self._tracks) if track.person_id == back.person_id)
        taken = {back.person_id, *present}
        known = (track for track in (*self._tracks, *self._gone) if track.person_id is not None)
        away = [track for track in known if track.person_id not in taken and track.last_seen < back.time]
        costs = {track.person_id: self._rejoin_cost(track, self._tracks[row].appearance, back) for track in away}
        was = min(costs, key=lambda each: costs[each], default=None)
        if was is None or costs[was] > _REJOIN_COST:
            return None
        before = next(track for track in away if track.person_id == was)
        existence = before.existence.then(self._tracks[row].existence)
        self._tracks[row] = replace(self._tracks[row], person_id=was, existence=existence)
        self._tracks = [t for i, t in enumerate(self._tracks) if i == row or t.person_id != was]
        self._gone = [track for track in self._gone if track.person_id != was]
        return was

    def _rejoin_cost(self, before: Identity, worn: Appearance, back: Reappearance) -> float:
        """Negative log-likelihood that somebody is back, and wears that."""
        difference = appearance_distance(before.appearance, worn)
        if difference is None:
            return math.inf
        absence = min(before.absence(back.time), _SPREADING_SECONDS)
        spread = math.hypot(_LOST_SPREAD, self.config.place_spread_per_second * absence)
        growth = math.log(before.size / body_size(back.plainest.landmarks2d))
        squares = (
            difference / self.config.appearance_spread,
            before.displacement(back.time, back.first) / spread,
            growth / _GROWTH_SPREAD,
        )
        return 0.5 * sum(each**2 for each in squares)

    def _cost(self, track: Identity, time: float, sighting: _Sighting) -> float:
        """Negative log-likelihood that it is this person; 0 for one just seen, in place and dressed so."""
        config = self.config
        spread = math.hypot(config.place_spread, config.place_spread_per_second * track.absence(time))
        distance = track.distance(time, sighting.detection)
        place = 0.5 * (distance / spread) ** 2 + 2 * math.log(spread / config.place_spread)
        difference = likely_difference(track.appearance, sighting.look)
        clothes = 0.5 * (difference / config.appearance_spread) ** 2
        # whoever has just been there is still there if something else is seen instead of their clothes: a box in front
        most = _SEEN_CLOTHES_COST + _LOST_CLOTHES_COST_PER_SECOND * track.absence(time)
        if not (sighting.detection.stranger and difference > OTHER_CLOTHES):
            clothes = most * (1 - math.exp(-clothes / most))
        trust = 1.0 if sighting.clean else _MIXED_CLOTHES_TRUST
        return place + trust * clothes + (_UNCONFIRMED_COST if track.person_id is None else 0.0)

    def _confirm(self, frame: Frame, sightings: dict[int, Detection]) -> None:
        """Gives identities to those seen now who deserve one, while fewer than max_people have one and are about."""
        people = (t for t in self._tracks if t.person_id is not None and not t.existence.is_nobody)
        about = sum(t.absence(frame.time) <= _SLOT_SECONDS for t in people)
        for row, detection in sightings.items():
            track = self._tracks[row]
            if track.person_id is not None or about >= self.max_people:
                continue
            others = [
                sightings[other].bbox if other in sightings else _box_of(known.predicted(frame.time))
                for other, known in enumerate(self._tracks)
                if known.person_id is not None and known.absence(frame.time) <= _UNCONFIRMED_SECONDS
            ]
            if self._is_convincing(track, detection, others, frame.size):
                self._tracks[row] = replace(track, person_id=self._next_id)
                self._next_id += 1
                about += 1

    def _is_convincing(
        self, track: Identity, detection: Detection, others: Sequence[Array], size: tuple[int, int]
    ) -> bool:
        """Seen well and apart from the boxes of the others, or seen for long enough."""
        if track.sightings > 1 and track.standing >= self.config.confirm_seconds:
            return True
        points = detection.landmarks2d[BODY_POINTS]
        visible = (detection.visibility[BODY_POINTS] >= _VISIBLE) & ((points >= 0) & (points < size)).all(axis=1)
        apart = all(shared_box(detection.bbox, other) < _OVERLAPPING for other in others)
        return apart and int(visible.sum()) >= (_AGREED_POINTS if detection.agreed else _WELL_SEEN_POINTS)

    def _exchange(self, step: float, looks: Mapping[int, Appearance]) -> None:
        """Gives those who were taken for each other while they met their own identities back. looks: what is worn now,
        by the track's index."""
        rows = {
            track.person_id: row
            for row, track in enumerate(self._tracks)
            if track.person_id is not None and track.absence(self._time) <= _MET_SECONDS
        }
        known = {key: self._tracks[row] for key, row in rows.items()}
        places = {
            key: Presence(_box_of(track.predicted(self._time)), looks.get(rows[key]), track.appearance)
            for key, track in known.items()
        }
        self.exchanges = self._meetings.exchanges(self._time, step, places)
        for exchange in self.exchanges:
            for key in (exchange.first, exchange.second):
                own = exchange.of(key)
                self._tracks[rows[key]] = known[key].known_as(known[own], exchange.looks[own])

    def _given_out(self, taken: dict[int, int], detections: Sequence[Detection]) -> list[TrackedDetection]:
        known = sorted(
            (row for row in taken if self._tracks[row].person_id is not None),
            key=lambda r: _by_standing(self._tracks[r]),
        )
        people = {self._tracks[row].person_id: detections[taken[row]] for row in known[: self.max_people]}
        return [TrackedDetection(key, people[key]) for key in sorted(k for k in people if k is not None)]


def _by_standing(track: Identity) -> tuple[bool, bool, float, float]:
    """Sorts the most established first."""
    return track.person_id is None, track.existence.is_nobody, -track.standing, track.first_seen


def _box_of(landmarks: Array) -> Array:
    return np.concatenate([landmarks.min(axis=0), landmarks.max(axis=0)])


def _centre_inside(box: Array, size: tuple[int, int]) -> bool:
    centre = (box[:2] + box[2:]) / 2
    return bool(((centre >= 0) & (centre < size)).all())


def _sightings(frame: Frame, detections: Sequence[Detection]) -> list[_Sighting]:
    clean = [
        all(shared_box(d.bbox, other.bbox) < CLEAN_OVERLAP for j, other in enumerate(detections) if j != i)
        for i, d in enumerate(detections)
    ]
    return [_Sighting(d, appearance_of(frame.image, d), own) for d, own in zip(detections, clean, strict=True)]
