"""Trains UV inpainting on cached features, behind dense maps and inverse kinematics that stay as they are
(Best of Both Worlds, §3.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tracker.body import BodyModel, load_body
from tracker.core.errors import InputError
from tracker.initialise.dense_surface import DenseSurface, load_dense_maps, save_network
from tracker.initialise.inverse_kinematics import InverseKinematics
from tracker.networks.body_network import BodyNetwork
from tracker.networks.guide import MAP
from tracker.networks.head import crop_rays, turn_to_ray
from tracker.networks.landmark_network import SIDE
from tracker.networks.uv_inpainting import UvInpaintingConfig, UvInpaintingNetwork, posed_maps
from tracker.training.cached import CachedCourse, CachedExamples, CachedTraining, filled_cache, moved
from tracker.training.dense_losses import InpaintingLossWeights, UvTarget, inpainting_losses
from tracker.training.dense_truth import DenseTruth
from tracker.training.feature_cache import FeatureCache, HeadExamples
from tracker.training.head_losses import TruePeople
from tracker.training.job import TrainingJob
from tracker.training.loop import keep_freed_memory
from tracker.training.parallel import chosen_device
from tracker.training.train_head import in_batches


@dataclass(frozen=True)
class UvInpaintingTraining:
    """A configuration of `task: uv_inpainting`."""

    dense_maps: Path | None = None
    """Weights of the dense maps: what `train dense_maps` made."""
    kinematics: Path | None = None
    """Weights of inverse kinematics from votes: what `train vote_kinematics` made."""
    network: UvInpaintingConfig = field(default_factory=UvInpaintingConfig)
    examples: CachedExamples = field(default_factory=CachedExamples)
    course: CachedCourse = field(default_factory=lambda: CachedCourse(batch=16))
    losses: InpaintingLossWeights = field(default_factory=InpaintingLossWeights)


def train(job: TrainingJob) -> str:
    """`run.py train uv_inpainting`."""
    settings, target, body = job.settings(UvInpaintingTraining), job.weights, load_body(None)
    keep_freed_memory()
    device = chosen_device(job.device)
    torch.manual_seed(settings.course.seed)
    base = BodyNetwork.load(settings.examples.weights, body).requires_grad_(False)
    cache, held_out = (filled_cache(job, settings.examples, base, body, held) for held in (False, True))
    dense = load_dense_maps(_given(job, settings.dense_maps, "dense_maps"))
    kinematics = InverseKinematics.load(_given(job, settings.kinematics, "kinematics"))
    features = dense.config.width[0]
    network = UvInpaintingNetwork(features, settings.network).to(device)
    surface = DenseSurface(body, dense, kinematics, network)
    training = CachedTraining(job, settings.course, network, device)
    targets = UvTargets(body, surface)

    def loss_of(examples: HeadExamples, _rng: np.random.Generator) -> dict[str, Tensor]:
        truth = moved(examples.truth, "cpu")  # maps are drawn, and poses are worked out, on the CPU
        completed = surface.complete(surface.read(examples.trunk.cpu(), truth.cameras))
        return inpainting_losses(completed, moved(targets(truth), device), surface.atlases.fine)

    training.go_on(cache, loss_of, settings.losses)
    network.cpu()
    error = surface_error(surface, targets, held_out)
    data = "synthetic people; features of " + settings.examples.weights.name
    save_network(target, network, {"features": features}, {"steps": training.step, **job.provenance(data)})
    return f"{target}: the held-out surface is off by {error:.0f} mm"


def _given(job: TrainingJob, path: Path | None, key: str) -> Path:
    if path is None:
        raise InputError(f"{job.name}: {key} is not set; train it first, and say where its weights are")
    return path


class UvTargets:
    """What UV inpainting should give for people who are known."""

    def __init__(self, body: BodyModel, surface: DenseSurface) -> None:
        self._fine = surface.atlases.fine
        self._truth = DenseTruth(body, self._fine)

    def __call__(self, truth: TruePeople) -> UvTarget:
        posed = self._truth.posed(truth)
        root = posed.joints[:, :1]
        joints = posed.joints - root
        return UvTarget(
            posed_maps(posed.vertices() - root, joints, self._fine),
            joints[:, list(self._fine.joints)],
            truth.root,
            turn_to_ray(crop_rays(truth.cameras)),
            truth.cameras * MAP / SIDE,
            self._truth.maps(truth),
        )


@torch.no_grad()
def surface_error(surface: DenseSurface, targets: UvTargets, held_out: FeatureCache) -> float:
    """mm: mean distance of the surface's texels from where they are, about the pelvis."""
    errors = []
    inside = surface.atlases.fine.inside
    for examples in in_batches(held_out, 16):
        completed = surface.complete(surface.read(examples.trunk, examples.truth.cameras))
        off = (completed.locations - targets(examples.truth).maps.locations).norm(dim=1)
        errors.append(off[:, inside].mean(1))
    return 1e3 * float(torch.cat(errors).mean())
