"""Going downhill with few evaluations."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.core.arrays import Array
from tracker.fit.descent import descend


class Valley:
    """A loss that counts how often it is asked; quadratic with these curvatures, turned somehow."""

    def __init__(self, curvatures: Array, bottom: Array, wave: float = 0.0) -> None:
        axes, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(len(curvatures), len(curvatures))))
        self.matrix, self.bottom, self.wave, self.asked = axes @ np.diag(curvatures) @ axes.T, bottom, wave, 0

    def __call__(self, z: Array) -> tuple[float, Array]:
        self.asked += 1
        off = z - self.bottom
        value = 0.5 * off @ self.matrix @ off - self.wave * np.cos(3 * off).sum()
        return float(value), self.matrix @ off + 3 * self.wave * np.sin(3 * off)

    def value(self, z: Array) -> float:
        return self(z)[0]


def test_one_evaluation_finds_the_bottom_of_unit_curvature() -> None:
    valley = Valley(np.ones(6), np.full(6, 0.2))
    np.testing.assert_allclose(descend(valley, np.zeros(6), 1), valley.bottom, atol=1e-12)


def test_evaluations_are_counted_and_each_helps() -> None:
    curvatures, bottom = np.array([1.0, 1.5, 3.0, 8.0, 20.0]), np.array([0.3, -0.2, 0.1, 0.25, -0.1])
    found = []
    for evaluations in (2, 4, 8, 30):
        valley = Valley(curvatures, bottom)
        end = descend(valley, np.zeros(5), evaluations)
        assert valley.asked == evaluations
        found.append(valley.value(end))
    assert Valley(curvatures, bottom).value(np.zeros(5)) > found[0] > found[1] > found[2] > found[3]
    assert found[3] < 1e-9


@pytest.mark.parametrize("wave", [0.5, 2.0])
def test_where_curvature_is_negative_it_still_goes_down(wave: float) -> None:
    valley = Valley(np.ones(4), np.array([0.9, -0.8, 1.0, 0.7]), wave)
    start = np.zeros(4)
    assert valley.value(descend(valley, start, 12)) < valley.value(start) - 0.2


def test_a_far_bottom_is_approached_in_bounded_steps() -> None:
    valley = Valley(np.ones(3), np.full(3, 100.0))
    assert np.linalg.norm(descend(valley, np.zeros(3), 1)) == pytest.approx(1.0)
    assert np.linalg.norm(descend(valley, np.zeros(3), 2)) == pytest.approx(2.0)
    assert np.linalg.norm(descend(valley, np.zeros(3), 3)) == pytest.approx(1.0 + 2.0 + 1.0)
