"""Films of rigged, clothed people who move as captured people did, with exact truth, for `benchmarks.avatar_clips`.

In a scene one or two people keep to their place, somebody may walk past them, and something may stand before them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.avatars import drawn_in, posed
from benchmarks.half_hidden_avatars import LEVEL, placed
from tracker.core.arrays import Array
from tracker.core.atomic_file import whole_file
from tracker.core.camera import Camera
from tracker.core.geometry import matrix_from_axis_angle
from tracker.motion.motion_library import MotionLibrary
from tracker.overlay.video_writer import VideoWriter
from tracker.synth.samples.background import look_around
from tracker.synth.samples.environment import Environment
from tracker.synth.samples.rigged_person import RiggedPerson
from tracker.synth.textured_raster import TexturedRendering

Picture = NDArray[np.uint8]
RATE = Fraction(30)
_SIZES = ((640, 480), (960, 540), (1280, 720), (540, 960))
_FIELD = (45.0, 70.0)
"""Degrees, of the picture's longer side."""
_PITCH = (0.0, 18.0)
"""Degrees by which the camera looks down."""
_HEIGHTS = (0.75, 0.95)
"""Of the picture: what all people take of it over the whole film."""
_STAYS, _WALKS = 1.0, 2.0
"""m between the first and the last place: at most of who keeps to a place, at least of who walks past."""
_TRIES = 300
_SHORTEST = 10
"""Frames: shorter clips are no motion."""
_CALIBRATION = 3
"""Frames at the beginning of a capture in which people may stand as they were measured."""
_NOISE = 2.0
"""Levels, of the sensor."""
_EVERY_VERTEX, _EVERY_FRAME = 23, 6
"""What is looked at to place a film's people."""


@dataclass(frozen=True)
class Role:
    """Somebody's part in a scene."""

    place: tuple[float, float]
    """m: to the right and towards the camera."""
    walks: bool = False
    """Through the picture from one side to the other, rather than moving about on the spot."""


@dataclass(frozen=True)
class Scene:
    """Who is in a film, and what stands before them."""

    roles: tuple[Role, ...]
    box: bool = False
    """Hides everything below the waist, about."""
    pillar: bool = False
    """In the middle, as high as the picture."""


_MIDDLE = Role((0.0, 0.0))
SCENES = {
    "alone": Scene((_MIDDLE,)),
    "beside": Scene((Role((-0.5, 0.0)), Role((0.5, 0.1)))),
    "in_front": Scene((_MIDDLE, Role((0.0, 0.7), walks=True))),
    "behind": Scene((_MIDDLE, Role((0.0, -0.7), walks=True))),
    "three": Scene((Role((-0.7, 0.0)), Role((0.7, -0.3)), Role((0.0, -0.9), walks=True))),
    "box": Scene((_MIDDLE,), box=True),
    "pillar": Scene((Role((0.0, 0.0), walks=True),), pillar=True),
}


@dataclass(frozen=True)
class Performance:
    """One person's movements; T frames."""

    avatar: RiggedPerson
    rotations: Array
    """(T, 24, 3, 3) relative to the parents."""
    places: Array
    """(T, 3) m, of the hips; the world has y up."""

    def at(self, frame: int) -> tuple[Array, Array]:
        """(V, 3) vertices and (24, 3) joints in m, in the world."""
        vertices, joints = posed(self.avatar, self.rotations[frame])
        return vertices + self.places[frame], joints + self.places[frame]


@dataclass(frozen=True)
class FilmTruth:
    """What is to be found in a film: P people in T frames."""

    joints3d: Array
    """(T, P, 24, 3) m, the camera's frame; where the person's own skeleton has SMPL's joints."""
    joints2d: Array
    """(T, P, 24, 2) px."""
    shown: Array
    """(T, P) 0..1: how much of each one's silhouette is behind nothing."""

    def save(self, path: Path) -> None:
        with whole_file(path) as part, part.open("wb") as stream:
            np.savez_compressed(stream, **vars(self))

    @classmethod
    def load(cls, path: Path) -> FilmTruth:
        """Raises OSError, KeyError and ValueError for what is no such file."""
        with np.load(path, allow_pickle=False) as file:
            return cls(**{each.name: file[each.name] for each in fields(cls)})


