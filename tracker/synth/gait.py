"""Where the feet are: footprints planned along paths, and feet that fly from one to the next."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from tracker.core.arrays import Array
from tracker.synth.legs import FootTrack
from tracker.synth.texture import smoothstep

_FLIGHT = 0.72
"""Share of a step's time that the foot is off the floor, its roll over the toes before and the heel after included."""


@dataclass(frozen=True)
class GaitConfig:
    """How somebody walks."""

    step_seconds: float = 0.50
    turn_seconds: float = 0.44
    """For a step on the spot."""
    stride: float = 0.54
    """m from one footprint to the next of the other foot."""
    half_width: float = 0.085
    """m from the middle line to a footprint."""
    lift: float = 0.055
    """m that the foot is lifted."""
    toe_out: float = 0.12
    """rad."""
    push_off: float = 0.48
    """rad by which the heel rises before the foot leaves."""
    heel_strike: float = 0.28
    """rad by which the toes are up when the heel lands."""


@dataclass(frozen=True)
class Step:
    """One foot's flight to a footprint."""

    foot: int
    """0 left, 1 right."""
    start: float
    """s."""
    seconds: float
    target: Array
    """(2,) m: x and z."""
    yaw: float
    """rad."""
    stride: float
    """0 on the spot, 1 in full walk: how far the foot rolls."""


@dataclass
class FootPlan:
    """Footprints in the order of time; the plan grows with what the person is to do next."""

    config: GaitConfig
    place: Array
    """(2,) m: x and z of the middle between the feet."""
    heading: float
    """rad: where the person faces; 0 is towards the camera, positive to the person's left."""
    time: float = 0.0
    steps: list[Step] = field(default_factory=list)
    next_foot: int = 0

    def __post_init__(self) -> None:
        self.initial = [self._print(foot, self.place, self.heading) for foot in (0, 1)]

    def wait(self, seconds: float) -> None:
        """Stands still."""
        self.time += seconds

    def turn(self, heading: float, steps: int) -> None:
        """Turns on the spot in so many steps, and a last one that brings the feet together."""
        start = self.heading
        for i in range(1, steps + 2):
            self.heading = start + (heading - start) * min(i / steps, 1.0)
            self._add(self.place, self.heading, self.config.turn_seconds, stride=0.0)

    def walk(self, place: Array, heading: float) -> None:
        """Walks along a curve to a place (2,) m, and arrives facing that way."""
        start, direction = self.place, _facing(self.heading)
        distance = float(np.linalg.norm(place - start))
        # the first step is half a stride long, the last one brings the feet together
        count = max(2, round(distance / self.config.stride + 0.5))
        for i in range(count):
            share = (i + 0.5) / (count - 0.5)
            at, tangent = _hermite(start, distance * direction, place, distance * _facing(heading), share)
            self.place, self.heading = at, _nearest_turn(math.atan2(tangent[0], tangent[1]), self.heading)
            self._add(at, self.heading, self.config.step_seconds, stride=1.0)
        self._add(place, self.heading, self.config.step_seconds, stride=0.35)

    def _add(self, place: Array, heading: float, seconds: float, stride: float) -> None:
        target, yaw = self._print(self.next_foot, place, heading)
        self.steps.append(Step(self.next_foot, self.time, seconds, target, yaw, stride))
        self.next_foot = 1 - self.next_foot
        self.time += seconds

    def _print(self, foot: int, place: Array, heading: float) -> tuple[Array, float]:
        sign = 1.0 if foot == 0 else -1.0
        to_left = _facing(heading + math.pi / 2)
        return place + sign * self.config.half_width * to_left, heading + sign * self.config.toe_out

    def track(self, foot: int, times: Array) -> FootTrack:
        """The foot's motion at the times (T,) s."""
        place, yaw = self.initial[foot]
        ground = np.tile([place[0], 0.0, place[1]], (len(times), 1))
        yaws, pitch = np.full(len(times), yaw), np.zeros(len(times))
        for step in (each for each in self.steps if each.foot == foot):
            # the foot begins to roll before the step proper and settles after it
            phase = (times - step.start) / step.seconds
            moved = _minimum_jerk((phase - (1 - _FLIGHT) / 2) / _FLIGHT)
            ground[:, [0, 2]] += moved[:, None] * (step.target - place)
            yaws += moved * (step.yaw - yaw)
            ground[:, 1] += self.config.lift * (0.6 + 0.4 * step.stride) * _bump(phase, 0.12, 0.95)
            pitch += step.stride * self.config.push_off * _bump(phase, -0.42, 0.55)
            pitch -= step.stride * self.config.heel_strike * _bump(phase, 0.45, 1.30)
            place, yaw = step.target, step.yaw
        return FootTrack(ground, yaws, pitch)

    def activity(self, times: Array) -> tuple[Array, Array]:
        """(T,) which foot is ahead, −1 right … 1 left, while walking; and (T,) which foot is in the air, likewise."""
        ahead, airborne = np.zeros(len(times)), np.zeros(len(times))
        for step in self.steps:
            sign = 1.0 if step.foot == 0 else -1.0
            phase = (times - step.start) / step.seconds
            airborne += sign * _bump(phase, -0.1, 1.1)
            ahead += sign * step.stride * _bump(phase, 0.0, 2.0)
        return ahead, airborne


def _facing(heading: float) -> Array:
    """(2,) x and z of the direction."""
    return np.array([math.sin(heading), math.cos(heading)])


def _nearest_turn(angle: float, near: float) -> float:
    """The same direction, by whole turns as close as possible to another angle: feet must not spin."""
    return angle + 2 * math.pi * round((near - angle) / (2 * math.pi))


def _hermite(p: Array, dp: Array, q: Array, dq: Array, t: float) -> tuple[Array, Array]:
    """Place and tangent on the cubic from p to q with these derivatives."""
    place = (2 * t**3 - 3 * t**2 + 1) * p + (t**3 - 2 * t**2 + t) * dp
    place = place + (3 * t**2 - 2 * t**3) * q + (t**3 - t**2) * dq
    tangent = 6 * (t**2 - t) * (p - q) + (3 * t**2 - 4 * t + 1) * dp + (3 * t**2 - 2 * t) * dq
    return place, tangent


def _minimum_jerk(t: Array) -> Array:
    """From 0 to 1 as people move their limbs."""
    t = np.clip(t, 0.0, 1.0)
    return t**3 * (10 - 15 * t + 6 * t**2)


def _bump(phase: Array, low: float, high: float) -> Array:
    """0 outside, 1 in the middle, smooth."""
    middle = (low + high) / 2
    return smoothstep(low, middle, phase) * smoothstep(high, middle, phase)
