"""Finds half-hidden people with the landmark network alone.

The person detector wants to see most of somebody. The landmark network knows a person by half of the body, if its crop
is about where they are, and says where the crop should be. So crops all over the picture are tried, and the likeliest
of them moved to where the network says that the person is. Where somebody is, many of them come together in one pose;
where nobody is, the network is sometimes sure of one, and not of the same one again. Who is found is believed if most
looks framed anew (`looks_anew.py`) see the same pose; or some of them, where so many regions have come together as
hardly ever do where nobody is.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tracker.detect.candidate import Candidate, as_agreed, candidate_of, in_frame, is_person
from tracker.detect.detect_config import DetectConfig
from tracker.detect.follow import Followed, Follower, Region
from tracker.detect.looks_anew import LooksAnew
from tracker.detect.similarity import pose_similarity

_SIDES = (1.8, 1.2, 0.8)
"""Of the regions that are tried, over the picture's height; over half of its width in a strip, of which they would
otherwise be too many."""
_APART = (0.3, 0.4)
"""Of a region's side, at most between the centres of neighbours: across and down."""
_LIKELY = 0.05
"""Presence from which a region is moved on; most empty ones have less."""
_MOST = 12
"""Regions that are moved on, the likeliest."""
_MOVES = 3
_AT_ONCE = 8
"""Regions that are looked at before what the unlikely ones saw is forgotten."""
_ALIKE = 0.7
Agreement = tuple[tuple[int, int], ...]
"""Regions that come to one pose, at least, and as many of the looks framed anew as must show it then."""
ALONE: Agreement = ((5, 3), (2, 8), (1, 9))
"""Where nobody else is."""
# Of 177 stills of avatars and 144 of real people, all half hidden, 172 and 106 are found so, and in 428 pictures
# without anybody two; with five of six looks, that were not moved aside, 163, 87 and one.
BESIDE: Agreement = ((5, 8), (2, 10), (1, 11))
"""Beside somebody, who is painted out and leaves a blot."""
# Of 57 half-hidden avatars beside a clear one 53 are found so, and 39 by the person detector alone. As soon as ALONE it
# would be as many, and something that is nobody in seven of 174 pictures of one real person; so in one.


def half_hidden_people(
    follower: Follower, image: NDArray[np.uint8], config: DetectConfig, agreement: Agreement = ALONE
) -> list[Candidate]:
    """The people of an (h, w, 3) RGB picture in which nobody is known, or whoever is was painted out;
    those of whom most regions tell first.

    Raises RunError when the network fails.
    """
    size = image.shape[1], image.shape[0]
    moved = sorted(_moved(follower, image, _likeliest(follower, image)), key=_presence, reverse=True)
    sure = [each for each in moved if each.presence >= config.min_presence]
    people = [candidate_of(in_frame(each.reading, each.crop.T_frame_crop, size), size, each) for each in sure]
    looks = LooksAnew(follower, image)
    groups = groups_of([each for each in people if is_person(each)])
    there = [group[0] for group in groups if _is_there(looks, group, agreement)]
    return [as_agreed(each) for each in there[: config.max_people]]


def starts(width: int, height: int) -> list[Region]:
    """Upright regions all over a picture, for people who fill half of its height to more than all of it."""
    regions = []
    for side in (part * max(height, width / 2) for part in _SIDES):
        across, down = (_middles(extent, part * side) for extent, part in zip((width, height), _APART, strict=True))
        regions += [Region(np.array([x, y]), side, 0.0) for y in down for x in across]
    return regions


def groups_of(people: Sequence[Candidate]) -> list[list[Candidate]]:
    """Those who are in about one pose, the largest group first. people: the surest first, in groups, too."""
    left, groups = list(people), []
    while left:
        group = max(([c for c in left if _alike(c, middle)] for middle in left), key=len)
        groups.append(group)
        left = [c for c in left if all(c is not each for each in group)]
    return groups


def _likeliest(follower: Follower, image: NDArray[np.uint8]) -> list[Followed]:
    """What is seen in the regions that are to be moved on. What all saw would take some hundred megabytes at once."""
    places = starts(image.shape[1], image.shape[0])
    pieces = (places[first : first + _AT_ONCE] for first in range(0, len(places), _AT_ONCE))
    tried = (each for piece in pieces for each in follower.follow(image, piece))
    return heapq.nlargest(_MOST, (each for each in tried if each.presence >= _LIKELY), key=_presence)


def _moved(follower: Follower, image: NDArray[np.uint8], answers: list[Followed]) -> list[Followed]:
    """What is seen where each region comes to that goes where the network sends it."""
    for _ in range(_MOVES):
        answers = follower.follow(image, [answer.region for answer in answers])
    return answers


def _is_there(looks: LooksAnew, group: Sequence[Candidate], agreement: Agreement) -> bool:
    """Whether enough looks show the pose of a group's surest."""
    enough = next(agreeing for regions, agreeing in agreement if len(group) >= regions)
    return looks.agree(group[0], enough)


def _presence(answer: Followed) -> float:
    return answer.presence


def _alike(first: Candidate, second: Candidate) -> bool:
    return pose_similarity(first.detection.landmarks2d, second.detection.landmarks2d) >= _ALIKE


def _middles(extent: float, most: float) -> list[float]:
    """The middles of equal parts of 0..extent that are no longer than `most`."""
    count = math.ceil(extent / most)
    return [(i + 0.5) * extent / count for i in range(count)]
