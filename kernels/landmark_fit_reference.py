"""`landmark_fit` in plain numpy and scipy: the definition of what the C++ computes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from kernels import landmarks
from kernels.implementation import Implementation
from kernels.landmark_fit_values import Gaussian, LinearPull, Patience, PoseProblem

Array = NDArray[np.float64]

_RISES, _FALLS, _LEAST = 8.0, 4.0, 1e-6
"""What the damping is multiplied with after a step that failed, divided by after one that did not, and its least."""


def linearise(problem: PoseProblem, place: landmarks.BodyPlace) -> landmarks.LandmarkSystem:
    """The normal equations of the whole cost."""
    reference = Implementation.REFERENCE
    system = landmarks.linearise(problem.body, place, problem.view, reference)
    cost, gradient, matrix = system.cost, system.gradient, system.matrix
    for towards in problem.pulls:
        cost += landmarks.pull(place.rotations, towards, gradient, matrix, reference)
    turns = 3 * len(place.rotations)
    shapes = slice(turns, turns + len(place.betas))
    if problem.habit is not None:
        cost += _habit(problem.habit, place.rotations, gradient[:turns], matrix[:turns, :turns])
    cost += _gaussian(problem.betas, place.betas, gradient[shapes], matrix[shapes, shapes])
    cost += _gaussian(problem.transl, place.transl, gradient[-3:], matrix[-3:, -3:])
    return system.costing(cost)


def _habit(habit: LinearPull, rotations: Array, gradient: Array, matrix: Array) -> float:
    turned = Rotation.from_matrix(np.swapaxes(habit.rotations, 1, 2) @ rotations).as_rotvec().reshape(-1)
    off = habit.code + habit.slope @ turned
    gradient += off @ habit.slope
    matrix += habit.slope.T @ habit.slope
    return 0.5 * float(off @ off)


def _gaussian(believed: Gaussian, value: Array, gradient: Array, matrix: Array) -> float:
    off = value - believed.mean
    force = believed.precision @ off
    gradient += force
    matrix += believed.precision
    return 0.5 * float(off @ force)


def fit(
    problem: PoseProblem, start: landmarks.BodyPlace, patience: Patience
) -> tuple[landmarks.BodyPlace, landmarks.LandmarkSystem, float, float, bool]:
    """The fields of `PoseFit` in their order."""
    place, damping, system = start, patience.damping, linearise(problem, start)
    cost_at_start = system.cost
    for _ in range(patience.iterations):
        trial = _moved(place, _damped_step(system, damping))
        trial_system = linearise(problem, trial)
        if trial_system.cost >= system.cost:
            damping *= _RISES
            continue
        fall = (system.cost - trial_system.cost) / system.cost
        place, system, damping = trial, trial_system, max(damping / _FALLS, _LEAST)
        if fall < patience.tolerance:
            return place, system, cost_at_start, damping, True
    return place, system, cost_at_start, damping, False


def _damped_step(system: landmarks.LandmarkSystem, damping: float) -> Array:
    diagonal = np.diagonal(system.matrix)
    step: Array = np.linalg.solve(system.matrix + damping * np.diag(diagonal + 1.0), -system.gradient)
    return step


def _moved(place: landmarks.BodyPlace, step: Array) -> landmarks.BodyPlace:
    turns = 3 * len(place.rotations)
    turned = place.rotations @ Rotation.from_rotvec(step[:turns].reshape(-1, 3)).as_matrix()
    return landmarks.BodyPlace(turned, place.betas + step[turns:-3], place.transl + step[-3:])
