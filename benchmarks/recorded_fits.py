"""What a change to fit, priors or trust does to whole clips, in a minute: their detections are recorded once, with
features, and fitted anew under two configurations.

    python -m benchmarks.recorded_fits record CLIP... --out FOLDER
    python -m benchmarks.recorded_fits make --seed 0 --clips 3 --out FOLDER
    python -m benchmarks.recorded_fits compare FOLDER --set fit.depth_spread=0.11

Poses are taken as they are fitted, frame by frame and unsmoothed. Of made-up clips MPJPE, PA-MPJPE, hidden joints'
MPJPE and how far the distance is off are told, in mm; of real ones how well silhouettes agree with the network's mask.
Of both how many fits are believed, and the joints' acceleration against the root's, in mm a frame².
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.detection_file import DetectionFile, load, save
from tracker.body.free_body import load_free_body
from tracker.config import load_config
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.detection import Detection
from tracker.core.frame import Frame
from tracker.core.mask import IN_MASK
from tracker.core.person import Person
from tracker.core.strict_yaml import assigned
from tracker.evaluation.cases import CLEAN, Case, SyntheticBench, SyntheticSettings
from tracker.evaluation.metrics import joint_errors
from tracker.evaluation.occlusion import covered
from tracker.evaluation.scoring import Judge
from tracker.evaluation.sequence_occlusion import SEQUENCE_PROTOCOLS
from tracker.evaluation.synthetic import CLIP, PictureSize, PictureStore
from tracker.evaluation.truth import Truth
from tracker.overlay.mesh_overlay import MeshOverlay
from tracker.pipeline import DetectedFrame, Tracker, TrackerConfig
from tracker.runtime.cache import cache_folder
from tracker.source import open_source

_FIGURES = ("MPJPE", "PA-MPJPE", "hidden", "distance", "IoU", "believed", "acceleration")


class _Recorded:
    """Stands where a detector would: everything has been detected."""

    engine = device = "recorded"

    def detect(self, frame: Frame, predicted: Sequence[Array] = ()) -> list[Detection]:
        raise RuntimeError("recorded_fits: nothing is detected anew")

    def forget(self) -> None:
        """There is nothing to forget."""

    def close(self) -> None:
        """There is nothing to free."""


@dataclass
class _Fits:
    """The fits of one clip under one configuration."""

    rows: list[dict[str, float]] = field(default_factory=list)
    joints: dict[int, dict[int, Array]] = field(default_factory=dict)
    """Of each identity, by frame: (24, 3) m from the root."""

    def add(self, index: int, person: Person, figures: dict[str, float]) -> None:
        self.rows.append({"believed": float(person.believed), **figures})
        self.joints.setdefault(person.person_id, {})[index] = person.joints3d - person.joints3d[0]

    def summary(self) -> dict[str, float]:
        """The clip's figures: means, and how many were believed."""
        means = {name: _mean([row[name] for row in self.rows if name in row]) for name in _FIGURES}
        accelerations = [
            float(np.linalg.norm(by[i + 1] - 2 * by[i] + by[i - 1], axis=-1).mean())
            for by in self.joints.values()
            for i in by
            if i - 1 in by and i + 1 in by
        ]
        believed = sum(row["believed"] for row in self.rows)
        return {**means, "believed": believed, "acceleration": 1000 * _mean(accelerations)}


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def detected(config: TrackerConfig, frames: Iterable[Frame], focal: float | None) -> list[DetectedFrame]:
    """The frames as a tracker detects people in a file, without their pictures being kept."""
    with Tracker.open(config) as tracker:
        tracker.cameras = config.camera.or_focal(focal)
        return [_forgotten(tracker.extract(each)) for each in tracker.look_back(map(tracker.detect, frames))]


def _forgotten(frame: DetectedFrame) -> DetectedFrame:
    """Without the crops, which are large."""
    people = [replace(each, detection=replace(each.detection, crop=None)) for each in frame.people]
    dark = np.broadcast_to(np.uint8(0), frame.frame.image.shape)
    return replace(frame, frame=replace(frame.frame, image=dark), people=people)