@dataclass(frozen=True)
class Film:
    """People before a camera that does not move."""

    performances: Sequence[Performance]
    camera: Camera
    R_camera_world: Array
    shift: Array
    """(3,) m: the world's origin in the camera's frame."""
    room: Environment
    behind: Picture
    before: Picture
    hidden: NDArray[np.bool_]
    """(h, w) where `before` is shown whatever is behind it."""

    def in_camera(self, points: Array) -> Array:
        """(..., 3) m."""
        return points @ self.R_camera_world.T + self.shift

    def shots(self, rng: np.random.Generator) -> Iterator[tuple[Picture, Array]]:
        """Each picture, and how much of everybody's silhouette is behind nothing, (P,) 0..1."""
        for frame in range(len(self.performances[0].places)):
            picture, in_front = self.behind.astype(np.float64), self.hidden.copy()
            alone = [self._drawn(performance, frame) for performance in self.performances]
            depth = [self.in_camera(performance.places[frame])[2] for performance in self.performances]
            shown = np.zeros(len(alone))
            for person in np.argsort(depth):
                silhouette = alone[person].coverage > 127
                shown[person] = (silhouette & ~in_front).sum() / max(silhouette.sum(), 1)
                in_front |= silhouette
            for person in np.argsort(depth)[::-1]:
                picture = alone[person].colour + (1 - alone[person].coverage[..., None] / 255) * picture
            picture[self.hidden] = self.before[self.hidden]
            yield np.clip(picture + rng.normal(0, _NOISE, picture.shape), 0, 255).round().astype(np.uint8), shown

    def _drawn(self, performance: Performance, frame: int) -> TexturedRendering:
        vertices = self.in_camera(performance.at(frame)[0])
        return drawn_in(self.room, self.camera, self.R_camera_world, performance.avatar, vertices)

    def write(self, path: Path, rng: np.random.Generator) -> None:
        """The pictures, and beside them the truth."""
        shown = []
        with VideoWriter(path, (self.camera.width, self.camera.height), RATE) as video:
            for index, (picture, share) in enumerate(self.shots(rng)):
                video.write(float(index / RATE), picture)
                shown.append(share)
        joints = np.array([[self.in_camera(p.at(row)[1]) for p in self.performances] for row in range(len(shown))])
        joints2d = self.camera.project(joints.reshape(-1, 3)).reshape(*joints.shape[:3], 2)
        FilmTruth(joints, joints2d, np.array(shown)).save(truth_file(path))


def truth_file(film: Path) -> Path:
    return film.with_suffix(".truth.npz")


