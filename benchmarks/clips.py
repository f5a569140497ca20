"""How well the tracker follows real clips, by what can be measured without truth.

For each clip and identity, from the files as exported: in how many frames it is; in how many of them the full landmark
network sees nobody where it is said to be (a ghost); how far the 12 landmarks of limbs, where they lie on the body, are
from that network's, against the height of the person; how well the drawn mesh's silhouette agrees with the network's
mask (clothes and hair limit that); how often they turn round from one frame to the next, which nobody does; and how
much joints and distance shake. The network is asked where the files say that people are, so that runs with different
settings and identities compare.

    python -m benchmarks.clips CLIP... --out DIR [--set detect.landmarks=full]
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from tracker.app.track import TrackJob, track
from tracker.body import BodyModel
from tracker.body.kinematics import LandmarkRig
from tracker.body.landmark_set import MEDIAPIPE
from tracker.body.skinner import skinner_of
from tracker.body.smpl_joints import smpl_index
from tracker.config import load_config
from tracker.core.arrays import Array
from tracker.core.frame import Frame
from tracker.core.mask import IN_MASK
from tracker.core.person import Pose
from tracker.core.strict_yaml import assigned, merged
from tracker.detect.candidate import in_frame
from tracker.detect.follow import NetworkFollower, Region
from tracker.export import ExportConfig, PersonSequence, output_folders
from tracker.export.load_result import load_result
from tracker.overlay.mesh_overlay import MeshOverlay
from tracker.pipeline import Tracker
from tracker.runtime.engine_config import EngineConfig
from tracker.runtime.interrupt import deferred_interrupt
from tracker.source import open_source

_HIPS = [smpl_index("left_hip"), smpl_index("right_hip")]
_SHOULDERS = [smpl_index("left_shoulder"), smpl_index("right_shoulder")]
_REACH = 1.15
"""Of a person's farthest landmark, fingers and toes, over their farthest joint."""
_REGION_SIDE = 2.6
_THERE = 0.5


@dataclass
class Agreement:
    """What one identity's files say against what the landmark network sees."""

    distances: list[Array] = field(default_factory=list)
    """(12,) a frame: parts of the person's height."""
    overlaps: list[float] = field(default_factory=list)
    """IoU of silhouette and mask."""
    ghosts: int = 0
    """Frames in which the network sees nobody there."""


@dataclass(frozen=True)
class Judge:
    """What the files are compared by."""

    follower: NetworkFollower
    overlay: MeshOverlay
    rig: LandmarkRig
    body: BodyModel

    def compare(self, frame: Frame, person: PersonSequence, row: int, agreement: Agreement) -> None:
        """One identity in one frame; goes into its agreement."""
        joints = person.joints2d[row].astype(float)
        (answer,) = self.follower.follow(frame.image, [region_of(joints)])
        if answer.presence < _THERE:
            agreement.ghosts += 1
            return
        reading = in_frame(answer.reading, answer.crop.T_frame_crop, frame.size)
        height = float(np.linalg.norm(np.ptp(joints, axis=0)))
        pose = pose_at(person, row)
        camera = replace(person.camera, width=frame.size[0], height=frame.size[1])
        landmarks = camera.project(self.rig.pose_from_theta(pose.theta, pose.betas).points + pose.transl)
        offset = (landmarks - reading.landmarks2d)[MEDIAPIPE.limbs]
        agreement.distances.append(np.linalg.norm(offset, axis=1) / height)
        vertices = skinner_of(self.body).vertices(pose)
        drawn = self.overlay.silhouette(camera, vertices, self.body.faces.numpy())
        mask = reading.mask.picture() >= IN_MASK
        agreement.overlaps.append(float((drawn & mask).sum() / max((drawn | mask).sum(), 1)))


def region_of(joints: Array) -> Region:
    """Where the landmark network has to look for somebody with these (24, 2) px joints."""
    hips = joints[_HIPS].mean(axis=0)
    up = joints[_SHOULDERS].mean(axis=0) - hips
    farthest = _REACH * float(np.linalg.norm(joints - hips, axis=1).max())
    return Region(hips, max(_REGION_SIDE * farthest, 16.0), float(np.arctan2(up[0], -up[1])))


