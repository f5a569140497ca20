"""Planted feet stay where they are: the whole body is moved a little along the line of sight, and the legs do the rest.

Where a body and its feet are in the picture is known well, their distance is not. So over the whole clip places on the
floor are found where the picture shows the planted feet, and offsets of the body that bring its feet there, that hardly
move it in the picture, and that change smoothly. What remains of a foot's error is taken up by its leg, by inverse
kinematics with the knee in its own plane; it fades in and out beside the contact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array
from scipy.sparse.linalg import spsolve

from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.world.body_track import FOOT_PARTS, BodyTrack, ContactBody
from tracker.world.contacts import Contact, runs, straightness
from tracker.world.gravity import Plane
from tracker.world.leg_bend import FOOT_PITCH, LEG_JOINTS, Legs, Stretch, bent, on_tiptoe, smallest_turns

Rows = NDArray[np.signedinteger[Any]]

_ACROSS_SIGMA, _FOOT_ACROSS_SIGMA = 0.001, 0.004
"""m across the line of sight by which the picture's place of a body, and of a foot, is off, over half a second."""
_DEPTH_SIGMA, _FOLDED_DEPTH_SIGMA = 0.02, 0.3
"""Share of its distance by which that is off, for a body that stands, and what is added for one folded to nothing."""
_HIDDEN_POWER = 3
"""Of the mean confidence, by which a body that is partly hidden is held less to its place in the picture."""
_LEAST_SEEN = 0.3
"""Confidence as of which at least a body is held to its distance far from all contacts: what is hardly seen would run
away there."""
_LED_SECONDS = 1.0
"""s from a contact within which it leads a body that is hidden."""
_TOGETHER_SECONDS = 0.5
"""Within which such errors are one and the same."""
_HEIGHT_SIGMA = 0.005
"""m over the floor by which a place is off where a foot is planted."""
_SHAKE_SIGMA = 6.0
"""m/s² that the offset may bring in."""
_CONTACT_SIGMA = 0.03
"""m by which a planted foot is off because of its leg's pose."""
_CONTACT_OUTLIER = 2.0
"""Sigmas beyond which a frame of a contact is doubted."""
_FARTHEST_OFF, _SEEN = 0.12, 0.65
"""m from its place at which a foot that is seen, of this confidence or more, has left it: its leg is not bent so far.
Of one that is hidden the pose may be wrong by more, and the floor knows better."""
_EDGE_SECONDS = 0.1
"""s after touching down and before leaving in which a foot still rolls."""
_ROUNDS = 4
_FADE = 0.12
"""s beside a contact over which the leg's correction fades."""
_FARTHEST_ALONG = 0.3
"""m by which a place is moved along the line of sight to lie on the floor."""


def locked(track: BodyTrack, contacts: Sequence[Contact], floor: Plane, body: ContactBody) -> BodyTrack:
    """The person with their planted feet on the floor, each in one place for as long as it is planted."""
    feet = [contact for contact in contacts if contact.part < FOOT_PARTS]
    if not feet:
        return track
    offset, places = _offsets(track, feet, floor)
    moved = track.moved(offset)
    feet, places = _believed(moved, feet, places)
    corrections = [_corrections(moved, feet, places, side) for side in (0, 1)]
    theta = _bent_legs(moved, corrections, body)
    return body.track(track.times, theta, track.betas, moved.transl, track.confidence)


def _offsets(track: BodyTrack, feet: Sequence[Contact], floor: Plane) -> tuple[Array, Array]:
    """(T, 3) m for the body, and the places (n, 3) m on the floor of the contacts."""
    count = len(track.times)
    trust = [_edge_weights(track, contact) for contact in feet]
    outside = _far_from(feet, track.times)
    for _ in range(_ROUNDS):
        system = _System(3 * count + 3 * len(feet))
        _add_person(system, track, outside)
        for number, contact in enumerate(feet):
            rows = np.arange(contact.start, contact.end)
            weight = trust[number] * track.part_confidence[rows, contact.part]
            place, points = 3 * count + 3 * number, track.points[rows, contact.part]
            system.add_contact(rows, place, -points, weight / _CONTACT_SIGMA)
            system.add_sight(place, points, weight * _alone(track) / _FOOT_ACROSS_SIGMA)
            system.add_height(place, floor, float(trust[number].mean()) / _HEIGHT_SIGMA)
        offset, places = np.split(system.solve().reshape(-1, 3), [count])
        trust = [_trust(track, offset, *pair) for pair in zip(feet, places, strict=True)]
    return offset, _on_floor(places, floor)


