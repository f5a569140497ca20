"""How hands are turned, with the hand network and without, of rendered people whose truth is known.

AVATARS is a folder of rigged, clothed people as training samples are made of (`docs/samples.md`); each is shown once as
in `benchmarks.half_hidden_avatars`, nearly as tall as the picture, in a pose of captured motion. `--turned` also bends
wrists and turns forearms by lot, as people do who gesture.

    python -m benchmarks.hands AVATARS --motion FOLDER --assets FOLDER [--turned]
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from benchmarks.avatars import drawn_in, looks, posed
from benchmarks.half_hidden_avatars import placed
from tracker.body.smpl_joints import SMPL_JOINTS, SMPL_PARENTS
from tracker.config import load_config
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.camera import Camera
from tracker.core.frame import Frame
from tracker.core.geometry import matrix_from_axis_angle
from tracker.core.palms import Palms
from tracker.motion.motion_library import MotionLibrary
from tracker.pipeline import DetectedFrame, Tracker
from tracker.synth.samples import AssetFolder
from tracker.synth.samples.assets import read_environment
from tracker.synth.samples.background import look_around
from tracker.synth.samples.environment import Environment
from tracker.synth.samples.rigged_person import RiggedPerson, read_rigged

_SIZE = (1280, 720)
_FIELD = (35.0, 70.0)
_HEIGHTS = (0.75, 0.95)
_LEVEL = np.diag([1.0, -1.0, -1.0])
_BEND, _TWIST = np.array([0.5, 0.3, 0.5]), 0.8
"""rad: the spread of wrists' rotation vectors, and the most that forearms are turned by."""
_ALONG, _OUT = {"left": (1.0, 0, 0), "right": (-1.0, 0, 0)}, (0.0, -1.0, 0)
"""Where fingers and palms point in SMPL's rest pose."""


@dataclass(frozen=True)
class Shown:
    """A frame with somebody in it."""

    frame: Frame
    turned: Array
    """(24, 3, 3) of each joint against the camera."""
    joints: Array
    """(24, 3) m from the pelvis, along the camera's axes."""


def shown(rng: np.random.Generator, avatar: RiggedPerson, rotations: Array, room: Environment) -> Shown:
    """Somebody in a pose (24, 3, 3)."""
    width, height = _SIZE
    camera = Camera.from_focal(width / 2 / math.tan(math.radians(rng.uniform(*_FIELD)) / 2), width, height)
    vertices, joints = posed(avatar, rotations)
    R_camera_world = matrix_from_axis_angle(np.array([math.radians(rng.uniform(-5, 15)), 0.0, 0.0])) @ _LEVEL
    seen = vertices @ R_camera_world.T
    at = placed(rng, camera, seen, _HEIGHTS)
    rendering = drawn_in(room, camera, R_camera_world, avatar, seen + at)
    assert room.panorama is not None
    behind = look_around(rng, room.panorama, camera, R_camera_world, widest=2.0)
    image = np.rint(rendering.colour + (1 - rendering.coverage[..., None] / 255) * behind).astype(np.uint8)
    turned = R_camera_world @ against_the_world(rotations)
    return Shown(Frame.of(image, 0, 0.0), turned, (joints - joints[0]) @ R_camera_world.T)


def against_the_world(rotations: Array) -> Array:
    """(24, 3, 3) of each joint relative to its parent → against the axes that the pelvis is turned in."""
    turned = np.array(rotations, float)
    for joint in range(1, NUM_JOINTS):
        turned[joint] = turned[SMPL_PARENTS[joint]] @ rotations[joint]
    return turned


def gestured(rng: np.random.Generator, rotations: Array) -> Array:
    """The pose with other wrists and forearms."""
    changed = rotations.copy()
    for side in ("left", "right"):
        elbow, wrist = (SMPL_JOINTS.index(f"{side}_{name}") for name in ("elbow", "wrist"))
        changed[wrist] = matrix_from_axis_angle(_BEND * rng.normal(size=3))
        changed[elbow] = changed[elbow] @ matrix_from_axis_angle(np.array([rng.uniform(-_TWIST, _TWIST), 0, 0]))
    return changed


