"""Trains a regression head on what a trained extractor makes of examples; extractor and volume stay as they are.

What is written is a whole network, with the extractor and the volume that the head was trained on, which
`extract.weights` takes.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from tracker.body import BodyModel, load_body
from tracker.body.kinematics import LandmarkRig
from tracker.core.errors import InputError
from tracker.fit.volume_fitter import VolumeFitConfig, VolumeFitter
from tracker.networks.body_network import HEADS, BodyNetwork, HeadConfig, NetworkConfig
from tracker.networks.head import NUM_PARTS, READER, PersonReader, PersonReading, RegressedPose
from tracker.networks.kinematic_chains import KinematicChainsHead
from tracker.networks.part_attention import PartAttentionConfig, PartAttentionHead
from tracker.networks.pose_vae import PoseVae
from tracker.training.cached import CachedCourse, CachedExamples, CachedTraining, filled_cache
from tracker.training.feature_cache import FeatureCache, HeadExamples
from tracker.training.fit_memory import FitMemory
from tracker.training.head_losses import HeadLosses, HeadLossWeights
from tracker.training.job import TrainingJob
from tracker.training.loop import keep_freed_memory
from tracker.training.parallel import chosen_device

_AT_ONCE = 32


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
    frozen_reader: bool = False
    """Take what pools the features (part maps and all before the regressor) from the head of `examples.weights`, and
    train the regressor alone: minutes, and the fair comparison of regressors. Needs a head of the same sizes."""
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
        self.network = with_head(base, settings.head, settings.frozen_reader).to(self._device)
        self._losses = HeadLosses(body, PoseVae.load().to(self._device))
        self.cache, self._held_out = (filled_cache(job, settings.examples, base, body, held) for held in (False, True))
        self._readings = Readings(self.network, self._device) if settings.frozen_reader else None
        fitter = VolumeFitter(base, VolumeFitConfig(steps=settings.fits.steps))
        self.fits = FitMemory(fitter, LandmarkRig.from_body(body), settings.fits.trust)
        needs_maps = not settings.frozen_reader or settings.fits.share > 0
        self.training = CachedTraining(job, settings.course, self.network.head, self._device, needs_maps)

    def loss_of(self, examples: HeadExamples, rng: np.random.Generator) -> dict[str, Tensor]:
        """The losses of a batch; rng draws whose poses are fitted anew."""
        reading = None if self._readings is None else self._readings.of(self.cache, examples)
        estimates = estimates_of(self.network, examples, reading)
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


def with_head(base: BodyNetwork, head: HeadConfig, frozen_reader: bool = False) -> BodyNetwork:
    """The same extractor and volume with a new head of another kind; only the head learns, or only its regressor.

    Raises InputError for a reader of other sizes.
    """
    extractor = base.config.extractor
    network = BodyNetwork(NetworkConfig(extractor, head), base.volume)
    network.extractor, network.bank, network.clutter = base.extractor, base.bank, base.clutter
    network.requires_grad_(False)
    network.head = HEADS[type(head)](extractor.trunk, head)
    if frozen_reader:
        for name in READER:
            try:
                getattr(network.head, name).load_state_dict(getattr(base.head, name).state_dict())
            except (RuntimeError, AttributeError) as error:
                first = str(error).splitlines()[0]
                raise InputError(f"frozen_reader: the head of the weights has another reader ({first})") from error
            getattr(network.head, name).requires_grad_(False)
    return network


class Readings:
    """What a reader that does not learn makes of cached examples, made once and kept in memory."""

    def __init__(self, network: BodyNetwork, device: str) -> None:
        assert isinstance(network.head, PersonReader), "only such heads have a reader"
        self._reader, self._device = deepcopy(network.head).eval(), device
        self._pooled: Tensor | None = None
        self._whole = torch.empty(0)

    def of(self, cache: FeatureCache, examples: HeadExamples) -> PersonReading:
        """Of a batch of that cache. Its part maps are those of the reader, which nobody trains: none are given."""
        if self._pooled is None:
            self._make(cache)
        assert self._pooled is not None
        rows = torch.from_numpy(examples.rows)
        pooled, whole = self._pooled[rows].to(self._device), self._whole[rows].to(self._device)
        return PersonReading(pooled.new_zeros(len(rows), NUM_PARTS, 0, 0), pooled, whole)

    @torch.no_grad()
    def _make(self, cache: FeatureCache) -> None:
        pooled, whole = [], []
        for start in range(0, cache.made, _AT_ONCE):
            examples = cache.rows(np.arange(start, min(start + _AT_ONCE, cache.made)), self._device)
            reading = self._reader.read(examples.trunk, examples.guide)
            pooled.append(reading.pooled.cpu())
            whole.append(reading.whole.cpu())
        self._pooled, self._whole = torch.cat(pooled), torch.cat(whole)


def estimates_of(
    network: BodyNetwork, examples: HeadExamples, reading: PersonReading | None = None
) -> list[RegressedPose]:
    """What each of the head's iterations says; one for a head without. reading: of the examples, if it is known."""
    head = network.head
    assert isinstance(head, PartAttentionHead | KinematicChainsHead), "heads of other kinds are not trained here"
    reading = reading or head.read(examples.trunk, examples.guide)
    return head.estimates(reading, examples.truth.cameras)
