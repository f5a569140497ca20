"""Few steps downhill: L-BFGS that spends every evaluation on going on, none on looking back.

Line searches check where they have arrived. Where an evaluation is a rendering and two must do, the last step is
taken on trust: in units in which the belief's curvature is 1, the curvature along the first step says how far to go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tracker.core.arrays import Array

_REACH = 1.0
"""Length of the first step at most; it doubles with every success. Nor is the last step longer, which nobody checks."""
_MEMORY = 10


class Point(NamedTuple):
    """Somewhere that was looked at."""

    at: Array
    value: float
    gradient: Array


def descend(loss: Callable[[Array], tuple[float, Array]], start: Array, evaluations: int) -> Array:
    """The minimum of `loss` near start (n,), as far as so many evaluations tell.

    loss: value and gradient (n,), in units in which its curvature is about 1 or more.
    """
    best = Point(start, *loss(start))
    steps: list[tuple[Array, Array]] = []
    reach = _REACH
    for _ in range(evaluations - 1):
        there = best.at + _step(best, steps, reach)
        point = Point(there, *loss(there))
        steps = _learned(steps, point, best)
        if point.value < best.value:
            best, reach = point, 2 * reach
        else:
            reach = 0.5 * float(np.linalg.norm(point.at - best.at))
    return best.at + _step(best, steps, min(reach, _REACH))


def _learned(steps: list[tuple[Array, Array]], point: Point, before: Point) -> list[tuple[Array, Array]]:
    """The steps and the changes of the gradient along them, without those where the curvature is negative."""
    moved, changed = point.at - before.at, point.gradient - before.gradient
    return [*steps, (moved, changed)][-_MEMORY:] if moved @ changed > 1e-9 * (moved @ moved) else steps


def _step(point: Point, steps: list[tuple[Array, Array]], reach: float) -> Array:
    """L-BFGS's step from a point, no longer than reach."""
    step = -_times_inverse(point.gradient, steps)
    length = float(np.linalg.norm(step))
    return step if length <= reach else step * (reach / length)


def _times_inverse(gradient: Array, steps: list[tuple[Array, Array]]) -> Array:
    """The inverse Hessian as the steps show it, times the gradient (Nocedal and Wright, algorithm 7.4)."""
    q, shares = gradient.copy(), []
    for moved, changed in reversed(steps):
        share = float(moved @ q) / float(moved @ changed)
        q -= share * changed
        shares.append(share)
    if steps:
        moved, changed = steps[-1]
        q *= float(moved @ changed) / float(changed @ changed)
    for (moved, changed), share in zip(steps, reversed(shares), strict=True):
        q += moved * (share - float(changed @ q) / float(moved @ changed))
    return q
