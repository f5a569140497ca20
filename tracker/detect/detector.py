"""Finds people and follows them: MediaPipe on the whole frame, closer looks where that is known to fail, and between
them only the landmark network where people were last.

Whoever is found is followed from frame to frame in their own region (`follow.py`), which is quick; the whole frame is
looked at twice a second, and at once when somebody is lost. MediaPipe's person detector sees it at 224², so it misses
small people, and it loses people who bend, fall or lie. Both are found again on an enlarged piece of the frame. Two
kinds of look are taken, and their number is bounded: at the places where tracked people should be but were not found,
and over a grid of tiles for people not known yet.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tracker.crop import apply_affine, crop_transform, paste_crop, square_box, warp_crop
from tracker.detect.follow import Follower, NetworkFollower, Region
from tracker.detect.landmarkers import (
    HIPS,
    SHOULDERS,
    ImageLandmarker,
    LandmarkerSettings,
    PoseReading,
)
from tracker.detect.likeness import (
    BODY_POINTS,
    body_size,
    box_overlap,
    mask_overlap,
    pose_similarity,
    share_on_mask,
    shared_box,
)
from tracker.detect.paint import painted_out
from tracker.detect.stderr_filter import native_chatter_held_back
from tracker.detect.task_bundle import built_in_bundle, read_task_file, require_mediapipe
from tracker.errors import InputError, RunError
from tracker.types import Array, Detection, Frame


@dataclass(frozen=True)
class DetectConfig:
    """How people are looked for. Confidences are in 0..1."""

    max_people: int = 4
    task_file: Path | None = None
    """A MediaPipe pose landmarker bundle; None is the one made from the networks in MediaPipe's wheel."""
    min_detection: float = 0.5
    min_presence: float = 0.5
    min_tracking: float = 0.5
    second_looks: int = 2
    """At most so many closer looks a frame for tracked people whom the look at the whole frame did not find. What one
    sees beside other people is confirmed by one more."""
    look_seconds: float = 0.5
    """The whole frame is looked at so often while all whom we know are followed; 0: every frame."""
    search_seconds: float = 1.0
    """One piece of the frame is searched for people not known yet so often; infinity: never."""
    threads: int | None = None
    """Of the landmark network's engine; None leaves it to the engine."""

    def __post_init__(self) -> None:
        if self.max_people < 1:
            raise InputError(f"max_people: expected 1 or more, got {self.max_people}")
        for name in ("min_detection", "min_presence", "min_tracking"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name}: expected a confidence in 0..1, got {getattr(self, name)}")
        if self.second_looks < 0:
            raise InputError(f"second_looks: expected 0 or more, got {self.second_looks}")
        if not self.look_seconds >= 0:
            raise InputError(f"look_seconds: expected 0 or more seconds, got {self.look_seconds}")
        if self.threads is not None and self.threads < 1:
            raise InputError(f"threads: expected 1 or more, got {self.threads}")
        if not self.search_seconds > 0:
            raise InputError(f"search_seconds: expected a positive number of seconds, got {self.search_seconds}")


