"""Planted feet stay where they are while people come: `foot_lock.py` needs the whole clip.

A sole that touches down is held where it is shown at that moment, and that place goes to the mean of where the picture
has it. The body follows along the line of sight, since its distance is the noisiest of all, and the leg does the rest,
by inverse kinematics. Whatever begins or ends does so without a step in place or speed: what lies between the old goal
and the new one fades like a critically damped spring.

All this comes after the filter: feet that the fit itself held would slide again by what each joint's filter is late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.body.kinematics import PosedPoints
from tracker.body.person_builder import PersonBuilder
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.core.person import Person
from tracker.world.body_track import FOOT_PARTS, contact_rig
from tracker.world.contact_parts import PART_JOINTS
from tracker.world.contacts import distances, standing_lengths
from tracker.world.gravity import Plane
from tracker.world.leg_bend import FOOT_PITCH, LEG_JOINTS, Legs, bent, smallest_turns
from tracker.world.live_contacts import LONGEST_STEP, LiveContacts
from tracker.world.live_world import LiveWorld
from tracker.world.world_frame import WorldFrame

_FARTHEST_OFF = 0.04
"""m across the line of sight from its anchor at which the picture shows a sole to have left it, at whatever speed."""
_YOUNG, _OLD = 0.5, 2.0
"""s: an anchor goes to the mean of where its sole is seen as if it had been so for the first already, and never counts
for more than the second."""
_FADE = 0.03
"""s: time constant of the spring; four times that, and most is gone."""
_FASTEST_FADE = 2.0
"""m/s and rad/s with which it begins at most."""
_FOLLOW_SECONDS = 0.06
"""Within which most of what planted feet say of the body's distance is believed."""
_FORGET_SECONDS = 0.6
"""Within which the body goes back to its own distance."""
_DEPTH_SHARE, _FOLDED_DEPTH_SHARE = 0.04, 0.3
"""Share of its distance by which a body that stands is moved at most, and what is added for one folded to nothing."""
_SOFTNESS = 0.04
"""Share of a leg's length before its end over which it resists being stretched."""
_STILL = 1e-4
"""m and rad below which nothing is moved."""
_SOLE_JOINTS = PART_JOINTS[:FOOT_PARTS]
_LEGS = np.array([[0, *(joint + side for joint in LEG_JOINTS)] for side in (0, 1)])
"""(2, 4): pelvis, hip, knee and ankle of either side."""
_NO_CHANGE = np.zeros((2, 6))


class LiveFeet:
    """Holds everybody's planted feet, frame by frame."""

    def __init__(self, persons: PersonBuilder, world: LiveWorld) -> None:
        """world: is shown the people as they come, so that it does not learn from feet that it has placed itself."""
        self._persons, self._world, self._rig = persons, world, contact_rig(persons.body)
        self._people: dict[int, _HeldPerson] = {}

    def held(self, time: float, people: Sequence[Person], camera: Camera, still: bool = True) -> list[Person]:
        """The people of a frame with their planted feet held; frames come in the order of time, s.

        still: whether the camera stands still; else all feet are let go.
        """
        floor = self._world.watch(time, people)
        self._people = {each.person_id: self._people.get(each.person_id) or _HeldPerson() for each in people}
        return [self._held(time, person, camera, floor if still else None) for person in people]

    def planted(self, person_id: int) -> NDArray[np.bool_]:
        """(4,): the soles of somebody in the last frame that are held, in the order of CONTACT_PARTS."""
        return self._people[person_id].held

    def _held(self, time: float, person: Person, camera: Camera, floor: WorldFrame | None) -> Person:
        posed = self._rig.posed(person.pose.theta, person.pose.betas)
        place = person.pose.transl
        shown = _Shown(posed.points + place, posed.joints + place, person.joint_confidence)
        change = self._people[person.person_id].step(time, shown, floor)
        return person if change is None else self._changed(person, posed, change, camera)

    def _changed(self, person: Person, posed: PosedPoints, change: _Change, camera: Camera) -> Person:
        hip, knee, ankle = (posed.joints[_LEGS[:, joint]] for joint in (1, 2, 3))
        legs = Legs(hip, knee, ankle, posed.world_rotations[_LEGS])
        local = bent(legs, ankle + change.feet[:, :3], matrix_from_axis_angle(change.feet[:, 3:]), _SOFTNESS)
        theta = person.pose.theta
        theta[_LEGS[:, 1:]] = axis_angle_from_matrix(local)
        pose = replace(person.pose, body_pose=theta[1:].reshape(-1), transl=person.pose.transl + change.body)
        return self._persons.posed(pose, camera, person)


