"""The body step and the fitting loop: by hand, against the reference, and their gradients."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from kernels import body_step as ops
from kernels.backend import on_device
from kernels.body_step_values import (
    Adam,
    FeatureBank,
    FitProblem,
    PosedKernels,
    SkinnedBody,
    orientation_circle,
    sparse_weights,
)
from kernels.ellipsoids_values import RenderSettings
from kernels.implementation import Implementation
from tests.kernels.conftest import Target
from tests.kernels.scenes import random_body, random_parameters, random_problem
from tests.kernels.test_ellipsoids import close

REFERENCE = Target(Implementation.REFERENCE, "cpu")
# Relative errors seen against the reference in float32: values 5e-7, gradients 3e-6.
VALUE, GRADIENT = 5e-6, 3e-5


def pose(target: Target, body: SkinnedBody, parameters: Tensor) -> PosedKernels:
    found = ops.pose(on_device(body, target.device), parameters.to(target.device), target.implementation)
    return PosedKernels(found.joints.cpu(), found.points.cpu(), found.precisions.cpu(), found.limbs.cpu())


def stick(turn: float) -> tuple[SkinnedBody, Tensor]:
    """A root and, 1 m to the right, an elbow that turns about z; one kernel on the forearm, one keypoint at its end."""
    joint_weights, weights = sparse_weights(torch.tensor([[0.0, 1.0], [0.0, 1.0]]))
    body = SkinnedBody(
        torch.tensor([-1, 0], dtype=torch.int32),
        torch.tensor([[0.0, 0, 0], [1, 0, 0]]),
        torch.tensor([[[0.0], [0], [0]], [[0.5], [0], [0]]]),
        torch.tensor([[1.5, 0, 0], [2.0, 0, 0]]),
        torch.tensor([[[0.5], [0], [0]], [[0.5], [0], [0]]]),
        joint_weights,
        weights,
        torch.diag(torch.tensor([1.0, 4.0, 9.0]))[None],
        torch.tensor([[0, 1]], dtype=torch.int32),
    )
    return body, torch.tensor([[0.0, 0, 0, 0, 0, turn, 0, 0, 0, 3]])


def test_bent_stick_by_hand(target: Target) -> None:
    found = pose(target, *stick(math.pi / 2))
    torch.testing.assert_close(found.joints[0], torch.tensor([[0.0, 0, 3], [1, 0, 3]]))
    torch.testing.assert_close(found.points[0], torch.tensor([[1.0, 0.5, 3], [1, 1, 3]]))
    torch.testing.assert_close(found.precisions[0, 0], torch.diag(torch.tensor([4.0, 1.0, 9.0])), rtol=0.0, atol=1e-5)
    torch.testing.assert_close(found.limbs[0], torch.tensor([[1.0, 0, 0]]))


def test_shape_moves_joints_and_points(target: Target) -> None:
    body, parameters = stick(math.pi / 2)
    parameters[0, 6] = 1.0  # the upper arm half a metre longer
    found = pose(target, body, parameters)
    torch.testing.assert_close(found.joints[0, 1], torch.tensor([1.5, 0, 3]))
    torch.testing.assert_close(found.points[0, 1], torch.tensor([1.5, 1, 3]))


def test_limb_without_length_has_no_direction(target: Target) -> None:
    body, parameters = stick(0.3)
    parameters[0, 6] = -2.0
    found = pose(target, body, parameters)
    assert (found.limbs == 0).all()


@pytest.mark.parametrize("bend", [0.0, 1e-4, 0.4, 3.0])
def test_pose_as_reference(fast: Target, rng: torch.Generator, bend: float) -> None:
    body = random_body(rng)
    parameters = random_parameters(body, 3, rng, bend)
    found, right = pose(fast, body, parameters), pose(REFERENCE, body, parameters)
    for name in ("joints", "points", "precisions", "limbs"):
        close(getattr(found, name), getattr(right, name), VALUE)


def pose_gradient(target: Target, body: SkinnedBody, parameters: Tensor) -> Tensor:
    leaf = parameters.clone().requires_grad_()
    found = pose(target, body, leaf)
    rng, loss = torch.Generator().manual_seed(5), leaf.new_zeros(())
    for value, scale in ((found.joints, 1.0), (found.points, 1.0), (found.precisions, 1e-3), (found.limbs, 1.0)):
        loss = loss + scale * (value * torch.randn(value.shape, generator=rng, dtype=value.dtype)).sum()
    return torch.autograd.grad(loss, leaf)[0]


@pytest.mark.parametrize("bend", [1e-4, 0.4, 3.0])
def test_pose_gradient_as_reference(fast: Target, rng: torch.Generator, bend: float) -> None:
    body = random_body(rng)
    parameters = random_parameters(body, 3, rng, bend)
    found, right = pose_gradient(fast, body, parameters), pose_gradient(REFERENCE, body, parameters)
    close(found, right, GRADIENT)
    with pytest.raises(AssertionError):
        close(torch.cat([0.5 * found[:, :3], found[:, 3:]], dim=1), right, GRADIENT)


def test_rotating_the_root_rotates_the_body(target: Target, rng: torch.Generator) -> None:
    body = replace(random_body(rng), joint_dirs=torch.zeros(7, 3, 3))
    parameters = random_parameters(body, 1, rng)
    parameters[0, :3] = torch.tensor([0.3, -0.2, 0.5])
    upright = parameters.clone()
    upright[0, :3] = 0
    turn = torch.linalg.matrix_exp(torch.tensor([[0.0, -0.5, -0.2], [0.5, 0, -0.3], [0.2, 0.3, 0]]))
    one, other = pose(target, body, upright), pose(target, body, parameters)
    pivot = parameters[0, -3:]  # the root's joint lies at the body's origin
    close(other.points, (one.points - pivot) @ turn.T + pivot, VALUE)
    close(other.precisions, turn @ one.precisions @ turn.T, VALUE)
    close(other.limbs, one.limbs @ turn.T, VALUE)


def bank_of(features: Tensor, limb: list[int], kappa: float) -> FeatureBank:
    orientations = orientation_circle(features.shape[1], features.dtype)
    return FeatureBank(features, torch.tensor(limb, dtype=torch.int32), orientations, kappa)


def mix(target: Target, body: SkinnedBody, bank: FeatureBank, limbs: Tensor) -> Tensor:
    there = (on_device(body, target.device), on_device(bank, target.device), limbs.to(target.device))
    return ops.mix_features(*there, target.implementation).cpu()


def test_features_follow_the_limb(target: Target) -> None:
    body, _ = stick(0.0)
    bank = bank_of(torch.eye(8)[None, :4].contiguous(), [0], 3.0)
    # Along y, the first reference orientation: weights e³, 1, e⁻³, 1 over their sum.
    found = mix(target, body, bank, torch.tensor([[[0.0, 1, 0]]]))
    e = torch.tensor([math.exp(3), 1, math.exp(-3), 1])
    torch.testing.assert_close(found[0, 0, :4], e / e.sum(), rtol=1e-4, atol=1e-6)
    # Along x it has no direction in the yz plane, and all count alike.
    even = mix(target, body, bank, torch.tensor([[[1.0, 0, 0]]]))
    torch.testing.assert_close(even[0, 0, :4], torch.full((4,), 0.25))


def mix_gradient(target: Target, body: SkinnedBody, bank: FeatureBank, limbs: Tensor) -> Tensor:
    leaf = limbs.clone().requires_grad_()
    found = mix(target, body, bank, leaf)
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(6), dtype=found.dtype)
    return torch.autograd.grad((found * weights).sum(), leaf)[0]


def test_mixing_as_reference(fast: Target, rng: torch.Generator) -> None:
    body = random_body(rng)
    bank = bank_of(torch.randn((body.kernels, 3, 16), generator=rng), [i % 3 for i in range(body.kernels)], 2.0)
    limbs = torch.nn.functional.normalize(torch.randn((2, 3, 3), generator=rng), dim=-1)
    close(mix(fast, body, bank, limbs), mix(REFERENCE, body, bank, limbs), VALUE)
    close(mix_gradient(fast, body, bank, limbs), mix_gradient(REFERENCE, body, bank, limbs), GRADIENT)


def evaluated(target: Target, problem: FitProblem, parameters: Tensor) -> dict[str, Tensor]:
    there = on_device(problem, target.device)
    found = ops.evaluate(there, parameters.to(target.device), target.implementation)
    parts = {"loss": found.loss, "gradient": found.gradient, **vars(found.likelihood)}
    return {name: value.cpu() for name, value in parts.items()}


def test_whole_loss_as_reference(fast: Target, rng: torch.Generator) -> None:
    problem = random_problem(rng)
    parameters = random_parameters(problem.body, 2, rng)
    found, right = evaluated(fast, problem, parameters), evaluated(REFERENCE, problem, parameters)
    assert right["weight"].min() >= 0 and right["weight"].max() > 0
    for name, value in right.items():
        close(found[name], value, GRADIENT if name == "gradient" else VALUE)


@pytest.mark.parametrize("term", ["likelihood_weight", "keypoint_weight"])
def test_every_term_has_a_say_in_the_gradient(fast: Target, rng: torch.Generator, term: str) -> None:
    problem = random_problem(rng)
    parameters = random_parameters(problem.body, 2, rng)
    halved = replace(problem, terms=replace(problem.terms, **{term: 0.5 * getattr(problem.terms, term)}))
    right = evaluated(REFERENCE, problem, parameters)["gradient"]
    with pytest.raises(AssertionError):
        close(evaluated(fast, halved, parameters)["gradient"], right, GRADIENT)


@pytest.mark.parametrize("implementation", [Implementation.REFERENCE, Implementation.CPU])
def test_gradient_is_that_of_the_value_in_double_precision(
    implementation: Implementation, rng: torch.Generator
) -> None:
    # The threshold so low that no kernel drops out: that would be a step, which no difference quotient sees.
    problem = replace(random_problem(rng, bodies=1, dtype=torch.float64), settings=RenderSettings(threshold=1e-12))
    x = random_parameters(problem.body, 1, rng)
    gradient = ops.evaluate(problem, x, implementation).gradient
    step = 1e-5
    for i in range(x.shape[1]):
        nudge = torch.zeros_like(x)
        nudge[0, i] = step
        up, down = (ops.evaluate(problem, x + s * nudge, implementation).loss for s in (1, -1))
        slope = float((up - down) / (2 * step))
        assert slope == pytest.approx(float(gradient[0, i]), rel=2e-5, abs=2e-5)


def adam_of(problem: FitProblem, steps: int) -> Adam:
    """In units that mix the parameters, each body's its own."""
    size, dtype = problem.body.parameters, problem.body.joints.dtype
    mixing = torch.randn((len(problem.cameras), size, size), generator=torch.Generator().manual_seed(1), dtype=dtype)
    return Adam((torch.eye(size, dtype=dtype) + 0.1 * mixing).contiguous(), steps, rate=0.01)


