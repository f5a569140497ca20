"""Finds people: looks at the whole frame, and closer ones where that is known to fail.

MediaPipe's person detector sees the frame at 224², so it misses small people, and it loses people who bend, fall or
lie. Both are found again on an enlarged piece of the frame. Two kinds of closer look are taken, and their number is
bounded: at the places where tracked people should be but were not found, and over a grid of tiles for people not known
yet. Where nobody is found so, the landmark network looks for people who are half hidden (`region_search.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array
from tracker.core.crop import crop_transform, square_box, warp_crop
from tracker.core.existence import MOVED, Existence
from tracker.core.frame import Frame
from tracker.detect.candidate import (
    FOUND_OVERLAP,
    Candidate,
    alike,
    as_agreed,
    candidate_of,
    in_frame,
    is_person,
    the_more_expected,
    uncovered,
    without_duplicates,
)
from tracker.detect.closer_look import look_closely, looks_without
from tracker.detect.clothing_colour import OWN_CLOTHES, Appearance, appearance_distance, appearance_of
from tracker.detect.detect_config import DetectConfig
from tracker.detect.erase import erased
from tracker.detect.looks_anew import LooksAnew
from tracker.detect.picture_landmarker import PictureLandmarker
from tracker.detect.pose_reading import HIPS, SHOULDERS
from tracker.detect.pursuit import Pursuit
from tracker.detect.scene_view import View
from tracker.detect.similarity import BODY_POINTS, box_overlap, pose_similarity, share_on_mask, shared_box

# A person of a closer look. The low detection threshold finds two thirds of the lost people instead of one third, and
# the landmarks' own presence tells right from wrong: below this none of 1300 looks came within 6 % of a body's length.
_LOOK_MIN_DETECTION = 0.3
_LOOK_MIN_QUALITY = 0.9
# Somebody found by searching, where nobody was expected, is believed when looks framed anew see the same pose, wider
# and closer, straight and in a mirror. Where nobody is, the first two mostly see nobody.
_FRAMINGS = ((3.0, False), (2.2, True), (2.2, False), (3.0, True), (1.6, False), (1.6, True))
"""Side of the look over the person's, and whether it is mirrored."""
_AGREEING = 4
"""As many of those looks must agree; none of the first two is enough to stop."""
_KNOWN_SIMILARITY = 0.3
"""What one such look must see of somebody in the clothes of a person who was seen before."""
_SIMILARITY_AGAIN = 0.5
_CONFIRM_SIMILARITY = 0.6
"""What a closer look at a lost person, with others painted out, must keep when it is taken once more."""
_ON_OTHERS = 0.5
"""Share of its visible points on somebody else's mask from which a pose of a closer look is taken for part of them."""
_UPSIDE_DOWN_COST = 0.1
_LOOK_SCALE = 2.2
"""Side of a closer look over the person's: the detector wants surroundings, 1.5 finds fewer people than 2.2."""
_SMALLEST_HALF = 8.0
_COME_SECONDS = 1.0
"""Between two looks for half-hidden people where something goes on."""
_LOOK_PIXELS = (256, 640)
_LOOK_TURNS = (0.0, math.pi / 2, -math.pi / 2)
_TILE_FRACTION = 0.5
"""Side of a search tile over the picture's longer side."""
_FINE_TILE_FRACTION = 1 / 6
"""The same where nobody is found so: in 1080p people of 100 px, and some of 80, are large enough in it."""


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


@dataclass(frozen=True)
class SearchTask:
    """A frame to look for people in, with what is known about it."""

    frame: Frame
    predicted: Sequence[Array] = ()
    """xyxy px boxes where people should be; who is not found there is looked for more closely."""
    followed: Sequence[Candidate] = ()
    """Who is found already."""
    doubted: Sequence[Pursuit] = ()
    """Of those, who are not surely there. Who is in another pose than looks framed anew have ever seen them in makes
    room for whoever these see."""
    missed: Sequence[Appearance] = ()
    """What people wear who were seen before: whoever wears it, too, is believed sooner."""
    begins: bool = False
    """Whether nothing is known from frames before: a still, the first frame. It is searched all over."""


@dataclass(frozen=True)
class SearchResult:
    """What a search has found."""

    people: list[Candidate]
    """Those who are followed and those found besides, each once."""
    existences: Mapping[object, Existence] = field(default_factory=dict)
    """What is known by then of each of the doubted ones, by their keys."""


