"""A person's motion: planned feet, a pelvis that they carry, legs by inverse kinematics, gestures on top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import minimum_filter1d
from scipy.special import expit

from tracker.body.model import JOINT_NAMES
from tracker.core.arrays import Array
from tracker.core.geometry import axis_angle_from_matrix
from tracker.synth.gait import FootPlan
from tracker.synth.gesture import Key, rounded, upper_body
from tracker.synth.legs import SIDES, FootTrack, LegGeometry, about, solve_leg

_STRETCH = 0.996
"""Of the leg's full length: knees are never quite straight."""
_TOE_LIMIT = 0.48
"""rad that the toes bend."""


@dataclass(frozen=True)
class Motion:
    """SMPL's pose over T moments. World frame: y up, the floor at 0, z towards the camera; metres, radians."""

    times: Array
    """(T,) s."""
    theta: Array
    """(T, 24, 3) axis-angle; joint 0 from the body's frame to the world's."""
    pelvis: Array
    """(T, 3) the pelvis joint."""


@dataclass(frozen=True)
class Choreography:
    """What a person does."""

    feet: FootPlan
    keys: Sequence[Key]
    seed: int
    """Of the small motions that nobody makes on purpose."""


def perform(choreography: Choreography, legs: tuple[LegGeometry, LegGeometry], times: Array) -> Motion:
    """The motion at evenly spaced times (T,) s. legs: left, right."""
    tracks = tuple(choreography.feet.track(foot, times) for foot in (0, 1))
    local, stance = upper_body(choreography.keys, times)
    ahead, airborne = (rounded(each, times, 0.06) for each in choreography.feet.activity(times))
    idle = _idle_sway(times, choreography.seed)
    heading = rounded((tracks[0].yaw + tracks[1].yaw) / 2, times, 0.12)
    pelvis_turn = -0.13 * ahead
    R_world_pelvis = (
        about("y", heading + pelvis_turn)
        @ about("x", stance[:, 1] + 0.03 * np.abs(ahead) + 0.3 * idle[:, 0])
        @ about("z", 0.05 * airborne)
    )
    pelvis = _pelvis_path(tracks, legs, R_world_pelvis, stance, times)
    pelvis[:, [0, 2]] += idle[:, 1:]
    local = _with_swing(local, ahead, pelvis_turn, idle)
    for side, leg, track in zip(SIDES, legs, tracks, strict=True):
        angles = solve_leg(leg, pelvis, R_world_pelvis, track)
        for name in ("hip", "knee", "ankle"):
            local[:, JOINT_NAMES.index(f"{side}_{name}")] = getattr(angles, name)
        local[:, JOINT_NAMES.index(f"{side}_foot")] = about("x", -np.clip(track.pitch, 0.0, _TOE_LIMIT))
    local[:, 0] = R_world_pelvis
    return Motion(times, axis_angle_from_matrix(local), pelvis)


def _pelvis_path(
    tracks: tuple[FootTrack, ...], legs: tuple[LegGeometry, ...], R_world_pelvis: Array, stance: Array, times: Array
) -> Array:
    """(T, 3): between the feet, over the one that carries, as high as the shorter reach allows."""
    middle = rounded((tracks[0].ground + tracks[1].ground) / 2, times, 0.16)
    share = rounded(expit((tracks[1].ground[:, 1:2] - tracks[0].ground[:, 1:2]) / 0.02), times, 0.08)
    carried = rounded(tracks[1].ground + share * (tracks[0].ground - tracks[1].ground), times, 0.10)
    pelvis = middle + 0.22 * (carried - middle)
    backwards = (R_world_pelvis @ np.array([0.0, 0.0, -1.0])) * np.array([1.0, 0.0, 1.0])
    pelvis = pelvis + backwards * stance[:, 2:3]
    upright = legs[0].ankle[1] + legs[0].reach * _STRETCH - legs[0].hip[1] - 0.006
    height = upright - stance[:, 0]
    for track, leg in zip(tracks, legs, strict=True):
        height = np.minimum(height, _reachable(track, leg, pelvis, R_world_pelvis))
    # lowest over a while, then smooth over the same while: never higher than the legs reach
    window = 2 * round(0.10 / float(times[1] - times[0])) + 1 if len(times) > 1 else 1
    pelvis[:, 1] = rounded(minimum_filter1d(height, window, mode="nearest"), times, 0.034)
    return pelvis


def _reachable(track: FootTrack, leg: LegGeometry, pelvis: Array, R_world_pelvis: Array) -> Array:
    """(T,) the highest place of the pelvis from which the leg gets to its ankle."""
    hip = R_world_pelvis @ leg.hip
    ankle = track.ankle(leg)
    flat = np.hypot(ankle[:, 0] - pelvis[:, 0] - hip[:, 0], ankle[:, 2] - pelvis[:, 2] - hip[:, 2])
    return ankle[:, 1] + np.sqrt(np.maximum((leg.reach * _STRETCH) ** 2 - flat**2, 0.05)) - hip[:, 1]


def _with_swing(local: Array, ahead: Array, pelvis_turn: Array, idle: Array) -> Array:
    """Arms swing against the legs, the trunk turns back what the pelvis turns, and nothing is ever quite still."""
    local = local.copy()

    def turn(name: str, rotation: Array) -> None:
        local[:, JOINT_NAMES.index(name)] = rotation @ local[:, JOINT_NAMES.index(name)]

    for side, sign in (("left", -1.0), ("right", 1.0)):
        forwards = np.clip(sign * ahead, 0.0, None)
        turn(f"{side}_shoulder", about("x", -0.42 * sign * ahead + 0.08 * np.abs(ahead)))
        elbow = JOINT_NAMES.index(f"{side}_elbow")
        local[:, elbow] = local[:, elbow] @ about("y", sign * 0.30 * forwards)
    for name, share in (("spine1", 0.5), ("spine2", 0.6), ("spine3", 0.6)):
        turn(name, about("y", -share * pelvis_turn))
    turn("neck", about("y", 0.7 * pelvis_turn) @ about("x", -0.5 * idle[:, 0]))
    turn("spine3", about("x", 0.25 * idle[:, 0]))
    return local


def _idle_sway(times: Array, seed: int) -> Array:
    """(T, 3): breathing in rad, and sway in x and z in metres; small sums of slow waves."""
    rng = np.random.default_rng(seed)
    total = np.zeros((len(times), 3))
    for size, low, high in ((0.6, 0.15, 0.3), (0.4, 0.35, 0.6)):
        frequency, phase = rng.uniform(low, high, 3), rng.uniform(0, 2 * np.pi, 3)
        total += size * np.sin(2 * np.pi * frequency * times[:, None] + phase)
    return total * np.array([0.03, 0.006, 0.006])