@dataclass(frozen=True)
class _Shown:
    """Where the picture has somebody."""

    soles: Array
    """(4, 3) m."""
    joints: Array
    """(24, 3) m."""
    confidence: Array
    """(24,)"""


@dataclass(frozen=True)
class _Change:
    """What holding the feet changes of somebody."""

    body: Array
    """(3,) m."""
    feet: Array
    """(2, 6): how far each ankle goes beyond that, m, and how its foot turns, a rotation vector."""


class _HeldPerson:
    """One identity's feet. Soles are in the order of CONTACT_PARTS: both heels, then both balls of the feet."""

    def __init__(self) -> None:
        self._time = -np.inf
        self._standing = 0.0
        self._begin()

    def _begin(self) -> None:
        self._contacts = LiveContacts()
        self.held = np.zeros(FOOT_PARTS, bool)
        self._anchors, self._ages = np.zeros((FOOT_PARTS, 3)), np.zeros(FOOT_PARTS)
        self._along, self._ray = 0.0, np.zeros(3)
        self._spring = _Spring()

    def step(self, time: float, shown: _Shown, floor: WorldFrame | None) -> _Change | None:
        """floor: None where it is not known. None where nothing changes."""
        seconds, self._time = time - self._time, time
        if not 0 < seconds <= LONGEST_STEP:
            self._begin()
        self._hold(shown, floor)
        body = self._follow(seconds, shown)
        self._spring.step(seconds, _Goal(_by_side(self.held), _by_side(self._anchors)), _Places.of(shown, body))
        self._average(seconds, shown)
        feet = self._spring.change
        return None if abs(self._along) < _STILL and np.abs(feet).max() < _STILL else _Change(body, feet)

    def _hold(self, shown: _Shown, floor: WorldFrame | None) -> None:
        """Decides which soles are held, and where."""
        if floor is None:
            self._contacts, self.held = LiveContacts(), np.zeros(FOOT_PARTS, bool)
            return
        body = self._along * self._ray
        under = Plane(floor.up, floor.camera_height + float(body @ floor.up))
        touching = self._contacts.add(self._time, shown.soles, under, shown.confidence[_SOLE_JOINTS])
        begun = touching & ~self.held
        if begun.any():
            soles = _Places.of(shown, body).changed(self._spring.change).swapaxes(0, 1).reshape(FOOT_PARTS, 3)
            self._anchors = np.where(begun[:, None], soles, self._anchors)
        left = touching & (distances(shown.soles, self._anchors, shown.soles, depth_share=0.0) > _FARTHEST_OFF)
        self._contacts.release(left)
        self.held = touching & ~left

    def _follow(self, seconds: float, shown: _Shown) -> Array:
        """(3,) m along the line of sight to where the planted feet say that the body is."""
        pelvis, length = shown.joints[0], float(standing_lengths(shown.joints))
        distance = float(np.linalg.norm(pelvis))
        self._ray, self._standing = pelvis / distance, max(self._standing, length)
        self._along *= float(np.exp(-seconds / _FORGET_SECONDS))
        weights = self.held * shown.confidence[_SOLE_JOINTS]
        if weights.sum() > 0:
            goal = float(weights @ ((self._anchors - shown.soles) @ self._ray) / weights.sum())
            folded = 1 - length / self._standing
            most = (_DEPTH_SHARE + _FOLDED_DEPTH_SHARE * folded) * distance
            near = min(max(goal, -most), most)
            self._anchors = self._anchors + (near - goal) * self._ray
            self._along += (1 - float(np.exp(-seconds / _FOLLOW_SECONDS))) * (near - self._along)
        return self._along * self._ray

    def _average(self, seconds: float, shown: _Shown) -> None:
        """Anchors go to where their soles have been in the picture."""
        self._ages = np.where(self.held, self._ages + seconds, 0.0)
        share = np.minimum(seconds / (_YOUNG + np.minimum(self._ages, _OLD)), 1.0) * shown.confidence[_SOLE_JOINTS]
        self._anchors = self._anchors + (self.held * share)[:, None] * (shown.soles - self._anchors)