def _far_from(feet: Sequence[Contact], times: Array) -> NDArray[np.bool_]:
    """(T,) whether each frame is before or after all contacts, or no foot is planted within a while of it."""
    rows, starts, ends = np.arange(len(times)), [each.start for each in feet], [each.end for each in feet]
    gaps = [np.maximum(times[start] - times, times - times[end - 1]) for start, end in zip(starts, ends, strict=True)]
    return (rows < min(starts)) | (rows >= max(ends)) | (np.min(gaps, axis=0) > _LED_SECONDS)


def _believed(track: BodyTrack, feet: Sequence[Contact], places: Array) -> tuple[list[Contact], Array]:
    """The contacts without the frames in which the foot is seen elsewhere than in its place, with their places."""
    kept = []
    for contact, place in zip(feet, places, strict=True):
        rows = slice(contact.start, contact.end)
        near = np.linalg.norm(track.points[rows, contact.part] - place, axis=1) < _FARTHEST_OFF
        hidden = track.part_confidence[rows, contact.part] < _SEEN
        for start, end in runs(near | hidden, track.times[rows], track.longest_step):
            kept.append((Contact(contact.part, contact.start + start, contact.start + end), place))
    return [contact for contact, _ in kept], np.array([place for _, place in kept]).reshape(-1, 3)


def _on_floor(places: Array, floor: Plane) -> Array:
    """(n, 3) m: where the floor is seen in the direction of places close to it; below or above them, where that is far
    away."""
    along = -floor.height / np.minimum(places @ floor.up, -1e-6)
    on_floor = places * along[:, None]
    near = np.linalg.norm(on_floor - places, axis=1, keepdims=True) < _FARTHEST_ALONG
    return np.where(near, on_floor, places - floor.heights(places)[:, None] * floor.up)


def _alone(track: BodyTrack) -> float:
    """Share of one frame in an error that many frames have in common."""
    steps = np.diff(track.times)
    typical = float(np.median(steps)) if len(steps) else _TOGETHER_SECONDS
    return float(np.sqrt(np.clip(typical / _TOGETHER_SECONDS, 1e-3, 1.0)))


def _trust(track: BodyTrack, offset: Array, contact: Contact, place: Array) -> Array:
    """(n,) 0..1: how far each frame of a contact is believed, which may have begun too early or end too late."""
    rows = slice(contact.start, contact.end)
    error = np.linalg.norm(track.points[rows, contact.part] + offset[rows] - place, axis=1)
    return _edge_weights(track, contact) / (1 + (error / (_CONTACT_OUTLIER * _CONTACT_SIGMA)) ** 2)


def _edge_weights(track: BodyTrack, contact: Contact) -> Array:
    """(n,) 0..1: a foot that has just touched down, or is about to leave, still rolls."""
    times = track.times[contact.start : contact.end]
    inside = np.minimum(times - times[0], times[-1] - times)
    return np.clip(inside / _EDGE_SECONDS, 0.2, 1.0)


def _add_person(system: _System, track: BodyTrack, outside: NDArray[np.bool_]) -> None:
    """That the body stays where the picture shows it, and moves as it did. outside: (T,) far from
    all contacts."""
    pelvis = track.joints[:, 0]
    distance = np.linalg.norm(pelvis, axis=1)
    rays = pelvis / distance[:, None]
    along = rays[:, :, None] * rays[:, None, :]
    steps = np.diff(track.times)
    share = _DEPTH_SIGMA + _FOLDED_DEPTH_SIGMA * (1 - straightness(track))
    confidence = np.clip(track.confidence.mean(axis=1), 0.05, 1.0)
    held = np.where(outside, np.maximum(confidence, _LEAST_SEEN), confidence**_HIDDEN_POWER)
    across = (np.eye(3) - along) / _ACROSS_SIGMA * (confidence**_HIDDEN_POWER)[:, None, None]
    blocks = _alone(track) * (across + along * (held / (share * distance))[:, None, None])
    system.add_blocks(np.arange(len(track.times)), blocks)
    tied = (steps > 0) & (steps <= track.longest_step)
    middle = np.flatnonzero(tied[:-1] & tied[1:]) + 1
    before, after = steps[middle - 1], steps[middle]
    scale = 2 / (before + after) / _SHAKE_SIGMA
    system.add_curvature(middle, scale / before, scale / after)


