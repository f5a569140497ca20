"""Trains the network of dense maps on cached features (Best of Both Worlds, §3.1), against exact maps of the known
bodies where nothing is in front of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from tracker.body import load_body
from tracker.body.uv_atlas import UvAtlas
from tracker.initialise.dense_surface import save_network
from tracker.networks.body_network import BodyNetwork
from tracker.networks.dense_maps import DenseMapConfig, DenseMapNetwork, joint_votes
from tracker.training.cached import CachedCourse, CachedExamples, CachedTraining, filled_cache, moved
from tracker.training.dense_losses import DenseLossWeights, dense_losses
from tracker.training.dense_truth import DenseTruth
from tracker.training.feature_cache import FeatureCache, HeadExamples
from tracker.training.job import TrainingJob
from tracker.training.loop import keep_freed_memory
from tracker.training.parallel import chosen_device
from tracker.training.train_head import in_batches

_TEXELS = 128
"""Along the side of the atlas by which pixels are given to joints."""


@dataclass(frozen=True)
class DenseMapTraining:
    """A configuration of `task: dense_maps`."""

    network: DenseMapConfig = field(default_factory=DenseMapConfig)
    examples: CachedExamples = field(default_factory=CachedExamples)
    course: CachedCourse = field(default_factory=lambda: CachedCourse(batch=16))
    losses: DenseLossWeights = field(default_factory=DenseLossWeights)


def train(job: TrainingJob) -> str:
    """`run.py train dense_maps`."""
    settings, target, body = job.settings(DenseMapTraining), job.weights, load_body(None)
    keep_freed_memory()
    device = chosen_device(job.device)
    torch.manual_seed(settings.course.seed)
    base = BodyNetwork.load(settings.examples.weights, body).requires_grad_(False)
    cache, held_out = (filled_cache(job, settings.examples, base, body, held) for held in (False, True))
    truth = DenseTruth(body, UvAtlas.of(body, _TEXELS))
    trunk = base.config.extractor.trunk
    network = DenseMapNetwork(trunk, settings.network).to(device)
    training = CachedTraining(job, settings.course, network, device)

    def loss_of(examples: HeadExamples, _rng: np.random.Generator) -> dict[str, Tensor]:
        # maps are drawn on the CPU
        return dense_losses(network(examples.trunk), moved(truth.maps(moved(examples.truth, "cpu")), device))

    training.go_on(cache, loss_of, settings.losses)
    visible, share = vote_errors(network.cpu(), truth, held_out)
    data = "synthetic people; features of " + settings.examples.weights.name
    save_network(target, network, {"trunk": trunk}, {"steps": training.step, **job.provenance(data)})
    return f"{target}: votes for {share:.0%} of the held-out joints, off by {visible:.0f} mm"


@torch.no_grad()
def vote_errors(network: DenseMapNetwork, truth: DenseTruth, held_out: FeatureCache) -> tuple[float, float]:
    """Mean mm of the joints that somebody votes for, about the pelvis, and their share of all."""
    errors: list[Tensor] = []
    voted: list[Tensor] = []
    for examples in in_batches(held_out, 32):
        votes, posed = joint_votes(network(examples.trunk), truth.atlas), truth.posed(examples.truth)
        true = (posed.joints - posed.joints[:, :1])[:, list(truth.atlas.joints)]
        errors.append((votes.places - true).norm(dim=2).flatten())
        voted.append((votes.voters > 0).flatten())
    known = torch.cat(voted)
    return 1e3 * float(torch.cat(errors)[known].mean()), float(known.float().mean())