# A person of the whole frame. Where a face alone looks into the picture no body point is visible; curtains taken for
# people have 0.3 quality or less. In poses that were plainly wrong (between two people, on one leg of a person bent
# over) up to 0.65 of the visible points lay on the mask, in 99 % of all poses of real clips more than 0.7.
_MIN_QUALITY = 0.4
_MIN_VISIBLE_POINTS = 2
_MIN_SHARE_ON_MASK = 0.7
_MASK_REACH = 0.08
"""Body sizes by which a point may miss the mask."""
# A person of a closer look. The low detection threshold finds two thirds of the lost people instead of one third, and
# the landmarks' own presence tells right from wrong: below this none of 1300 looks came within 6 % of a body's length.
_LOOK_MIN_DETECTION = 0.3
_LOOK_MIN_QUALITY = 0.9
# A person found by searching, where none was expected, must be seen almost whole, and looks framed anew, straight and
# in a mirror, must find the same pose. People on real clips had 13 visible points, visibility 0.97 and likeness 0.95; a
# pillow on a bed 9, 0.64 and 0.85, a curtain rod 10, 0.7 and 0.73.
_SEARCH_MIN_VISIBLE_POINTS = 10
_SEARCH_MIN_VISIBILITY = 0.75
_SEARCH_SIMILARITY = 0.75
_CONFIRM_SIMILARITY = 0.6
"""What a closer look at a lost person, with others painted out, must keep when it is taken once more."""
_ON_OTHERS = 0.5
"""Share of its visible points on somebody else's mask from which a pose of a closer look is taken for part of them."""
_UPSIDE_DOWN_COST = 0.1
# Poses on the same person: like each other, or unlike (one of them is wrong) on the same mask.
_DUPLICATE_SIMILARITY = 0.5
_DUPLICATE_MASKS = 0.75
_FOUND_OVERLAP = 0.3
"""A predicted box that a detection overlaps by this (intersection over union) is not looked at again."""
_LOOK_SCALE = 2.2
"""Side of a closer look over the person's: the detector wants surroundings, 1.5 finds fewer people than 2.2."""
_SMALLEST_HALF = 8.0
_LOOK_PIXELS = (256, 640)
_LOOK_TURNS = (0.0, math.pi / 2, -math.pi / 2)
_TILE_FRACTION = 0.5
"""Side of a search tile over the picture's longer side."""
_SWEEP_GAP = 1.0
"""s: frames this far apart (stills, the first frame) are searched all over at once."""


_LOST_LOOK_SECONDS = 0.1
"""The whole frame is looked at no more often than this while somebody is lost, or nobody known."""
_FOLLOW_SECONDS = 1.0
"""Nobody is followed over a longer gap between frames."""


@dataclass(frozen=True)
class _Candidate:
    detection: Detection
    mask: NDArray[np.uint8]
    quality: float
    visible_points: Array
    """(n, 2) px."""
    share_on_mask: float
    region: Region
    """Where to look for them in the next frame."""


@dataclass(frozen=True)
class _Look:
    """A square piece of the frame (xyxy px), turned (rad) about its centre, or seen in a mirror."""

    box: Array
    turn: float = 0.0
    mirrored: bool = False

    def transform(self, size: int) -> Array:
        """T_frame_crop (2, 3) of the piece as a picture of size × size pixels."""
        T_frame_crop = crop_transform(self.box, size, size, self.turn)
        return T_frame_crop @ np.array([[-1.0, 0, size], [0, 1, 0], [0, 0, 1]]) if self.mirrored else T_frame_crop