class _System:
    """A sparse linear least-squares problem as it grows."""

    def __init__(self, unknowns: int) -> None:
        self._unknowns, self._equations = unknowns, 0
        self._rows: list[Rows] = []
        self._columns: list[Rows] = []
        self._values: list[Array] = []
        self._right: list[Array] = []

    def add_blocks(self, frames: Rows, blocks: Array) -> None:
        """blocks @ offset of the frame = 0; blocks: (n, 3, 3)."""
        rows = self._new(3 * len(frames)).reshape(-1, 3, 1)
        columns = (3 * frames[:, None] + np.arange(3))[:, None, :]
        self._add(rows, columns, blocks)

    def add_curvature(self, frames: Rows, before: Array, after: Array) -> None:
        """before · (x[t−1] − x[t]) + after · (x[t+1] − x[t]) = 0."""
        rows = self._new(3 * len(frames)).reshape(-1, 3)
        for step, value in ((-1, before), (0, -before - after), (1, after)):
            self._add(rows, 3 * (frames[:, None] + step) + np.arange(3), np.repeat(value[:, None], 3, axis=1))

    def add_contact(self, frames: Rows, place: int, right: Array, weight: Array) -> None:
        """weight · (offset of the frame − the contact's place) = weight · right (n, 3); place: its first unknown."""
        rows = self._new(3 * len(frames), weight[:, None] * right).reshape(-1, 3)
        weights = np.repeat(weight[:, None], 3, axis=1)
        self._add(rows, 3 * frames[:, None] + np.arange(3), weights)
        self._add(rows, place + np.arange(3), -weights)

    def add_sight(self, place: int, points: Array, weight: Array) -> None:
        """weight · (how far the place lies beside the line of sight to points (n, 3) m) = 0."""
        rays = points / np.linalg.norm(points, axis=1, keepdims=True)
        blocks = weight[:, None, None] * (np.eye(3) - rays[:, :, None] * rays[:, None, :])
        rows = self._new(3 * len(points)).reshape(-1, 3, 1)
        self._add(rows, place + np.arange(3)[None, None, :], blocks)

    def add_height(self, place: int, floor: Plane, weight: float) -> None:
        """weight · the place's height over the floor = 0."""
        rows = self._new(1, np.array([-weight * floor.height]))
        self._add(rows, place + np.arange(3), weight * floor.up)

    def solve(self) -> Array:
        """(unknowns,)"""
        entries = (np.concatenate(self._values), (np.concatenate(self._rows), np.concatenate(self._columns)))
        matrix = csc_array(coo_array(entries, shape=(self._equations, self._unknowns)))
        normal = matrix.T @ matrix + 1e-6 * csc_array(_identity(self._unknowns))
        return spsolve(csc_array(normal), matrix.T @ np.concatenate(self._right))

    def _new(self, count: int, right: Array | None = None) -> Rows:
        rows = np.arange(self._equations, self._equations + count)
        self._equations += count
        self._right.append(np.zeros(count) if right is None else right.reshape(-1))
        return rows

    def _add(self, rows: Rows, columns: Rows, values: Array) -> None:
        shape = np.broadcast_shapes(rows.shape, columns.shape, values.shape)
        self._rows.append(np.broadcast_to(rows, shape).reshape(-1))
        self._columns.append(np.broadcast_to(columns, shape).reshape(-1))
        self._values.append(np.broadcast_to(values, shape).reshape(-1))


def _identity(size: int) -> coo_array:
    every = np.arange(size)
    return coo_array((np.ones(size), (every, every)), shape=(size, size))


@dataclass(frozen=True)
class _FootCorrection:
    """What one foot is to be changed by, in the camera's frame."""

    heel: Array
    """(T, 3) m."""
    toe: Array
    """(T, 3) m."""
    heel_weight: Array
    """(T,) 0..1: how far the heel is planted."""
    toe_weight: Array
    """(T,)"""