def test_fit_as_reference(target: Target, rng: torch.Generator) -> None:
    problem = random_problem(rng)
    start = random_parameters(problem.body, 2, rng)
    adam = adam_of(problem, 6)
    right = ops.fit(problem, start, adam, Implementation.REFERENCE)
    found = ops.fit(
        on_device(problem, target.device),
        start.to(target.device),
        on_device(adam, target.device),
        target.implementation,
    )
    close(found.losses.cpu(), right.losses, 1e-4)
    close(found.parameters.cpu(), right.parameters, 1e-4)
    close(found.last.cpu(), right.last, 1e-4)
    for name, value in vars(right.likelihood).items():
        close(getattr(found.likelihood, name).cpu(), value, 1e-4)
    assert (right.losses.min(dim=1).values < right.losses[:, 0]).all()


def test_fit_keeps_the_best_pose(target: Target, rng: torch.Generator) -> None:
    problem = random_problem(rng)
    start = random_parameters(problem.body, 2, rng)
    wild = on_device(replace(adam_of(problem, 5), rate=0.6), target.device)
    there = on_device(problem, target.device)
    found = ops.fit(there, start.to(target.device), wild, target.implementation)
    best = ops.evaluate(there, found.parameters, target.implementation).loss
    close(best.cpu(), found.losses.min(dim=1).values.cpu(), 1e-4)


