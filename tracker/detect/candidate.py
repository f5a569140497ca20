"""People as one look at a frame sees them, before anybody knows who they are: whether it is a person, and which of
several poses are one person's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from tracker.core.arrays import Array
from tracker.core.detection import Detection
from tracker.core.mask import PlacedMask
from tracker.detect.follow import Followed, Region
from tracker.detect.pose_reading import PoseReading
from tracker.detect.similarity import (
    body_size,
    box_overlap,
    mask_overlap,
    pose_similarity,
    share_in_mask,
    share_on_mask,
)

# A person of the whole frame. Where a face alone looks into the picture no body point is visible; curtains taken for
# people have 0.3 quality or less. In poses that were plainly wrong (between two people, on one leg of a person bent
# over) up to 0.65 of the visible points lay on the mask, in 99 % of all poses of real clips more than 0.7.
_MIN_QUALITY = 0.4
_MIN_VISIBLE_POINTS = 2
_MIN_SHARE_ON_MASK = 0.7
_MASK_REACH = 0.08
"""Body sizes by which a point may miss the mask."""
# Poses on the same person: like each other, or unlike (one of them is wrong) on the same mask. Two poses on one fallen
# man had masks that were alike by 0.55 to 0.75 for seconds; those of people who cross are alike by 0.4 at most.
_DUPLICATE_SIMILARITY = 0.5
_DUPLICATE_MASKS = 0.55
# A pose on a part of another's person: nearly all of its mask, and of its points, lies on the other mask.
_PART_MASK = 0.9
_PART_POINTS = 0.85
FOUND_OVERLAP = 0.3
"""A predicted box that a detection overlaps by this (intersection over union) is not looked at again."""


@dataclass(frozen=True)
class Candidate:
    detection: Detection
    mask: PlacedMask
    quality: float
    visible_points: Array
    """(n, 2) px."""
    share_on_mask: float
    region: Region
    """Where to look for them in the next frame."""


def candidate_of(reading: PoseReading, size: tuple[int, int], followed: Followed | None = None) -> Candidate:
    """Whom a reading shows. size: (width, height) px of its picture; followed: what it is of, unless of a search."""
    crop = None if followed is None else followed.crop
    region = Region.around(reading.landmarks2d) if followed is None else followed.region
    detection = Detection(reading.landmarks2d, reading.landmarks3d, reading.visibility, reading.mask, crop)
    points = reading.visible_points(*size)
    share = share_on_mask(points, reading.mask, _MASK_REACH * body_size(reading.landmarks2d))
    return Candidate(detection, reading.mask, reading.quality(*size), points, share, region)


def as_agreed(candidate: Candidate) -> Candidate:
    """Somebody whom most looks framed anew saw in their pose."""
    return replace(candidate, detection=replace(candidate.detection, agreed=True))


def in_frame(reading: PoseReading, T_frame_crop: Array, size: tuple[int, int]) -> PoseReading:
    """A reading of a turned crop, in the frame's pixels and along the camera's axes."""
    return replace(reading.in_frame(T_frame_crop), mask=reading.mask.moved(T_frame_crop, size))


def is_person(candidate: Candidate) -> bool:
    """Whether enough of a person is seen, and the pose lies where the person is."""
    return (
        candidate.quality >= _MIN_QUALITY
        and len(candidate.visible_points) >= _MIN_VISIBLE_POINTS
        and candidate.share_on_mask >= _MIN_SHARE_ON_MASK
    )


def without_duplicates(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Each person once: of two candidates for the same person the earlier one stays."""
    kept: list[Candidate] = []
    for candidate in candidates:
        if not any(is_same_person(candidate.detection, other.detection) for other in kept):
            kept.append(candidate)
    return kept


def alike(first: Candidate, second: Candidate) -> bool:
    """Whether both are one pose."""
    return pose_similarity(first.detection.landmarks2d, second.detection.landmarks2d) >= _DUPLICATE_SIMILARITY


def is_same_person(first: Detection, second: Detection) -> bool:
    """Whether two poses are one, or are unlike but on one mask."""
    if pose_similarity(first.landmarks2d, second.landmarks2d) >= _DUPLICATE_SIMILARITY:
        return True
    if first.mask is None or second.mask is None or box_overlap(first.bbox, second.bbox) <= 0:
        return False
    return mask_overlap(first.mask, second.mask) >= _DUPLICATE_MASKS


def is_on_part_of(part: Candidate, whole: Candidate) -> bool:
    """Whether a pose lies on a part of where another one's person is: it is somebody before or behind them, or, in the
    same clothes, themselves."""
    if box_overlap(part.detection.bbox, whole.detection.bbox) <= 0:
        return False
    points_on = share_on_mask(part.visible_points, whole.mask, 0.0)
    return points_on >= _PART_POINTS and share_in_mask(part.mask, whole.mask) >= _PART_MASK


def the_more_expected(candidates: Iterable[Candidate], predicted: Sequence[Array]) -> list[Candidate]:
    """Each person once: of several candidates for one, that where a person was expected, then that of better quality.

    predicted: xyxy px boxes.
    """

    def expectedness(candidate: Candidate) -> tuple[float, float]:
        overlap = max((box_overlap(candidate.detection.bbox, box) for box in predicted), default=0.0)
        return overlap, candidate.quality

    return without_duplicates(sorted(candidates, key=expectedness, reverse=True))


def uncovered(predicted: Sequence[Array], candidates: Sequence[Candidate]) -> list[Array]:
    """The predicted boxes that no detection of their own covers; one detection accounts for one box."""
    if not predicted or not candidates:
        return list(predicted)
    overlaps = np.array([[box_overlap(box, c.detection.bbox) for c in candidates] for box in predicted])
    rows, columns = linear_sum_assignment(overlaps, maximize=True)
    covered = {int(r) for r, c in zip(rows, columns, strict=True) if overlaps[r, c] >= FOUND_OVERLAP}
    return [box for row, box in enumerate(predicted) if row not in covered]
