"""The world's frame of a whole clip, told from everybody in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tracker.world.body_track import FOOT_PARTS, BodyTrack
from tracker.world.camera_path import CameraPath
from tracker.world.contacts import contacts_of, slow_stands, stands_of
from tracker.world.gravity import Gravity, Plane, Stand, fit_plane, gravity_of, pitched
from tracker.world.world_config import WorldConfig
from tracker.world.world_frame import WorldFrame

_ROUNDS = 3
_MOST_STANDS = 2000
_MOST_ROWS, _MOST_ROWS_TOGETHER = 20_000, 30_000
"""Of each person, from the start, and of all of them: more only take time and memory."""


@dataclass(frozen=True)
class WorldEstimate:
    """What one clip tells of the world around its camera, which stands still or turns in its place."""

    floor: Plane
    stands: int
    """Places where a foot stood in view; with none the floor is a guess."""
    world: WorldFrame
    """Around the camera of the first picture."""
    path: CameraPath | None = None
    """How the camera turned; None where it stands still."""
    calibrated: bool = False
    """Whether all this was known beforehand."""

    def world_at(self, time: float) -> WorldFrame:
        """Around the camera of a moment, s."""
        return self.world if self.path is None else self.world.turned(self.path.turns_at(np.array([time]))[0])

    @property
    def warnings(self) -> list[str]:
        """What the user should know of it."""
        if self.stands or self.calibrated:
            return []
        return [
            "nobody's feet are seen to stand, so the floor lies where feet are guessed to be; "
            "give --camera-height METRES and --pitch DEGREES where you know them"
        ]


def rows_wanted(people: int) -> int:
    """Of each of so many people, from their first on, that a world is told from."""
    return max(1, min(_MOST_ROWS, _MOST_ROWS_TOGETHER // max(people, 1)))


def estimate_world(tracks: Sequence[BodyTrack], config: WorldConfig) -> WorldEstimate:
    """From everybody in a clip, by identity. Without feet that stand in view the floor lies under the lowest feet as
    they are guessed to be."""
    known = config.calibrated
    if known is not None:
        return WorldEstimate(Plane(known.up, known.camera_height), 0, known, calibrated=True)
    tracks = [track.rows(slice(0, rows_wanted(len(tracks)))) for track in tracks]
    floor, stands = _floor(tracks, config)
    first = tracks[0].joints[0, 0] if tracks else np.array([0.0, 0.0, 3.0])
    return WorldEstimate(floor, stands, WorldFrame.of_floor(floor.up, floor.height, first))


def _floor(tracks: Sequence[BodyTrack], config: WorldConfig) -> tuple[Plane, int]:
    """The floor and the number of places that say so."""
    gravity = gravity_of(tracks)
    stands = [stand for track in tracks for stand in slow_stands(track)]
    floor = fit_plane(_fewer(stands) or _lowest(tracks, gravity), gravity, config.pitch, config.camera_height)
    for _ in range(_ROUNDS):
        stands = [stand for track in tracks for stand in stands_of(track, contacts_of(track, floor))]
        if not stands:
            return floor, 0
        floor = fit_plane(_fewer(stands), gravity, config.pitch, config.camera_height)
    return floor, len(stands)


def _fewer(stands: Sequence[Stand]) -> list[Stand]:
    return list(stands[:: max(1, len(stands) // _MOST_STANDS)])


def _lowest(tracks: Sequence[BodyTrack], gravity: Gravity | None) -> list[Stand]:
    """The median place of everybody's lower foot."""
    up = pitched(0.0) if gravity is None else gravity.up
    places = []
    for track in tracks:
        heights = track.points[:, :FOOT_PARTS] @ up
        places.append(np.median(track.points[np.arange(len(heights)), heights.argmin(axis=1)], axis=0))
    return [Stand(place, 0.05) for place in places]