class LandmarkDetector:
    """MediaPipe's 33 landmarks of up to max_people people (a few more when closer looks find them), frame by frame."""

    def __init__(self, config: DetectConfig | None = None) -> None:
        """Raises InputError for an unusable task file, RunError when MediaPipe is missing or does not start."""
        self.config = config or DetectConfig()
        with native_chatter_held_back():
            require_mediapipe()
            task_file = self.config.task_file
            self._bundle = built_in_bundle() if task_file is None else read_task_file(task_file)
        try:
            self._whole = ImageLandmarker(self._bundle, self._settings(self.config.min_detection))
        except RunError as error:
            if self.config.task_file is not None:
                raise InputError(f"task file {self.config.task_file}: {error}") from error
            raise
        self._follower: Follower = NetworkFollower(self.config.threads)
        self.forget()

    def forget(self) -> None:
        """The next frame is looked at like the first one."""
        self._followed: list[Region] = []
        self._seen_at = self._looked_at = self._searched_at = -math.inf
        self._lost_count = self._search_count = 0

    def __enter__(self) -> LandmarkDetector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees MediaPipe's graphs; the detector cannot be used afterwards."""
        self._whole.close()
        self._follower.close()
        if "_stills" in self.__dict__:
            self._stills.close()

    def detect(self, frame: Frame, predicted: Sequence[Array] = ()) -> list[Detection]:
        """The people in the frame, in no particular order, each once.

        predicted: xyxy px boxes where people who are being followed should be; who is not found there is looked for
        more closely. Frames come in the order of their time. Raises RunError when MediaPipe fails.
        """
        followed = self._follow(frame)
        lost = _uncovered(predicted, followed)
        found = (
            self._look_around(frame, predicted, followed) if self._is_look_due(frame.time, followed, lost) else followed
        )
        lost = _uncovered(predicted, found)
        found = self._look_for_lost(frame, lost, found)
        if len(found) + len(lost) < self.config.max_people:
            found = self._search(frame, found)
        self._followed, self._seen_at = [candidate.region for candidate in found], frame.time
        return [candidate.detection for candidate in found]

    def _follow(self, frame: Frame) -> list[_Candidate]:
        """Whoever was seen in the last frame and still is, each once."""
        if not 0 < frame.time - self._seen_at <= _FOLLOW_SECONDS:
            return []
        people = []
        for each in self._follower.follow(frame.image, self._followed):
            if each.presence < self.config.min_tracking:
                continue
            moved = _in_frame(each.reading, each.T_frame_crop, frame.size)
            people.append(replace(_candidate(moved, frame.size), region=each.region))
        return _without_duplicates(filter(_is_person, people))

    def _is_look_due(self, time: float, followed: list[_Candidate], lost: list[Array]) -> bool:
        elapsed = time - self._looked_at
        wait = self.config.look_seconds
        if lost or not followed:
            wait = min(wait, _LOST_LOOK_SECONDS)
        return elapsed < 0 or elapsed >= wait

    def _look_around(self, frame: Frame, predicted: Sequence[Array], followed: list[_Candidate]) -> list[_Candidate]:
        """The people followed and those whom MediaPipe finds in the whole frame."""
        self._looked_at = frame.time
        people = filter(_is_person, (_candidate(reading, frame.size) for reading in self._whole.read(frame.image)))
        everybody = [*followed, *people]
        return _without_duplicates(sorted(everybody, key=lambda c: _expectedness(c, predicted), reverse=True))

    @cached_property
    def _stills(self) -> ImageLandmarker:
        """Opened when the first closer look is taken."""
        return ImageLandmarker(self._bundle, self._settings(_LOOK_MIN_DETECTION))

    def _settings(self, min_detection: float) -> LandmarkerSettings:
        return LandmarkerSettings(
            self.config.max_people, min_detection, self.config.min_presence, self.config.min_tracking
        )

    def _look_for_lost(self, frame: Frame, lost: list[Array], found: list[_Candidate]) -> list[_Candidate]:
        """Looks at the lost people's places, in turns when there are more of them than looks a frame."""
        self._lost_count += bool(lost)
        looks_left = self.config.second_looks
        for place in range(len(lost)):
            expected = lost[(place + self._lost_count) % len(lost)]
            for attempt in range(min(looks_left, len(_LOOK_TURNS))):
                looks_left -= 1
                # lying people are often found only when turned: start upright, go on differently in every frame
                turn = _LOOK_TURNS[0 if attempt == 0 else 1 + (attempt + self._lost_count) % 2]
                again = self._found_again(frame, expected, turn, found)
                if again is not None:
                    found = [*found, again]
                    break
        return found

    def _found_again(
        self, frame: Frame, expected: Array, turn: float, found: Sequence[_Candidate]
    ) -> _Candidate | None:
        """Whom a closer look at a lost person's expected box finds there, if anybody who was not found yet.

        Others in that piece of the frame are painted out. Without them the landmarker is more ready to take a cushion
        for a person, so that what it finds then must be found once more.
        """
        look = _Look(_surroundings(expected), turn)
        beside = [c for c in found if shared_box(c.detection.bbox, look.box) > 0]
        seen = sorted(self._look(frame, look, beside), key=_likeliness, reverse=True)
        for candidate in _strangers(seen, found):
            if box_overlap(candidate.detection.bbox, expected) < _FOUND_OVERLAP:
                continue
            if not beside or self._likeness_again(frame, candidate, beside, False) >= _CONFIRM_SIMILARITY:
                return candidate
        return None

    def _search(self, frame: Frame, found: list[_Candidate]) -> list[_Candidate]:
        """Searches the next piece of the frame, when it is time; every piece after a gap."""
        elapsed = frame.time - self._searched_at
        if 0 <= elapsed < self.config.search_seconds or math.isinf(self.config.search_seconds):
            return found
        looks = _search_looks(*frame.size)
        count = len(looks) if elapsed < 0 or elapsed >= _SWEEP_GAP else 1
        self._searched_at = frame.time
        for _ in range(count):
            look = looks[self._search_count % len(looks)]
            self._search_count += 1
            for stranger in _strangers(self._look(frame, look, found), found):
                if _is_well_seen(stranger) and all(
                    self._likeness_again(frame, stranger, found, mirrored) >= _SEARCH_SIMILARITY
                    for mirrored in (False, True)
                ):
                    found = [*found, stranger]
        return found

    def _likeness_again(
        self, frame: Frame, candidate: _Candidate, painted: Sequence[_Candidate], mirrored: bool
    ) -> float:
        """How like its pose (0..1) is what a look framed anew, on the candidate itself, sees; 0 for nobody."""
        look = _Look(_surroundings(candidate.detection.bbox), mirrored=mirrored)
        poses = (again.detection.landmarks2d for again in self._look(frame, look, painted))
        return max((pose_similarity(candidate.detection.landmarks2d, pose) for pose in poses), default=0.0)

    def _look(self, frame: Frame, look: _Look, painted: Sequence[_Candidate]) -> list[_Candidate]:
        """The people whom the landmarker is sure of on one piece of the frame, from which `painted` are removed.

        In a mirror their left and right are exchanged.
        """
        size = int(np.clip(math.ceil(look.box[2] - look.box[0]), *_LOOK_PIXELS))
        T_frame_crop = look.transform(size)
        crop = warp_crop(frame.image, T_frame_crop, size, size)
        masks = [warp_crop(person.mask, T_frame_crop, size, size) for person in painted]
        if masks:
            crop = painted_out(crop, np.maximum.reduce(masks))
        moved = (_in_frame(reading, T_frame_crop, frame.size) for reading in self._stills.read(crop))
        candidates = (_candidate(reading, frame.size) for reading in moved)
        return [c for c in candidates if c.quality >= _LOOK_MIN_QUALITY and _is_person(c)]


