"""What smoothing gains and what it costs, on sequences with exact truth.

The clips of `evaluate synthetic`, clean and with a limb, then the lower half hidden for a while, are tracked once
without a filter; each filter then gets the same poses and confidences, so that nothing but the filter differs:

    python -m benchmarks.filters [--clips N] [--seconds S] [--motion PATH] [--out FILE]

Joints are compared with the pelvis in place. Jitter is the acceleration error. The lag is the delay of the truth that
comes nearest to the poses, each joint's constant offset aside.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray

from tracker.body import load_body
from tracker.body.kinematics import LandmarkRig
from tracker.core.arrays import Array
from tracker.core.person import Pose
from tracker.evaluation.cases import CLEAN, Case, SyntheticBench, SyntheticSettings
from tracker.evaluation.metrics import acceleration_errors, mean, relative_errors
from tracker.evaluation.run import picture_cache
from tracker.evaluation.scoring import Row
from tracker.evaluation.synthetic import CLIP, PictureSize, PictureStore
from tracker.pipeline import TrackerConfig
from tracker.smooth.filters import CausalFilter, OneEuroConfig, SavitzkyConfig, smooth_zero_phase
from tracker.smooth.smooth_config import SmoothConfig

PROTOCOLS = (CLEAN, "limb", "lower-half")
_LONGEST_STEP = 0.1
"""s: frames farther apart have no acceleration to speak of."""
_DELAYS = np.arange(-0.1, 0.3, 0.002)
"""s that the truth is delayed by to find the lag."""


@dataclass(frozen=True)
class Tracked:
    """T frames of one person as tracked without a filter, and the truth."""

    times: Array
    poses: list[Pose]
    confidence: Array
    """(T, 24)."""
    truth: Array
    """(T, 24, 3) m, camera frame."""
    hidden: NDArray[np.bool_]
    """(T, 24) bool: in the picture, but under an occluder, or outside of it."""

    @classmethod
    def of(cls, table: Row) -> Tracked:
        """From an evaluated clip: the frames in which the person was found."""
        rows = np.flatnonzero(table["asked"] & table["found"])
        poses = [
            Pose(theta[0], theta[1:].ravel(), betas, transl)
            for theta, betas, transl in zip(*(table[name][rows] for name in ("theta", "betas", "transl")), strict=True)
        ]
        return cls(
            table["time"][rows], poses, table["confidence"][rows], table["true3d"][rows], ~table["visible"][rows]
        )


Smoother = Callable[[Tracked], list[Pose]]


def live(config: OneEuroConfig, sequence: Tracked) -> list[Pose]:
    """As `live` shows it."""
    smooth = CausalFilter(config)
    frames = zip(sequence.times, sequence.poses, sequence.confidence, strict=True)
    return [smooth(float(time), pose, confidence) for time, pose, confidence in frames]


def zero_phase(config: SavitzkyConfig, sequence: Tracked) -> list[Pose]:
    """As files hold it."""
    return smooth_zero_phase(sequence.times, sequence.poses, sequence.confidence, config)


SMOOTHERS: dict[str, Smoother] = {
    "off": lambda sequence: sequence.poses,
    "live": partial(live, OneEuroConfig()),
    "live, confidence ignored": partial(live, replace(OneEuroConfig(), hidden_factor=1.0)),
    "zero-phase": partial(zero_phase, SavitzkyConfig()),
    "zero-phase, confidence ignored": partial(zero_phase, replace(SavitzkyConfig(), hidden_weight=1.0)),
}


@dataclass(frozen=True)
class Figures:
    """Of one filter over all sequences of a protocol."""

    error_mm: float
    error_hidden_mm: float
    jitter: float
    """m/s²."""
    jitter_hidden: float
    """m/s²; NaN, as its error, where nothing is hidden."""
    lag_ms: float
    place_error_mm: float
    """The pelvis across the line of sight."""

    @classmethod
    def of(cls, sequences: Sequence[Tracked], joints: Sequence[Array]) -> Figures:
        """joints: (T, 24, 3) m of each sequence, filtered."""
        errors, shaken, hidden, shaken_hidden, places = [], [], [], [], []
        for sequence, found in zip(sequences, joints, strict=True):
            true = sequence.truth
            errors.append(relative_errors(found, true, found[:, 0], true[:, 0]))
            hidden.append(sequence.hidden)
            moved, moved_truly = (each - each[:, :1] for each in (found, true))
            shaken.append(acceleration_errors(sequence.times, moved, moved_truly, _LONGEST_STEP) / 1000)
            near = np.diff(sequence.times) <= _LONGEST_STEP
            shaken_hidden.append(sequence.hidden[1:-1][near[:-1] & near[1:]])
            places.append(1000 * np.linalg.norm((found - true)[:, 0, :2], axis=-1))
        error, jitter = np.concatenate(errors), np.concatenate(shaken)
        concealed, concealed_moves = np.concatenate(hidden), np.concatenate(shaken_hidden)
        return cls(
            mean(error),
            mean(error, concealed),
            mean(jitter),
            mean(jitter, concealed_moves),
            1000 * lag(sequences, joints),
            mean(np.concatenate(places)),
        )


def as_numbers(figures: Any) -> dict[str, float | None]:
    """A dataclass of figures for JSON, which knows no NaN."""
    return {key: None if math.isnan(value) else round(value, 3) for key, value in asdict(figures).items()}


def lag(sequences: Sequence[Tracked], joints: Sequence[Array]) -> float:
    """s: the delay of the truth that comes nearest, in least squares over all sequences."""
    cost = np.zeros(len(_DELAYS))
    for sequence, found in zip(sequences, joints, strict=True):
        times = sequence.times
        inside = (times - _DELAYS.max() >= times[0]) & (times - _DELAYS.min() <= times[-1])
        moved = (found - found[:, :1])[:, 1:].reshape(len(times), -1)
        true = (sequence.truth - sequence.truth[:, :1])[:, 1:].reshape(len(times), -1)
        for k, delay in enumerate(_DELAYS):
            delayed = np.stack([np.interp(times[inside] - delay, times, column) for column in true.T], axis=1)
            away = moved[inside] - delayed
            cost[k] += ((away - away.mean(axis=0)) ** 2).sum()
    return float(_DELAYS[cost.argmin()])


def filtered_joints(rig: LandmarkRig, poses: Sequence[Pose]) -> Array:
    """(T, 24, 3) m, camera frame."""
    return np.stack([rig.pose_from_theta(pose.theta, pose.betas).joints + pose.transl for pose in poses])


def measured(sequences: Sequence[Tracked]) -> dict[str, Figures]:
    """The figures of every filter."""
    rig = LandmarkRig.from_body(load_body(None))
    return {
        name: Figures.of(sequences, [filtered_joints(rig, smoother(each)) for each in sequences])
        for name, smoother in SMOOTHERS.items()
    }


def sequences_of(settings: SyntheticSettings, workers: int) -> dict[str, list[Tracked]]:
    """The sequences of each protocol, without a filter."""
    bench = SyntheticBench(settings, TrackerConfig(smooth=SmoothConfig("none")), PictureStore(picture_cache()))
    cases = [Case(CLIP, number, protocol) for protocol in PROTOCOLS for number in range(settings.clips)]
    for key in {case.key(settings): None for case in cases}:
        bench.store.prepare(key)
    with ProcessPoolExecutor(workers, get_context("spawn"), partial(torch.set_num_threads, 1)) as pool:
        tables = list(pool.map(bench.run, cases))
    return {
        protocol: [Tracked.of(table) for case, table in zip(cases, tables, strict=True) if case.protocol == protocol]
        for protocol in PROTOCOLS
    }


def as_text(rows: Mapping[str, Figures]) -> str:
    """A line a filter."""
    head = ("error mm", "hidden mm", "jitter m/s²", "hidden m/s²", "lag ms", "place mm")
    lines = [" " * 32 + "".join(each.rjust(13) for each in head)]
    for name, figures in rows.items():
        cells = ["–" if math.isnan(value) else f"{value:.1f}" for value in asdict(figures).values()]
        lines.append(name.ljust(32) + "".join(cell.rjust(13) for cell in cells))
    return "\n".join(lines)


@click.command()
@click.option("--clips", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=4.0), default=10.0, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--motion", type=click.Path(path_type=Path), help="People move as in these files; as `train` reads them.")
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Writes the figures as JSON.")
def main(clips: int, seconds: float, seed: int, motion: Path | None, workers: int, out: Path | None) -> None:
    """Measure the smoothing filters."""
    settings = SyntheticSettings(seed, stills=0, clips=clips, size=PictureSize(seconds=seconds), motion=motion)
    results = {protocol: measured(sequences) for protocol, sequences in sequences_of(settings, workers).items()}
    for protocol, rows in results.items():
        click.echo(f"{protocol}\n{as_text(rows)}\n")
    if out is not None:
        content = {
            "clips": clips, "seconds": seconds, "seed": seed, "motion": "gait" if motion is None else "captured",
            "protocols": {p: {name: as_numbers(each) for name, each in rows.items()} for p, rows in results.items()},
        }  # fmt: skip
        out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
