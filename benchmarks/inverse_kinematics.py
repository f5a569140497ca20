"""From landmarks to a pose, on held-out motion: the fit alone, the trained inverse kinematics alone, and the fit from
its guess, with parts of the body hidden.

People of random shape before random cameras; landmarks as the detector gives them, by its measured errors. What is
hidden lies where the detector would guess it, with confidence 0. Prints, for each kind of hiding, MPJPE about the
pelvis and after Procrustes alignment (mm, 24 joints), the angle by which joints 0..21 are off (degrees), MPJPE of the
joints that are hidden, and the median time a person (of one core, whatever else the machine does). Then the same people
moving, their lower body or an arm hidden for a second and a half: the track without and with the guesses.

    python -m benchmarks.inverse_kinematics MOTION [--people 200] [--weights FILE] [--set guess_weight=2]

With --readings, rendered people in whom the detector has been (`benchmarks.landmark_readings --split held_out`).
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
from benchmarks.landmark_readings import Readings
from tracker.body import load_body
from tracker.body.body_state import BodyState
from tracker.body.joint_limits import JointPrior
from tracker.body.kinematics import LandmarkRig
from tracker.body.landmark_set import MEDIAPIPE
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.core.landmark_observation import LandmarkObservation
from tracker.evaluation.metrics import joint_errors
from tracker.fit.landmark_fitter import Belief, FitConfig, LandmarkFitter
from tracker.fit.person_fitter import PersonFitter, TrackConfig
from tracker.fit.pose_prior import PosePrior
from tracker.initialise.inverse_kinematics import InverseKinematics, Sight
from tracker.initialise.landmark_start import guessed_state, initial_state, sight
from tracker.initialise.motion_predictor import MotionPredictor
from tracker.motion import MotionLibrary, PoseSampler, SamplerConfig
from tracker.synth.samples.sample import SIZE as SIDE
from tracker.training.noise import LandmarkNoise
from tracker.training.train_inverse_kinematics import BELOW_WAIST, LIMBS, PointBody, Shots, random_shapes

CAMERA = Camera.default(1280, 720)
_FRAMES = 90
_GONE = (1.0, 2.5)
"""s: while something is hidden, of a clip of three seconds."""
_ANGLES = slice(0, 22)
"""Joints without the hands, which turn with the wrists."""


@dataclass(frozen=True)
class LandmarkCase:
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
    LandmarkCase("clean", True, _NOTHING),
    LandmarkCase("as detected", False, _NOTHING),
    LandmarkCase("an arm hidden", False, _of(*LIMBS[:2])),
    LandmarkCase("a leg hidden", False, _of(*LIMBS[2:])),
    LandmarkCase("below the waist", False, _of(BELOW_WAIST)),
    LandmarkCase("random 30 %", False, _scattered),
    LandmarkCase("waist, unnoticed", False, _of(BELOW_WAIST), known=False),
)


@dataclass(frozen=True)
class TimedPose:
    """One method's pose of one person."""

    state: BodyState
    seconds: float


Method = Callable[[LandmarkObservation], BodyState]


def methods(config: FitConfig, network: InverseKinematics) -> dict[str, Method]:
    """By name: an observation → a pose, without time."""
    rig = LandmarkRig.from_body(load_body(None))
    fitter = LandmarkFitter(rig, JointPrior.anatomical(), config, PosePrior.load())
    belief = Belief.stranger()

    def alone(observation: LandmarkObservation) -> BodyState:
        return fitter.fit(
            observation, belief, initial_state(rig, observation, belief.betas), config.first_iterations
        ).state

    def guessed(observation: LandmarkObservation) -> BodyState:
        guess = network(sight(observation))
        return guessed_state(rig, observation, guess.betas, guess)

    def refined(observation: LandmarkObservation) -> BodyState:
        guess = network(sight(observation))
        start = guessed_state(rig, observation, belief.betas, guess)
        return fitter.fit(observation, replace(belief, guess=guess), start, config.guessed_iterations).state

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


@dataclass(frozen=True)
class MotionTruth:
    """Of n people, the camera's axes."""

    joints: Array
    """(n, 24, 3) m."""
    rotations: Array
    """(n, 24, 3, 3)."""