def _surroundings(bbox: Array) -> Array:
    """The square that a closer look at a box takes in; landmarks that coincide still have some pixels around them."""
    centre, half = (bbox[:2] + bbox[2:]) / 2, np.maximum((bbox[2:] - bbox[:2]) / 2, _SMALLEST_HALF)
    return square_box(np.concatenate([centre - half, centre + half]), _LOOK_SCALE)


def _strangers(candidates: Sequence[_Candidate], found: Sequence[_Candidate]) -> list[_Candidate]:
    """Those who are none of the people found already and do not lie on one of them, each once."""
    others = _without_duplicates([*found, *candidates])[len(found) :]
    return [c for c in others if all(share_on_mask(c.visible_points, f.mask, 0.0) < _ON_OTHERS for f in found)]


def _is_well_seen(candidate: _Candidate) -> bool:
    visibility = float(candidate.detection.visibility[BODY_POINTS].mean())
    return len(candidate.visible_points) >= _SEARCH_MIN_VISIBLE_POINTS and visibility >= _SEARCH_MIN_VISIBILITY


def _likeliness(candidate: _Candidate) -> float:
    """Which of two poses of one person to believe: the one with more to see; people seldom stand on their heads."""
    points, visibility = candidate.detection.landmarks2d, candidate.detection.visibility
    upside_down = points[SHOULDERS, 1].mean() > points[HIPS, 1].mean()
    return float(visibility[BODY_POINTS].mean()) - _UPSIDE_DOWN_COST * upside_down