def fits(tracker: Tracker, recorded: DetectionFile) -> _Fits:
    """The clip's people, fitted anew."""
    tracker.restart()
    tracker.cameras = tracker.config.camera.or_focal(recorded.focal)
    truth, result = _truth(recorded), _Fits()
    with MeshOverlay() as overlay:
        measure = _ByMasks(tracker, overlay) if truth is None else _ByTruth(tracker, recorded, truth)
        for row, frame in enumerate(recorded.frames):
            for person, figures in measure.of(row, frame, tracker.fit(frame)):
                result.add(frame.frame.index, person, figures)
    return result


_Measured = Iterator[tuple[Person, dict[str, float]]]


@dataclass(frozen=True)
class _ByMasks:
    """What is known of a real clip: where the network saw people."""

    tracker: Tracker
    overlay: MeshOverlay

    def of(self, row: int, frame: DetectedFrame, people: Sequence[Person]) -> _Measured:
        masks = {each.person_id: each.detection.mask for each in frame.people}
        camera = self.tracker.cameras.for_size(*frame.frame.size)
        for person in people:
            mask = masks.get(person.person_id)
            if mask is not None:
                shown = mask.picture() >= IN_MASK
                drawn = self.overlay.silhouette(camera, person.vertices, self.tracker.faces)
                overlap = float((drawn & shown).sum() / max((drawn | shown).sum(), 1))
                yield person, {"IoU": overlap} if person.believed else {}


class _ByTruth:
    """What is known of a made-up clip: everything of one person."""

    def __init__(self, tracker: Tracker, recorded: DetectionFile, truth: Truth) -> None:
        self._recorded, self._truth = recorded, truth
        self._judge = Judge(tracker.body, load_free_body(), truth, parts=False)

    def of(self, row: int, frame: DetectedFrame, people: Sequence[Person]) -> _Measured:
        person = self._judge.match(row, [each for each in people if each.believed])
        if person is None:
            return
        errors = joint_errors(person.joints3d[None], self._truth.joints3d[row][None])
        off = errors.root_relative[0]
        behind = covered(_covering(self._recorded, row), self._truth.joints2d[row])
        yield (
            person,
            {
                "MPJPE": float(off.mean()),
                "PA-MPJPE": float(errors.aligned[0].mean()),
                "hidden": float(off[behind].mean()) if behind.any() else float("nan"),
                "distance": float(abs(errors.root[0, 2])),
            },
        )


def _truth(recorded: DetectionFile) -> Truth | None:
    more = recorded.more
    if "theta" not in more:
        return None
    width, height = recorded.frames[0].frame.size
    camera = Camera.default(width, height)
    return Truth.of(load_free_body(), camera, more["times"], (more["theta"], more["betas"], more["transl"]))


def _covering(recorded: DetectionFile, row: int) -> NDArray[np.bool_]:
    """(h, w) what an occluder hides in a made-up frame."""
    width, height = recorded.frames[row].frame.size
    bits = np.unpackbits(recorded.more["hidden"][row], count=width * height)
    return bits.reshape(height, width).astype(bool)


def _recorded_tracker(config: TrackerConfig) -> Tracker:
    tracker = Tracker.open(config, _Recorded())
    if tracker.smoothing:
        tracker.switch_smoothing()
    return tracker


@click.group()
def main() -> None:
    """Record detections once, fit them anew under two configurations."""


_OUT = click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the recordings.")
_SET = click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Of the configuration.")


@main.command()
@click.argument("clips", nargs=-1, required=True)
@_OUT
@_SET
def record(clips: tuple[str, ...], out: Path, assignments: tuple[str, ...]) -> None:
    """Record the detections of CLIPS."""
    out.mkdir(parents=True, exist_ok=True)
    config = load_config(changes=assigned(assignments))
    for clip in tqdm(clips, unit="clip", disable=None):
        with open_source(clip) as source:
            frames = detected(config, source, source.info.focal)
            save(out / f"{Path(clip).stem}.npz", frames, source.info.focal, {})