def score(answers: list[TimedPose], truth: MotionTruth, hidden: Array) -> Scores:
    """hidden: (n, 33)."""
    rig = LandmarkRig.from_body(load_body(None))
    joints = np.stack([rig.pose(a.state.rotations, a.state.betas).joints for a in answers])
    errors = joint_errors(joints, truth.joints)
    steps = np.swapaxes(np.stack([a.state.rotations for a in answers]), -1, -2) @ truth.rotations
    angles = np.linalg.norm(axis_angle_from_matrix(steps), axis=-1)[:, _ANGLES]
    unseen = hidden @ MEDIAPIPE.joint_evidence.T > 0.99
    off = errors.root_relative[unseen].mean() if unseen.any() else np.nan
    middle = 1e3 * float(np.median([a.seconds for a in answers]))
    return Scores(errors.mpjpe, errors.pa_mpjpe, float(np.degrees(angles).mean()), float(off), middle)


def observations(
    case: LandmarkCase, shots: Shots, noise: LandmarkNoise, seed: int
) -> tuple[list[LandmarkObservation], Array]:
    """What is seen of each person, and which landmarks are hidden (n, 33)."""
    rng = np.random.default_rng(seed)
    hidden = case.hidden(rng, len(shots.place))
    seen: Sight = shots.exact() if case.exact else shots.detected(noise, rng, hidden)
    confidence = seen.confidence * ~hidden if case.known else seen.confidence
    pixels = seen.rays * np.array([CAMERA.fx, CAMERA.fy]) + np.array([CAMERA.cx, CAMERA.cy])
    return [LandmarkObservation(CAMERA, *row) for row in zip(pixels, seen.metric, confidence, strict=True)], hidden


def timed(method: Method, observation: LandmarkObservation) -> TimedPose:
    began = time.process_time()
    state = method(observation)
    return TimedPose(state, time.process_time() - began)


def show(
    name: str, tried: dict[str, Method], seen: list[LandmarkObservation], truth: MotionTruth, hidden: Array
) -> None:
    for method_name, method in tried.items():
        s = score([timed(method, one) for one in seen], truth, hidden)
        click.echo(
            f"{name:18s}{method_name:16s}{s.mpjpe:8.1f}{s.pa_mpjpe:8.1f}{s.degrees:7.1f}°{s.hidden:8.1f}"
            f"{s.milliseconds:8.2f}"
        )


def on_motion(held: MotionLibrary, tried: dict[str, Method], people: int) -> None:
    rng = np.random.default_rng(0)
    sampler = PoseSampler(held, config=SamplerConfig(recombined=0.0, postures=0.0, grafted=0.0))
    body, noise = PointBody(load_body(None)), LandmarkNoise.load()
    shots = Shots.random(rng, body.people(sampler.poses(rng, people), random_shapes(rng, people, 0.0)))
    truth = MotionTruth(shots.points[:, :24], shots.rotations())
    for case in CASES:
        seen, hidden = observations(case, shots, noise, 1)
        show(case.name, tried, seen, truth, hidden)


def on_readings(path: Path, tried: dict[str, Method]) -> None:
    """Rendered people, by how much of them is hidden."""
    read, rig = Readings.load(path).found(), LandmarkRig.from_body(load_body(None))
    for low, high in ((0.0, 0.01), (0.01, 0.3), (0.3, 0.7)):
        rows = np.flatnonzero((read.hidden.mean(axis=1) >= low) & (read.hidden.mean(axis=1) < high))
        rotations = matrix_from_axis_angle(read.theta[rows])
        joints = [rig.pose(r, b).joints for r, b in zip(rotations, read.betas[rows], strict=True)]
        seen = [
            LandmarkObservation(Camera(*read.camera[i], SIDE, SIDE), read.pixels[i], read.metric[i], read.visibility[i])
            for i in rows
        ]
        name = f"rendered, {100 * low:.0f}..{100 * high:.0f} %"
        show(name, tried, seen, MotionTruth(np.stack(joints), rotations), read.hidden[rows])