def test_no_steps_only_evaluate(target: Target, rng: torch.Generator) -> None:
    problem = random_problem(rng)
    start = random_parameters(problem.body, 2, rng)
    there, adam = on_device(problem, target.device), on_device(adam_of(problem, 0), target.device)
    found = ops.fit(there, start.to(target.device), adam, target.implementation)
    assert torch.equal(found.parameters.cpu(), start) and torch.equal(found.last.cpu(), start)
    right = evaluated(REFERENCE, problem, start)
    close(found.losses[:, 0].cpu(), right["loss"], VALUE)
    close(found.likelihood.support.cpu(), right["support"], VALUE)


def test_a_parameter_without_units_is_held(target: Target, rng: torch.Generator) -> None:
    problem = random_problem(rng)
    start = random_parameters(problem.body, 2, rng)
    adam = adam_of(problem, 3)
    adam.units[:, 5:9] = 0
    there = on_device(problem, target.device)
    found = ops.fit(there, start.to(target.device), on_device(adam, target.device), target.implementation).last.cpu()
    assert torch.equal(found[:, 5:9], start[:, 5:9])
    assert (found[:, :5] != start[:, :5]).all()


def test_what_is_told_is_of_the_pose_before_the_last_step(target: Target, rng: torch.Generator) -> None:
    problem = random_problem(rng)
    start = random_parameters(problem.body, 2, rng)
    there = on_device(problem, target.device)
    longer, shorter = (
        ops.fit(
            there, start.to(target.device), on_device(adam_of(problem, steps), target.device), target.implementation
        )
        for steps in (3, 2)
    )
    right = ops.evaluate(there, shorter.last, target.implementation).likelihood
    for name, value in vars(right).items():
        close(getattr(longer.likelihood, name).cpu(), value.cpu(), 1e-4)