class Searcher:
    """A landmarker on the whole frame and on pieces of it. It belongs to one thread at a time."""

    def __init__(self, config: DetectConfig, landmarker: PictureLandmarker) -> None:
        self.config, self._landmarker = config, landmarker
        self.forget()

    def forget(self) -> None:
        """The next frame is searched like the first one."""
        self._searched_at = -math.inf
        self._lost_count = self._search_count = 0
        self._looked_through: View | None = None
        self._looked_through_at = -math.inf

    def warm_up(self, image: NDArray[np.uint8]) -> None:
        """Has the landmarker look at an (h, w, 3) RGB picture without anybody. Raises RunError when an engine fails."""
        self._landmarker.read(image, self.config.min_detection)

    def close(self) -> None:
        """Frees the landmarker; the searcher cannot be used afterwards."""
        self._landmarker.close()

    def search(self, errand: SearchTask) -> SearchResult:
        """Looks at the doubted people, and for others. Raises RunError when an engine fails."""
        follower, others = self._landmarker.follower, _without(errand.followed, [p.candidate for p in errand.doubted])
        existences = {p.key: look_closely(p, errand.frame, others, follower) for p in errand.doubted}
        looked_at = [p for p in errand.doubted if existences[p.key] is not p.existence]
        mistaken = [p.candidate for p in looked_at if not p.looked_at(errand.frame.time, existences[p.key]).agreed]
        if mistaken:
            return SearchResult(self._in_place_of(errand, mistaken), existences)
        return SearchResult(self._found(errand), existences)

    def _found(self, errand: SearchTask) -> list[Candidate]:
        """The people followed and those found besides, each once."""
        frame = errand.frame
        candidates = self._look_around(errand)
        lost = uncovered(errand.predicted, candidates)
        candidates = self._look_for_lost(frame, lost, candidates)
        if len(candidates) + len(lost) < self.config.max_people:
            candidates = self._search_tiles(errand, candidates)
        return candidates

    def _in_place_of(self, errand: SearchTask, mistaken: Sequence[Candidate]) -> list[Candidate]:
        """The people followed and those who are seen where somebody is mistaken, by looks framed anew, too."""
        errand = replace(errand, followed=_without(errand.followed, mistaken))
        looks = LooksAnew(self._landmarker.follower, errand.frame.image)
        others = _without(self._look_around(errand), errand.followed)
        near = [c for c in others if any(shared_box(c.detection.bbox, m.detection.bbox) > 0 for m in mistaken)]
        return [*errand.followed, *(as_agreed(c) for c in near if looks.agree(c))]

    def _look_around(self, errand: SearchTask) -> list[Candidate]:
        """The people followed and those who are found in the whole frame besides.

        Whoever is followed goes on being followed: that is steadier than beginning anew.
        """
        frame = errand.frame
        known = [each.region for each in errand.followed]
        readings = self._landmarker.read(frame.image, self.config.min_detection, known)
        people = filter(is_person, (candidate_of(reading, frame.size) for reading in readings))
        others = [c for c in people if not any(alike(c, known) for known in errand.followed)]
        return the_more_expected([*errand.followed, *others], errand.predicted)

    def _look_for_lost(self, frame: Frame, lost: list[Array], candidates: list[Candidate]) -> list[Candidate]:
        """Looks at the lost people's places, in turns when there are more of them than looks a frame."""
        self._lost_count += bool(lost)
        looks_left = self.config.second_looks
        for place in range(len(lost)):
            expected = lost[(place + self._lost_count) % len(lost)]
            for attempt in range(min(looks_left, len(_LOOK_TURNS))):
                looks_left -= 1
                # lying people are often found only when turned: start upright, go on differently in every frame
                turn = _LOOK_TURNS[0 if attempt == 0 else 1 + (attempt + self._lost_count) % 2]
                again = self._found_again(frame, expected, turn, candidates)
                if again is not None:
                    candidates = [*candidates, again]
                    break
        return candidates

    def _found_again(
        self, frame: Frame, expected: Array, turn: float, candidates: Sequence[Candidate]
    ) -> Candidate | None:
        """Whom a closer look at a lost person's expected box finds there, if anybody who was not found yet.

        Others in that piece of the frame are painted out. Without them the landmarker is more ready to take a cushion
        for a person, so that what it finds then must be found once more.
        """
        piece = _Look(_surroundings(expected), turn)
        beside = [c for c in candidates if shared_box(c.detection.bbox, piece.box) > 0]
        ranked = sorted(self._look(frame, piece, beside), key=_likeliness, reverse=True)
        for candidate in _strangers(ranked, candidates):
            if box_overlap(candidate.detection.bbox, expected) < FOUND_OVERLAP:
                continue
            again = _Look(_surroundings(candidate.detection.bbox))
            if not beside or self._similarity_in(frame, again, candidate, beside) >= _CONFIRM_SIMILARITY:
                return candidate
        return None

    def _search_tiles(self, errand: SearchTask, candidates: list[Candidate]) -> list[Candidate]:
        """Searches the next piece of the frame, when it is time; every piece where nothing is known."""
        frame, every = errand.frame, self.config.search_seconds
        if math.isinf(every) or (not errand.begins and frame.time - self._searched_at < every):
            return candidates
        pieces = _search_looks(*frame.size)
        count = len(pieces) if errand.begins else 1
        turn = [pieces[(self._search_count + i) % len(pieces)] for i in range(count)]
        self._searched_at, self._search_count = frame.time, self._search_count + count
        # whoever stands beside somebody plainer is found at once where those are painted out
        hidden_beside = [_Look(square_box(np.array([0.0, 0.0, *frame.size])))] if candidates else []
        candidates = self._with_strangers(errand, [*hidden_beside, *turn], candidates)
        if not candidates and (self._search_count % len(pieces) == 0 or self._has_changed(frame)):
            self._looked_through_at, self._looked_through = frame.time, View.of(frame.image, [])
            candidates = self._landmarker.half_hidden(frame.image)
        if errand.begins and not candidates:
            return self._with_strangers(errand, _tiles(*frame.size, _FINE_TILE_FRACTION), [])
        return candidates

    def _has_changed(self, frame: Frame) -> bool:
        """Whether somebody may have come since half-hidden people were looked for. That takes a second of a core: live,
        whoever comes in plain sight would be seen as much later."""
        early = frame.time - self._looked_through_at < _COME_SECONDS
        if self._looked_through is None or early or not self.config.punctual:
            return False
        return self._looked_through.differs(View.of(frame.image, []), MOVED)

    def _with_strangers(
        self, errand: SearchTask, pieces: Sequence[_Look], candidates: Sequence[Candidate]
    ) -> list[Candidate]:
        """The candidates and those whom looks at these pieces find besides."""
        everybody = list(candidates)
        for piece in pieces:
            for stranger in _strangers(self._look(errand.frame, piece, everybody), everybody):
                if self._is_surely_there(errand, stranger, everybody):
                    everybody.append(stranger)
        return everybody

    def _is_surely_there(self, errand: SearchTask, stranger: Candidate, others: Sequence[Candidate]) -> bool:
        """Whether looks framed anew see somebody, too, who was found by searching."""
        look = appearance_of(errand.frame.image, stranger.detection)
        distances = (appearance_distance(look, each) for each in errand.missed)
        if any(each is not None and each < OWN_CLOTHES for each in distances):
            piece = _Look(_surroundings(stranger.detection.bbox))
            return self._similarity_in(errand.frame, piece, stranger, others) >= _KNOWN_SIMILARITY
        if self._is_found_anew(errand, stranger, others):
            return True
        return _is_cut_off(stranger, errand.frame.size) and self._is_shown_anew(errand, stranger, others)

    def _is_found_anew(self, errand: SearchTask, stranger: Candidate, others: Sequence[Candidate]) -> bool:
        """Whether the person detector finds them again, in wider looks."""
        agreeing = 0
        for looks, (scale, mirrored) in enumerate(_FRAMINGS, 1):
            piece = _Look(_surroundings(stranger.detection.bbox, scale), mirrored=mirrored)
            agreeing += self._similarity_in(errand.frame, piece, stranger, others) >= _SIMILARITY_AGAIN
            hopeless = agreeing + len(_FRAMINGS) - looks < _AGREEING or (looks >= 2 and not agreeing)
            if agreeing == _AGREEING or hopeless:
                break
        return agreeing == _AGREEING

    def _is_shown_anew(self, errand: SearchTask, stranger: Candidate, others: Sequence[Candidate]) -> bool:
        """Whether the landmark network alone shows them, in closer looks: in wider ones the person detector misses who
        is cut off by the picture's edge, and finds what is left of those who are painted out instead. Elsewhere this
        takes a bed for somebody who lies in it."""
        return looks_without(others, stranger, errand.frame.image, self._landmarker.follower).agree(stranger)

    def _similarity_in(self, frame: Frame, piece: _Look, candidate: Candidate, painted: Sequence[Candidate]) -> float:
        """How similar to its pose (0..1) is what a look sees; 0 for nobody."""
        poses = (again.detection.landmarks2d for again in self._look(frame, piece, painted))
        return max((pose_similarity(candidate.detection.landmarks2d, pose) for pose in poses), default=0.0)

    def _look(self, frame: Frame, piece: _Look, painted: Sequence[Candidate]) -> list[Candidate]:
        """The people whom the landmarker is sure of on one piece of the frame, from which `painted` are removed.

        In a mirror their left and right are exchanged.
        """
        size = int(np.clip(math.ceil(piece.box[2] - piece.box[0]), *_LOOK_PIXELS))
        T_frame_crop = piece.transform(size)
        crop = warp_crop(frame.image, T_frame_crop, size, size)
        masks = [person.mask.cropped(T_frame_crop, size, size) for person in painted]
        if masks:
            crop = erased(crop, np.maximum.reduce(masks))
        readings = self._landmarker.read(crop, _LOOK_MIN_DETECTION)
        moved = (in_frame(reading, T_frame_crop, frame.size) for reading in readings)
        candidates = (candidate_of(reading, frame.size) for reading in moved)
        return [c for c in candidates if c.quality >= _LOOK_MIN_QUALITY and is_person(c)]