def _corrections(track: BodyTrack, feet: Sequence[Contact], places: Array, side: int) -> _FootCorrection:
    values = {}
    for part in (side, side + 2):
        offset, weight = np.zeros((len(track.times), 3)), np.zeros(len(track.times))
        for contact, place in zip(feet, places, strict=True):
            if contact.part == part:
                _fade_in(track, contact, place, offset, weight)
        values[part] = offset / np.maximum(weight, 1.0)[:, None], np.minimum(weight, 1.0)
    (heel, heel_weight), (toe, toe_weight) = values[side], values[side + 2]
    return _FootCorrection(heel, toe, heel_weight, toe_weight)


def _fade_in(track: BodyTrack, contact: Contact, place: Array, offset: Array, weight: Array) -> None:
    """Adds a contact's correction: whole while it lasts, what its ends need beside it, fading."""
    rows = np.arange(contact.start, contact.end)
    inside = place - track.points[rows, contact.part]
    offset[rows] += inside
    weight[rows] += 1.0
    for edge, error, step in ((contact.start, inside[0], -1), (contact.end - 1, inside[-1], 1)):
        row = edge + step
        while 0 <= row < len(track.times) and abs(track.times[row] - track.times[edge]) < _FADE:
            share = 1 - abs(track.times[row] - track.times[edge]) / _FADE
            share = share * share * (3 - 2 * share)
            offset[row] += share * error
            weight[row] += share
            row += step


def _bent_legs(track: BodyTrack, corrections: Sequence[_FootCorrection], body: ContactBody) -> Array:
    """(T, 24, 3) rad: the pose with the legs bent so that the feet are where the corrections want them."""
    local = matrix_from_axis_angle(track.theta)
    world = _world_rotations(local, body.parents)
    for side, correction in enumerate(corrections):
        rows = np.flatnonzero((correction.heel_weight > 0) | (correction.toe_weight > 0))
        hip, knee, ankle = (track.joints[rows, joint + side] for joint in LEG_JOINTS)
        turn, target = _foot_target(track, correction, side, rows)
        leg = Stretch(hip, np.linalg.norm(knee - hip, axis=1) + np.linalg.norm(ankle - knee, axis=1))
        toe = target + (turn @ (track.points[rows, side + 2] - ankle)[..., None])[..., 0]
        turn, target = on_tiptoe(leg, toe, target, turn, correction.toe_weight[rows])
        chain = [0, *(joint + side for joint in LEG_JOINTS)]
        legs = Legs(hip, knee, ankle, world[rows[:, None], chain])
        local[rows[:, None], chain[1:]] = bent(legs, target, turn)
    theta = track.theta.copy()
    changed = [joint + side for side in (0, 1) for joint in LEG_JOINTS]
    theta[:, changed] = axis_angle_from_matrix(local[:, changed])
    return theta


def _foot_target(track: BodyTrack, correction: _FootCorrection, side: int, rows: Rows) -> tuple[Array, Array]:
    """How the foot is turned (n, 3, 3) and where its ankle (n, 3) goes: heel and toe where they are wanted when both
    are planted, else the planted one there and the foot's direction kept."""
    heel, toe = track.points[rows, side], track.points[rows, side + 2]
    heel_weight, toe_weight = correction.heel_weight[rows, None], correction.toe_weight[rows, None]
    both = np.minimum(heel_weight, toe_weight)
    sole = toe - heel
    wanted = sole + both * (correction.toe[rows] - correction.heel[rows])
    turn = matrix_from_axis_angle(smallest_turns(sole, wanted, FOOT_PITCH))
    anchor_weight = np.concatenate([heel_weight, toe_weight], axis=1) + 1e-9
    anchor_weight /= anchor_weight.sum(axis=1, keepdims=True)
    ankle = track.joints[rows, 7 + side]
    moved = [
        place + offset[rows] + (turn @ (ankle - place)[..., None])[..., 0]
        for place, offset in ((heel, correction.heel), (toe, correction.toe))
    ]
    return turn, anchor_weight[:, :1] * moved[0] + anchor_weight[:, 1:] * moved[1]


def _world_rotations(local: Array, parents: Sequence[int]) -> Array:
    """(T, 24, 3, 3)"""
    world = local.copy()
    for joint in range(1, NUM_JOINTS):
        world[:, joint] = world[:, parents[joint]] @ local[:, joint]
    return world
