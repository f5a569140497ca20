"""What the pose prior knows: how well held-out poses come back from its code, and how well it tells them from broken
ones.

Area under the ROC curve of each score, for each way of breaking a held-out pose; 0.5 is guessing, 1 is always right.
Scores: the prior's whole penalty, its latent part alone (what a fit can use cheaply), and the anatomical prior.

    python -m benchmarks.pose_prior MOTION [--weights FILE]
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from scipy.spatial.transform import Rotation
from scipy.stats import rankdata

from tracker.body.joint_limits import JointPrior
from tracker.body.model import JOINT_NAMES
from tracker.core.arrays import Array
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.fit.pose_prior import BODY, PosePrior
from tracker.motion import MotionLibrary
from tracker.motion.families import Postures
from tracker.motion.motion_clip import MIRRORED_JOINTS, joint_positions

_J = {name: index for index, name in enumerate(JOINT_NAMES)}
_LIMBS = {"shoulder": 0, "elbow": 0, "hip": 1, "knee": 1}
"""The axis of the bone below each joint in the T-pose."""
_SIDES = ("left", "right")
_EVERY = 5
"""Every so many held-out frames are used."""


def random_rotations(rng: np.random.Generator, poses: Array) -> Array:
    """All 21 joints turned anyhow."""
    broken = poses.copy()
    count = len(poses) * (BODY.stop - BODY.start)
    broken[:, BODY] = Rotation.random(count, random_state=rng.integers(2**31)).as_matrix().reshape(len(poses), -1, 3, 3)
    return broken


def one_random_joint(rng: np.random.Generator, poses: Array) -> Array:
    """A single limb joint turned anyhow."""
    broken = poses.copy()
    rows, joints, _ = _limb_joints(rng, len(poses))
    broken[rows, joints] = Rotation.random(len(poses), random_state=rng.integers(2**31)).as_matrix()
    return broken


def twisted_limb(rng: np.random.Generator, poses: Array) -> Array:
    """A limb turned about its own bone by 90° to 180°."""
    broken = poses.copy()
    rows, joints, axes = _limb_joints(rng, len(poses))
    angle = rng.uniform(np.pi / 2, np.pi, len(poses)) * rng.choice([-1, 1], len(poses))
    broken[rows, joints] = broken[rows, joints] @ matrix_from_axis_angle(angle[:, None] * np.eye(3)[axes])
    return broken


def knees_backwards(rng: np.random.Generator, poses: Array) -> Array:
    """A knee overstretched by 20° to 100°."""
    broken = poses.copy()
    knees = np.array([_J["left_knee"], _J["right_knee"]])[rng.integers(2, size=len(poses))]
    angle = -rng.uniform(np.radians(20), np.radians(100), len(poses))
    broken[np.arange(len(poses)), knees] = matrix_from_axis_angle(angle[:, None] * np.eye(3)[0])
    return broken


def swapped_sides(rng: np.random.Generator, poses: Array) -> Array:
    """Rotations of left and right exchanged as they are, unmirrored."""
    return poses[:, MIRRORED_JOINTS]


def _limb_joints(rng: np.random.Generator, count: int) -> tuple[Array, Array, Array]:
    choices = [(_J[f"{side}_{name}"], axis) for side in _SIDES for name, axis in _LIMBS.items()]
    joints, axes = np.array(choices)[rng.integers(len(choices), size=count)].T
    return np.arange(count), joints, axes


BREAKERS: dict[str, Callable[[np.random.Generator, Array], Array]] = {
    "random rotations": random_rotations,
    "one random joint": one_random_joint,
    "twisted limb": twisted_limb,
    "knee backwards": knees_backwards,
    "swapped sides": swapped_sides,
}


def area_under_curve(good: Array, bad: Array) -> float:
    """Probability that a bad pose scores higher than a good one (Mann and Whitney)."""
    ranks = rankdata(np.concatenate([good, bad]))
    return float((ranks[len(good) :].sum() - len(bad) * (len(bad) + 1) / 2) / (len(good) * len(bad)))


def scores_of(prior: PosePrior) -> dict[str, Callable[[Array], Array]]:
    """(n, 24, 3, 3) → (n,), higher is worse."""
    anatomical = JointPrior.anatomical()

    def ranges(poses: Array) -> Array:
        rotvec = axis_angle_from_matrix(poses[:, 1:].astype(float))
        beyond = np.minimum(rotvec - anatomical.lower, 0) + np.maximum(rotvec - anatomical.upper, 0)
        usual = (rotvec - anatomical.mean) / anatomical.spread
        return ((usual**2) + (beyond / anatomical.limit_spread) ** 2).sum(axis=(1, 2))

    return {
        "whole": prior.penalty,
        "latent": lambda poses: 0.5 * (prior.encode(poses) ** 2).sum(axis=-1),
        "anatomical": ranges,
    }


def reconstruction(prior: PosePrior, poses: Array) -> tuple[float, float]:
    """Degrees a joint (1..21) and mm a joint (1..23, the pelvis in place), means."""
    rebuilt = poses.astype(float)
    rebuilt[:, BODY] = prior.decode(prior.encode(poses))
    turned = np.linalg.norm(axis_angle_from_matrix(np.swapaxes(poses[:, BODY], -1, -2) @ rebuilt[:, BODY]), axis=-1)
    apart = np.linalg.norm(joint_positions(rebuilt) - joint_positions(poses.astype(float)), axis=-1)[:, 1:]
    return float(np.degrees(turned).mean()), 1000 * float(apart.mean())


@click.command(help=__doc__)
@click.argument("motion", type=click.Path(path_type=Path))
@click.option("--weights", type=click.Path(path_type=Path), help="Other weights than the project's.")
def main(motion: Path, weights: Path | None) -> None:
    prior = PosePrior.load(weights)
    train, held = MotionLibrary.open(motion).split()
    poses = held.rotations[::_EVERY]
    postures = Postures(JointPrior.anatomical()).draw(np.random.default_rng(1), len(poses))
    for name, some in (("held-out clips", poses), ("training clips", train.rotations[::50]), ("postures", postures)):
        degrees, millimetres = reconstruction(prior, some)
        click.echo(f"reconstruction, {name:16s}{len(some):6d} poses {degrees:6.2f}° {millimetres:6.1f} mm")
    scores = scores_of(prior)
    usual = {name: score(poses) for name, score in scores.items()}
    for name in ("whole", "latent"):
        other = np.median(scores[name](postures))
        click.echo(f"median {name} penalty: held-out {np.median(usual[name]):.1f}, postures {other:.1f}")
    click.echo(f"{'AUROC, held-out against':26s}" + "".join(f"{name:>12s}" for name in scores))
    for label, breaker in BREAKERS.items():
        broken = breaker(np.random.default_rng(2), poses)
        areas = [area_under_curve(usual[name], score(broken)) for name, score in scores.items()]
        click.echo(f"{label:26s}" + "".join(f"{area:12.3f}" for area in areas))


if __name__ == "__main__":
    main()