@main.command()
@click.option("--seed", default=0, show_default=True, help="Of people, motion and rooms.")
@click.option("--clips", default=3, show_default=True, type=click.IntRange(1), help="Each clear and behind things.")
@click.option("--seconds", default=6.0, show_default=True, help="Of each clip.")
@_OUT
@_SET
def make(seed: int, clips: int, seconds: float, out: Path, assignments: tuple[str, ...]) -> None:
    """Make clips up, as `evaluate synthetic` does, and record their detections and truth."""
    out.mkdir(parents=True, exist_ok=True)
    config = load_config(changes=assigned(assignments))
    settings = SyntheticSettings(seed=seed, stills=0, clips=clips, size=PictureSize(seconds=seconds))
    bench = SyntheticBench(settings, config, PictureStore(cache_folder() / "synthetic"))
    config = replace(config, detect=replace(config.detect, max_people=2))
    cases = [Case(CLIP, number, name) for number in range(clips) for name in (CLEAN, *SEQUENCE_PROTOCOLS)]
    for case in tqdm(cases, unit="clip", disable=None):
        hidden: list[NDArray[np.uint8]] = []
        frames = detected(config, _made(bench, case, hidden), None)
        truth = bench.store.footage(case.key(settings)).truth
        parameters = {"theta": truth.theta, "betas": truth.betas, "transl": truth.transl, "times": truth.times}
        save(out / f"{seed}_{case.name}.npz", frames, None, {**parameters, "hidden": np.stack(hidden)})


def _made(bench: SyntheticBench, case: Case, hidden: list[NDArray[np.uint8]]) -> Iterator[Frame]:
    """The case's frames; what is hidden in each goes into `hidden`."""
    footage = bench.store.footage(case.key(bench.settings))
    occlusion = bench.occlusion(case, footage)
    for index, (time, image) in enumerate(zip(footage.truth.times, footage.images, strict=True)):
        mask = np.zeros(image.shape[:2], bool) if occlusion is None else occlusion.mask(index)
        hidden.append(np.packbits(mask))
        yield Frame(index, float(time), image if occlusion is None else occlusion.apply(image, index))


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@_SET
def compare(folder: Path, assignments: tuple[str, ...]) -> None:
    """Fit the recordings in FOLDER under the tracker's configuration and under a changed one."""
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise click.ClickException(f"{folder}: no recordings; make some with record or make")
    pairs = []
    with (
        _recorded_tracker(TrackerConfig()) as before,
        _recorded_tracker(load_config(changes=assigned(assignments))) as after,
    ):
        for file in tqdm(files, unit="clip", disable=None):
            recorded = load(file)
            pairs.append((fits(before, recorded).summary(), fits(after, recorded).summary()))
            click.echo(line(file.stem, [pairs[-1]]))
    click.echo(line(f"all {len(files)}", pairs))


def line(name: str, pairs: Sequence[tuple[dict[str, float], dict[str, float]]]) -> str:
    """Each figure before and after; of several clips the means, and the paired difference with its standard error."""
    parts = []
    for figure in _FIGURES:
        values = np.array([(one[figure], other[figure]) for one, other in pairs])
        values = values[np.isfinite(values).all(axis=1)]
        if not len(values):
            continue
        before, after = values.mean(axis=0)
        parts.append(f"{figure} {before:.4g} → {after:.4g}")
        if len(values) > 1:
            change = values[:, 1] - values[:, 0]
            parts[-1] += f" ({change.mean():+.2g} ± {change.std(ddof=1) / np.sqrt(len(change)):.2g})"
    return f"{name}: {', '.join(parts)}"


if __name__ == "__main__":
    main()
