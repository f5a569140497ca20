"""From landmarks to a pose, on held-out motion: the fit alone, the trained inverse kinematics alone, and the fit from
its guess, with parts of the body hidden.

People of random shape before random cameras; landmarks as the detector gives them, by its measured errors. What is
hidden lies where the detector would guess it, with confidence 0. Prints, for each kind of hiding, MPJPE about the
pelvis and after Procrustes alignment (mm, 24 joints), the angle by which joints 0..21 are off (degrees), MPJPE of the
joints that are hidden, and the median time a person.

    python -m benchmarks.inverse_kinematics MOTION [--people 200] [--weights FILE] [--set guess_weight=2]
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.landmark_fit import changed
from tracker.body import load_body
from tracker.camera import Camera
from tracker.evaluation.metrics import joint_errors
from tracker.fit import Belief, BodyState, FitConfig, LandmarkFitter, Observation
from tracker.geometry import axis_angle_from_matrix
from tracker.initialise import guessed_state, initial_state, sight
from tracker.inverse_kinematics import InverseKinematics, Sight
from tracker.keypoints import landmark_to_joint_matrix
from tracker.kinematics import LandmarkRig
from tracker.motion import MotionLibrary
from tracker.pose_prior import PosePrior
from tracker.prior import JointPrior
from tracker.training.inverse_kinematics import BELOW_WAIST, LIMBS, PointBody, Shots, random_shapes
from tracker.training.noise import LandmarkNoise
from tracker.types import Array

CAMERA = Camera.default(1280, 720)
_ANGLES = slice(0, 22)
"""Joints without the hands, which turn with the wrists."""


@dataclass(frozen=True)
class Case:
    """One way of seeing people."""

    name: str
    exact: bool
    hidden: Callable[[np.random.Generator, int], Array]
    """Random numbers, count → (count, 33)."""
    known: bool = True
    """Hidden landmarks have confidence 0, not the one that the detector would give them."""


def _of(*parts: Array) -> Callable[[np.random.Generator, int], Array]:
    """Hides one of the parts."""

    def hidden(rng: np.random.Generator, count: int) -> Array:
        rows = np.zeros((count, 33), bool)
        for row, part in enumerate(rng.integers(len(parts), size=count)):
            rows[row, parts[part]] = True
        return rows

    return hidden


def _scattered(rng: np.random.Generator, count: int) -> Array:
    hidden: Array = rng.random((count, 33)) < 0.3
    return hidden


_NOTHING = _of(np.array([], int))
CASES = (
    Case("clean", True, _NOTHING),
    Case("as detected", False, _NOTHING),
    Case("an arm hidden", False, _of(*LIMBS[:2])),
    Case("a leg hidden", False, _of(*LIMBS[2:])),
    Case("below the waist", False, _of(BELOW_WAIST)),
    Case("random 30 %", False, _scattered),
    Case("waist, unnoticed", False, _of(BELOW_WAIST), known=False),
)


@dataclass(frozen=True)
class Answer:
    """One method's pose of one person."""

    state: BodyState
    seconds: float


Method = Callable[[Observation], BodyState]


def methods(config: FitConfig, weights: Path | None) -> dict[str, Method]:
    """By name: an observation → a pose, without time."""
    rig = LandmarkRig.from_body(load_body(None))
    fitter = LandmarkFitter(rig, JointPrior.anatomical(), config, PosePrior.load())
    network = InverseKinematics.load(weights)
    belief = Belief.stranger()

    def alone(seen: Observation) -> BodyState:
        return fitter.fit(seen, belief, initial_state(rig, seen, belief.betas), config.first_iterations).state

    def guessed(seen: Observation) -> BodyState:
        guess = network(sight(seen))
        return guessed_state(rig, seen, guess.betas, guess)

    def refined(seen: Observation) -> BodyState:
        guess = network(sight(seen))
        start = guessed_state(rig, seen, belief.betas, guess)
        return fitter.fit(seen, replace(belief, guess=guess), start, config.guessed_iterations).state

    return {"fit alone": alone, "network": guessed, "network + fit": refined}


