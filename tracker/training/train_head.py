"""Trains a regression head on what a trained extractor makes of examples; extractor and volume stay as they are.

What is written is a whole network, with the extractor and the volume that the head was trained on, which
`extract.weights` takes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from tracker.body import BodyModel, load_body
from tracker.body.kinematics import LandmarkRig
from tracker.fit.volume_fitter import VolumeFitConfig, VolumeFitter
from tracker.networks.body_network import HEADS, BodyNetwork, HeadConfig, NetworkConfig
from tracker.networks.head import RegressedPose
from tracker.networks.kinematic_chains import KinematicChainsHead
from tracker.networks.part_attention import PartAttentionConfig
from tracker.networks.pose_vae import PoseVae
from tracker.training.cached import CachedCourse, CachedExamples, CachedTraining, filled_cache
from tracker.training.feature_cache import FeatureCache, HeadExamples
from tracker.training.fit_memory import FitMemory
from tracker.training.head_losses import HeadLosses, HeadLossWeights
from tracker.training.job import TrainingJob
from tracker.training.loop import keep_freed_memory
from tracker.training.parallel import chosen_device


@dataclass(frozen=True)
class FitsInTheLoop:
    """Poses that the volume fits, taught to the head (HKMR §3.4)."""

    unlabelled: float = 0.0
    """Share of the examples whose exact poses are withheld: what fits are worth where nobody knows the pose. Examples
    with poses that were only estimated learn from fits in any case, where `share` is above 0."""
    share: float = 0.0
    """Of such examples in each batch, how many are fitted anew; 0 for no fits."""
    steps: int = 10
    trust: float = 0.5
    """What a fit counts against an exact pose."""


@dataclass(frozen=True)
class HeadTraining:
    """A configuration of `task: head`."""

    head: HeadConfig = field(default_factory=PartAttentionConfig)
    examples: CachedExamples = field(default_factory=CachedExamples)
    course: CachedCourse = field(default_factory=CachedCourse)
    losses: HeadLossWeights = field(default_factory=HeadLossWeights)
    fits: FitsInTheLoop = field(default_factory=FitsInTheLoop)


def train(job: TrainingJob) -> str:
    """`run.py train hkmr` and others of `task: head`."""
    settings, target = job.settings(HeadTraining), job.weights
    keep_freed_memory()
    trainer = HeadTrainer(job, settings, load_body(None))
    trainer.training.go_on(trainer.cache, trainer.loss_of, settings.losses)
    error = trainer.held_out_error()
    data = "synthetic people; features of " + settings.examples.weights.name
    trainer.network.cpu().save(target, {"steps": trainer.training.step, **job.provenance(data)})
    return f"trained {trainer.training.step} steps: {target}; held-out joints are off by {error:.0f} mm"


class HeadTrainer:
    """One training under way."""

    def __init__(self, job: TrainingJob, settings: HeadTraining, body: BodyModel) -> None:
        """Makes the features that are missing, and goes on from the checkpoint in job.out.

        Raises InputError for weights, folders and checkpoints that do not fit.
        """
        torch.manual_seed(settings.course.seed)
        self.settings, self._device = settings, chosen_device(job.device)
        base = BodyNetwork.load(settings.examples.weights, body).requires_grad_(False)
        self.network = with_head(base, settings.head).to(self._device)
        self._losses = HeadLosses(body, PoseVae.load().to(self._device))
        self.cache, self._held_out = (filled_cache(job, settings.examples, base, body, held) for held in (False, True))
        fitter = VolumeFitter(base, VolumeFitConfig(steps=settings.fits.steps))
        self.fits = FitMemory(fitter, LandmarkRig.from_body(body), settings.fits.trust)
        self.training = CachedTraining(job, settings.course, self.network.head, self._device)

    def loss_of(self, examples: HeadExamples, rng: np.random.Generator) -> dict[str, Tensor]:
        """The losses of a batch; rng draws whose poses are fitted anew."""
        estimates = estimates_of(self.network, examples)
        fits = self.settings.fits
        if fits.share == 0:
            return self._losses(estimates, examples.truth)
        withheld = np.array([np.random.default_rng([2, int(row)]).random() < fits.unlabelled for row in examples.rows])
        unsure = withheld | (examples.truth.trusted.cpu().numpy() < 1)
        chosen = np.flatnonzero(unsure & (rng.random(len(unsure)) < fits.share))
        self.fits.learn(examples, estimates[-1], chosen)
        return self._losses(estimates, self.fits.taught(examples, unsure))

    @torch.no_grad()
    def held_out_error(self) -> float:
        """mm: MPJPE of the last iteration, pelvis-aligned, over the held-out people."""
        self.network.eval()
        errors = []
        for examples in in_batches(self._held_out, self.settings.course.batch, self._device):
            estimate, truth = estimates_of(self.network, examples)[-1], examples.truth
            joints = self._losses.placed(estimate.rotations, estimate.betas, estimate.root)
            true = self._losses.placed(truth.rotations, truth.betas, truth.root)
            errors.append(((joints - joints[:, :1]) - (true - true[:, :1])).norm(dim=2).mean(1))
        return 1e3 * float(torch.cat(errors).mean())


def in_batches(cache: FeatureCache, size: int, device: str = "cpu") -> list[HeadExamples]:
    """All examples of a cache, read when they are needed."""
    return [cache.rows(np.arange(start, min(start + size, cache.made)), device) for start in range(0, cache.made, size)]


def with_head(base: BodyNetwork, head: HeadConfig) -> BodyNetwork:
    """The same extractor and volume with a new head of another kind; only the head learns."""
    extractor = base.config.extractor
    network = BodyNetwork(NetworkConfig(extractor, head), base.volume)
    network.extractor, network.bank, network.clutter = base.extractor, base.bank, base.clutter
    network.requires_grad_(False)
    network.head = HEADS[type(head)](extractor.trunk, head)
    return network


def estimates_of(network: BodyNetwork, examples: HeadExamples) -> list[RegressedPose]:
    """What each of the head's iterations says; one for a head without."""
    head, cameras = network.head, examples.truth.cameras
    if isinstance(head, KinematicChainsHead):
        return head.estimates(examples.trunk, examples.guide, cameras)
    return [head(examples.trunk, examples.guide, cameras)]
