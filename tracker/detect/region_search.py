"""Finds half-hidden people with the landmark network alone.

The person detector wants to see most of somebody. The landmark network knows a person by half of the body, if its crop
is about where they are, and says where the crop should be. So crops all over the picture are tried, and the likeliest
of them moved to where the network says that the person is. Where somebody is, many of them come together in one pose;
where nobody is, the network is sometimes sure of one, and not of the same one again. Who is found is looked at once
more, closer, wider and in a mirror, and believed if nearly all of these looks see the same pose; or two of them, where
so many regions have come together as never do where nobody is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tracker.core.affine import apply_affine
from tracker.detect.candidate import Candidate, candidate_of, in_frame, is_person
from tracker.detect.detect_config import DetectConfig
from tracker.detect.follow import Followed, Follower, Region
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
_ALIKE = 0.7
_AGREEING = 2
"""Regions that must come to one pose."""
_FRAMINGS = ((0.7, False), (0.85, False), (1.2, False), (1.45, False), (1.0, True), (1.2, True))
"""Sides of the regions that are looked at anew, over that of the pose, and whether in a mirror."""
# Of 81 stills of half-hidden people 48 are found so, and nobody else; in 51 pictures whose person was taken out nobody
# is, in 160 pieces of panoramas one. Without looking anew, but by three regions, it is 53, one and nine.
_ALIKE_AGAIN = 0.5
_AGREEING_AGAIN = 5
# Of 360 other pieces of panoramas four regions come together in two, and never more; nor more than two in 48 pictures
# whose person is behind a box as a whole. Of 144 other stills 89 instead of 79 are found so, and nobody else.
_MANY, _AGREEING_WITH_MANY = 5, 2


def half_hidden_people(follower: Follower, image: NDArray[np.uint8], config: DetectConfig) -> list[Candidate]:
    """The people of an (h, w, 3) RGB picture in which nobody is known, those of whom most regions tell first.

    Raises RunError when the network fails.
    """
    size = image.shape[1], image.shape[0]
    tried = follower.follow(image, starts(*size))
    likely = sorted((each for each in tried if each.presence >= _LIKELY), key=_presence, reverse=True)
    moved = sorted((_moved(follower, image, each) for each in likely[:_MOST]), key=_presence, reverse=True)
    sure = [each for each in moved if each.presence >= config.min_presence]
    people = [candidate_of(in_frame(each.reading, each.crop.T_frame_crop, size), size, each) for each in sure]
    groups = agreed([each for each in people if is_person(each)])
    there = [group[0] for group in groups if _is_seen_again(follower, image, group, config.min_presence)]
    return there[: config.max_people]


def starts(width: int, height: int) -> list[Region]:
    """Upright regions all over a picture, for people who fill half of its height to more than all of it."""
    regions = []
    for side in (part * max(height, width / 2) for part in _SIDES):
        across, down = (_middles(extent, part * side) for extent, part in zip((width, height), _APART, strict=True))
        regions += [Region(np.array([x, y]), side, 0.0) for y in down for x in across]
    return regions


def agreed(people: Sequence[Candidate]) -> list[list[Candidate]]:
    """The groups of enough people in about one pose, the largest first. people: the surest first, in groups, too."""
    left, groups = list(people), []
    while left:
        group = max(([c for c in left if _alike(c, middle)] for middle in left), key=len)
        groups.append(group)
        left = [c for c in left if all(c is not each for each in group)]
    return [group for group in groups if len(group) >= _AGREEING]


def _moved(follower: Follower, image: NDArray[np.uint8], answer: Followed) -> Followed:
    """What is seen where a region comes to that goes where the network sends it."""
    for _ in range(_MOVES):
        (answer,) = follower.follow(image, [answer.region])
    return answer


def _is_seen_again(
    follower: Follower, image: NDArray[np.uint8], group: Sequence[Candidate], min_presence: float
) -> bool:
    """Whether enough regions framed anew show the pose of a group's surest."""
    mirrored, width = np.ascontiguousarray(image[:, ::-1]), image.shape[1]
    person, enough = group[0], _AGREEING_WITH_MANY if len(group) >= _MANY else _AGREEING_AGAIN
    agreeing = 0
    for left, (scale, in_mirror) in zip(range(len(_FRAMINGS), 0, -1), _FRAMINGS, strict=True):
        if agreeing == enough or agreeing + left < enough:
            break
        region = replace(person.region, side=scale * person.region.side)
        picture, region = (mirrored, _mirrored(region, width)) if in_mirror else (image, region)
        (answer,) = follower.follow(picture, [region])
        pose = apply_affine(answer.crop.T_frame_crop, answer.reading.landmarks2d)
        if in_mirror:
            pose = pose * [-1, 1] + [width, 0]
        likeness = pose_similarity(pose, person.detection.landmarks2d)
        agreeing += answer.presence >= min_presence and likeness >= _ALIKE_AGAIN
    return agreeing == enough


def _mirrored(region: Region, width: int) -> Region:
    """The region in the mirror image of a picture of this width."""
    return Region(np.array([width - region.centre[0], region.centre[1]]), region.side, -region.turn)


def _presence(answer: Followed) -> float:
    return answer.presence


def _alike(first: Candidate, second: Candidate) -> bool:
    return pose_similarity(first.detection.landmarks2d, second.detection.landmarks2d) >= _ALIKE


def _middles(extent: float, most: float) -> list[float]:
    """The middles of equal parts of 0..extent that are no longer than `most`."""
    count = math.ceil(extent / most)
    return [(i + 0.5) * extent / count for i in range(count)]