@dataclass(frozen=True)
class _Places:
    """Where both feet are without being held."""

    soles: Array
    """(2, 2, 3) m: of the left and the right one, heel and ball."""
    ankles: Array
    """(2, 3) m."""

    @classmethod
    def of(cls, shown: _Shown, body: Array) -> _Places:
        """After the body has been moved by (3,) m."""
        return cls(_by_side(shown.soles + body), shown.joints[_LEGS[:, 3]] + body)

    def changed(self, change: Array) -> Array:
        """(2, 2, 3) m: where the soles are after a change (2, 6)."""
        turns = matrix_from_axis_angle(change[:, 3:])
        hanging = self.soles - self.ankles[:, None]
        return (self.ankles + change[:, :3])[:, None] + hanging @ turns.swapaxes(-1, -2)


@dataclass(frozen=True)
class _Goal:
    """Where both feet are to be."""

    held: NDArray[np.bool_]
    """(2, 2): of the left and the right one, heel and ball."""
    anchors: Array
    """(2, 2, 3) m of those that are held."""

    def change(self, places: _Places) -> Array:
        """(2, 6): how the feet are to be moved and turned, so that what is held of them is at its anchors."""
        if not self.held.any():
            return _NO_CHANGE
        change, soles = np.zeros((2, 6)), places.soles
        whole = self.held.all(axis=1)
        if whole.any():
            turns = smallest_turns(soles[:, 1] - soles[:, 0], self.anchors[:, 1] - self.anchors[:, 0], FOOT_PITCH)
            change[whole, 3:] = turns[whole]
        off = (self.anchors - places.changed(change)) * self.held[..., None]
        change[:, :3] = off.sum(axis=1) / np.maximum(self.held.sum(axis=1), 1)[:, None]
        return change


class _Spring:
    """How both feet are changed: what their goal asks for, and what is left over from the goals before."""

    def __init__(self) -> None:
        self.change = _NO_CHANGE
        self._goal = _Goal(np.zeros((2, 2), bool), np.zeros((2, 2, 3)))
        self._places: _Places | None = None
        self._left_over, self._speed = _NO_CHANGE, _NO_CHANGE

    def step(self, seconds: float, goal: _Goal, places: _Places) -> None:
        if self._places is not None:
            if (goal.held != self._goal.held).any():
                self._switch(seconds, goal, self._places, places)
            self._fade(seconds)
        self._goal, self._places = goal, places
        self.change = goal.change(places) + self._left_over

    def _switch(self, seconds: float, goal: _Goal, before: _Places, now: _Places) -> None:
        """What lies between both goals is left over, and changes as fast as it did."""
        gap = self._goal.change(before) - goal.change(before)
        speed = (self._goal.change(now) - goal.change(now) - gap) / seconds
        self._left_over = self._left_over + gap
        self._speed = np.clip(self._speed + speed, -_FASTEST_FADE, _FASTEST_FADE)

    def _fade(self, seconds: float) -> None:
        """A critically damped spring."""
        decay, pull = float(np.exp(-seconds / _FADE)), self._speed + self._left_over / _FADE
        self._left_over = (self._left_over + pull * seconds) * decay
        self._speed = (self._speed - pull * seconds / _FADE) * decay


def _by_side(parts: NDArray[Any]) -> NDArray[Any]:
    """(4, ...) in the order of CONTACT_PARTS → (2, 2, ...): left and right, heel and ball."""
    return parts.reshape(2, 2, *parts.shape[1:]).swapaxes(0, 1)
