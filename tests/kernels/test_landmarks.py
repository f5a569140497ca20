"""Landmarks' normal equations: the reference against finite differences, the C++ against the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kernels import build, landmarks_reference
from kernels.implementation import Implementation
from kernels.landmarks import linearise, pose, pull
from kernels.landmarks_values import BodyPlace, CarriedPoints, LandmarkView, RotationPull

needs_compiler = pytest.mark.skipif(build.load_library() is None, reason="the C++ kernels cannot be built here")


def random_body(rng: np.random.Generator, joints: int = 24, betas: int = 10, points: int = 33) -> CarriedPoints:
    """A random tree of bones that carries points, a third of them with two bones."""
    parents = np.array([-1, *(rng.integers(0, j) for j in range(1, joints))], np.int32)
    bones, owners, weights = [], [], []
    for k in range(points):
        carriers = rng.choice(joints, 2 if k % 3 == 0 else 1, replace=False)
        shares = rng.dirichlet(np.ones(len(carriers)))
        bones += list(carriers)
        owners += [k] * len(carriers)
        weights += list(shares)
    pairs = len(weights)
    return CarriedPoints(
        rng.normal(0, 0.3, (pairs, 3)),
        rng.normal(0, 0.02, (pairs, 3, betas)),
        np.array(weights),
        np.array(bones, np.int32),
        np.array(owners, np.int32),
        rng.normal(0, 0.3, (joints, 3)),
        rng.normal(0, 0.02, (joints, 3, betas)),
        parents,
    )


def random_place(rng: np.random.Generator, body: CarriedPoints) -> BodyPlace:
    rotations = Rotation.random(len(body.joints), random_state=int(rng.integers(1 << 30))).as_matrix()
    return BodyPlace(rotations, rng.normal(size=body.joints_betas.shape[-1]), np.array([0.2, -0.1, 3.0]))


def random_view(rng: np.random.Generator, points: int) -> LandmarkView:
    return LandmarkView(
        (900.0, 880.0, 640.0, 360.0),
        rng.uniform(200, 800, (points, 2)),
        rng.normal(0, 0.5, (points, 3)),
        rng.uniform(0.0, 0.1, points),
        rng.uniform(0.1, 1.0, points),
        rng.uniform(0.05, 0.3, (points, 3)),
        3.0,
        0.1,
    )


def moved(place: BodyPlace, step: np.ndarray) -> BodyPlace:
    """A step in the unknowns' order."""
    joints, betas = len(place.rotations), len(place.betas)
    turn = Rotation.from_rotvec(step[: 3 * joints].reshape(joints, 3)).as_matrix()
    shape = step[3 * joints : 3 * joints + betas]
    return BodyPlace(place.rotations @ turn, place.betas + shape, place.transl + step[-3:])


def test_points_move_as_the_reference_says() -> None:
    rng = np.random.default_rng(0)
    body = random_body(rng)
    place = random_place(rng, body)
    jacobian, h = landmarks_reference.pose(body, place).jacobian, 1e-6
    for unknown in range(body.unknowns - 3):
        step = np.zeros(body.unknowns)
        step[unknown] = h
        ahead, behind = (landmarks_reference.pose(body, moved(place, s * step)).points for s in (1, -1))
        np.testing.assert_allclose(jacobian[:, :, unknown], (ahead - behind) / (2 * h), atol=1e-7)


