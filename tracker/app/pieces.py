"""A long video in pieces that are tracked beside each other, and joined to what one run over all of it would leave.

Each piece begins a little early, so that its people are well known where it counts. There the piece before has them
too: who is where the other says somebody is, is the same person. Poses are kept as they were observed; what looks over
time (the filters, β, everything that is derived) is done once, over the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from tracker.core.arrays import Array
from tracker.core.person import FrameRecord, Person

OVERLAP_SECONDS = 2.0
"""A piece is tracked from so much earlier on."""
_SAME = 0.15
"""Mean distance of two people's joints in the picture, in diagonals of their box, up to which they may be the same."""
_UNLIKELY = 1e6
"""Cost of two people being the same who are not."""


@dataclass(frozen=True)
class VideoPiece:
    """A part of a video. Seconds from the video's first frame."""

    begin: float
    """From here on it is tracked."""
    start: float
    """From here on its frames count."""
    end: float | None
    """None is the video's end."""

    def counts(self, frame: FrameRecord) -> bool:
        """Whether the frame is this piece's own."""
        return frame.time >= self.start


def cut(start: float, end: float, seconds: float) -> list[VideoPiece]:
    """Pieces of about this length from start to end; the last one takes what would be less than half of one."""
    count = max(1, round((end - start) / seconds))
    starts = [start + number * seconds for number in range(count)]
    ends = [*starts[1:], None]
    return [
        VideoPiece(max(start, each - OVERLAP_SECONDS), each, until) for each, until in zip(starts, ends, strict=True)
    ]


class SeamMatcher:
    """Gives the people of one piece after the other identities that hold for all of them."""

    def __init__(self) -> None:
        self._before: dict[int, Sequence[Person]] = {}
        self._next = 0

    def identities(self, piece: VideoPiece, frames: Sequence[FrameRecord]) -> dict[int, int]:
        """Person in this piece → identity in the whole. Pieces come in the order of time."""
        common = [
            (self._before[frame.index], frame.people)
            for frame in frames
            if not piece.counts(frame) and frame.index in self._before
        ]
        known = _same_people(common[len(common) // 2 :])
        for key in sorted({person.person_id for frame in frames if piece.counts(frame) for person in frame.people}):
            if key not in known:
                known[key] = self._next
                self._next += 1
        self._before = {
            frame.index: [replace(person, person_id=known[person.person_id]) for person in frame.people]
            for frame in frames
            if piece.counts(frame)
        }
        return known


def _same_people(frames: Sequence[tuple[Sequence[Person], Sequence[Person]]]) -> dict[int, int]:
    """From both accounts of the same frames: person in the second → the same one in the first."""
    distances: dict[tuple[int, int], list[float]] = {}
    for first, second in frames:
        for one in first:
            for other in second:
                distances.setdefault((other.person_id, one.person_id), []).append(_distance(one, other))
    others = sorted({key for key, _ in distances})
    ones = sorted({key for _, key in distances})
    cost = np.full((len(others), len(ones)), _UNLIKELY)
    for (row, column), values in distances.items():
        if 2 * len(values) >= len(frames) and (typical := float(np.median(values))) <= _SAME:
            cost[others.index(row), ones.index(column)] = typical
    rows, columns = linear_sum_assignment(cost)
    return {others[i]: ones[j] for i, j in zip(rows, columns, strict=True) if cost[i, j] < _UNLIKELY}


def _distance(one: Person, other: Person) -> float:
    diagonal = float(np.linalg.norm(one.bbox[2:] - one.bbox[:2]))
    apart = np.linalg.norm(np.asarray(one.joints2d) - np.asarray(other.joints2d), axis=1)
    return float(apart.mean()) / max(diagonal, 1.0)


class SharedBetas:
    """One β for each identity: the mean of what each piece knew in the end, by the number of its frames."""

    def __init__(self) -> None:
        self._sums: dict[int, tuple[Array, int]] = {}

    def add(self, identities: Mapping[int, int], frames: Sequence[FrameRecord]) -> None:
        """identities: person in the frames → identity; whoever has none does not count."""
        for key, (betas, count) in _last_betas(frames).items():
            if key in identities:
                total, counted = self._sums.get(identities[key], (np.zeros_like(betas), 0))
                self._sums[identities[key]] = (total + count * betas, counted + count)

    def values(self) -> dict[int, Array]:
        """Identity → β (10,)."""
        return {key: total / count for key, (total, count) in self._sums.items()}


def _last_betas(frames: Sequence[FrameRecord]) -> dict[int, tuple[Array, int]]:
    """Person → the last β of theirs, and in how many frames they are."""
    known: dict[int, tuple[Array, int]] = {}
    for frame in frames:
        for person in frame.people:
            _, count = known.get(person.person_id, (None, 0))
            known[person.person_id] = (np.asarray(person.pose.betas, float), count + 1)
    return known