@dataclass(frozen=True)
class FilmStudio:
    """What films are made of."""

    library: MotionLibrary
    rooms: Sequence[Environment]
    frames: int

    def film(self, rng: np.random.Generator, scene: Scene, avatars: Sequence[RiggedPerson]) -> Film:
        """avatars: one a role."""
        performances = [self._performance(rng, *part) for part in zip(scene.roles, avatars, strict=True)]
        width, height = _SIZES[rng.integers(len(_SIZES))]
        focal = max(width, height) / 2 / math.tan(math.radians(rng.uniform(*_FIELD)) / 2)
        camera = Camera.from_focal(focal, width, height)
        R_camera_world = matrix_from_axis_angle(np.array([math.radians(rng.uniform(*_PITCH)), 0.0, 0.0])) @ LEVEL
        some = range(0, self.frames, _EVERY_FRAME)
        points = np.concatenate([each.at(frame)[0][::_EVERY_VERTEX] for each in performances for frame in some])
        shift = placed(rng, camera, points @ R_camera_world.T, _HEIGHTS)
        room = self.rooms[rng.integers(len(self.rooms))].turned(rng.random())
        assert room.panorama is not None
        behind = look_around(rng, room.panorama, camera, R_camera_world, widest=2.0)
        pixels = camera.project(points @ R_camera_world.T + shift)
        hidden = _hidden(scene, camera, pixels)
        return Film(performances, camera, R_camera_world, shift, room, behind, _cloth(rng, camera), hidden)

    def _performance(self, rng: np.random.Generator, role: Role, avatar: RiggedPerson) -> Performance:
        """A piece of captured motion that suits the role, with the lowest point of it on the floor."""
        rotations, places = self.piece(rng, role.walks)
        travel = (places[-1] - places[0])[[0, 2]]
        to_the_side = math.atan2(travel[1], travel[0]) + np.pi * rng.integers(2)
        yaw = to_the_side if role.walks else rng.uniform(-np.pi, np.pi)
        turn = matrix_from_axis_angle(np.array([0.0, yaw, 0.0]))
        rotations[:, 0], places = turn @ rotations[:, 0], places @ turn.T
        places -= [np.ptp(places[:, 0]) / 2 + places[:, 0].min(), 0.0, places[:, 2].mean()]
        still = Performance(avatar, rotations, places)
        lowest = min(still.at(frame)[0][:, 1].min() for frame in range(0, self.frames, _EVERY_FRAME))
        return Performance(avatar, rotations, places + np.array([role.place[0], -lowest, role.place[1]]))

    def piece(self, rng: np.random.Generator, walks: bool) -> tuple[Array, Array]:
        """Rotations (T, 24, 3, 3) and places (T, 3); clips that are too short go back and forth."""
        for _ in range(_TRIES):
            clip = self.library.clips[rng.integers(len(self.library.clips))]
            known = np.arange(_CALIBRATION, len(clip.theta))
            if len(known) < (self.frames if walks else _SHORTEST):
                continue
            rows = there_and_back(known, self.frames, int(rng.integers(max(len(known) - self.frames, 0) + 1)))
            places = np.array(clip.transl[rows], float)
            travel = float(np.linalg.norm((places[-1] - places[0])[[0, 2]]))
            if travel >= _WALKS if walks else travel <= _STAYS:
                return np.array(clip.rotations()[rows], float), places
        wanted = f"walks {_WALKS:g} m in a line" if walks else f"stays within {_STAYS:g} m"
        raise ValueError(f"avatar_films: in none of {_TRIES} pieces of {self.frames} frames somebody {wanted}")


def there_and_back(rows: NDArray[np.int64], count: int, first: int) -> NDArray[np.int64]:
    """(count,) of the rows, from one of them on, turning round at the ends."""
    period = np.concatenate([rows, rows[-2:0:-1]])
    return period[(first + np.arange(count)) % len(period)]


def _hidden(scene: Scene, camera: Camera, pixels: Array) -> NDArray[np.bool_]:
    """(h, w) what the scene's obstacles hide of people who are at pixels (n, 2) over time."""
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    rows, columns = np.mgrid[: camera.height, : camera.width]
    hidden = np.zeros((camera.height, camera.width), bool)
    if scene.box:
        hidden |= rows > low[1] + 0.55 * (high[1] - low[1])
    if scene.pillar:
        hidden |= np.abs(columns - (low[0] + high[0]) / 2) < 0.08 * (high[0] - low[0]) + 10
    return hidden


def _cloth(rng: np.random.Generator, camera: Camera) -> Picture:
    """(h, w, 3): what obstacles look like."""
    grain = rng.random((camera.height, camera.width, 3)) * 80 + rng.uniform(40, 140, 3)
    return cv2.GaussianBlur(grain, (0, 0), 3).astype(np.uint8)
