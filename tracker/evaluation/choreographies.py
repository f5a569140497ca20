"""What made-up people do: whom a clip is about, and who else comes into it."""

from __future__ import annotations

import math

import numpy as np

from tracker.core.arrays import Array
from tracker.synth.gait import FootPlan, GaitConfig
from tracker.synth.gesture import ARMS_UP, REACHING, SQUATTING, STANDING, WAVE_IN, WAVE_OUT, Key, Posture
from tracker.synth.motion import Choreography, Motion

STAGE = np.array([[-0.9, 0.9], [-1.0, 0.3]])
"""m: x and z between which people walk, in view of the camera."""
_GESTURES = (WAVE_OUT, WAVE_IN, SQUATTING, ARMS_UP, REACHING)
_CROSSING_Z, _CROSSING_X = 1.5, 2.2
_BRISK = GaitConfig(step_seconds=0.45, stride=0.62)
_STAY, _STAY_SHARE = 3.0, 0.3
"""s that a visitor stays, and the share of the clip that it takes at most."""
_STAY_MIDDLE = (0.38, 0.5)
"""The share of the clip in which the middle of the stay may lie: to turn round and leave takes longer than to come."""
_NEARER, _ASIDE = (0.30, 0.40), (0.20, 0.35)
"""m of a visitor from the person: towards the camera, and to the side that they come from."""
_TURNED = 1.2
"""rad from the camera towards the person: nearly in profile."""
_MARGIN = 0.6
"""m from the middle of a body outside the picture to its edge."""
_ARM_SECONDS = 0.7
"""s that an arm takes to be laid around somebody, and to be taken back."""
_AROUND = {
    "collar": (("y", -0.10), ("z", 0.15)),
    "shoulder": (("y", -0.35), ("z", -0.20)),
    "elbow": (("y", -1.10),),
}
"""An arm around the shoulders of somebody on that arm's side."""


def wander(seconds: float, rng: np.random.Generator) -> Choreography:
    """Walks somewhere on the STAGE, does a few things there, turns, walks on, for at least so many seconds."""
    feet = FootPlan(GaitConfig(), rng.uniform(STAGE[:, 0], STAGE[:, 1]), float(rng.uniform(-math.pi, math.pi)))
    keys = [Key(0.0, STANDING)]
    while feet.time < seconds + 1.0:
        gestures = rng.permutation(len(_GESTURES))[: rng.integers(2, 4)]
        time = feet.time
        for gesture in gestures:
            time += float(rng.uniform(0.5, 0.9))
            keys.append(Key(time, _GESTURES[gesture]))
        time += 0.7
        keys.append(Key(time, STANDING))
        feet.wait(time - feet.time)
        _walk_on(feet, rng)
        keys.append(Key(feet.time, STANDING))
    return Choreography(feet, keys, int(rng.integers(2**31)))


def _walk_on(feet: FootPlan, rng: np.random.Generator) -> None:
    """To the farthest of a few places, facing it first."""
    places = rng.uniform(STAGE[:, 0], STAGE[:, 1], (4, 2))
    place = places[np.linalg.norm(places - feet.place, axis=1).argmax()]
    heading = _heading(place - feet.place)
    heading += 2 * math.pi * round((feet.heading - heading) / (2 * math.pi))
    if abs(heading - feet.heading) > 0.3:
        feet.turn(heading, max(1, round(abs(heading - feet.heading) / 0.8)))
    feet.walk(place, heading + float(rng.uniform(-0.4, 0.4)))


def walk_through(seconds: float) -> Choreography:
    """From one side of the picture to the other, close to the camera, in the middle of the clip."""
    feet = FootPlan(GaitConfig(), np.array([-_CROSSING_X, _CROSSING_Z]), math.pi / 2)
    pace = GaitConfig().stride / GaitConfig().step_seconds
    feet.wait(max(0.0, seconds / 2 - _CROSSING_X / pace))
    feet.walk(np.array([_CROSSING_X, _CROSSING_Z]), math.pi / 2)
    end = max(feet.time, seconds) + 1.0
    return Choreography(feet, [Key(0.0, STANDING), Key(end, STANDING)], 1)


def visit(person: Motion, view: tuple[float, float], rng: np.random.Generator) -> Choreography:
    """Comes to a person from the nearer side of the picture, stays at them with an arm around them, leaves to there.

    The person is who the clip is about, in the scene's world frame; view: the camera's distance from the world's origin
    along z in m, and the tangent of half its horizontal angle of view. A clip that is too short for the whole way
    begins and ends in the middle of it.
    """
    begin, seconds, at = _quietest_stay(person)
    side = 1.0 if at[0] >= 0 else -1.0
    place = np.array([at[0] + side * rng.uniform(*_ASIDE), at[1] + rng.uniform(*_NEARER)])
    outside = _outside(place, side, view)
    feet = FootPlan(_BRISK, outside, _heading(place - outside), begin - _walking_seconds(outside - place))
    feet.walk(place, -side * _TURNED)
    reach = min(_ARM_SECONDS, seconds / 3)
    keys = [Key(feet.time, STANDING), Key(feet.time + reach, _with_arm(side))]
    feet.wait(seconds)
    keys += [Key(feet.time - reach, _with_arm(side)), Key(feet.time, STANDING)]
    feet.turn(_heading(outside - place), steps=2)
    feet.walk(outside, feet.heading)
    return Choreography(feet, keys, int(rng.integers(2**31)))


def _quietest_stay(person: Motion) -> tuple[float, float, Array]:
    """Of the moments near the clip's middle that at which the person moves least for a visitor's stay: the stay's
    beginning and length in s, and where (2,) the person is, x and z in m."""
    whole = float(person.times[-1])
    seconds = min(_STAY, _STAY_SHARE * whole)
    count = int(np.searchsorted(person.times, seconds))
    first, last = (int(np.searchsorted(person.times, share * whole - seconds / 2)) for share in _STAY_MIDDLE)
    path = person.pelvis[:, [0, 2]]
    spread = {i: np.ptp(path[i : i + count], axis=0).max() for i in range(first, last + 1)}
    start = min(spread, key=lambda i: spread[i])
    return float(person.times[start]), seconds, np.median(path[start : start + count], axis=0)


def _outside(place: Array, side: float, view: tuple[float, float]) -> Array:
    """(2,) m: the nearest place outside the picture on the side ±1; it is nearer to the camera, too."""
    distance, tangent = view
    outwards = np.array([side, tangent]) / math.hypot(1.0, tangent)
    edge = tangent * (distance - place[1]) - side * place[0]
    return place + (edge / math.hypot(1.0, tangent) + _MARGIN) * outwards


def _walking_seconds(way: Array) -> float:
    """About how long a visitor takes for a way (2,) m."""
    return (float(np.linalg.norm(way)) / _BRISK.stride + 1.5) * _BRISK.step_seconds


def _heading(way: Array) -> float:
    """rad: the direction of a way (2,) along x and z."""
    return math.atan2(way[0], way[1])


def _with_arm(side: float) -> Posture:
    """Beside somebody: whoever came from the picture's right, side 1, has them at their right."""
    return Posture(right=_AROUND) if side > 0 else Posture(left=_AROUND)