@dataclass(frozen=True)
class Scores:
    """Of one method in one case."""

    mpjpe: float
    pa_mpjpe: float
    degrees: float
    hidden: float
    """MPJPE of the hidden joints; NaN where none is."""
    milliseconds: float


def score(answers: list[Answer], shots: Shots, hidden: Array) -> Scores:
    """hidden: (n, 33)."""
    rig = LandmarkRig.from_body(load_body(None))
    joints = np.stack([rig.pose(a.state.rotations, a.state.betas).joints for a in answers])
    errors = joint_errors(joints, shots.points[:, :24])
    steps = np.swapaxes(np.stack([a.state.rotations for a in answers]), -1, -2) @ shots.rotations()
    angles = np.linalg.norm(axis_angle_from_matrix(steps), axis=-1)[:, _ANGLES]
    unseen = hidden @ landmark_to_joint_matrix().T > 0.99
    off = errors.root_relative[unseen].mean() if unseen.any() else np.nan
    middle = 1e3 * float(np.median([a.seconds for a in answers]))
    return Scores(errors.mpjpe, errors.pa_mpjpe, float(np.degrees(angles).mean()), float(off), middle)


def observations(case: Case, shots: Shots, noise: LandmarkNoise, seed: int) -> tuple[list[Observation], Array]:
    """What is seen of each person, and which landmarks are hidden (n, 33)."""
    rng = np.random.default_rng(seed)
    hidden = case.hidden(rng, len(shots.place))
    seen: Sight = shots.exact() if case.exact else shots.detected(noise, rng, hidden)
    confidence = seen.confidence * ~hidden if case.known else seen.confidence
    pixels = seen.rays * np.array([CAMERA.fx, CAMERA.fy]) + np.array([CAMERA.cx, CAMERA.cy])
    return [Observation(CAMERA, *row) for row in zip(pixels, seen.metric, confidence, strict=True)], hidden


def timed(method: Method, seen: Observation) -> Answer:
    began = time.perf_counter()
    state = method(seen)
    return Answer(state, time.perf_counter() - began)


@click.command(help=__doc__)
@click.argument("motion", type=click.Path(path_type=Path))
@click.option("--people", default=200, show_default=True, help="In each case.")
@click.option("--weights", type=click.Path(path_type=Path), help="Other weights than the project's.")
@click.option("--set", "settings", multiple=True, metavar="NAME=NUMBER", help="Change a field of FitConfig.")
def main(motion: Path, people: int, weights: Path | None, settings: tuple[str, ...]) -> None:
    torch.set_num_threads(1)
    held = MotionLibrary.open(motion).split()[1]
    rng = np.random.default_rng(0)
    rotations = held.rotations[rng.integers(len(held.rotations), size=people)]
    turn = np.zeros((people, 3))
    turn[:, 1] = rng.uniform(-np.pi, np.pi, people)
    shots = Shots.random(
        rng, PointBody(load_body(None)).people(_turned(rotations, turn), random_shapes(rng, people, 0.0))
    )
    noise, tried = LandmarkNoise.load(), methods(changed(FitConfig(), settings), weights)
    click.echo(f"{people} people of {len(held.clips)} held-out clips {' '.join(settings)}")
    click.echo(f"{'':18s}{'':16s}{'MPJPE':>8s}{'PA':>8s}{'angle':>8s}{'hidden':>8s}{'ms':>8s}")
    with threadpool_limits(1):
        for case in CASES:
            seen, hidden = observations(case, shots, noise, 1)
            for name, method in tried.items():
                s = score([timed(method, one) for one in seen], shots, hidden)
                click.echo(
                    f"{case.name:18s}{name:16s}{s.mpjpe:8.1f}{s.pa_mpjpe:8.1f}{s.degrees:7.1f}°{s.hidden:8.1f}"
                    f"{s.milliseconds:8.2f}"
                )


def _turned(rotations: Array, turn: Array) -> Array:
    """The root of each pose turned on by a rotation vector of the world."""
    from tracker.geometry import matrix_from_axis_angle

    rotations = rotations.copy()
    rotations[:, 0] = matrix_from_axis_angle(turn) @ rotations[:, 0]
    return rotations


if __name__ == "__main__":
    main()
