"""How the detector's landmarks err, measured on rendered people whose truth is known.

What the landmarks of `landmark_readings` are off by, half of the people behind something, is summed up in a few tables
(`tracker/training/noise.py` says how they are used), which ship with the project:

    python -m benchmarks.landmark_noise readings.npz --motion MOTION --out tracker/training/landmark_noise.npz

Jitter over time comes from rendered clips of people who move.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from scipy.stats import norm
from tqdm import tqdm

from benchmarks.landmark_readings import FOUND, Readings, Watcher
from tracker.body import load_body
from tracker.body.kinematics import LandmarkRig
from tracker.body.landmark_set import MEDIAPIPE
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle, rotation_between
from tracker.core.person import Pose
from tracker.motion import MotionLibrary, PoseSampler
from tracker.synth.demo_scene import DemoScene, SceneConfig, Viewpoint
from tracker.synth.figure import Figure, FigureConfig
from tracker.training.noise import EDGES, SIDES, TAIL, LandmarkNoise

_CAMERA = Camera.default(640, 480)
_OUT_OF_SIGHT = np.array([-9.0, 0.0, 1.0])
_RANK = 40
_FEWEST = 60
"""Detections from which a class of visibility is measured by itself."""
_BEYOND = 4.0
"""Standard deviations to which larger errors are drawn, so that a few lost detections do not say everything."""
_SANE = (0.5, 1.6)
"""The detector's scale over the true one; outside it has not understood the person at all."""
_FLIP = np.array([1.0, -1.0, 1.0, 1.0, -1.0, 1.0])
"""Visibility and errors in a mirror."""


def _on_the_floor(theta: Array, figure: Figure, T_camera_world: Array, rng: np.random.Generator) -> Pose:
    """The pose (24, 3), y up, somewhere in front of the camera with its lowest point on the floor."""
    pelvis = figure.shaped.rest_joints[0].numpy().astype(float)
    lowest = figure.shaped.with_pose(torch.from_numpy(theta).float()).joints[:, 1].min().item() - pelvis[1]
    standing = figure.shaped.rest_joints[:, 1].min().item() - pelvis[1]
    height = pelvis[1] - figure.floor + standing - lowest
    place = np.array([rng.uniform(-0.5, 0.5), height, rng.uniform(-0.5, 0.3)])
    turn = T_camera_world[:3, :3]
    root = axis_angle_from_matrix(turn @ matrix_from_axis_angle(theta[0]))
    return Pose(root, theta[1:].reshape(-1), figure.betas, turn @ place + T_camera_world[:3, 3] - pelvis)


def moving(library: MotionLibrary, clips: int, frames: int) -> Iterator[Readings]:
    """Rendered people who move, a clip each, followed from frame to frame at the library's rate."""
    sampler, look = PoseSampler(library, 5), Watcher()
    for clip in range(clips):
        rng = np.random.default_rng([9, clip])
        figure = Figure(load_body(None), rng.normal(size=10) * 0.7, FigureConfig(), clip)
        view = Viewpoint(rng.uniform(0.9, 1.7), distance=4.2, tilt_degrees=rng.uniform(0, 10))
        rows: list[dict] = []
        scene = DemoScene(_CAMERA, figure, SceneConfig(viewpoint=view), clip)
        for index, pose in enumerate(sampler.windows(rng, 1, frames)[0]):
            theta = axis_angle_from_matrix(pose.astype(float))
            placed = _on_the_floor(theta, figure, view.T_camera_world, np.random.default_rng([9, clip, 1]))
            image = scene.draw(placed, _OUT_OF_SIGHT, index).image
            row = look.at(image, placed, _CAMERA, rows[-1]["region"] if rows else None)
            if row is not None:
                rows.append({**row, "hidden": np.zeros(len(MEDIAPIPE.names), bool)})
        yield Readings.of(rows)


@dataclass(frozen=True)
class ReadingErrors:
    """What the detector was off by, both sides of the body pooled by mirroring; n detections."""

    truth: Array
    """(n, 33, 3) m about the hips, axes of a camera that looks straight at the person."""
    numbers: Array
    """(n, 33, 6): the visibility's logit, metric error (m), picture error (parts of the person's size)."""
    hidden: Array
    log_scale: Array
    """(n,)."""

    @classmethod
    def of(cls, seen: Readings, rig: LandmarkRig) -> ReadingErrors:
        rows = [_error(seen, rig, i) for i in range(len(seen.theta))]
        truth, numbers, scale = (np.array(v) for v in zip(*rows, strict=True))
        sane = (scale > _SANE[0]) & (scale < _SANE[1])
        return cls(truth[sane], numbers[sane], seen.hidden[sane], np.log(scale[sane]))

    def mirrored(self) -> ReadingErrors:
        """These and their mirror images."""
        order, flip = MEDIAPIPE.mirror, np.array([-1.0, 1.0, 1.0])
        return ReadingErrors(
            np.concatenate([self.truth, self.truth[:, order] * flip]),
            np.concatenate([self.numbers, self.numbers[:, order] * _FLIP]),
            np.concatenate([self.hidden, self.hidden[:, order]]),
            np.concatenate([self.log_scale, self.log_scale]),
        )

    @property
    def kind(self) -> Array:
        """(n, 33): classes of visibility."""
        return np.digitize(1 / (1 + np.exp(-self.numbers[..., 0])), EDGES)