def _without_duplicates(candidates: Iterable[_Candidate]) -> list[_Candidate]:
    """Each person once: of two candidates for the same person the earlier one stays."""
    kept: list[_Candidate] = []
    for candidate in candidates:
        if not any(_same_person(candidate, other) for other in kept):
            kept.append(candidate)
    return kept


def _same_person(first: _Candidate, second: _Candidate) -> bool:
    if pose_similarity(first.detection.landmarks2d, second.detection.landmarks2d) >= _DUPLICATE_SIMILARITY:
        return True
    overlapping = box_overlap(first.detection.bbox, second.detection.bbox) > 0
    return overlapping and mask_overlap(first.mask, second.mask) >= _DUPLICATE_MASKS


def _expectedness(candidate: _Candidate, predicted: Sequence[Array]) -> tuple[float, float]:
    """Which of several candidates for one person to prefer: where a person was expected, then by quality."""
    overlap = max((box_overlap(candidate.detection.bbox, box) for box in predicted), default=0.0)
    return overlap, candidate.quality


def _candidate(reading: PoseReading, size: tuple[int, int]) -> _Candidate:
    detection = Detection(reading.landmarks2d, reading.landmarks3d, reading.visibility, reading.mask)
    points = reading.visible_points(*size)
    share = share_on_mask(points, reading.mask, _MASK_REACH * body_size(reading.landmarks2d))
    region = Region.around(reading.landmarks2d)
    return _Candidate(detection, reading.mask, reading.quality(*size), points, share, region)


def _is_person(candidate: _Candidate) -> bool:
    return (
        candidate.quality >= _MIN_QUALITY
        and len(candidate.visible_points) >= _MIN_VISIBLE_POINTS
        and candidate.share_on_mask >= _MIN_SHARE_ON_MASK
    )


def _uncovered(predicted: Sequence[Array], found: Sequence[_Candidate]) -> list[Array]:
    """The predicted boxes that no detection of their own covers; one detection accounts for one box."""
    if not predicted or not found:
        return list(predicted)
    overlaps = np.array([[box_overlap(box, c.detection.bbox) for c in found] for box in predicted])
    rows, columns = linear_sum_assignment(overlaps, maximize=True)
    covered = {int(r) for r, c in zip(rows, columns, strict=True) if overlaps[r, c] >= _FOUND_OVERLAP}
    return [box for row, box in enumerate(predicted) if row not in covered]


def _in_frame(reading: PoseReading, T_frame_crop: Array, size: tuple[int, int]) -> PoseReading:
    """A reading of a turned crop, in the frame's pixels and along the camera's axes."""
    R_frame_crop = np.eye(3)
    R_frame_crop[:2, :2] = T_frame_crop[:, :2] / np.linalg.norm(T_frame_crop[:, 0])
    return PoseReading(
        landmarks2d=apply_affine(T_frame_crop, reading.landmarks2d),
        landmarks3d=reading.landmarks3d @ R_frame_crop.T,
        visibility=reading.visibility,
        presence=reading.presence,
        mask=paste_crop(reading.mask, T_frame_crop, size),
    )


def _search_looks(width: int, height: int) -> list[_Look]:
    """Where to search: the whole frame turned to either side for lying people, then half-overlapping tiles."""
    whole = square_box(np.array([0.0, 0.0, width, height]))
    side = _TILE_FRACTION * max(width, height)
    columns, rows = (_tile_starts(extent, side) for extent in (width, height))
    tiles = [_Look(np.array([x, y, x + side, y + side])) for y in rows for x in columns]
    return [_Look(whole, _LOOK_TURNS[1]), _Look(whole, _LOOK_TURNS[2]), *tiles]


def _tile_starts(extent: float, side: float) -> list[float]:
    """Starts of tiles that cover 0..extent and overlap by half or more; one, in the middle, where a tile is longer."""
    if side >= extent:
        return [(extent - side) / 2]
    count = math.ceil((extent - side) / (side / 2)) + 1
    return [float(start) for start in np.linspace(0.0, extent - side, count)]
