"""How far people who stand have their knees bent: SMPL's bend where both legs are straight in the picture.

python -m benchmarks.standing_knees CLIP...
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

from tracker.body.landmark_set import MEDIAPIPE
from tracker.body.smpl_joints import smpl_index
from tracker.config import load_config
from tracker.core.arrays import Array
from tracker.core.detection import Detection
from tracker.pipeline import Tracker
from tracker.source import open_source

_LEG = ("hip", "knee", "ankle")
_LEGS = np.array([MEDIAPIPE.indices([f"{side}_{name}" for name in _LEG]) for side in ("left", "right")])
_KNEES = [smpl_index("left_knee"), smpl_index("right_knee")]
_SEEN = 0.8
_STRAIGHT, _UPRIGHT = 12.0, 25.0
"""Degrees: of a leg's bend in the picture, and of the trunk against the picture's side."""
_EVERY, _FRAMES = 5, 150


def stands_straight(detection: Detection) -> bool:
    """Whether both legs are in view and straight in the picture, and the trunk upright."""
    if detection.visibility[_LEGS].min() < _SEEN:
        return False
    hips, knees, ankles = detection.landmarks2d[_LEGS].swapaxes(0, 1)
    shoulders = detection.landmarks2d[MEDIAPIPE.indices(("left_shoulder", "right_shoulder"))]
    trunk = shoulders.mean(axis=0) - hips.mean(axis=0)
    upright = np.degrees(np.arctan2(abs(trunk[0]), -trunk[1]))
    return bool(_angles(knees - hips, ankles - knees).max() < _STRAIGHT and upright < _UPRIGHT)


def _angles(a: Array, b: Array) -> Array:
    """(n,) degrees between (n, 2) and (n, 2)."""
    cosine = (a * b).sum(axis=1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-9)
    angles: Array = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
    return angles


def bends(tracker: Tracker, clip: Path) -> Iterator[Array]:
    """(2,) degrees, left and right, of everybody who stands straight in every few frames of a clip."""
    tracker.restart()
    with open_source(str(clip)) as source:
        tracker.look_through(source.info)
        for frame, _ in zip(source, range(_FRAMES), strict=False):
            detected = tracker.extract(tracker.detect(frame))
            people = {person.person_id: person for person in tracker.fit(detected) if person.believed}
            for each in detected.people if frame.index % _EVERY == 0 else ():
                if each.person_id in people and stands_straight(each.detection):
                    yield np.degrees(people[each.person_id].pose.theta[_KNEES, 0])


@click.command(help=__doc__)
@click.argument("clips", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def main(clips: tuple[Path, ...]) -> None:
    with Tracker.open(load_config("live", {"detect": {"landmarks": "full"}})) as tracker:
        for clip in clips:
            rows = np.array(list(bends(tracker, clip))).reshape(-1, 2)
            if not len(rows):
                click.echo(f"{clip.name:30} nobody stands straight")
                continue
            left, right = np.median(rows, axis=0)
            click.echo(f"{clip.name:30} {len(rows):4} bodies, knees bent by {left:3.0f}° left, {right:3.0f}° right")


if __name__ == "__main__":
    main()
