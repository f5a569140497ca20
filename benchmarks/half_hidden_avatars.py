"""Half-hidden people in the first picture, as `benchmarks.half_hidden`, of people that are drawn.

AVATARS is a folder of rigged, clothed people as training samples are made of (`docs/samples.md`); each is shown once,
in a pose of captured motion, somewhere in a room of an environment map, whole in the picture and 40 to 95 % as tall as
it is.

    python -m benchmarks.half_hidden_avatars AVATARS --motion FOLDER --assets FOLDER [--half 0] [--sheet FILE.png]
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.avatars import drawn_in, looks, posed
from benchmarks.half_hidden import Subject, answers, report
from tracker.body.smpl_joints import LIMB_SMPL
from tracker.config import load_config
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.frame import Frame
from tracker.core.geometry import matrix_from_axis_angle
from tracker.core.strict_yaml import assigned
from tracker.motion.motion_library import MotionLibrary
from tracker.pipeline import Tracker
from tracker.synth.samples import AssetFolder
from tracker.synth.samples.assets import read_environment
from tracker.synth.samples.background import look_around
from tracker.synth.samples.environment import Environment
from tracker.synth.samples.rigged_person import RiggedPerson, read_rigged

_SIZES = ((640, 480), (960, 540), (540, 960))
_FIELD = (35.0, 75.0)
"""Degrees, of the picture's longer side."""
_PITCH = (-10.0, 30.0)
"""Degrees by which the camera looks down."""
_HEIGHTS = (0.4, 0.95)
"""Of the picture's height, or of its width for whoever is wider than tall."""
_MARGIN = 0.02
_NEAREST = 0.3
"""m from the camera to the nearest point."""
_ROUNDS = 20
LEVEL = np.diag([1.0, -1.0, -1.0])
"""The camera's axes against the world's where it looks straight ahead: y down, z forward."""


@dataclass(frozen=True)
class Studio:
    """Where people are drawn: poses, rooms, what is known about the camera."""

    poses: Array
    """(N, 24, 3, 3)."""
    rooms: list[Environment]

    def subject(self, rng: np.random.Generator, avatar: RiggedPerson) -> Subject:
        """The avatar somewhere."""
        width, height = _SIZES[rng.integers(len(_SIZES))]
        focal = max(width, height) / 2 / math.tan(math.radians(rng.uniform(*_FIELD)) / 2)
        camera = Camera.from_focal(focal, width, height)
        rotations = np.array(self.poses[rng.integers(len(self.poses))], float)
        rotations[0] = matrix_from_axis_angle(np.array([0.0, rng.uniform(-np.pi, np.pi), 0.0])) @ rotations[0]
        vertices, joints = posed(avatar, rotations)
        pitch = math.radians(rng.uniform(*_PITCH))
        R_camera_world = matrix_from_axis_angle(np.array([pitch, 0.0, 0.0])) @ LEVEL
        at = placed(rng, camera, vertices @ R_camera_world.T)
        room = self.rooms[rng.integers(len(self.rooms))].turned(rng.random())
        rendering = drawn_in(room, camera, R_camera_world, avatar, vertices @ R_camera_world.T + at)
        assert room.panorama is not None
        behind = look_around(rng, room.panorama, camera, R_camera_world, widest=2.0)
        share = rendering.coverage[..., None] / 255
        image = np.rint(rendering.colour + (1 - share) * behind).astype(np.uint8)
        limbs = camera.project(joints[list(LIMB_SMPL)] @ R_camera_world.T + at)
        return Subject(avatar.name, Frame.of(image, 0, 0.0), rendering.coverage > 127, limbs)


def placed(rng: np.random.Generator, camera: Camera, points: Array, heights: tuple[float, float] = _HEIGHTS) -> Array:
    """(3,) m by which points (V, 3) about the origin move into the picture, as large as drawn by lot between
    two shares of its height."""
    size = np.array([camera.width, camera.height])
    share, where, at = rng.uniform(*heights), rng.random(2), np.array([0.0, 0.0, 3.0])
    for _ in range(_ROUNDS):  # who moves aside or nearer is seen from another side, and is of another size
        pixels = camera.project(points + at)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        at[2] = max(at[2] * ((high - low) / size).max() / share, _NEAREST - points[:, 2].min())
        middle = _MARGIN * size + where * ((1 - 2 * _MARGIN) * size - (high - low)) + (high - low) / 2
        at[:2] += (middle - (low + high) / 2) * at[2] / camera.fx
    return at


def subjects(studio: Studio, rng: np.random.Generator, files: list[Path]) -> Iterator[Subject]:
    """Each of the avatars somewhere."""
    for file in files:
        yield studio.subject(rng, read_rigged(file))


@click.command()
@click.argument("avatars", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--motion", required=True, type=click.Path(path_type=Path, exists=True), help="Captured motion.")
@click.option("--assets", required=True, type=click.Path(path_type=Path, exists=True), help="A folder with hdri/.")
@click.option("--half", type=click.IntRange(0, 1), help="Only every other person, from the first or the second.")
@click.option("--count", default=60, show_default=True, help="At most so many avatars.")
@click.option("--seed", default=0, show_default=True, help="Of poses, cameras and rooms.")
@click.option("--sheet", type=click.Path(path_type=Path), help="A picture of all stills.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Of the configuration.")
def main(
    avatars: Path,
    motion: Path,
    assets: Path,
    half: int | None,
    count: int,
    seed: int,
    sheet: Path | None,
    assignments: tuple[str, ...],
) -> None:
    """Hide each of AVATARS by halves, and look for them."""
    rng = np.random.default_rng(seed)
    rooms = [read_environment(path) for path in AssetFolder.open(assets).environments("train")]
    studio = Studio(MotionLibrary.open(motion).rotations, rooms)
    with Tracker.open(load_config(changes=assigned(assignments))) as tracker:
        report(answers(tracker, subjects(studio, rng, looks(avatars, rng, half)[:count]), rng), sheet)


if __name__ == "__main__":
    main()
