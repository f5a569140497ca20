"""What the learned volume is worth on real clips, by what can be measured without truth.

In every frame half of the twelve limb landmarks, chosen at random, are kept from the fit. Printed is how far the fitted
joints lie from those landmarks that the fit did not see, against the height of the person, and how well the mesh's
silhouette agrees with the detector's mask, for the landmark fit alone and with the picture asked as well:

    python -m benchmarks.volume_clips CLIP... [--frames 200]

How far an occluder pasted over a clip moves the result: `run.py evaluate clip CLIP`, with --config live and accurate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from time import perf_counter

import click
import numpy as np
import torch
from tqdm import tqdm

from tracker.body.landmark_set import MEDIAPIPE
from tracker.body.skinner import skinner_of
from tracker.body.smpl_joints import LIMB_SMPL
from tracker.config import load_config
from tracker.core.arrays import Array
from tracker.core.detection import Detection
from tracker.core.frame import Frame
from tracker.core.mask import IN_MASK
from tracker.core.person import Person
from tracker.overlay.mesh_overlay import MeshOverlay
from tracker.pipeline import Detector, Tracker, TrackerConfig
from tracker.source import open_source

_VISIBLE = 0.5
_EVERY = 5
"""Frames between two silhouettes."""


class Halved:
    """A detector that keeps back half of the limb landmarks, others in every frame."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self.whole: list[Detection] = []
        self.kept_back: Array = np.zeros(0, np.int64)

    def detect(self, frame: Frame, predicted: Sequence[Array] = ()) -> list[Detection]:
        self.whole = self._detector.detect(frame, predicted)
        rng = np.random.default_rng(frame.index)
        self.kept_back = rng.permutation(len(MEDIAPIPE.limbs))[: len(MEDIAPIPE.limbs) // 2]
        return [self._without(each) for each in self.whole]

    def _without(self, seen: Detection) -> Detection:
        visibility = seen.visibility.copy()
        visibility[np.array(MEDIAPIPE.limbs)[self.kept_back]] = 0.0
        return replace(seen, visibility=visibility)

    def close(self) -> None:
        self._detector.close()


@dataclass
class KeptOutAgreement:
    """Of one clip and one configuration."""

    distances: list[Array] = field(default_factory=list)
    """Parts of the person's height, of visible landmarks that the fit did not see."""
    overlaps: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """Of `Tracker.step`."""

    def add(self, person: Person, halved: Halved, silhouette: tuple[MeshOverlay, Tracker] | None) -> None:
        """One person in one frame."""
        if not halved.whole:
            return
        seen = min(halved.whole, key=lambda each: float(_off(person, each).mean()))
        judged = seen.visibility[MEDIAPIPE.limbs][halved.kept_back] > _VISIBLE
        height = float(max(np.ptp(seen.landmarks2d, axis=0).max(), 1.0))
        self.distances.append(_off(person, seen)[halved.kept_back][judged] / height)
        if silhouette is not None and seen.mask is not None:
            overlay, tracker = silhouette
            camera = tracker.config.camera.for_size(*seen.mask.size)
            drawn = overlay.silhouette(
                camera, skinner_of(tracker.body).vertices(person.pose), tracker.body.faces.numpy()
            )
            mask = seen.mask.picture() >= IN_MASK
            self.overlaps.append(float((drawn & mask).sum() / max((drawn | mask).sum(), 1)))


def _off(person: Person, seen: Detection) -> Array:
    """(12,) px."""
    distance: Array = np.linalg.norm(person.joints2d[LIMB_SMPL] - seen.landmarks2d[MEDIAPIPE.limbs], axis=1)
    return distance


def measure(clip: str, config: TrackerConfig, frames: int) -> KeptOutAgreement:
    """Tracks the beginning of a clip with half of the landmarks."""
    found = KeptOutAgreement()
    with Tracker.open(config) as tracker, open_source(clip) as source, MeshOverlay() as overlay:
        halved = Halved(tracker.detector)
        tracker.detector = halved
        for frame in tqdm(islice(source, frames), total=frames, desc=Path(clip).stem, disable=None):
            started = perf_counter()
            people = tracker.step(frame)
            found.seconds.append(perf_counter() - started)
            for person in people:
                found.add(person, halved, (overlay, tracker) if frame.index % _EVERY == 0 else None)
    return found


@click.command()
@click.argument("clips", nargs=-1, required=True)
@click.option("--frames", type=click.IntRange(1), default=200, show_default=True, help="Of each clip.")
def main(clips: tuple[str, ...], frames: int) -> None:
    """Fit half of the landmarks in CLIPS and look at the other half."""
    torch.set_num_threads(1)
    click.echo("| clip | | landmarks not seen, median | 95 % | IoU, median | a frame |")
    click.echo("|---|---|---:|---:|---:|---:|")
    for clip in clips:
        for name, enabled in (("landmarks", False), ("landmarks + picture", True)):
            config = load_config(changes={"smooth": {"mode": "none"}, "extract": {"enabled": enabled}})
            found = measure(clip, config, frames)
            off = 100 * np.concatenate([*found.distances, np.zeros(0)])
            middle, high = np.percentile(off, [50, 95]) if len(off) else (np.nan, np.nan)
            overlap = np.median(found.overlaps) if found.overlaps else np.nan
            took = 1e3 * np.median(found.seconds)
            click.echo(
                f"| {Path(clip).stem} | {name} | {middle:.2f} % | {high:.2f} % | {overlap:.3f} | {took:.0f} ms |"
            )


if __name__ == "__main__":
    main()
