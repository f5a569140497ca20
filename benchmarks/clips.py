"""How well the tracker follows real clips, by what can be measured without truth.

For each clip: the share of frames that every identity is present in, how far the joints that both conventions share (12
limb joints, in the files as exported) lie from the detector's landmarks against the height of the person's box, and
how well the drawn mesh's silhouette agrees with the detector's mask (clothes and hair limit that):

    python -m benchmarks.clips CLIP... --out DIR
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

import click
import numpy as np

from tracker.app.track import TrackJob, track
from tracker.body.landmark_set import MEDIAPIPE
from tracker.body.smpl_joints import LIMB_SMPL
from tracker.config import load_config
from tracker.core.arrays import Array
from tracker.core.detection import TrackedDetection
from tracker.core.mask import IN_MASK
from tracker.core.person import Pose
from tracker.detect import LandmarkDetector
from tracker.export import ExportConfig, PersonSequence, load_person, output_folders
from tracker.identity import IdentityTracker
from tracker.overlay.mesh_overlay import MeshOverlay, camera_vertices
from tracker.pipeline import Tracker, TrackerConfig
from tracker.runtime.interrupt import deferred_interrupt
from tracker.source import open_source


@dataclass
class Agreement:
    """What one identity's files say against what the detector said."""

    distances: list[Array] = field(default_factory=list)
    """(12,) a frame: parts of the box's height."""
    overlaps: list[float] = field(default_factory=list)
    """IoU of silhouette and mask."""


def pose_at(person: PersonSequence, row: int) -> Pose:
    """The exported pose of one row, in float64."""
    poses = person.poses[row].astype(float)
    return Pose(poses[:3], poses[3:], person.betas.astype(float), person.trans[row].astype(float))


def compare(
    tracked: TrackedDetection, person: PersonSequence, row: int, drawing: tuple[MeshOverlay, Tracker]
) -> Agreement:
    """One identity in one frame."""
    overlay, tracker = drawing
    detection = tracked.detection
    height = float(np.ptp(detection.landmarks2d[:, 1]))
    offset = person.joints2d[row][LIMB_SMPL] - detection.landmarks2d[MEDIAPIPE.limbs]
    result = Agreement([np.linalg.norm(offset, axis=1) / height])
    if detection.mask is not None:
        width, height = detection.mask.size
        camera = replace(person.camera, width=width, height=height)
        vertices = camera_vertices(tracker.body, pose_at(person, row))
        drawn = overlay.silhouette(camera, vertices, tracker.body.faces.numpy())
        mask = detection.mask.picture() >= IN_MASK
        result.overlaps.append(float((drawn & mask).sum() / max((drawn | mask).sum(), 1)))
    return result


def agreements(spec: str, folder: Path, config: TrackerConfig) -> dict[int, Agreement]:
    """Goes through the clip again with detector and identities as the tracker had them, beside the exported files."""
    people = {p.person_id: p for p in map(load_person, sorted(folder.glob("person_*.npz")))}
    rows = {(key, int(f)): i for key, p in people.items() for i, f in enumerate(p.frame_index)}
    agreement: dict[int, Agreement] = defaultdict(Agreement)
    identity = IdentityTracker(config.identity, config.detect.max_people)
    with (
        Tracker.open(config) as tracker,
        LandmarkDetector(config.detect) as detector,
        open_source(spec) as source,
        MeshOverlay() as overlay,
    ):
        for frame in source:
            detections = detector.detect(frame, identity.predicted_boxes(frame.time))
            for tracked in identity.assign(frame, detections):
                row = rows.get((tracked.person_id, frame.index))
                if row is None:
                    continue
                one = compare(tracked, people[tracked.person_id], row, (overlay, tracker))
                agreement[tracked.person_id].distances += one.distances
                agreement[tracked.person_id].overlaps += one.overlaps
    return agreement


@click.command()
@click.argument("clips", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Where the tracking results go.")
def main(clips: tuple[str, ...], out: Path) -> None:
    """Track CLIPS and compare the exported files with the detector."""
    config = load_config(changes={"smooth": {"mode": "none"}})
    click.echo(f"{'clip':24}{'id':>3}{'frames':>10}{'joints off, median':>20}{'95 %':>8}{'IoU, median':>13}{'5 %':>7}")
    for spec, folder in zip(clips, output_folders(clips, out), strict=True):
        with deferred_interrupt() as interrupt, Tracker.open(config) as tracker:
            result = track(TrackJob(spec, folder, export=ExportConfig(overwrite=True)), tracker, interrupt)
        for key, agreement in sorted(agreements(spec, folder, config).items()):
            off = 100 * np.concatenate(agreement.distances)
            overlap = np.array(agreement.overlaps or [np.nan])
            present = f"{len(agreement.distances)}/{result.frames}"
            click.echo(
                f"{folder.name:24}{key:3}{present:>10}{np.median(off):18.2f} %{np.percentile(off, 95):6.1f} %"
                f"{np.median(overlap):13.3f}{np.percentile(overlap, 5):7.3f}"
            )


if __name__ == "__main__":
    main()
