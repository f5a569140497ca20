"""The world of a live run, from what has been seen so far: it converges and never jumps.

Every half second the last moments are looked at as a whole clip is (`estimate.py`): which way upright people stand, and
where their feet do. What that says is kept, and the floor that it amounts to is approached slowly, so that whoever is
sent in its frame drifts by millimetres a frame while it is still being found.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tracker.body.model import BodyModel
from tracker.core.arrays import Array
from tracker.core.person import Person
from tracker.world.body_track import FOOT_PARTS, BodyTrack, ContactRig, contact_rig
from tracker.world.contacts import contacts_of, slow_stands, stands_of
from tracker.world.gravity import Gravity, Plane, Stand, UprightAxes, fit_plane, pitched
from tracker.world.world_config import WorldConfig
from tracker.world.world_frame import WorldFrame

_LEARN_SECONDS = 0.5
"""Between two looks at what has been seen."""
_WINDOW_SECONDS = 2.0
"""What is looked at."""
_SHORTEST = 0.3
"""s of somebody below which nothing is told of them."""
_SETTLE_SECONDS = 1.0
"""Within which most of the way to a new floor is gone."""
_TURN, _RISE = np.radians(2.0), 0.15
"""rad/s and m/s at most by which the floor moves."""
_MOST_STANDS, _MOST_AXES = 100, 40
"""Places and pieces of time that are kept, the newest."""
_FIRST_HEIGHT = 1.0
"""m of the camera over the floor before anybody has been in view."""


class LiveWorld:
    """Where the floor lies, as it is believed at the moment."""

    def __init__(self, config: WorldConfig, body: BodyModel) -> None:
        self._config, self._body = config, contact_rig(body)
        self._recent: dict[int, _Recent] = {}
        self._stands: deque[Stand] = deque(maxlen=_MOST_STANDS)
        self._axes: deque[UprightAxes] = deque(maxlen=_MOST_AXES)
        up = pitched(config.pitch or 0.0)
        self._goal: Plane | None = None
        self._floor = Plane(up, config.camera_height or _FIRST_HEIGHT)
        self._origin: Array | None = None
        self._learned, self._time = -np.inf, -np.inf
        self._known = config.calibrated
        self.world = self._known or WorldFrame.of_floor(up, self._floor.height, np.zeros(3))

    def watch(self, time: float, people: Sequence[Person]) -> WorldFrame:
        """The world with the people of a frame taken into account; frames come in the order of time, s. Asked again
        for the same frame it says the same."""
        if time <= self._time or self._known is not None:
            return self.world
        for person in people:
            self._recent.setdefault(person.person_id, _Recent()).add(time, person)
        if people and self._origin is None:
            self._begin(people)
            self._learned = time
        if self._goal is not None and time - self._learned >= _LEARN_SECONDS:
            self._learn(time)
        self._approach(min(time - self._time, 1.0))
        self._time = time
        return self.world

    def _begin(self, people: Sequence[Person]) -> None:
        """Somebody stands on the floor, as far as one frame tells."""
        person, up = people[0], self._floor.up
        self._origin = np.asarray(person.joints3d[0], float)
        lowest = _track(self._body, [0.0], [person]).points[0, :FOOT_PARTS]
        height = self._config.camera_height or float(np.max(-lowest @ up))
        self._goal = self._floor = Plane(up, height)

    def _approach(self, seconds: float) -> None:
        """Moves the believed floor towards what has been told of it. Tilt and height go together, which keeps the
        floor in place where people stand."""
        goal, floor = self._goal, self._floor
        if goal is None or self._origin is None:
            return
        angle = float(np.arccos(np.clip(goal.up @ floor.up, -1.0, 1.0)))
        rise = abs(goal.height - floor.height)
        share = 1 - float(np.exp(-seconds / _SETTLE_SECONDS))
        share = min(share, _TURN * seconds / max(angle, 1e-9), _RISE * seconds / max(rise, 1e-9))
        up = floor.up + share * (goal.up - floor.up)
        self._floor = Plane(up / np.linalg.norm(up), floor.height + share * (goal.height - floor.height))
        self.world = WorldFrame.of_floor(self._floor.up, self._floor.height, self._origin)

    def _learn(self, time: float) -> None:
        assert self._goal is not None
        since, self._learned = self._learned, time
        now: list[Stand] = []
        for key, recent in list(self._recent.items()):
            track = recent.track(self._body, time - _WINDOW_SECONDS)
            if not len(track.times):
                del self._recent[key]
            elif track.times[-1] - track.times[0] >= _SHORTEST:
                now += self._told_of(track, since)
        stands = [*self._stands, *now]
        if stands:
            gravity = Gravity.of_axes(list(self._axes))
            self._goal = fit_plane(stands, gravity, self._config.pitch, self._config.camera_height)

    def _told_of(self, track: BodyTrack, since: float) -> list[Stand]:
        """Keeps what the track says of gravity and of feet that have left their place since then; gives out where feet
        still stand."""
        new = track.rows(slice(int(np.searchsorted(track.times, since)), None))
        self._axes.append(UprightAxes.of(new))
        assert self._goal is not None
        contacts = [each for each in contacts_of(track, self._goal) if each.part < FOOT_PARTS]
        if not contacts and not self._stands:
            return slow_stands(track)
        last = len(track.times)
        ended = [each for each in contacts if each.end < last and track.times[each.end] > since]
        self._stands.extend(stands_of(track, ended))
        return stands_of(track, [each for each in contacts if each.end == last])


def _track(body: ContactRig, times: Sequence[float], people: Sequence[Person]) -> BodyTrack:
    """One identity at these times, s."""
    return body.track(
        np.array(times),
        np.stack([person.pose.theta for person in people]),
        people[-1].pose.betas,
        np.stack([person.pose.transl for person in people]),
        np.stack([person.joint_confidence for person in people]),
    )


@dataclass
class _Recent:
    """One identity's last moments."""

    _times: list[float] = field(default_factory=list)
    """s, ascending, of those that were not posed yet."""
    _people: list[Person] = field(default_factory=list)
    _posed: BodyTrack | None = None

    def add(self, time: float, person: Person) -> None:
        self._times.append(time)
        self._people.append(person)

    def track(self, body: ContactRig, since: float) -> BodyTrack:
        """All that was added and is not older than that, s."""
        known = self._posed
        if self._people:
            new = _track(body, self._times, self._people)
            known = new if known is None else known.followed_by(new)
            self._times, self._people = [], []
        assert known is not None, "somebody is added when they are first seen"
        self._posed = known.rows(slice(int(np.searchsorted(known.times, since)), None))
        return self._posed