def test_threads_do_not_change_the_result(rng: torch.Generator) -> None:
    problem = random_problem(rng)
    start, before, results = random_parameters(problem.body, 2, rng), torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found = ops.fit(problem, start, adam_of(problem, 4), Implementation.CPU)
            results.append((found.parameters, found.last, found.losses, *vars(found.likelihood).values()))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_bad_arguments_are_named(rng: torch.Generator) -> None:
    problem = random_problem(rng)
    body, x = problem.body, random_parameters(problem.body, 2, rng)
    for change, name in (
        ({"parents": torch.tensor([-1, 2, 1, 1, 3, 0, 5], dtype=torch.int32)}, "parents"),
        ({"joints": body.joints.half()}, "joints"),
        ({"weights": body.weights.double()}, "weights"),
        ({"weight_joints": body.weight_joints + 7}, "weight_joints"),
        ({"limbs": body.limbs.long()}, "limbs"),
        ({"point_dirs": body.point_dirs[:-1]}, "point_dirs"),
        ({"precisions": body.precisions * math.nan}, "precisions"),
    ):
        with pytest.raises((TypeError, ValueError), match=rf"^{name}:"):
            replace(body, **change)
    with pytest.raises(ValueError, match=r"^parameters:"):
        ops.pose(body, x[:, :-1].contiguous())
    with pytest.raises(ValueError, match=r"^units:"):
        ops.fit(problem, x, Adam(torch.zeros(2, 3, 3), 2))
    with pytest.raises(ValueError, match=r"^steps:"):
        Adam(torch.zeros(2, 3, 3), -1)
    with pytest.raises(ValueError, match=r"^rate:"):
        Adam(torch.zeros(2, 3, 3), 1, rate=0.0)
    with pytest.raises(ValueError, match=r"^confidence:"):
        replace(problem, terms=replace(problem.terms, confidence=torch.zeros(2, 1)))
    with pytest.raises(ValueError, match=r"^bank.limb:"):
        replace(problem, bank=replace(problem.bank, limb=problem.bank.limb + 3))
    with pytest.raises(ValueError, match=r"^linear_matrix:"):
        replace(problem, terms=replace(problem.terms, linear_matrix=torch.zeros(2, 3)))


def test_a_loop_begins_anywhere_again(target: Target, rng: torch.Generator) -> None:
    problem = random_problem(rng)
    adam = adam_of(problem, 4)
    loop = ops.fit_loop(on_device(problem, target.device), on_device(adam, target.device), target.implementation)
    for _ in range(2):
        start = random_parameters(problem.body, 2, rng)
        right = ops.fit(problem, start, adam, Implementation.REFERENCE)
        found = loop.run(start.to(target.device))
        close(found.losses.cpu(), right.losses, 1e-4)
        close(found.last.cpu(), right.last, 1e-4)


def test_a_loop_reads_what_is_written_in_place(target: Target, rng: torch.Generator) -> None:
    problem, other = random_problem(rng), random_problem(rng)
    start, adam = random_parameters(problem.body, 2, rng), adam_of(problem, 3)
    then = replace(problem, observation=other.observation, terms=replace(other.terms, targets=problem.terms.targets))
    slower = replace(adam, units=0.3 * adam.units)
    rights = [ops.fit(p, start, a, Implementation.REFERENCE) for p, a in ((problem, adam), (then, slower))]
    there, adam_there = on_device(problem, target.device), on_device(adam, target.device)
    loop = ops.fit_loop(there, adam_there, target.implementation)
    first = loop.run(start.to(target.device))
    for name in ("features", "base", "weight", "mask"):
        getattr(there.observation, name).copy_(getattr(other.observation, name))
    for name in ("confidence", "linear_matrix", "linear_target"):
        getattr(there.terms, name).copy_(getattr(other.terms, name))
    adam_there.units.mul_(0.3)
    second = loop.run(start.to(target.device))
    for found, right in zip((first, second), rights, strict=True):
        close(found.losses.cpu(), right.losses, 1e-4)
        close(found.last.cpu(), right.last, 1e-4)
