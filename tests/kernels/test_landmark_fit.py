"""The fit to landmarks in C++ against its definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kernels import landmark_fit_reference
from kernels.implementation import Implementation
from kernels.landmark_fit import fit
from kernels.landmark_fit_values import Gaussian, LinearPull, Patience, PoseFit, PoseProblem
from kernels.landmarks_values import BodyPlace
from tests.kernels.test_landmarks import needs_compiler, random_body, random_place, random_pull, random_view


def problem_of(seed: int, joints: int = 24, points: int = 33, habit: bool = True) -> tuple[PoseProblem, BodyPlace]:
    rng = np.random.default_rng(seed)
    body = random_body(rng, joints, 10, points)
    place = random_place(rng, body)
    pulls = [random_pull(rng, joints, limits) for limits in ((0.1, 0.1), (-0.4, 0.3))]
    near = Rotation.from_rotvec(0.2 * rng.normal(size=(joints, 3))).as_matrix()
    linear = LinearPull(place.rotations @ near, rng.normal(size=5), rng.normal(size=(5, 3 * joints)))
    root = rng.normal(size=(10, 10))
    shape = Gaussian(rng.normal(size=10), root @ root.T + np.eye(10))
    transl = Gaussian(np.array([0.1, 0.0, 2.8]), np.diag([3.0, 2.0, 0.5]))
    return PoseProblem(body, random_view(rng, points), pulls, linear if habit else None, shape, transl), place


def assert_same(found: PoseFit, right: PoseFit, tolerance: float) -> None:
    for name in ("rotations", "betas", "transl"):
        np.testing.assert_allclose(getattr(found.place, name), getattr(right.place, name), atol=tolerance, err_msg=name)
    assert found.system.cost == pytest.approx(right.system.cost, rel=tolerance)
    assert found.cost_at_start == pytest.approx(right.cost_at_start, rel=1e-9)
    assert (found.damping, found.settled) == (pytest.approx(right.damping), right.settled)
    scale = np.abs(right.system.matrix).max()
    np.testing.assert_allclose(found.system.matrix, right.system.matrix, atol=tolerance * scale)
    np.testing.assert_allclose(found.system.pixel_residual, right.system.pixel_residual, atol=1e3 * tolerance)


@needs_compiler
@pytest.mark.parametrize("iterations", [0, 1, 4, 12])
@pytest.mark.parametrize("habit", [True, False])
@pytest.mark.parametrize("seed", range(2))
def test_cpu_equals_the_reference(iterations: int, habit: bool, seed: int) -> None:
    problem, place = problem_of(seed, habit=habit)
    before = place.rotations.copy()
    found, right = (
        fit(problem, place, Patience(iterations, 1e-9), i) for i in (Implementation.CPU, Implementation.REFERENCE)
    )
    assert_same(found, right, 1e-6)
    np.testing.assert_array_equal(place.rotations, before)


@needs_compiler
def test_a_fit_can_be_gone_on_with() -> None:
    problem, place = problem_of(3)
    whole = fit(problem, place, Patience(6, 1e-9))
    half = fit(problem, place, Patience(3, 1e-9))
    rest = fit(problem, half.place, Patience(3, 1e-9, half.damping))
    np.testing.assert_allclose(rest.place.rotations, whole.place.rotations, atol=1e-9)
    assert rest.cost_at_start == pytest.approx(half.system.cost, rel=1e-12)


@pytest.mark.parametrize(
    "implementation", [Implementation.REFERENCE, pytest.param(Implementation.CPU, marks=needs_compiler)]
)
def test_it_settles_where_the_gradient_vanishes(implementation: Implementation) -> None:
    problem, place = problem_of(4, joints=8, points=10)
    found = fit(problem, place, Patience(300, 1e-13), implementation)
    assert found.settled
    assert found.system.cost < 0.9 * found.cost_at_start
    # Gauss–Newton leaves out how the alignment in metres turns: its gradient is small there, not zero
    start = landmark_fit_reference.linearise(problem, place)
    assert np.abs(found.system.gradient).max() < 1e-2 * np.abs(start.gradient).max()


def test_what_does_not_fit_is_named() -> None:
    problem, place = problem_of(5)
    with pytest.raises(ValueError, match=r"betas: expected shape \(10,\), got \(9,\)"):
        fit(problem, replace(place, betas=place.betas[:9].copy()), Patience(1, 0.0))
    with pytest.raises(ValueError, match="transl"):
        replace(problem, transl=Gaussian(np.zeros(2), np.eye(2)))
    with pytest.raises(ValueError, match="slope"):
        LinearPull(place.rotations, np.zeros(3), np.zeros((3, 5)))
