"""How well whole films of clothed people are tracked, by exact truth: people, looks and motion that no rule was chosen
on.

    python -m benchmarks.avatar_clips make AVATARS --motion FOLDER --assets FOLDER --out FILMS
    python -m benchmarks.avatar_clips judge FILMS --out RESULTS [--set detect.landmarks=full]

AVATARS is a folder of rigged, clothed people as training samples are made of (`docs/samples.md`). `make` films them
alone, in twos and threes and behind things; `judge` tracks the films with all files, and says of each how often
somebody is missing, or is there who is not; how often somebody gets another identity; in how many frames the trunk
faces the other way; how far the 12 joints of limbs are off, about the hips (MPJPE), aligned (PA-MPJPE), and in the
picture (median, of the person's extent there). Skeletons of films are not SMPL's: hips and shoulders lie some
centimetres elsewhere, so figures compare runs, and not with other benchmarks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
from scipy.optimize import linear_sum_assignment
from tqdm import tqdm

from benchmarks.avatar_films import RATE, SCENES, FilmStudio, FilmTruth, truth_file
from benchmarks.avatars import looks
from benchmarks.clips import forward
from tracker.app.track import TrackJob, track
from tracker.body.smpl_joints import LIMB_SMPL, smpl_index
from tracker.config import load_config
from tracker.core.arrays import Array
from tracker.core.strict_yaml import assigned
from tracker.evaluation.metrics import aligned_errors, relative_errors
from tracker.export import ExportConfig, PersonSequence, output_folders
from tracker.export.load_result import load_result
from tracker.motion.motion_library import MotionLibrary
from tracker.pipeline import Tracker, TrackerConfig
from tracker.runtime.interrupt import deferred_interrupt
from tracker.synth.samples import AssetFolder
from tracker.synth.samples.assets import read_environment
from tracker.synth.samples.rigged_person import read_rigged

_HIPS = [smpl_index("left_hip"), smpl_index("right_hip")]
_SAME = 0.4
"""Of a person's extent in the picture: joints that are farther off, in the median, are another one's."""
_THERE = 0.2
"""Of a silhouette: of whom less is shown nobody can be missed."""
_HEADING = (
    f"{'film':16}{'people':>7}{'ids':>5}{'frames':>8}{'missed':>8}{'too many':>10}{'changes':>9}{'turned':>8}"
    f"{'MPJPE':>9}{'PA-MPJPE':>10}{'in picture':>12}"
)


@dataclass
class FilmScore:
    """What was found of one film, or of several."""

    people: int = 0
    identities: int = 0
    frames: int = 0
    """In which somebody is to be found, person by person."""
    missed: int = 0
    too_many: int = 0
    changes: int = 0
    turned: int = 0
    mpjpe: list[float] = field(default_factory=list)
    """mm, a person and frame."""
    pa_mpjpe: list[float] = field(default_factory=list)
    off: list[float] = field(default_factory=list)
    """In the picture, of the person's extent."""

    def add(self, other: FilmScore) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def line(self, name: str) -> str:
        mpjpe, aligned, off = (
            func(values) if values else np.nan
            for func, values in ((np.mean, self.mpjpe), (np.mean, self.pa_mpjpe), (np.median, self.off))
        )
        return (
            f"{name:16}{self.people:7}{self.identities:5}{self.frames:8}{self.missed:8}{self.too_many:10}"
            f"{self.changes:9}{self.turned:8}{mpjpe:6.1f} mm{aligned:7.1f} mm{100 * off:10.1f} %"
        )


@dataclass(frozen=True)
class _Found:
    """One exported person in one frame."""

    identity: int
    joints3d: Array
    joints2d: Array


def score(truth: FilmTruth, people: dict[int, PersonSequence]) -> FilmScore:
    """Exported people against a film's truth, frame by frame."""
    found: dict[int, list[_Found]] = defaultdict(list)
    for identity, person in people.items():
        for row, index in enumerate(person.frame_index):
            if index >= 0:  # others lie between the film's frames
                found[int(index)].append(_Found(identity, person.joints3d[row].astype(float), person.joints2d[row]))
    frames, count = truth.joints3d.shape[:2]
    there_to_find = truth.shown >= _THERE
    total = FilmScore(people=count, identities=len(people), frames=int(there_to_find.sum()))
    last: dict[int, int] = {}
    for frame in range(frames):
        there = found[frame]
        pairs = _pairs(truth.joints2d[frame], there)
        total.missed += int(there_to_find[frame].sum()) - sum(there_to_find[frame, who] for who, _, _ in pairs)
        total.too_many += len(there) - len(pairs)
        for who, which, off in pairs:
            total.changes += last.get(who, there[which].identity) != there[which].identity
            last[who] = there[which].identity
            _compare(truth.joints3d[frame, who], there[which].joints3d, total)
            total.off.append(off)
    return total


