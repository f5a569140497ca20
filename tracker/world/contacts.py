"""When which part of a body touches the floor: slow and low, with hysteresis, as far as the picture supports it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import Array
from tracker.world.body_track import PART_RADII, BodyTrack
from tracker.world.contact_parts import CONTACT_PARTS, FOOT_PARTS, PART_JOINTS
from tracker.world.gravity import Plane, Stand

_NECK = smpl_index("neck")
_SLOW, _FAST = 0.22, 0.35
"""m/s: a contact begins below the first and ends above the second."""
_LOW, _HIGH = 0.045, 0.08
"""m over the floor: the same."""
_DEPTH_SHARE = 0.1
"""Of the speed along the line of sight that counts at least: distances are noisy."""
_STEP_SHARE = 0.2
"""Of the speed of somebody who walks towards the camera, what has to count for their feet to be told from planted ones:
a camera that looks down on the floor sees more of it across its line of sight than one that lies there."""
_RISEN = 0.025
"""m over its usual height in a contact, from which a part has left the floor at the contact's ends."""
_SPEED_SECONDS = 0.07
"""Between the two moments from which a speed is told, on either side."""
_CONFIDENT, _HIDDEN = 0.35, 0.15
"""A contact begins above the first confidence and ends below the second."""
_SHORTEST = 0.1
"""s that a contact lasts at least."""
_BRIDGE = 0.09
"""s that a contact may be interrupted."""
_DRIFT = 0.07
"""m across the line of sight: a part that has moved so far from where it touched down has taken another place."""
_HIDDEN_SECONDS = 2.0
"""s for which a foot may be hidden and be taken to have stayed where it is seen to stand before and after."""
_UNSEEN = 0.65
"""Mean confidence, and least _CONFIDENT, below which a foot was hidden between two contacts."""
_USUAL_STAND = 0.5
"""s: a foot that stands for longer is believed more, up to four times."""
_UPRIGHT = 0.6
"""Quantile of a contact's frames over which the body is straight enough to tell a distance from."""
_BIAS_SECONDS = 3.0
"""Window in which the lower foot's typical height over the floor is taken for an error of the distance."""


@dataclass(frozen=True)
class Contact:
    """One part of one body on the floor, in one place."""

    part: int
    """Among CONTACT_PARTS."""
    start: int
    end: int
    """Rows of the track, from `start` to before `end`."""


def contacts_of(track: BodyTrack, floor: Plane) -> list[Contact]:
    """All contacts of one person, part by part in the order of time."""
    if not len(track.times):
        return []
    speeds = point_speeds(track, floor.up)
    heights = floor.heights(track.points) - PART_RADII
    heights = heights - _height_bias(track, heights)[:, None]
    confidence = track.part_confidence
    found_contacts = []
    ready, ended = contact_edges(speeds, heights, confidence)
    for part in range(len(CONTACT_PARTS)):
        touching = _bridged(_hysteresis(ready[:, part], ended[:, part]), track)
        for start, end in runs(touching, track.times, track.longest_step):
            if track.times[end - 1] - track.times[start] >= _SHORTEST:
                found_contacts += [Contact(part, *each) for each in _places(track.points[start:end, part], start)]
    return _through_hiding(found_contacts, track)


def settled_contacts(track: BodyTrack, floor: Plane) -> list[Contact]:
    """As `contacts_of`, of somebody whose feet have been held: without the first and last frames of each in which the
    part hovers over where it mostly is, as heels do that rise slowly."""
    heights = floor.heights(track.points)
    return [_on_the_floor(contact, heights[:, contact.part]) for contact in contacts_of(track, floor)]