@dataclass(frozen=True)
class HiddenFilm:
    """Somebody who moves before a camera that stands still; T frames."""

    shots: Shots
    numbers: Array
    """Of `LandmarkNoise.numbers_over_time`."""

    @classmethod
    def draw(cls, held: MotionLibrary, body: PointBody, noise: LandmarkNoise, seed: int, times: Array) -> HiddenFilm:
        rng, count = np.random.default_rng([3, seed]), len(times)
        window = PoseSampler(held).windows(rng, 1, count)[0]
        people = body.people(window, np.repeat(random_shapes(rng, 1, 0.0), count, axis=0))
        first = Shots.random(rng, people.some(np.zeros(1, int)))
        shots = Shots(people, np.repeat(first.rotation, count, 0), np.repeat(first.place, count, 0))
        return cls(shots, noise.numbers_over_time(rng, times))


def over_time(held: MotionLibrary, config: FitConfig, kinematics: InverseKinematics, clips: int) -> None:
    """MPJPE of the hidden joints, and how far they go from frame to frame, while they are hidden."""
    times, noise, body = np.arange(_FRAMES) / held.rate, LandmarkNoise.load(), PointBody(load_body(None))
    fitter = LandmarkFitter(LandmarkRig.from_body(load_body(None)), JointPrior.anatomical(), config, PosePrior.load())
    films = [HiddenFilm.draw(held, body, noise, seed, times) for seed in range(clips)]
    gone = (times >= _GONE[0]) & (times < _GONE[1])
    for name, part in (("below the waist", BELOW_WAIST), ("an arm", LIMBS[0])):
        away = np.zeros((_FRAMES, 33), bool)
        away[np.ix_(gone, part)] = True
        columns = np.flatnonzero(MEDIAPIPE.joint_evidence @ away.any(axis=0) > 0.99)
        for label, guesser in (("time alone", None), ("time and guesses", kinematics)):
            errors, steps = [], []
            for film in films:
                seen = film.shots.read(noise, film.numbers, away, np.ones(_FRAMES))
                track = PersonFitter(fitter, TrackConfig(), MotionPredictor.load(), guesser)
                found = _tracked(track, times, seen, away)[gone][:, columns]
                errors.append(np.linalg.norm(found - film.shots.points[gone][:, columns], axis=2).mean())
                steps.append(np.linalg.norm(np.diff(found, axis=0), axis=2).mean())
            click.echo(
                f"hidden {_GONE[1] - _GONE[0]:.1f} s: {name:18s}{label:18s}{1e3 * np.mean(errors):8.1f} mm"
                f"{1e3 * np.mean(steps):8.1f} mm a frame"
            )


def _tracked(track: PersonFitter, times: Array, sight: Sight, away: Array) -> Array:
    """(T, 24, 3) m about the pelvis."""
    joints = []
    for k, time_ in enumerate(times):
        pixels = sight.rays[k] * np.array([CAMERA.fx, CAMERA.fy]) + np.array([CAMERA.cx, CAMERA.cy])
        result = track.update(
            float(time_), LandmarkObservation(CAMERA, pixels, sight.metric[k], sight.confidence[k] * ~away[k])
        )
        track.learn_shape(float(time_), result, 1.0)
        joints.append(result.posed.joints - result.posed.joints[0])
    return np.stack(joints)


@click.command(help=__doc__)
@click.argument("motion", type=click.Path(path_type=Path))
@click.option("--people", default=200, show_default=True, help="In each case.")
@click.option("--clips", default=20, show_default=True, help="Of people who move.")
@click.option("--readings", type=click.Path(path_type=Path), help="Score on these rendered people instead.")
@click.option("--weights", type=click.Path(path_type=Path), help="Other weights than the project's.")
@click.option("--set", "settings", multiple=True, metavar="NAME=NUMBER", help="Change a field of FitConfig.")
def main(
    motion: Path, people: int, clips: int, readings: Path | None, weights: Path | None, settings: tuple[str, ...]
) -> None:
    torch.set_num_threads(1)
    config, kinematics = changed(FitConfig(), settings), InverseKinematics.load(weights)
    held, tried = MotionLibrary.open(motion).split()[1], methods(config, kinematics)
    click.echo(f"{len(held.clips)} held-out clips {' '.join(settings)}")
    click.echo(f"{'':18s}{'':16s}{'MPJPE':>8s}{'PA':>8s}{'angle':>8s}{'hidden':>8s}{'ms':>8s}")
    with threadpool_limits(1):
        if readings is not None:
            on_readings(readings, tried)
            return
        on_motion(held, tried, people)
        over_time(held, config, kinematics, clips)


if __name__ == "__main__":
    main()