def _error(seen: Readings, rig: LandmarkRig, i: int) -> tuple[Array, Array, float]:
    posed = rig.pose_from_theta(seen.theta[i], seen.betas[i])
    turn = rotation_between(np.array([0.0, 0.0, 1.0]), posed.joints[0] + seen.transl[i])
    truth = (posed.points - posed.points[SIDES["all"]][[23, 24]].mean(axis=0)) @ turn
    weight = (seen.visibility[i] + 0.01)[:, None]
    scale = float((weight * seen.metric[i] * truth).sum() / (weight * truth**2).sum())
    points, k = posed.points + seen.transl[i], seen.camera[i]
    pixels = points[:, :2] / points[:, 2:] * k[:2] + k[2:]
    size = float(np.ptp(pixels, axis=0).max())
    v = np.clip(seen.visibility[i], 1e-4, 1 - 1e-4)
    columns = [np.log(v / (1 - v))[:, None], seen.metric[i] / scale - truth, (seen.pixels[i] - pixels) / size]
    return truth, np.concatenate(columns, axis=1), scale


def robust_spread(values: Array) -> Array:
    """(n, ...) → (...): standard deviation about 0, outliers drawn in."""
    deviation = 1.48 * np.median(np.abs(values), axis=0) + 1e-6
    spread: Array = np.sqrt((np.clip(values, -_BEYOND * deviation, _BEYOND * deviation) ** 2).mean(axis=0))
    return spread


def tables(errors: ReadingErrors, found: float, memory: Array) -> LandmarkNoise:
    """The noise model of these errors. found: share of people found."""
    both, classes = errors.mirrored(), len(EDGES) + 1
    landmarks = both.numbers.shape[1]
    spread, slope = np.zeros((classes, landmarks, 5)), np.zeros((classes, landmarks, 3))
    z = np.zeros_like(both.numbers)
    for k in range(landmarks):
        for kind in range(classes):
            rows = _alike(both, k, kind)
            error, truth = both.numbers[rows, k, 1:], both.truth[rows, k]
            slope[kind, k] = _slope(truth, error[:, :3])
            left = error - np.concatenate([truth * slope[kind, k], np.zeros((len(error), 2))], axis=1)
            spread[kind, k] = robust_spread(left)
            mine = both.kind[rows, k] == kind
            z[rows[mine], k, 1:] = np.clip(left[mine] / spread[kind, k], -2 * _BEYOND, 2 * _BEYOND)
    visible = np.array(
        [[_moments(both.numbers[both.hidden[:, k] == h, k, 0]) for k in range(landmarks)] for h in (False, True)]
    )
    which = visible[both.hidden.astype(int), np.arange(landmarks)]
    z[..., 0] = (both.numbers[..., 0] - which[..., 0]) / which[..., 1]
    size = np.sqrt((z[..., 1:] ** 2).mean(axis=(1, 2)))
    z[..., 1:] /= size[:, None, None]
    factors, own = _factors(z.reshape(len(z), -1))
    quantiles = np.linspace(-TAIL, TAIL, 23)
    tails = np.quantile(size, norm.cdf(quantiles))
    scale = np.array([np.median(errors.log_scale), robust_spread(errors.log_scale - np.median(errors.log_scale))])
    return LandmarkNoise(
        spread, slope, visible, factors, own, tails, scale, _swapped(errors), memory, np.array([1 - found])
    )


def _alike(errors: ReadingErrors, k: int, kind: int) -> Array:
    """Detections of a landmark in a class of visibility, or in neighbouring ones too where those are few."""
    for reach in range(len(EDGES) + 1):
        rows = np.flatnonzero(np.abs(errors.kind[:, k] - kind) <= reach)
        if len(rows) >= _FEWEST:
            return rows
    raise click.ClickException(f"{len(errors.truth)} detections are too few; render at least some hundred people")


def _slope(truth: Array, error: Array) -> Array:
    """(3,): how the error grows with the place, robustly."""
    slope = np.zeros(3)
    for _ in range(5):
        left = error - truth * slope
        bound = 2.5 * 1.48 * np.median(np.abs(left), axis=0) + 1e-6
        near = np.abs(left) < bound
        slope = (near * truth * error).sum(axis=0) / ((near * truth**2).sum(axis=0) + 1e-3 * len(truth))
    return slope