def errors(
    tracker: Tracker, detected: DetectedFrame, truth: Shown, sides: Sequence[str]
) -> Iterator[tuple[float, ...]]:
    """Of each hand: degrees by which fingers and palm point elsewhere, mm by which wrist and hand joint are off."""
    tracker.restart()
    people = tracker.fit(detected)
    if len(people) != 1:
        return
    pose = people[0].pose
    vectors = np.concatenate([pose.global_orient[None], pose.body_pose.reshape(-1, 3)])
    turned = against_the_world(matrix_from_axis_angle(vectors))
    joints = people[0].joints3d - people[0].joints3d[0]
    for side in sides:
        wrist, hand = (SMPL_JOINTS.index(f"{side}_{name}") for name in ("wrist", "hand"))
        angles = [
            math.degrees(math.acos(np.clip((truth.turned[wrist] @ axis) @ (turned[wrist] @ axis), -1, 1)))
            for axis in (np.array(_ALONG[side]), np.array(_OUT))
        ]
        yield *angles, *(1e3 * float(np.linalg.norm((joints - truth.joints)[j])) for j in (wrist, hand))


@click.command()
@click.argument("avatars", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--motion", required=True, type=click.Path(path_type=Path, exists=True), help="Captured motion.")
@click.option("--assets", required=True, type=click.Path(path_type=Path, exists=True), help="A folder with hdri/.")
@click.option("--turned", is_flag=True, help="Other wrists and forearms than the motion's.")
@click.option("--count", default=50, show_default=True, help="At most so many avatars.")
@click.option("--seed", default=0, show_default=True, help="Of poses, cameras and rooms.")
def main(avatars: Path, motion: Path, assets: Path, turned: bool, count: int, seed: int) -> None:
    """See the hands of AVATARS that the hand network is sure of with it and without."""
    rng = np.random.default_rng(seed)
    rooms = [read_environment(path) for path in AssetFolder.open(assets).environments("train")]
    poses = MotionLibrary.open(motion).rotations
    rows: list[tuple[tuple[float, ...], tuple[float, ...]]] = []
    with Tracker.open(load_config()) as tracker:
        for file in tqdm(looks(avatars, rng, None)[:count], unit="person", disable=None):
            rotations = np.array(poses[rng.integers(len(poses))], float)
            rotations[0] = matrix_from_axis_angle(np.array([0.0, rng.uniform(-np.pi, np.pi), 0.0])) @ rotations[0]
            rotations = gestured(rng, rotations) if turned else rotations
            truth = shown(rng, read_rigged(file), rotations, rooms[rng.integers(len(rooms))].turned(rng.random()))
            tracker.restart()
            seen = tracker.extract(tracker.detect(truth.frame))
            if len(seen.people) != 1:
                continue
            person = seen.people[0]
            palms = person.detection.palms
            sides = [side for side in ("left", "right") if getattr(palms, side) is not None]
            blind = replace(seen, people=[replace(person, detection=replace(person.detection, palms=Palms()))])
            rows += zip(errors(tracker, blind, truth, sides), errors(tracker, seen, truth, sides), strict=False)
    without, with_it = np.array(rows).transpose(1, 0, 2)
    print(f"{len(rows)} hands, without → with the hand network, and the difference with its standard error")
    for name, before, after in zip(("fingers °", "palm °", "wrist mm", "hand mm"), without.T, with_it.T, strict=True):
        off = after - before
        spread = off.std() / math.sqrt(len(off))
        print(f"{name:10} {before.mean():6.1f} → {after.mean():6.1f}   {off.mean():+.1f} ± {spread:.1f}")


if __name__ == "__main__":
    main()
