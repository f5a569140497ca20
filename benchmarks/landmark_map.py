"""Where on the body a landmark network's points lie, measured on rendered people whose truth is known.

For each landmark the offset, in the T-pose axes of the bone that carries it, that brings the body's point closest to
the network's pixels, how far off they are without and with it, and how exact the 3D landmarks are. The offsets in
`tracker/body/landmark_set.py` and the spreads in `tracker/fit/landmark_fitter.py` come from here; the table adds to
what is in force:

    python -m benchmarks.landmark_readings --motion MOTION --assets ASSETS --rigged 1 --occluded 0 --out rigged.npz
    python -m benchmarks.landmark_map rigged.npz
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.landmark_readings import Readings
from tracker.body import load_body
from tracker.body.kinematics import LandmarkRig, PosedPoints
from tracker.body.landmark_set import MEDIAPIPE
from tracker.body.smpl_joints import SMPL_JOINTS
from tracker.core.arrays import Array
from tracker.core.geometry import rotation_between

_VISIBLE = 0.6
_OUTLIER = 0.04
"""m at the person's distance."""
_MIRROR = np.diag([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Finding:
    """One landmark (both sides together, in the left one's axes)."""

    name: str
    bone: str
    offset: Array
    """(3,) m."""
    before: float
    """m: median distance across the line of sight as the map has it now."""
    after: float


def carrier(rig: LandmarkRig, k: int) -> int:
    """The bone that moves a landmark most."""
    carried = rig.carried
    return int(carried.bones[np.argmax((carried.points == k) * carried.weights)])


def offset_of(name: str, rig: LandmarkRig, readings: Readings, truth: list[PosedPoints]) -> Finding:
    """Robust least squares over every sample in which the landmark is visible. truth: of each sample."""
    slopes, errors = [], []
    for side, mirror in (("left", np.eye(3)), ("right", _MIRROR)):
        sided = name.replace("left", side)
        if sided == name and side == "right":
            continue
        k = MEDIAPIPE.index(sided)
        for i in np.flatnonzero((readings.visibility[:, k] >= _VISIBLE) & ~readings.hidden[:, k]):
            camera, posed = readings.view(i), truth[i]
            point = posed.points[k] + readings.transl[i]
            across = np.array([[1.0, 0.0, -point[0] / point[2]], [0.0, 1.0, -point[1] / point[2]]])
            slopes.append(across @ posed.world_rotations[carrier(rig, k)] @ mirror)
            errors.append((readings.pixels[i, k] - camera.project(point)) * point[2] / camera.fx)
    slope, error = np.stack(slopes), np.stack(errors)
    offset = np.zeros(3)
    for _ in range(20):
        residual = error - slope @ offset
        weight = 1 / (1 + (residual**2).sum(axis=1) / _OUTLIER**2) ** 2
        normal = np.einsum("n,nij,nik->jk", weight, slope, slope)
        offset = np.linalg.solve(normal, np.einsum("n,nij,ni->j", weight, slope, error))
    bone = SMPL_JOINTS[carrier(rig, MEDIAPIPE.index(name))]
    before, after = (float(np.median(np.linalg.norm(e, axis=1))) for e in (error, error - slope @ offset))
    return Finding(name, bone, offset, before, after)


def metric_spread(readings: Readings, truth: list[PosedPoints]) -> Array:
    """(33, 3) m: robust standard deviation of the 3D landmarks, scaled and shifted onto the truth; depth last."""
    errors = []
    for posed, transl, landmarks in zip(truth, readings.transl, readings.metric, strict=True):
        turn = rotation_between(np.array([0.0, 0.0, 1.0]), posed.joints[0] + transl)
        true = (posed.points - posed.points.mean(axis=0)) @ turn
        metric = landmarks - landmarks.mean(axis=0)
        errors.append(metric * (metric * true).sum() / (metric**2).sum() - true)
    stacked = np.stack(errors)
    return 1.48 * np.median(np.abs(stacked - np.median(stacked, axis=0)), axis=0)


@click.command(help=__doc__)
@click.argument("path", type=click.Path(path_type=Path, exists=True))
def main(path: Path) -> None:
    rig = LandmarkRig.from_body(load_body(None))
    readings = Readings.load(path).found()
    truth = [rig.pose_from_theta(*body) for body in zip(readings.theta, readings.betas, strict=True)]
    spread = metric_spread(readings, truth)
    click.echo(f"{len(truth)} people")
    click.echo(f"{'landmark':18}{'bone':15}{'offset mm (x, y, z)':>24}{'off mm':>8}{'then':>6}{'3D spread mm':>18}")
    for name in MEDIAPIPE.names:
        if "right" in name:
            continue
        finding = offset_of(name, rig, readings, truth)
        x, y, z = 1e3 * finding.offset
        sx, sy, sz = 1e3 * spread[MEDIAPIPE.index(name)]
        click.echo(
            f"{name:18}{finding.bone:15}{x:8.0f}{y:8.0f}{z:8.0f}{1e3 * finding.before:8.0f}{1e3 * finding.after:6.0f}"
            f"{sx:6.0f}{sy:6.0f}{sz:6.0f}"
        )


if __name__ == "__main__":
    main()