def test_the_pixels_gradient_is_the_costs_slope() -> None:
    """With a wide metric spread only the pixels count; nothing of theirs is approximated."""
    rng = np.random.default_rng(1)
    body = random_body(rng)
    place, view = random_place(rng, body), random_view(rng, body.count)
    view = replace(view, metric_spread=np.full((body.count, 3), 1e9), outlier=1e9)
    system, h = linearise(body, place, view, Implementation.REFERENCE), 1e-6
    slopes = [
        (
            linearise(body, moved(place, h * e), view, Implementation.REFERENCE).cost
            - linearise(body, moved(place, -h * e), view, Implementation.REFERENCE).cost
        )
        / (2 * h)
        for e in np.eye(body.unknowns)
    ]
    np.testing.assert_allclose(system.gradient, slopes, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("lower_upper", [(0.1, 0.1), (-0.2, 0.3)])
def test_the_pulls_gradient_is_the_costs_slope(lower_upper: tuple[float, float]) -> None:
    rng = np.random.default_rng(2)
    rotations = Rotation.random(5, random_state=3).as_matrix()
    towards = random_pull(rng, 5, lower_upper)

    def cost(step: np.ndarray) -> float:
        turn = Rotation.from_rotvec(step.reshape(5, 3)).as_matrix()
        return pull(rotations @ turn, towards, np.zeros(15), np.zeros((15, 15)), Implementation.REFERENCE)

    gradient, h = np.zeros(15), 1e-6
    pull(rotations, towards, gradient, np.zeros((15, 15)), Implementation.REFERENCE)
    slopes = [(cost(h * e) - cost(-h * e)) / (2 * h) for e in np.eye(15)]
    np.testing.assert_allclose(gradient, slopes, rtol=1e-5, atol=1e-6)


def random_pull(rng: np.random.Generator, joints: int, lower_upper: tuple[float, float]) -> RotationPull:
    targets = Rotation.random(joints, random_state=int(rng.integers(1 << 30))).as_matrix()
    lower, upper = (np.full((joints, 3), value) for value in lower_upper)
    slope = rng.uniform(0, 20, (joints, 3))
    slope[0] = 0.0
    return RotationPull(targets, lower, upper, slope)


@pytest.mark.parametrize("scale", [0.0, 1e-6, 0.5, 2.5, 3.1])
def test_log_derivative_matches_finite_differences(scale: float) -> None:
    direction = np.random.default_rng(4).normal(size=3)
    rotvec = scale * direction / np.linalg.norm(direction)
    matrix, h = Rotation.from_rotvec(rotvec).as_matrix(), 1e-6
    columns = [
        (
            Rotation.from_matrix(matrix @ Rotation.from_rotvec(h * e).as_matrix()).as_rotvec()
            - Rotation.from_matrix(matrix @ Rotation.from_rotvec(-h * e).as_matrix()).as_rotvec()
        )
        / (2 * h)
        for e in np.eye(3)
    ]
    np.testing.assert_allclose(landmarks_reference.log_derivative(rotvec), np.stack(columns, axis=1), atol=2e-5)


@needs_compiler
@pytest.mark.parametrize(("joints", "betas", "points"), [(24, 10, 33), (3, 2, 5)])
def test_posing_alone_equals_the_reference(joints: int, betas: int, points: int) -> None:
    rng = np.random.default_rng(6)
    body = random_body(rng, joints, betas, points)
    place = random_place(rng, body)
    found, right = (pose(body, place.rotations, place.betas, i) for i in (Implementation.CPU, Implementation.REFERENCE))
    for name, value in right._asdict().items():
        np.testing.assert_allclose(getattr(found, name), value, rtol=1e-9, atol=1e-12, err_msg=name)
    with pytest.raises(ValueError, match="betas"):
        pose(body, place.rotations, np.zeros(betas + 1))


@needs_compiler
@pytest.mark.parametrize(("joints", "betas", "points"), [(24, 10, 33), (24, 10, 1), (3, 2, 5), (22, 16, 40), (1, 1, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_cpu_equals_the_reference(joints: int, betas: int, points: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    body = random_body(rng, joints, betas, points) if joints > 1 else one_bone(rng, betas, points)
    place, view = random_place(rng, body), random_view(rng, points)
    for transl in ([0.2, -0.1, 3.0], [0.0, 0.0, 0.1], [0.1, 0.2, -2.0]):
        there = replace(place, transl=np.array(transl))
        expected = linearise(body, there, view, Implementation.REFERENCE)
        got = linearise(body, there, view, Implementation.CPU)
        for name in ("points", "joints", "rest_joints", "world_rotations", "pixel_residual"):
            np.testing.assert_allclose(getattr(got, name), getattr(expected, name), rtol=1e-9, atol=1e-9, err_msg=name)
        size = np.abs(expected.matrix).max()
        np.testing.assert_allclose(got.cost, expected.cost, rtol=1e-9)
        np.testing.assert_allclose(got.matrix, expected.matrix, rtol=1e-8, atol=1e-10 * size)
        np.testing.assert_allclose(got.gradient, expected.gradient, rtol=1e-8, atol=1e-10 * size)


def test_no_body_costs_less_behind_the_camera_than_missed_by_far() -> None:
    rng = np.random.default_rng(3)
    body = random_body(rng)
    place, view = random_place(rng, body), random_view(rng, body.count)
    aside, behind = (
        linearise(body, replace(place, transl=np.array(transl)), view, Implementation.REFERENCE)
        for transl in ([1e4, 0.0, 3.0], [0.2, -0.1, -3.0])
    )
    metric = linearise(body, place, replace(view, pixel_weight=np.zeros(body.count)), Implementation.REFERENCE).cost
    assert behind.cost - metric > 0.9 * 0.5 * view.outlier**2 * body.count
    assert behind.cost == pytest.approx(aside.cost, rel=0.2)


def one_bone(rng: np.random.Generator, betas: int, points: int) -> CarriedPoints:
    index = np.arange(points, dtype=np.int32)
    return CarriedPoints(
        rng.normal(size=(points, 3)), rng.normal(size=(points, 3, betas)), np.ones(points), 0 * index, index,
        rng.normal(size=(1, 3)), rng.normal(size=(1, 3, betas)), np.array([-1], np.int32),
    )  # fmt: skip


@needs_compiler
@pytest.mark.parametrize("lower_upper", [(0.0, 0.0), (-0.4, 0.7)])
@pytest.mark.parametrize("turn", [1e-9, 0.3, 2.5, 3.1, np.pi - 1e-6])
def test_cpu_pull_equals_the_reference_up_to_half_a_turn(lower_upper: tuple[float, float], turn: float) -> None:
    rng = np.random.default_rng(7)
    towards = random_pull(rng, 24, lower_upper)
    axes = rng.normal(size=(24, 3))
    axes[1:4] = np.eye(3)
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    rotations = np.ascontiguousarray(towards.targets @ Rotation.from_rotvec(turn * axes).as_matrix())
    sums = []
    for implementation in (Implementation.REFERENCE, Implementation.CPU):
        gradient, matrix = np.ones(85), np.eye(85)
        cost = pull(rotations, towards, gradient, matrix, implementation)
        sums.append((cost, gradient, matrix))
    for expected, got in zip(*sums, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)


def test_bad_arguments_are_named() -> None:
    rng = np.random.default_rng(0)
    body = random_body(rng)
    place, view = random_place(rng, body), random_view(rng, body.count)
    with pytest.raises(ValueError, match=r"^rotations: expected shape \(24, 3, 3\)"):
        linearise(body, replace(place, rotations=np.eye(3)), view)
    with pytest.raises(ValueError, match=r"^pixels: expected contiguous float64"):
        linearise(body, place, replace(view, pixels=view.pixels.astype(np.float32)))
    with pytest.raises(ValueError, match=r"^parents: expected each before its children"):
        replace(body, parents=np.roll(body.parents, 1) * 0 + 23)
    with pytest.raises(ValueError, match=r"^bones"):
        replace(body, bones=body.bones + 24)
    with pytest.raises(ValueError, match=r"^gradient"):
        pull(place.rotations, random_pull(rng, 24, (0.0, 0.0)), np.zeros(10), np.zeros((10, 10)))
