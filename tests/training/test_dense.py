"""Dense maps and UV inpainting: losses by hand, exact surfaces, and the chain from votes to a pose."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.networks.test_dense_maps import atlas, bent, person
from tests.training.test_head import Drawn, network
from tracker.body import load_body
from tracker.body.kinematics import LandmarkRig
from tracker.core.errors import InputError
from tracker.initialise.dense_surface import DenseSurface, load_dense_maps, load_uv_inpainting
from tracker.initialise.inverse_kinematics import INPUT_SIZES, POINTS, InverseKinematics, PoseGuess
from tracker.networks.dense_maps import DenseMapConfig, DenseMapNetwork, DenseMaps
from tracker.networks.inverse_kinematics_networks import InverseKinematicsConfig, InverseKinematicsNetwork
from tracker.networks.uv_inpainting import UvInpaintingConfig, UvInpaintingNetwork
from tracker.training import train_dense_maps, train_uv_inpainting
from tracker.training.cached import CachedCourse, CachedTraining
from tracker.training.dense_losses import DenseLossWeights, dense_losses, inpainting_losses, symmetry_loss
from tracker.training.dense_truth import DenseTruth
from tracker.training.feature_cache import FeatureCache
from tracker.training.head_losses import TruePeople
from tracker.training.job import TrainingJob
from tracker.training.train_inverse_kinematics import save_inverse_kinematics
from tracker.training.train_uv_inpainting import UvTargets


@lru_cache(maxsize=1)
def exact() -> DenseMaps:
    return DenseTruth(load_body(None), atlas()).maps(person(bent()))


def test_losses_of_dense_maps_count_visible_pixels_alone() -> None:
    truth = exact()
    costs = dense_losses(truth, truth)
    assert all(float(value) < 1e-6 for value in costs.values())
    off = replace(truth, joints=truth.joints + 0.2, uv=truth.uv + (~truth.person)[:, None] * 0.5)
    costs = dense_losses(off, truth)
    assert float(costs["joints"]) == pytest.approx(0.2, rel=1e-4)
    assert float(costs["uv"]) == pytest.approx(0, abs=1e-6)
    assert float(dense_losses(replace(truth, mask=torch.zeros_like(truth.mask)), truth)["mask"]) == pytest.approx(
        np.log(2), rel=1e-4
    )


class Exact(DenseMapNetwork):
    """Says what is so."""

    def __init__(self, maps: DenseMaps) -> None:
        super().__init__(4, DenseMapConfig(width=(4, 4, 4)))
        self.maps = maps

    def read(self, trunk: Tensor) -> tuple[DenseMaps, Tensor]:
        return self.maps, torch.zeros(1, 4, 64, 64)


def exact_chain(guess: PoseGuess, inpainting: UvInpaintingNetwork | None = None) -> DenseSurface:
    class Known(InverseKinematics):
        def __call__(self, *_: object) -> PoseGuess:
            return guess

    kinematics = Known(None, None, {}, "votes")  # type: ignore[arg-type]
    return DenseSurface(load_body(None), Exact(exact()), kinematics, inpainting)


def true_guess(truth: TruePeople) -> PoseGuess:
    rotations, betas = truth.rotations.double().numpy(), truth.betas.double().numpy()
    return PoseGuess(rotations, betas, np.ones((1, 24)), np.zeros((1, POINTS, 3)))


def test_from_exact_maps_and_the_right_pose_comes_the_exact_surface() -> None:
    truth, body = person(bent()), load_body(None)
    inpainting = UvInpaintingNetwork(4, UvInpaintingConfig(width=(4, 4, 4))).eval()
    surface = exact_chain(true_guess(truth), inpainting)
    reading = surface.read(torch.zeros(1, 4, 64, 64), truth.cameras)
    completed = surface.complete(reading)
    assert 0.1 < float(reading.start.known.float().mean()) < 1
    target = UvTargets(body, surface)(truth)
    costs = inpainting_losses(completed, target, surface.atlases.fine)
    assert float(costs["joints3d"]) < 0.002
    assert float(costs["maps"]) < 0.03  # three maps of metres; a coarse texel is 2 cm
    assert float(costs["consistency"]) < 0.04  # of half a map: about a pixel
    vertices = surface.surface(completed)[0]
    posed = surface._posed(true_guess(truth), truth.cameras)
    true = (posed.vertices() - posed.joints[:, :1])[0]
    assert float(1e3 * (vertices - true).norm(dim=1).median()) < 15
    (state,) = surface.states(reading.guess, reading.maps, truth.cameras, torch.zeros(1, 3))
    rig = LandmarkRig.from_body(body)
    np.testing.assert_allclose(state.transl + rig.root_at_rest(state.betas), truth.root[0], atol=0.02)


def test_a_person_of_whom_nothing_is_seen_stays_where_the_head_puts_them() -> None:
    truth = person(bent())
    surface, blank = exact_chain(true_guess(truth)), replace(exact(), mask=torch.full((1, 64, 64), -20.0))
    rig, fallback = LandmarkRig.from_body(load_body(None)), torch.tensor([[0.1, 0.2, 3.0]])
    (state,) = surface.states(true_guess(truth), blank, truth.cameras, fallback)
    np.testing.assert_allclose(state.transl + rig.root_at_rest(state.betas), fallback[0], atol=1e-6)


def test_losses_of_the_surface_by_hand() -> None:
    truth = person(bent())
    surface = exact_chain(true_guess(truth))
    target = UvTargets(load_body(None), surface)(truth)
    fine = surface.atlases.fine
    same = inpainting_losses(target.maps, target, fine)
    assert float(same["maps"]) == 0 and float(same["joints3d"]) < 1e-6
    assert float(same["consistency"]) < 0.03
    moved = replace(target.maps, joints=target.maps.joints + 0.1, locations=target.maps.locations + 0.1)
    costs = inpainting_losses(moved, target, fine)
    assert float(costs["maps"]) == pytest.approx(0.2, rel=1e-3)
    assert float(costs["joints3d"]) == pytest.approx(0.1, rel=1e-3)
    assert float(costs["consistency"]) > 2 * float(same["consistency"])
    displacements = target.maps.displacements
    left = fine.locations(load_body(None).v_template[None].float())[:, :1] > 0
    double = replace(target.maps, displacements=torch.where(left, 2 * displacements, displacements))
    lengths = float(displacements.norm(dim=1)[:, fine.inside].mean())
    assert float(symmetry_loss(double, fine)) == pytest.approx(lengths, rel=0.1)
    assert float(symmetry_loss(target.maps, fine)) < 0.1 * lengths


def test_a_stopped_training_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "features", 4, network(), "these", load_body(None))
    cache.fill(Drawn(), workers=0)
    course = CachedCourse(steps=6, batch=2)

    def trained(folder: Path, stop: int) -> list[Tensor]:
        torch.manual_seed(1)
        module = nn.Conv2d(8, 1, 1)
        training = CachedTraining(TrainingJob("t", "t", {}, folder), course, module, "cpu")
        while training.step < stop:
            training.advance(cache, lambda examples, _: {"mask": module(examples.trunk).square().mean()}, weights)
        training.save()
        return [p.detach() for p in module.parameters()]

    weights = DenseLossWeights()
    trained(tmp_path / "stopped", 2)
    for one, other in zip(trained(tmp_path / "whole", 6), trained(tmp_path / "stopped", 6), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_both_networks_are_trained_saved_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body, base = load_body(None), network()
    base.save(tmp_path / "base.safetensors", {})
    cache = FeatureCache(tmp_path / "features", 3, base, "these", body)
    cache.fill(Drawn(), workers=0)
    for module in (train_dense_maps, train_uv_inpainting):
        monkeypatch.setattr(module, "filled_cache", lambda *_: cache)
    common = {"examples": {"weights": str(tmp_path / "base.safetensors")}, "course": {"steps": 2, "batch": 2}}
    job = TrainingJob("d", "dense_maps", {"network": {"width": [4, 4, 4]}, **common}, tmp_path / "dense", "cpu")
    assert "votes for" in train_dense_maps.train(job)
    dense = load_dense_maps(tmp_path / "dense" / "dense_maps.safetensors")
    assert dense.config == DenseMapConfig(width=(4, 4, 4))
    kinematics = InverseKinematicsNetwork(*INPUT_SIZES["votes"], POINTS, InverseKinematicsConfig(8, 8, 1, "votes"))
    save_inverse_kinematics(tmp_path / "ik.safetensors", kinematics.eval(), {})
    values = {"network": {"side": 32, "width": [4, 4, 4]}, **common}
    with pytest.raises(InputError, match="dense_maps is not set"):
        train_uv_inpainting.train(TrainingJob("u", "uv_inpainting", values, tmp_path / "none", "cpu"))
    values |= {"dense_maps": str(tmp_path / "dense" / "dense_maps.safetensors")}
    values |= {"kinematics": str(tmp_path / "ik.safetensors")}
    job = TrainingJob("u", "uv_inpainting", values, tmp_path / "uv", "cpu")
    assert "mm" in train_uv_inpainting.train(job)
    read = load_uv_inpainting(tmp_path / "uv" / "uv_inpainting.safetensors")
    assert read.config.side == 32 and read.out.bias is not None and bool(read.out.bias.any())
    with pytest.raises(InputError, match=r"uv_inpainting\.safetensors: expected weights of dense maps"):
        load_dense_maps(tmp_path / "uv" / "uv_inpainting.safetensors")