def _moments(values: Array) -> tuple[float, float]:
    return (float(values.mean()), float(values.std())) if len(values) > 1 else (0.0, 1.0)


def _factors(z: Array) -> tuple[Array, Array]:
    """(n, m) → factors (m, R) and what is left to each (m,), of the correlation matrix."""
    correlation = np.corrcoef(np.clip(z, -_BEYOND, _BEYOND), rowvar=False)
    values, vectors = np.linalg.eigh(np.nan_to_num(correlation))
    factors = vectors[:, -_RANK:] * np.sqrt(np.maximum(values[-_RANK:], 0.0))
    return factors, np.sqrt(np.maximum(1 - (factors**2).sum(axis=1), 0.0))


def _swapped(errors: ReadingErrors) -> Array:
    """(3,): how often all, arms, legs fit their mirror image far better than themselves."""
    rates = []
    for part in SIDES.values():
        said, other = errors.truth + errors.numbers[..., 1:4], MEDIAPIPE.mirror[part]
        paired = part[other != part]
        as_is = np.linalg.norm(said[:, paired] - errors.truth[:, paired], axis=2).mean(axis=1)
        swapped = np.linalg.norm(said[:, paired] - errors.truth[:, MEDIAPIPE.mirror[paired]], axis=2).mean(axis=1)
        rates.append(float(((swapped < 0.6 * as_is) & (as_is > 0.15)).mean()))
    whole, arms, legs = rates
    return np.array([whole, max(arms - whole, 0.0), max(legs - whole, 0.0)])


def memory_of(clips: list[ReadingErrors], rate: float) -> Array:
    """(2,): share of the errors' variance that lasts, and seconds for which it does."""
    lags = np.array([1, 2, 4, 8, 15])
    correlations = np.zeros((len(clips), len(lags)))
    for row, clip in enumerate(clips):
        z = np.clip(clip.numbers[..., 1:] / robust_spread(clip.numbers[..., 1:]), -_BEYOND, _BEYOND)
        correlations[row] = [(z[lag:] * z[:-lag]).mean() / (z**2).mean() for lag in lags]
    usual = np.maximum(np.median(correlations, axis=0), 1e-3)
    slope, start = np.polyfit(lags / rate, np.log(usual), 1)
    listed = ", ".join(f"{c:.2f} at {k / rate:.2f} s" for k, c in zip(lags, usual, strict=True))
    click.echo(f"errors' correlation over time: {listed}")
    return np.array([min(np.exp(start), 1.0), min(-1 / min(slope, -1e-3), 5.0)])


def report(noise: LandmarkNoise) -> None:
    """The few numbers, by landmark."""
    click.echo(f"{'σ, seen | hidden':16s}{'lateral mm':>16s}{'depth mm':>16s}{'picture %':>14s}{'depth slope':>16s}")
    for k, name in enumerate(MEDIAPIPE.names):
        if "right" in name:
            continue
        seen, hid = noise.spread[-1, k], noise.spread[1, k]
        lateral, depth, picture = (
            [f"{f * float(np.sqrt((s[cut] ** 2).mean())):.{d}f}" for s in (seen, hid)]
            for cut, f, d in ((slice(0, 2), 1e3, 0), (slice(2, 3), 1e3, 0), (slice(3, 5), 1e2, 1))
        )
        slopes = [f"{noise.slope[c, k, 2]:.2f}" for c in (-1, 1)]
        click.echo(f"{name:16s}" + "".join(f"{a:>8s} |{b:>6s}" for a, b in (lateral, depth, picture, slopes)))
    (whole, arms, legs), missing = 100 * noise.swapped, 100 * noise.missing[0]
    click.echo(f"left for right: all {whole:.1f} %, arms {arms:.1f} %, legs {legs:.1f} %; nobody found {missing:.1f} %")
    click.echo(
        f"scale {np.exp(noise.scale[0]):.2f} ± {100 * noise.scale[1]:.0f} %; "
        f"{100 * noise.memory[0]:.0f} % of an error's variance lasts {noise.memory[1]:.2f} s"
    )


@click.command(help=__doc__)
@click.argument("readings", type=click.Path(path_type=Path, exists=True))
@click.option("--motion", type=click.Path(path_type=Path), required=True, help="Motion files: what people do.")
@click.option("--clips", default=6, show_default=True, help="Rendered clips, for the errors over time.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The tables (.npz).")
def main(readings: Path, motion: Path, clips: int, out: Path) -> None:
    look = Readings.load(readings)
    rig, library = LandmarkRig.from_body(load_body(None)), MotionLibrary.open(motion).split()[0]
    films = [ReadingErrors.of(clip, rig) for clip in tqdm(moving(library, clips, 60), total=clips, unit="clip")]
    noise = tables(
        ReadingErrors.of(look.found(), rig), float((look.score >= FOUND).mean()), memory_of(films, library.rate)
    )
    report(noise)
    noise.save(out)


if __name__ == "__main__":
    main()