def _pairs(joints2d: Array, found: Sequence[_Found]) -> list[tuple[int, int, float]]:
    """Who of (P, 24, 2) is whom of those found, and how far off in the picture."""
    if not found:
        return []
    extent = np.ptp(joints2d, axis=1).max(axis=1)
    apart = np.stack([np.linalg.norm(joints2d - each.joints2d, axis=-1)[:, LIMB_SMPL] for each in found], axis=1)
    off = np.median(apart, axis=-1) / extent[:, None]
    return [
        (who, which, float(off[who, which]))
        for who, which in zip(*linear_sum_assignment(off), strict=True)
        if off[who, which] < _SAME
    ]


def _compare(true: Array, joints3d: Array, total: FilmScore) -> None:
    roots = [each[_HIPS].mean(axis=0)[None] for each in (joints3d, true)]
    limbs, true_limbs = joints3d[None, LIMB_SMPL], true[None, LIMB_SMPL]
    total.mpjpe.append(float(relative_errors(limbs, true_limbs, *roots).mean()))
    total.pa_mpjpe.append(float(aligned_errors(limbs, true_limbs).mean()))
    total.turned += int(forward(joints3d) @ forward(true) < 0)


def tracked(film: Path, folder: Path, config: TrackerConfig) -> FilmScore:
    """Tracks a film with all files, and compares them with its truth."""
    with deferred_interrupt() as interrupt, Tracker.open(config) as tracker:
        track(TrackJob(str(film), folder, export=ExportConfig(overwrite=True)), tracker, interrupt)
    return score(FilmTruth.load(truth_file(film)), load_result(folder).people)


@click.group()
def main() -> None:
    """Films of clothed people with truth: make them, and judge what is tracked in them."""


@main.command()
@click.argument("avatars", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--motion", required=True, type=click.Path(path_type=Path, exists=True), help="Captured motion.")
@click.option("--assets", required=True, type=click.Path(path_type=Path, exists=True), help="A folder with hdri/.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the films.")
@click.option("--half", type=click.IntRange(0, 1), help="Only every other person, from the first or the second.")
@click.option("--count", default=3, show_default=True, type=click.IntRange(1), help="Of each scene.")
@click.option("--seconds", default=4.5, show_default=True, type=click.FloatRange(1.0), help="Of each film.")
@click.option("--seed", default=0, show_default=True, help="Of motions, cameras and rooms.")
def make(
    avatars: Path, motion: Path, assets: Path, out: Path, half: int | None, count: int, seconds: float, seed: int
) -> None:
    """Film AVATARS in every scene. Films that are there already are kept."""
    out.mkdir(parents=True, exist_ok=True)
    rooms = [read_environment(path) for path in AssetFolder.open(assets).environments("train")]
    studio = FilmStudio(MotionLibrary.open(motion), rooms, round(seconds * RATE))
    names = [(name, number) for name in SCENES for number in range(count)]
    for row, (name, number) in enumerate(tqdm(names, unit="film", disable=None)):
        path, rng = out / f"{name}_{number}.mp4", np.random.default_rng([seed, row])
        if path.exists() and truth_file(path).exists():
            continue
        people = [read_rigged(file) for file in looks(avatars, rng, half)[: len(SCENES[name].roles)]]
        studio.film(rng, SCENES[name], people).write(path, rng)


@main.command()
@click.argument("films", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Where the tracking results go.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Of the configuration.")
def judge(films: Path, out: Path, assignments: tuple[str, ...]) -> None:
    """Track each of FILMS and compare with the truth."""
    config = load_config(changes=assigned(assignments))
    files = [path for path in sorted(films.glob("*.mp4")) if truth_file(path).exists()]
    if not files:
        raise click.ClickException(f"{films}: no films with truth; make some with `avatar_clips make`")
    total = FilmScore()
    click.echo(_HEADING)
    for film, folder in zip(files, output_folders([str(path) for path in files], out), strict=True):
        result = tracked(film, folder, config)
        click.echo(result.line(film.stem))
        total.add(result)
    click.echo(total.line(f"all {len(files)}"))


if __name__ == "__main__":
    main()
