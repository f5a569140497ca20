"""What each part of the frame loop is worth, in accuracy and in processor time, on sequences with exact truth.

The clips of `evaluate synthetic`, clean and with a limb, then the lower half hidden for a while, are tracked with one
thing changed at a time: every frame fitted anew instead of warm-started; no other start or reading ever taken; nothing
guessed for what is hidden; the picture not asked; and so many steps of the volume's fit:

    python -m benchmarks.loop_ablation [--clips N] [--seconds S] [--motion PATH] [--out FILE]

Joints are compared with the pelvis in place, unfiltered; jitter is the acceleration error. Times: processor time of a
frame from the picture to the judged pose, occluding and judging included: only the differences between them tell.
"""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import process_time

import click
import numpy as np
import torch

from benchmarks.filters import PROTOCOLS, Figures, Tracked, as_numbers, filtered_joints
from tracker.body import load_body
from tracker.body.kinematics import LandmarkRig
from tracker.config import load_config
from tracker.evaluation.cases import Case, SyntheticBench, SyntheticSettings
from tracker.evaluation.run import picture_cache
from tracker.evaluation.scoring import Row
from tracker.evaluation.synthetic import CLIP, PictureSize, PictureStore
from tracker.pipeline import Tracker, TrackerConfig

RESULTS = Path(__file__).parent / "results" / "loop_ablation.json"
STEPS = (0, 1, 2, 5, 10, 20, 80)
_DEFAULT = "default"


def variants() -> dict[str, TrackerConfig]:
    """Name → configuration."""
    base = load_config("live", {"smooth": {"mode": "none"}})
    track = base.track
    changed = {
        _DEFAULT: base,
        "no warm start": replace(base, track=replace(track, forget_seconds=0.0)),
        "no other candidates": replace(base, track=replace(track, better=0.0)),
        "nothing guessed": replace(base, track=replace(track, hidden=1.0)),
        "landmarks alone": replace(base, extract=replace(base.extract, enabled=False)),
    }
    steps = (replace(base, volume=replace(base.volume, steps=n)) for n in STEPS)
    return changed | {f"{n} steps": config for n, config in zip(STEPS, steps, strict=True) if config != base}


@dataclass(frozen=True)
class LoopRun:
    """One clip, tracked."""

    table: Row
    ms: float
    """Of processor time a frame."""


def run(settings: SyntheticSettings, config: TrackerConfig, case: Case) -> LoopRun:
    """One clip with one configuration."""
    bench = SyntheticBench(settings, config, PictureStore(picture_cache()))
    with Tracker.open(config):  # what is compiled and read at first use is not this run's
        before = process_time()
    table = bench.run(case)
    return LoopRun(table, 1e3 * (process_time() - before) / len(table["time"]))


@dataclass(frozen=True)
class Outcome:
    """Of one variant under one protocol."""

    error_mm: float
    error_hidden_mm: float
    jitter: float
    found: float
    """Share of the frames."""
    ms: float

    @classmethod
    def of(cls, rig: LandmarkRig, runs: list[LoopRun]) -> Outcome:
        sequences = [Tracked.of(each.table) for each in runs]
        figures = Figures.of(sequences, [filtered_joints(rig, sequence.poses) for sequence in sequences])
        found = [float((each.table["asked"] & each.table["found"]).sum() / each.table["asked"].sum()) for each in runs]
        ms = float(np.median([each.ms for each in runs]))
        return cls(figures.error_mm, figures.error_hidden_mm, figures.jitter, float(np.mean(found)), ms)


def outcomes(settings: SyntheticSettings, workers: int) -> dict[str, dict[str, Outcome]]:
    """By protocol and variant."""
    cases = [Case(CLIP, number, protocol) for protocol in PROTOCOLS for number in range(settings.clips)]
    store = PictureStore(picture_cache())
    for key in {case.key(settings): None for case in cases}:
        store.prepare(key)
    rig = LandmarkRig.from_body(load_body(None))
    results: dict[str, dict[str, Outcome]] = {protocol: {} for protocol in PROTOCOLS}
    with ProcessPoolExecutor(workers, get_context("spawn"), partial(torch.set_num_threads, 1)) as pool:
        jobs = {
            name: [pool.submit(run, settings, config, case) for case in cases] for name, config in variants().items()
        }
        for name, pending in jobs.items():
            runs = [job.result() for job in pending]
            for protocol in PROTOCOLS:
                mine = [each for each, case in zip(runs, cases, strict=True) if case.protocol == protocol]
                results[protocol][name] = Outcome.of(rig, mine)
    return results


def table(results: dict[str, dict[str, Outcome]]) -> str:
    """Markdown: a row a variant."""
    lines = [
        "| | variant | MPJPE | hidden joints | jitter m/s² | found | CPU ms a frame |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for protocol, rows in results.items():
        for name, each in rows.items():
            hidden = "–" if np.isnan(each.error_hidden_mm) else f"{each.error_hidden_mm:.1f}"
            numbers = f"{each.error_mm:.1f} | {hidden} | {each.jitter:.1f} | {100 * each.found:.0f} % | {each.ms:.1f}"
            lines.append(f"| {protocol} | {name} | {numbers} |")
    return "\n".join(lines)


@click.command()
@click.option("--clips", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=4.0), default=8.0, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--motion", type=click.Path(path_type=Path), help="People move as in these files; as `train` reads them.")
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def main(clips: int, seconds: float, seed: int, motion: Path | None, workers: int, out: Path) -> None:
    """Leave out one part of the loop at a time."""
    settings = SyntheticSettings(seed, stills=0, clips=clips, size=PictureSize(seconds=seconds), motion=motion)
    results = outcomes(settings, workers)
    click.echo(table(results))
    content = {
        "clips": clips, "seconds": seconds, "seed": seed, "motion": "gait" if motion is None else "captured",
        "protocols": {p: {name: as_numbers(each) for name, each in rows.items()} for p, rows in results.items()},
    }  # fmt: skip
    out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