def _is_cut_off(person: Candidate, size: tuple[int, int]) -> bool:
    """Whether they reach beyond a picture of this (width, height)."""
    box = person.detection.bbox
    return bool((box[:2] < 0).any() or (box[2:] > size).any())


def _without(candidates: Sequence[Candidate], others: Sequence[Candidate]) -> list[Candidate]:
    return [c for c in candidates if all(c is not each for each in others)]


def _surroundings(bbox: Array, scale: float = _LOOK_SCALE) -> Array:
    """The square, `scale` times its longer side, that a closer look at a box takes in; landmarks that coincide still
    have some pixels around them."""
    centre, half = (bbox[:2] + bbox[2:]) / 2, np.maximum((bbox[2:] - bbox[:2]) / 2, _SMALLEST_HALF)
    return square_box(np.concatenate([centre - half, centre + half]), scale)


def _strangers(candidates: Sequence[Candidate], known: Sequence[Candidate]) -> list[Candidate]:
    """Those who are none of the people found already and do not lie on one of them, each once."""
    others = without_duplicates([*known, *candidates])[len(known) :]
    return [c for c in others if all(share_on_mask(c.visible_points, f.mask, 0.0) < _ON_OTHERS for f in known)]


def _likeliness(candidate: Candidate) -> float:
    """Which of two poses of one person to believe: the one with more to see; people seldom stand on their heads."""
    points, visibility = candidate.detection.landmarks2d, candidate.detection.visibility
    upside_down = points[SHOULDERS, 1].mean() > points[HIPS, 1].mean()
    return float(visibility[BODY_POINTS].mean()) - _UPSIDE_DOWN_COST * upside_down


def _search_looks(width: int, height: int) -> list[_Look]:
    """Where to search: the whole frame turned to either side for lying people, then half-overlapping tiles."""
    whole = square_box(np.array([0.0, 0.0, width, height]))
    return [_Look(whole, _LOOK_TURNS[1]), _Look(whole, _LOOK_TURNS[2]), *_tiles(width, height, _TILE_FRACTION)]


def _tiles(width: int, height: int, fraction: float) -> list[_Look]:
    """Half-overlapping squares whose side is this part of the picture's longer one."""
    side = fraction * max(width, height)
    columns, rows = (_tile_starts(extent, side) for extent in (width, height))
    return [_Look(np.array([x, y, x + side, y + side])) for y in rows for x in columns]


def _tile_starts(extent: float, side: float) -> list[float]:
    """Starts of tiles that cover 0..extent and overlap by half or more; one, in the middle, where a tile is longer."""
    if side >= extent:
        return [(extent - side) / 2]
    count = math.ceil((extent - side) / (side / 2)) + 1
    return [float(start) for start in np.linspace(0.0, extent - side, count)]