def forward(joints: Array) -> Array:
    """(..., 3) where the trunks of (..., 24, 3) joints face, of any length."""
    hips, shoulders = joints[..., _HIPS, :], joints[..., _SHOULDERS, :]
    to_left = hips[..., 0, :] - hips[..., 1, :] + shoulders[..., 0, :] - shoulders[..., 1, :]
    return np.cross(to_left, shoulders.mean(axis=-2) - hips.mean(axis=-2))


def flips(joints3d: Array, frame_index: NDArray[np.integer]) -> int:
    """How often the trunk faces away from where it faced one frame before. joints3d: (T, 24, 3) m; frame_index: (T,)
    of the source."""
    facing = forward(joints3d)
    away = (facing[1:] * facing[:-1]).sum(axis=1) < 0
    return int((away & (np.diff(frame_index) == 1)).sum())


def shake(person: PersonSequence) -> tuple[float, float]:
    """Medians over time of the joints' acceleration, m/s², the root's taken away, and of the root's in depth, m/s²."""
    together = np.flatnonzero((np.diff(person.frame_index, n=2) == 0) & (np.diff(person.frame_index)[1:] == 1)) + 1
    if not len(together):
        return float("nan"), float("nan")
    step = np.median(np.diff(person.timestamps))
    moved = np.diff(person.joints3d.astype(float), n=2, axis=0)[together - 1] / step**2
    limbs = np.linalg.norm(moved - moved[:, :1], axis=-1).mean(axis=1)
    return float(np.median(limbs)), float(np.median(np.abs(moved[:, 0, 2])))


def pose_at(person: PersonSequence, row: int) -> Pose:
    """The exported pose of one row, in float64."""
    poses = person.poses[row].astype(float)
    return Pose(poses[:3], poses[3:], person.betas.astype(float), person.trans[row].astype(float))


def agreements(spec: str, people: dict[int, PersonSequence], judge: Judge) -> dict[int, Agreement]:
    """Goes through the clip again, beside the exported files."""
    rows: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for key, person in people.items():
        for row, index in enumerate(person.frame_index):
            rows[int(index)].append((key, row))
    agreement = {key: Agreement() for key in people}
    with open_source(spec) as source:
        for frame in source:
            for key, row in rows.get(frame.index, []):
                judge.compare(frame, people[key], row, agreement[key])
    return agreement


def line(person: PersonSequence, agreement: Agreement) -> str:
    """The figures of one identity, under the heading of `main`."""
    off = 100 * np.concatenate([*agreement.distances, np.full(1, np.nan)])
    overlap = np.array([*agreement.overlaps, np.nan])
    middle, most = np.nanpercentile(off, [50, 95])
    overlap_middle, overlap_least = np.nanpercentile(overlap, [50, 5])
    limbs, depth = shake(person)
    turns = flips(person.joints3d.astype(float), person.frame_index)
    return (
        f"{agreement.ghosts:8}{turns:7}{middle:18.2f} %{most:6.1f} %{overlap_middle:13.3f}{overlap_least:7.3f}"
        f"{limbs:7.2f} m/s²{depth:7.2f} m/s²"
    )


@click.command()
@click.argument("clips", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Where the tracking results go.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Of the configuration.")
def main(clips: tuple[str, ...], out: Path, assignments: tuple[str, ...]) -> None:
    """Track CLIPS and compare the exported files with the landmark network."""
    files = {"smooth": {"mode": "offline"}, "world": {"frame": "camera"}}
    config = load_config(changes=merged(files, assigned(assignments)))
    click.echo(
        f"{'clip':24}{'id':>3}{'frames':>10}{'ghosts':>8}{'flips':>7}{'limbs off, median':>20}{'95 %':>8}"
        f"{'IoU, median':>13}{'5 %':>7}{'shake':>12}{'in depth':>12}"
    )
    for spec, folder in zip(clips, output_folders(clips, out), strict=True):
        with deferred_interrupt() as interrupt, Tracker.open(config) as tracker:
            result = track(TrackJob(spec, folder, export=ExportConfig(overwrite=True)), tracker, interrupt)
            body = tracker.body
        people = load_result(folder).people
        with MeshOverlay() as overlay:
            judge = Judge(NetworkFollower(EngineConfig()), overlay, LandmarkRig.from_body(body), body)
            for key, agreement in sorted(agreements(spec, people, judge).items()):
                present = f"{(people[key].frame_index >= 0).sum()}/{result.frames}"
                click.echo(f"{folder.name:24}{key:3}{present:>10}{line(people[key], agreement)}")
            judge.follower.close()


if __name__ == "__main__":
    main()