def contact_edges(
    speeds: Array, heights: Array, confidence: Array, fast: float = _FAST
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where a contact may begin, and where one ends, by m/s, m over the floor, and 0..1; fast: m/s that end one."""
    ready = (speeds < _SLOW) & (heights < _LOW) & (confidence > _CONFIDENT)
    return ready, (speeds > fast) | (heights > _HIGH) | (confidence < _HIDDEN)


def contact_mask(contacts: list[Contact], count: int) -> NDArray[np.bool_]:
    """(count, 9): True where a part touches the floor."""
    mask = np.zeros((count, len(CONTACT_PARTS)), bool)
    for contact in contacts:
        mask[contact.start : contact.end, contact.part] = True
    return mask


def stands_of(track: BodyTrack, contacts: list[Contact]) -> list[Stand]:
    """Where the feet stood, and how far each place is to be believed: legs in view, and not folded, which shortens
    what the distance is told from. Heels and toes of a stance share its error: together they count as one place."""
    straight = straightness(track)
    stands = []
    for contact in contacts:
        if contact.part < FOOT_PARTS:
            rows = np.arange(contact.start, contact.end)
            upright = rows[straight[rows] >= np.quantile(straight[rows], _UPRIGHT)]
            seen_share = float(track.part_confidence[upright, contact.part].mean())
            place = np.median(track.points[upright, contact.part], axis=0)
            seconds = float(track.times[contact.end - 1] - track.times[contact.start])
            length = np.clip(seconds / _USUAL_STAND, 0.25, 4.0)
            share = length * seen_share / FOOT_PARTS
            stands.append(Stand(place, float(share * straight[upright].mean() ** 4)))
    return stands


def slow_stands(track: BodyTrack) -> list[Stand]:
    """As `stands_of` before any floor is known: feet that are slow, the lower of the two."""
    lowest = track.points[:, :FOOT_PARTS] @ np.array([0.0, -1.0, 0.0])
    guess = Plane(np.array([0.0, -1.0, 0.0]), 0.0)
    level = BodyTrack(
        track.times, track.theta, track.betas, track.transl, track.joints,
        track.points - np.array([0.0, -1.0, 0.0]) * lowest.min(axis=1)[:, None, None], track.confidence,
    )  # fmt: skip
    chosen = contacts_of(level, guess)
    return stands_of(track, chosen)


def point_speeds(track: BodyTrack, up: Array) -> Array:
    """(T, 9) m/s, of which what is along the line of sight counts less; up: (3,) the floor's."""
    times, points = track.times, track.points
    count = len(times)
    if count < 2:
        return np.zeros(points.shape[:2])
    before = np.clip(np.searchsorted(times, times - _SPEED_SECONDS, side="left"), 0, count - 1)
    after = np.clip(np.searchsorted(times, times + _SPEED_SECONDS, side="right") - 1, 0, count - 1)
    alone = before == after
    before = np.where(alone, np.maximum(before - 1, 0), before)
    after = np.where(alone & (before == after), np.minimum(after + 1, count - 1), after)
    moved = distances(points[before], points[after], points, depth_shares(points, up))
    return moved / np.maximum(times[after] - times[before], 1e-6)[:, None]


def depth_shares(points: Array, up: Array) -> Array:
    """(..., 3) m → (...) 0..1 of a speed along the line of sight to each that count, over a floor with this normal."""
    rise = np.minimum(np.abs(points @ up) / np.linalg.norm(points, axis=-1), 0.99)
    missing = np.sqrt(np.maximum(_STEP_SHARE**2 - rise**2, 0.0) / (1 - rise**2))
    return np.maximum(missing, _DEPTH_SHARE)


def distances(before: Array, after: Array, sight: Array, depth_share: Array | float) -> Array:
    """(..., 3) m → (...) m from one to the other, of which a share (...) counts along the line of sight to a third."""
    step = after - before
    rays = sight / np.linalg.norm(sight, axis=-1, keepdims=True)
    along = (step * rays).sum(axis=-1, keepdims=True) * rays
    return np.linalg.norm(step - along + np.asarray(depth_share)[..., None] * along, axis=-1)


def runs(mask: NDArray[np.bool_], times: Array, longest_step: float) -> list[tuple[int, int]]:
    """Rows (start, before end) of the stretches of True, which end at gaps in time."""
    edges = np.flatnonzero(mask[1:] != mask[:-1]) + 1
    gaps = np.flatnonzero(np.diff(times) > longest_step) + 1
    cuts = np.unique(np.concatenate([[0], edges, gaps, [len(mask)]]))
    return [(int(a), int(b)) for a, b in pairwise(cuts) if b > a and mask[a]]


def _height_bias(track: BodyTrack, heights: Array) -> Array:
    """(T,) m: the lower foot's median height over a few seconds, as far as an error of the distance explains it."""
    lowest = heights[:, :FOOT_PARTS].min(axis=1)
    step = float(np.median(np.diff(track.times))) if len(track.times) > 1 else 1.0
    window = max(1, min(len(lowest), round(_BIAS_SECONDS / max(step, 1e-3)))) | 1
    return np.clip(median_filter(lowest, window, mode="nearest"), -0.25, 0.25)


def _hysteresis(ready: NDArray[np.bool_], ended: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """True from where it is ready until it has ended; a start reaches back to where it had not ended either."""
    held = np.zeros(len(ready), bool)
    starts = np.flatnonzero(~ended & np.concatenate([[True], ended[:-1]]))
    for start in starts:
        rest = np.flatnonzero(ended[start:])
        end = start + (int(rest[0]) if len(rest) else len(ended) - start)
        held[start:end] = ready[start:end].any()
    return held


def _bridged(touching: NDArray[np.bool_], track: BodyTrack) -> NDArray[np.bool_]:
    """With interruptions that are too short for a step taken for none."""
    done = touching.copy()
    for start, end in runs(~touching, track.times, track.longest_step):
        inside = start > 0 and end < len(done)
        if inside and track.times[end] - track.times[start - 1] <= _BRIDGE:
            done[start:end] = True
    return done


def _through_hiding(contacts: list[Contact], track: BodyTrack) -> list[Contact]:
    """A part that is hidden between two contacts in one place has stayed there."""
    joined: list[Contact] = []
    for contact in contacts:
        before = joined[-1] if joined and joined[-1].part == contact.part else None
        if before is not None and _hidden_between(before, contact, track):
            joined[-1] = Contact(contact.part, before.start, contact.end)
        else:
            joined.append(contact)
    return joined


def _hidden_between(before: Contact, after: Contact, track: BodyTrack) -> bool:
    confidence = track.part_confidence[before.end : after.start, after.part]
    if not len(confidence) or track.times[after.start] - track.times[before.end - 1] > _HIDDEN_SECONDS:
        return False
    first, second = (np.median(track.points[each.start : each.end, each.part], axis=0) for each in (before, after))
    ray = second / np.linalg.norm(second)
    apart = np.linalg.norm((second - first) - ((second - first) @ ray) * ray)
    return bool(confidence.mean() < _UNSEEN and confidence.min() < _CONFIDENT and apart < _DRIFT)


def _places(points: Array, first: int) -> list[tuple[int, int]]:
    """A long contact (n, 3) m as contacts in one place each: (start, before end), counted from row `first`."""
    rays = points / np.linalg.norm(points, axis=-1, keepdims=True)
    parts, start, total = [], 0, points[0].copy()
    for row in range(1, len(points)):
        offset = points[row] - total / (row - start)
        offset -= (offset @ rays[row]) * rays[row]
        if np.linalg.norm(offset) > _DRIFT:
            parts.append((first + start, first + row))
            start, total = row, np.zeros(3)
        total += points[row]
    return [*parts, (first + start, first + len(points))]


def _on_the_floor(contact: Contact, heights: Array) -> Contact:
    own = heights[contact.start : contact.end]
    down = np.flatnonzero(own <= np.median(own) + _RISEN)
    return Contact(contact.part, contact.start + int(down[0]), contact.start + int(down[-1]) + 1)


def straightness(track: BodyTrack) -> Array:
    """(T,) 0..1: distance from neck to ankles against its longest in the track, or in that which it is a part of."""
    length = standing_lengths(track.joints)
    return length / max(float(length.max()), track.standing, 1e-9)


def standing_lengths(joints: Array) -> Array:
    """(..., 24, 3) m → (...) m from neck to ankles."""
    ankles = joints[..., PART_JOINTS[:2], :].mean(axis=-2)
    return np.linalg.norm(joints[..., _NECK, :] - ankles, axis=-1)
