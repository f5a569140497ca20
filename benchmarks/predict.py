"""How far off predicted poses are, on held-out clips at 30 fps: after a frame, and through up to two seconds hidden.

Each predictor is given the motion up to a moment, frame by frame and each joint off by `--noise` degrees, and asked
where the joints will be. Figures are mean distances over the 24 joints in mm: the pelvis in place / in the world.

    python -m benchmarks.predict MOTION [--weights FILE] [--noise DEGREES]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.initialise.motion_predictor import MotionPredictor, Past
from tracker.motion import MotionLibrary
from tracker.motion.motion_clip import joint_positions

RATE = 30.0
ASKED = np.array([1 / 30, 0.1, 0.5, 1.0, 2.0])
"""s ahead."""
_HISTORY = 12
"""Frames that a predictor sees."""
_EVERY = 15
"""Frames from one question to the next."""
_UP = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True)
class Question:
    """n moments: what was seen, and what came."""

    past: Array
    """(n, frames, 24, 3, 3), oldest first."""
    places: Array
    """(n, frames, 3) m."""
    future: Array
    """(n, asked, 24, 3, 3)."""
    future_places: Array

    @classmethod
    def of(cls, library: MotionLibrary, noise: float, rng: np.random.Generator) -> Question:
        """From all clips that are long enough. noise: degrees a joint and frame, and as many half centimetres."""
        ahead = np.round(ASKED * RATE).astype(int)
        rows, places = [], []
        for clip in library.clips:
            rotations = clip.rotations().astype(float)
            for now in range(_HISTORY - 1, len(rotations) - ahead[-1], _EVERY):
                frames = np.r_[now - _HISTORY + 1 : now + 1, now + ahead]
                rows.append(rotations[frames])
                places.append(clip.transl[frames].astype(float))
        all_rows, all_places = np.stack(rows), np.stack(places)
        past, where = all_rows[:, :_HISTORY], all_places[:, :_HISTORY]
        past = past @ matrix_from_axis_angle(np.radians(noise) * rng.normal(size=(*past.shape[:3], 3)))
        where = where + 0.005 * noise * rng.normal(size=where.shape)
        return cls(past, where, all_rows[:, _HISTORY:], all_places[:, _HISTORY:])


Predicted = tuple[Array, Array]
"""Rotations (n, 24, 3, 3) and places (n, 3)."""
Predictor = Callable[[Question, float], Predicted]


def hold(question: Question, seconds: float) -> Predicted:
    """It stays as it is."""
    return question.past[:, -1], question.places[:, -1]


def constant_velocity(question: Question, seconds: float) -> Predicted:
    """It goes on as in the last frame."""
    turning, moving = _speeds(question, 1.0)
    return _carried(question, turning * seconds, moving * seconds)


def damped_velocity(fade: Array, place_fade: float, blend: float = 0.5) -> Predictor:
    """Speeds, averaged with weight `blend` for the newest, die out with each joint's time constant (24,) s."""

    def predict(question: Question, seconds: float) -> Predicted:
        turning, moving = _speeds(question, blend)
        lasting = fade * (1 - np.exp(-seconds / fade))
        place_lasting = place_fade * (1 - np.exp(-seconds / place_fade))
        return _carried(question, turning * lasting[:, None], moving * place_lasting)

    return predict


def learned(predictor: MotionPredictor) -> Predictor:
    """The trained network, through the code that the tracker uses."""

    def predict(question: Question, seconds: float) -> Predicted:
        turns, moves = [], []
        times = tuple(np.arange(_HISTORY) / RATE)
        for rotations, places in zip(question.past, question.places, strict=True):
            past = Past(times, tuple(rotations), tuple(places))
            turn, move = predictor.course(past.glimpse, _UP).after(seconds)
            turns.append(turn)
            moves.append(move)
        return _carried(question, np.stack(turns), np.stack(moves))

    return predict


def _speeds(question: Question, blend: float) -> Predicted:
    """rad/s (n, 24, 3) and m/s (n, 3): a running mean over the frames."""
    turns = axis_angle_from_matrix(np.swapaxes(question.past[:, :-1], -1, -2) @ question.past[:, 1:]) * RATE
    moves = np.diff(question.places, axis=1) * RATE
    turning, moving = turns[:, 0], moves[:, 0]
    for k in range(1, turns.shape[1]):
        turning = (1 - blend) * turning + blend * turns[:, k]
        moving = (1 - blend) * moving + blend * moves[:, k]
    return turning, moving


def _carried(question: Question, turns: Array, moves: Array) -> Predicted:
    return question.past[:, -1] @ matrix_from_axis_angle(turns), question.places[:, -1] + moves


def fitted_fades(question: Question) -> tuple[Array, float]:
    """The time constants (24,) s and of the place that predict best over the horizons, each joint for itself."""
    candidates = np.array([0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.5])
    turning, moving = _speeds(question, 0.5)
    cost, place_cost = np.zeros((len(candidates), NUM_JOINTS)), np.zeros(len(candidates))
    for k, seconds in enumerate(ASKED):
        truth = axis_angle_from_matrix(np.swapaxes(question.past[:, -1], -1, -2) @ question.future[:, k])
        moved = question.future_places[:, k] - question.places[:, -1]
        for c, fade in enumerate(candidates):
            lasting = fade * (1 - np.exp(-seconds / fade))
            cost[c] += np.linalg.norm(truth - turning * lasting, axis=-1).mean(axis=0) / np.sqrt(seconds)
            place_cost[c] += np.linalg.norm(moved - moving * lasting, axis=-1).mean() / np.sqrt(seconds)
    return candidates[cost.argmin(axis=0)], float(candidates[place_cost.argmin()])


def errors(predict: Predictor, question: Question) -> list[tuple[float, float]]:
    """mm after each time asked: the pelvis in place, and in the world."""
    off = []
    for k, seconds in enumerate(ASKED):
        rotations, places = predict(question, float(seconds))
        mine, truth = joint_positions(rotations), joint_positions(question.future[:, k])
        relative = np.linalg.norm(mine - truth, axis=-1).mean()
        apart = mine - truth + (places - question.future_places[:, k])[:, None]
        off.append((1000 * float(relative), 1000 * float(np.linalg.norm(apart, axis=-1).mean())))
    return off


@click.command(help=__doc__)
@click.argument("motion", type=click.Path(path_type=Path))
@click.option("--weights", type=click.Path(path_type=Path), help="Other weights than the project's.")
@click.option("--noise", default=1.0, show_default=True, help="Degrees by which each seen joint is off.")
def main(motion: Path, weights: Path | None, noise: float) -> None:
    train, held = MotionLibrary.open(motion, RATE).split()
    question = Question.of(held, noise, np.random.default_rng(0))
    fades, place_fade = fitted_fades(Question.of(train, noise, np.random.default_rng(1)))
    predictors = {
        "hold": hold,
        "constant velocity": constant_velocity,
        "damped, 0.08 s for all": damped_velocity(np.full(NUM_JOINTS, 0.08), 0.08),
        "damped, fitted a joint": damped_velocity(fades, place_fade),
        "learned": learned(MotionPredictor.load(weights)),
    }
    click.echo(f"{len(question.past)} moments of {len(held.clips)} clips, {noise}° noise")
    click.echo(f"{'mm after':24s}" + "".join(f"{seconds:13.2f} s" for seconds in ASKED))
    for name, predict in predictors.items():
        cells = "".join(f"{relative:7.1f}/{world:7.1f}" for relative, world in errors(predict, question))
        click.echo(f"{name:24s}{cells}")


if __name__ == "__main__":
    main()
