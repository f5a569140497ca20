"""How exact the single-frame landmark fit is, on the rendered people of `landmark_readings`.

Prints MPJPE (pelvis-aligned), PA-MPJPE and the error of the distance, and beside them those of the detector's own 3D
landmarks over the 12 limb joints, which the fit has to beat; and what the landmarks, which are all that is known here,
tell of how tall adults are, beside the mean of all people:

    python -m benchmarks.landmark_fit readings.npz
    python -m benchmarks.landmark_fit readings.npz --set depth_spread=0.1 --set prior_weight=2
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import click
import numpy as np

from benchmarks.landmark_readings import Readings
from tracker.body import load_body
from tracker.body.joint_limits import JointPrior
from tracker.body.kinematics import LandmarkRig
from tracker.body.landmark_set import MEDIAPIPE
from tracker.body.smpl_joints import LIMB_SMPL
from tracker.body.stature import Stature
from tracker.core.arrays import Array
from tracker.core.geometry import rotation_between
from tracker.core.landmark_observation import LandmarkObservation
from tracker.evaluation.metrics import aligned_errors, joint_errors, relative_errors
from tracker.fit.landmark_fitter import Belief, FitConfig, LandmarkFitter
from tracker.fit.pose_prior import PosePrior
from tracker.initialise.landmark_start import initial_state

_ADULT = 1.5
"""m from which somebody counts as an adult."""


@dataclass(frozen=True)
class Fits:
    """Joints (N, 24, 3) m and the detector's limb joints (N, 12, 3), both in the camera's axes."""

    fitted: Array
    truth: Array
    detected_limbs: Array
    distance_ratio: Array
    """(N,) fitted over true depth."""
    heights: Array
    """(N, 2) m, fitted and true."""


def observed(readings: Readings, i: int) -> LandmarkObservation:
    """What the network said of the i-th sample."""
    return LandmarkObservation(readings.view(i), readings.pixels[i], readings.metric[i], readings.visibility[i])


def fit_all(readings: Readings, config: FitConfig) -> Fits:
    """Fits every sample on its own, without time."""
    rig, stature = LandmarkRig.from_body(load_body(None)), Stature.of(load_body(None))
    fitter = LandmarkFitter(rig, JointPrior.anatomical(), config, PosePrior.load())
    fitted, true, detected, ratio, heights = [], [], [], [], []
    for i in range(len(readings.theta)):
        observation, belief = observed(readings, i), Belief.stranger()
        result = fitter.fit(observation, belief, initial_state(rig, observation, belief.betas), config.first_iterations)
        truth = rig.pose_from_theta(readings.theta[i], readings.betas[i]).joints
        turn = rotation_between(np.array([0.0, 0.0, 1.0]), truth[0] + readings.transl[i])
        fitted.append(result.posed.joints)
        true.append(truth)
        detected.append(observation.metric[MEDIAPIPE.limbs] @ turn.T)
        ratio.append(result.state.transl[2] / readings.transl[i][2])
        heights.append([stature.of_shape(each) for each in (result.agreed_betas, readings.betas[i])])
    return Fits(np.stack(fitted), np.stack(true), np.stack(detected), np.array(ratio), np.array(heights))


def limb_errors(joints: Array, truth: Array) -> tuple[float, float]:
    """Mean mm over the 12 limb joints (N, 12, 3): about their common middle, and after the best similarity."""
    relative = relative_errors(joints, truth, joints.mean(axis=1), truth.mean(axis=1))
    return float(relative.mean()), float(aligned_errors(joints, truth).mean())


def of_heights(heights: Array) -> str:
    """What is known of the heights of adults, (N, 2) m, fitted and true."""
    fitted, true = heights[heights[:, 1] > _ADULT].T
    usual = Stature.of(load_body(None)).mean
    off, without = (100 * float(np.sqrt(np.mean((each - true) ** 2))) for each in (fitted, np.full(len(true), usual)))
    together = f"correlation {np.corrcoef(fitted, true)[0, 1]:.2f}"
    return (
        f"heights of {len(true)} adults: {together}; off by {off:.1f} cm, the mean of all by {without:.1f} cm (r.m.s.)"
    )


def changed(config: FitConfig, settings: tuple[str, ...]) -> FitConfig:
    """The configuration with `name=number` settings applied."""
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in {f.name for f in fields(FitConfig)}:
            raise click.BadParameter(f"{setting}: expected name=number, the name a field of FitConfig")
        config = replace(config, **{name: type(getattr(config, name))(float(value))})
    return config


@click.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--set", "settings", multiple=True, metavar="NAME=NUMBER", help="Change a field of FitConfig.")
def main(path: Path, settings: tuple[str, ...]) -> None:
    """Score the landmark fit on the readings in PATH."""
    fits = fit_all(Readings.load(path).found(), changed(FitConfig(), settings))
    errors = joint_errors(fits.fitted, fits.truth)
    ours = limb_errors(fits.fitted[:, LIMB_SMPL], fits.truth[:, LIMB_SMPL])
    theirs = limb_errors(fits.detected_limbs, fits.truth[:, LIMB_SMPL])
    worst = np.percentile(errors.root_relative.mean(axis=1), 95)
    off = 100 * (fits.distance_ratio - 1)
    click.echo(f"{len(fits.fitted)} people {' '.join(settings)}")
    click.echo(f"24 joints   MPJPE {errors.mpjpe:6.1f} mm   PA {errors.pa_mpjpe:6.1f} mm   95 % below {worst:6.1f} mm")
    click.echo(f"12 limb joints, fit        {ours[0]:6.1f} mm   PA {ours[1]:6.1f} mm")
    click.echo(f"12 limb joints, detector   {theirs[0]:6.1f} mm   PA {theirs[1]:6.1f} mm")
    click.echo(of_heights(fits.heights))
    click.echo(f"distance off by {np.median(off):+.1f} % (median), {off.std():.1f} % (standard deviation)")


if __name__ == "__main__":
    main()
