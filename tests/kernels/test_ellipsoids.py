"""The ellipsoid renderer and its likelihood: by hand, at their edges, against the reference, and their gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from kernels import ellipsoids as ops
from kernels.backend import on_device
from kernels.ellipsoids_values import (
    Ellipsoids,
    FeatureObservation,
    FeatureRendering,
    Likelihood,
    RenderSettings,
    observe,
)
from kernels.implementation import Implementation
from tests.kernels.conftest import Target
from tests.kernels.scenes import Scene, lone_kernels, random_scene

REFERENCE = Target(Implementation.REFERENCE, "cpu")
AXIS = torch.tensor([[10.0, 10.0, 2.5, 2.5]])  # the middle pixel of 5 × 5 looks along z


def render(
    target: Target,
    kernels: Ellipsoids,
    camera: Tensor = AXIS,
    size: tuple[int, int] = (5, 5),
    settings: RenderSettings | None = None,
) -> FeatureRendering:
    moved = Ellipsoids(*target.put(kernels.centres, kernels.precisions, kernels.features))
    found = ops.render(moved, camera.to(target.device), size, settings, 4, target.implementation)
    maps = (found.features, found.coverage, found.depth, found.index, found.weight)
    return FeatureRendering(*(m.cpu() for m in maps))


def test_lone_kernel_weighs_one_at_its_centre(target: Target) -> None:
    found = render(target, lone_kernels([(0, 0, 2)], 0.1))
    torch.testing.assert_close(found.weight[0, 2, 2], torch.tensor([1.0, 0, 0, 0]))
    assert found.index[0, 2, 2].tolist() == [0, -1, -1, -1]
    torch.testing.assert_close(found.coverage[0, 2, 2], torch.tensor(1 - math.exp(-1)))
    torch.testing.assert_close(found.depth[0, 2, 2], torch.tensor(2.0))
    torch.testing.assert_close(found.features[0, 2, 2], torch.eye(8)[0])


def test_lone_kernel_beside_its_centre(target: Target) -> None:
    # The pixel to the right looks along (0.1, 0, 1): the nearest point to (0, 0, 2) is 2 sin(atan 0.1) away.
    found = render(target, lone_kernels([(0, 0, 2)], 0.1))
    activation = math.exp(-0.5 * (2 * math.sin(math.atan(0.1)) / 0.1) ** 2)
    expected = math.exp(0.5 * (1 - activation)) * activation
    torch.testing.assert_close(found.weight[0, 2, 3, 0], torch.tensor(expected), rtol=1e-5, atol=0.0)
    torch.testing.assert_close(found.depth[0, 2, 3], torch.tensor(2 * math.cos(math.atan(0.1)) ** 2))


def test_kernel_in_front_dims_the_one_behind(target: Target) -> None:
    found = render(target, lone_kernels([(0, 0, 4), (0, 0, 2)], 0.1))
    assert found.index[0, 2, 2].tolist() == [1, 0, -1, -1]
    torch.testing.assert_close(found.weight[0, 2, 2, :2], torch.tensor([1.0, math.exp(-1)]))
    torch.testing.assert_close(found.coverage[0, 2, 2], torch.tensor(1 - math.exp(-2)))


def test_coincident_kernels_share(target: Target) -> None:
    found = render(target, lone_kernels([(0, 0, 2), (0, 0, 2)], 0.1))
    torch.testing.assert_close(found.weight[0, 2, 2, :2], torch.full((2,), math.exp(-0.5)))
    assert found.index[0, 2, 2].tolist() == [0, 1, -1, -1]


@pytest.mark.parametrize(
    "centres",
    [[(0.0, 0.0, -2.0)], [(0.0, 0.0, 0.04)], [(9.0, 0.0, 2.0)], []],
    ids=["behind", "nearer than near", "aside", "none"],
)
def test_nothing_to_see(target: Target, centres: list[tuple[float, float, float]]) -> None:
    kernels = lone_kernels(centres, 0.1)
    found = render(target, kernels)
    assert (found.features == 0).all() and (found.coverage == 0).all() and (found.weight == 0).all()
    assert torch.isinf(found.depth).all() and (found.index == -1).all()


def uniform_observation(mask: float, mask_weight: float = 0.0, size: int = 5) -> FeatureObservation:
    features = torch.zeros(1, size, size, 8)
    features[..., 0] = 1
    return observe(
        features, torch.zeros(1, size, size), 0.5, mask=torch.full((1, size, size), mask), mask_weight=mask_weight
    )


def likelihood(target: Target, scene: Scene, settings: RenderSettings | None = None) -> Likelihood:
    moved = on_device(scene, target.device)
    found = ops.likelihood(moved.ellipsoids, moved.cameras, moved.observation, settings, target.implementation)
    return Likelihood(found.nll.cpu(), found.occlusion.cpu(), found.weight.cpu(), found.support.cpu())


def test_empty_map_costs_only_its_mask(target: Target) -> None:
    scene = Scene(lone_kernels([(0, 0, -2)], 0.1), AXIS, (5, 5), uniform_observation(0.5, 2.0))
    found = likelihood(target, scene)
    torch.testing.assert_close(found.nll, torch.tensor([25 * 2 * 0.25]))
    assert (found.occlusion == 0).all() and (found.weight == 0).all() and (found.support == 0).all()


def test_likelihood_by_hand(target: Target) -> None:
    # A kernel so narrow that one pixel alone sees it, and with the observed feature; σ_f = 0.5, so that 1/σ_f² = 4.
    scene = Scene(lone_kernels([(0, 0, 2)], 0.02), AXIS, (5, 5), uniform_observation(0.0))
    found = likelihood(target, scene)
    coverage, delta = 1 - math.exp(-1), -4 * math.log(2 * math.pi * 0.25) - 4 + 4
    expected = -coverage * math.log(0.5 * math.exp(delta) + 0.5)
    torch.testing.assert_close(found.nll, torch.tensor([expected]), rtol=1e-5, atol=0.0)
    occluded = 1 / (1 + math.exp(delta))
    torch.testing.assert_close(found.occlusion[0, 2, 2], torch.tensor(occluded))
    torch.testing.assert_close(found.weight, torch.ones(1, 1))
    torch.testing.assert_close(found.support, torch.full((1, 1), 1 - occluded))


def degenerate(name: str) -> Ellipsoids:
    kernels = lone_kernels([(0.02, 0.01, 2), (0.0, 0.0, 2.0), (-0.05, 0.05, 2.2)], 0.1)
    diagonal = {
        "needle along the ray": (1e6, 1e6, 1.0),
        "needle across": (1.0, 1e6, 1e6),
        "flat": (100.0, 100.0, 1e7),
        "around the camera": (0.1, 0.1, 0.1),
        "tied in depth": (100.0, 100.0, 100.0),
    }[name]
    precisions = torch.diag(torch.tensor(diagonal)).expand(1, 3, 3, 3).contiguous()
    return Ellipsoids(kernels.centres, precisions, kernels.features)


@pytest.mark.parametrize(
    "name", ["needle along the ray", "needle across", "flat", "around the camera", "tied in depth"]
)
def test_extreme_shapes_as_in_double_precision(target: Target, name: str) -> None:
    kernels = degenerate(name)
    exact = Ellipsoids(kernels.centres.double(), kernels.precisions.double(), kernels.features.double())
    right = render(REFERENCE, exact, AXIS.double())
    found = render(target, kernels)
    assert torch.isfinite(found.features).all()
    # Worst seen: 1.0e-6, the flat ones (0.3 mm thick at 2 m).
    torch.testing.assert_close(found.features.double(), right.features, rtol=0.0, atol=1e-5)
    torch.testing.assert_close(found.coverage.double(), right.coverage, rtol=0.0, atol=1e-5)


def test_nearest_kernels_are_kept_when_there_are_too_many(target: Target, rng: torch.Generator) -> None:
    scene = random_scene(rng, bodies=1, kernels=40)
    found = render(target, scene.ellipsoids, scene.cameras, scene.size, RenderSettings(max_per_pixel=3))
    right = render(REFERENCE, scene.ellipsoids, scene.cameras, scene.size, RenderSettings(max_per_pixel=3))
    assert ((found.index >= 0).sum(-1) <= 3).all() and ((found.index >= 0).sum(-1) == 3).any()
    assert (found.index == right.index).float().mean() > 0.999
    torch.testing.assert_close(found.features, right.features, rtol=0.0, atol=1e-4)


def close(found: Tensor, right: Tensor, relative: float) -> None:
    """Fails unless ‖found − right‖ ≤ relative · ‖right‖."""
    error = float((found.double() - right.double()).norm() / right.double().norm())
    assert error <= relative, f"relative error {error:.2e} of {tuple(found.shape)}"


def gradients(target: Target, scene: Scene, loss: Callable[[Target, Scene], Tensor]) -> tuple[Tensor, ...]:
    e = scene.ellipsoids
    leaves = [t.clone().requires_grad_() for t in (e.centres, e.precisions, e.features)]
    return torch.autograd.grad(loss(target, replace(scene, ellipsoids=Ellipsoids(*leaves))), leaves)


def likelihood_loss(target: Target, scene: Scene) -> Tensor:
    nll = likelihood(target, scene).nll
    return (nll * torch.linspace(0.5, 1.5, len(nll))).sum()


def render_loss(target: Target, scene: Scene) -> Tensor:
    found = render(target, scene.ellipsoids, scene.cameras, scene.size)
    rng = torch.Generator().manual_seed(3)
    cotangents = [torch.randn(t.shape, generator=rng) for t in (found.features, found.coverage)]
    return (found.features * cotangents[0]).sum() + (found.coverage * cotangents[1]).sum()


# Relative errors seen against the reference in float32: values 6e-7, gradients 3e-6 (the centres').
VALUE, GRADIENT = 5e-6, 3e-5


@pytest.mark.parametrize("channels", [8, 64, 128])
def test_rendering_as_reference(fast: Target, rng: torch.Generator, channels: int) -> None:
    scene = random_scene(rng, channels=channels)
    found = render(fast, scene.ellipsoids, scene.cameras, scene.size)
    right = render(REFERENCE, scene.ellipsoids, scene.cameras, scene.size)
    close(found.features, right.features, VALUE)
    close(found.coverage, right.coverage, VALUE)
    close(found.weight, right.weight, VALUE)
    seen = torch.isfinite(right.depth)
    assert torch.equal(torch.isfinite(found.depth), seen)
    close(found.depth[seen], right.depth[seen], VALUE)
    assert (found.index == right.index).float().mean() > 0.999


@pytest.mark.parametrize("channels", [8, 64, 128])
def test_likelihood_as_reference(fast: Target, rng: torch.Generator, channels: int) -> None:
    scene = random_scene(rng, channels=channels)
    found, right = likelihood(fast, scene), likelihood(REFERENCE, scene)
    close(found.nll, right.nll, VALUE)
    close(found.occlusion, right.occlusion, VALUE)
    close(found.weight, right.weight, VALUE)
    close(found.support, right.support, VALUE)


@pytest.mark.parametrize("loss", [likelihood_loss, render_loss], ids=["likelihood", "render"])
def test_gradients_as_reference(fast: Target, rng: torch.Generator, loss: Callable[[Target, Scene], Tensor]) -> None:
    scene = random_scene(rng)
    for found, right in zip(gradients(fast, scene, loss), gradients(REFERENCE, scene, loss), strict=True):
        close(found, right, GRADIENT)
        with pytest.raises(AssertionError):
            close(0.5 * found, right, GRADIENT)


@pytest.mark.parametrize("implementation", [Implementation.REFERENCE, Implementation.CPU])
def test_gradcheck_in_double_precision(implementation: Implementation, rng: torch.Generator) -> None:
    scene = random_scene(rng, bodies=1, kernels=5, channels=8, size=(5, 4), dtype=torch.float64)
    # Every activation well above the threshold: a kernel that drops out is a step, which no difference quotient sees.
    wide = Ellipsoids(scene.ellipsoids.centres, scene.ellipsoids.precisions / 40, scene.ellipsoids.features)
    settings = RenderSettings(threshold=1e-12)

    def nll(*tensors: Tensor) -> Tensor:
        return ops.likelihood(Ellipsoids(*tensors), scene.cameras, scene.observation, settings, implementation).nll

    def maps(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        found = ops.render(Ellipsoids(*tensors), scene.cameras, scene.size, settings, 4, implementation)
        return found.features, found.coverage

    leaves = [t.clone().requires_grad_() for t in (wide.centres, wide.precisions, wide.features)]
    assert torch.autograd.gradcheck(nll, leaves, atol=1e-6, rtol=1e-5)
    assert torch.autograd.gradcheck(maps, leaves, atol=1e-6, rtol=1e-5)


def test_quarter_turn_about_the_axis_changes_nothing(target: Target, rng: torch.Generator) -> None:
    scene = random_scene(rng, bodies=1, size=(20, 20))
    cameras = torch.tensor([[24.0, 24.0, 10.0, 10.0]])
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    e, o = scene.ellipsoids, scene.observation
    turned = Ellipsoids((e.centres @ turn.T).contiguous(), turn @ e.precisions @ turn.T, e.features)
    spun = {n: torch.rot90(getattr(o, n), -1, (1, 2)).contiguous() for n in ("features", "base", "weight", "mask")}
    one = likelihood(target, replace(scene, cameras=cameras))
    other = likelihood(target, Scene(turned, cameras, scene.size, replace(o, **spun)))
    close(other.nll, one.nll, VALUE)
    close(other.support, one.support, VALUE)
    close(torch.rot90(other.occlusion, 1, (1, 2)), one.occlusion, VALUE)


def test_candidates_score_as_their_likelihood(target: Target, rng: torch.Generator) -> None:
    people = random_scene(rng, bodies=2)
    index = torch.tensor([1, 0, 1], dtype=torch.int32)
    e = people.ellipsoids
    picked = Ellipsoids(*(t[[0, 1, 1]].contiguous() for t in (e.centres, e.precisions, e.features)))
    scene = Scene(picked, people.cameras[[0, 0, 0]].contiguous(), people.size, replace(people.observation, index=index))
    moved = on_device(scene, target.device)
    scores = ops.score(moved.ellipsoids, moved.cameras, moved.observation, implementation=target.implementation)
    close(scores.cpu(), likelihood(target, scene).nll, VALUE)
    assert len(set(scores.tolist())) == 3


def test_threads_do_not_change_the_result(rng: torch.Generator) -> None:
    scene, before, results = random_scene(rng, kernels=200), torch.get_num_threads(), []
    try:
        for count in (1, 2, 3, 3):
            torch.set_num_threads(count)
            found = likelihood(Target(Implementation.CPU, "cpu"), scene)
            slopes = gradients(Target(Implementation.CPU, "cpu"), scene, likelihood_loss)
            results.append((found.nll, found.occlusion, found.weight, found.support, *slopes))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_bad_ellipsoids_are_named() -> None:
    good = lone_kernels([(0, 0, 2), (0, 0, 3)], 0.1)
    for change, name in (
        ({"centres": torch.zeros(1, 2, 2)}, "centres"),
        ({"centres": good.centres.half()}, "centres"),
        ({"centres": good.centres * math.nan}, "centres"),
        ({"precisions": torch.zeros(1, 3, 3, 3)}, "precisions"),
        ({"precisions": good.precisions.double()}, "precisions"),
        ({"precisions": torch.eye(3).expand(1, 2, 3, 3)}, "precisions"),
        ({"features": good.features[..., :7]}, "features"),
        ({"features": torch.zeros(1, 2, 136)}, "features"),
    ):
        with pytest.raises((TypeError, ValueError), match=rf"^{name}:"):
            replace(good, **change)


def test_bad_observations_cameras_and_settings_are_named() -> None:
    kernels, seen = lone_kernels([(0, 0, 2)], 0.1), uniform_observation(0.0)
    with pytest.raises(ValueError, match=r"^cameras:"):
        ops.likelihood(kernels, AXIS[:, :3].contiguous(), seen)
    with pytest.raises(TypeError, match=r"^cameras:"):
        ops.render(kernels, AXIS.double(), (5, 5))
    with pytest.raises(ValueError, match=r"^size:"):
        ops.render(kernels, AXIS, (0, 5))
    with pytest.raises(ValueError, match=r"^observation\.index:"):
        ops.score(kernels, AXIS, replace(seen, index=torch.zeros(2, dtype=torch.int32)))
    with pytest.raises(ValueError, match=r"^observation\.index:"):
        replace(seen, index=torch.ones(1, dtype=torch.int32))
    with pytest.raises(ValueError, match=r"^observation\.base:"):
        replace(seen, base=torch.zeros(1, 4, 5))
    with pytest.raises(ValueError, match=r"^threshold:"):
        RenderSettings(threshold=0.0)
    with pytest.raises(ValueError, match=r"^implementation:"):
        ops.score(kernels, AXIS, seen, implementation=Implementation.CUDA)
