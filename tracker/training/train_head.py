"""Trains a regression head on what a trained extractor makes of examples; extractor and volume stay as they are.

The examples are made once and kept with their features (`OUT/features`); what is written is a whole network, with the
extractor and the volume that the head was trained on, which `extract.weights` takes.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from tracker.body import BodyModel, load_body
from tracker.body.kinematics import LandmarkRig
from tracker.core.errors import RunError
from tracker.fit.volume_fitter import VolumeFitConfig, VolumeFitter
from tracker.networks.body_network import HEADS, BodyNetwork, HeadConfig, NetworkConfig
from tracker.networks.head import RegressedPose
from tracker.networks.kinematic_chains import KinematicChainsHead
from tracker.networks.part_attention import PartAttentionConfig
from tracker.networks.pose_vae import PoseVae
from tracker.synth.samples import SampleConfig
from tracker.training.feature_cache import FeatureCache, HeadExamples, cache_key
from tracker.training.fit_memory import FitMemory
from tracker.training.head_losses import HeadLosses, HeadLossWeights
from tracker.training.job import TrainingJob
from tracker.training.loop import Curves, Learner, Schedule, keep_freed_memory, load_checkpoint, save_checkpoint
from tracker.training.material import sample_factory
from tracker.training.parallel import chosen_device
from tracker.training.people import Guided, Synthetic
from tracker.weights import weights_file

log = logging.getLogger("tracker")

CHECKPOINT, CURVES = "checkpoint.safetensors", "curves.csv"
_TELL_EVERY = 20


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
    weights: Path = field(default_factory=lambda: weights_file("live"))
    """Of the extractor and the volume."""
    samples: SampleConfig = field(default_factory=SampleConfig)
    examples: int = 4000
    held_out: int = 200
    losses: HeadLossWeights = field(default_factory=HeadLossWeights)
    fits: FitsInTheLoop = field(default_factory=FitsInTheLoop)
    features: Path | None = None
    """A folder of features that another training of the same examples has left, to be shared."""
    steps: int = 4000
    batch: int = 32
    learning_rate: float = 1e-3
    save_seconds: float = 120.0
    seed: int = 0


def train(job: TrainingJob) -> str:
    """`run.py train hkmr` and others of `task: head`."""
    settings, target = job.settings(HeadTraining), job.weights
    keep_freed_memory()
    trainer = HeadTrainer(job, settings, load_body(None))
    trainer.go_on()
    data = "synthetic people; features of " + settings.weights.name
    trainer.network.cpu().save(target, {"steps": trainer.step, **job.provenance(data)})
    return f"trained {trainer.step} steps: {target}; held-out joints are off by {trainer.held_out_error():.0f} mm"


class HeadTrainer:
    """One training under way."""

    def __init__(self, job: TrainingJob, settings: HeadTraining, body: BodyModel) -> None:
        """Makes the features that are missing, and goes on from the checkpoint in job.out.

        Raises InputError for weights, folders and checkpoints that do not fit.
        """
        torch.manual_seed(settings.seed)
        self.job, self.settings, self._device = job, settings, chosen_device(job.device)
        base = BodyNetwork.load(settings.weights, body).requires_grad_(False)
        self.network = with_head(base, settings.head).to(self._device)
        self._losses = HeadLosses(body, PoseVae.load().to(self._device))
        self.cache, self.held_out = (self._filled(base, body, split) for split in ("train", "held_out"))
        fitter = VolumeFitter(base, VolumeFitConfig(steps=settings.fits.steps))
        self.fits = FitMemory(fitter, LandmarkRig.from_body(body), settings.fits.trust)
        self._optimizer = torch.optim.Adam(self.network.head.parameters(), lr=settings.learning_rate)
        self._learner = Learner(self.network.head, self._optimizer, torch.amp.GradScaler("cpu", enabled=False))
        self.step, seconds = 0, 0.0
        if (job.out / CHECKPOINT).exists():
            self.step, seconds = load_checkpoint(job.out / CHECKPOINT, self._learner)
            log.info("going on after step %d", self.step)
        self.schedule = Schedule(settings.steps, job.minutes, elapsed=seconds)
        self._curves = Curves(job.out / CURVES)
        self._curves.forget_after(self.step)

    def _filled(self, base: BodyNetwork, body: BodyModel, split: str) -> FeatureCache:
        settings, job = self.settings, self.job
        held = split == "held_out"
        samples = replace(settings.samples, split=split)  # type: ignore[arg-type]
        count = settings.held_out if held else settings.examples
        key = cache_key(settings.weights, samples=samples, motion=job.motion, assets=job.assets)
        folder = (settings.features or job.out / "features") / split
        cache = FeatureCache(folder, count, base, key, body)
        if cache.made < count:
            cache.fill(Guided(Synthetic(sample_factory(samples, job, body))), job.workers)
        return cache

    def go_on(self) -> None:
        """Until the schedule's end. Each step's examples depend on its number alone."""
        saved = self.schedule.seconds
        with tqdm(total=self.settings.steps, initial=self.step, unit="step", disable=None) as bar:
            while self.schedule.progress(self.step) < 1:
                values = self.advance()
                bar.set_postfix({k: f"{v:.3f}" for k, v in values.items()}, refresh=False)
                bar.update()
                if self.schedule.seconds - saved > self.settings.save_seconds:
                    saved = self._save()
        self._save()
        self.network.eval()

    def advance(self) -> dict[str, float]:
        """One step; the losses by name. Raises RunError when the loss is no longer a number."""
        settings = self.settings
        factor = self.schedule.factor(self.step)
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate * factor
        rng = np.random.default_rng([settings.seed, self.step])
        torch.manual_seed(int(rng.integers(2**31)))
        examples = self.cache.rows(np.sort(rng.choice(settings.examples, settings.batch, replace=False)), self._device)
        self.network.head.train()
        values = self._step_losses(examples, rng)
        total = torch.stack([getattr(settings.losses, name) * value for name, value in values.items()]).sum()
        if not math.isfinite(float(total.detach())):
            raise RunError(f"training: the loss is {float(total.detach())} at step {self.step}; lower learning_rate")
        self._optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(self.network.head.parameters(), 5.0)
        self._optimizer.step()
        self.step += 1
        numbers = {name: float(value.detach()) for name, value in values.items()}
        if self.step % _TELL_EVERY == 0:
            self._curves.add({"step": self.step - 1, "seconds": self.schedule.seconds, **numbers})
        return numbers

    def _step_losses(self, examples: HeadExamples, rng: np.random.Generator) -> dict[str, Tensor]:
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
        for start in range(0, self.settings.held_out, self.settings.batch):
            rows = np.arange(start, min(start + self.settings.batch, self.settings.held_out))
            examples = self.held_out.rows(rows, self._device)
            estimate, truth = estimates_of(self.network, examples)[-1], examples.truth
            joints = self._losses.placed(estimate.rotations, estimate.betas, estimate.root)
            true = self._losses.placed(truth.rotations, truth.betas, truth.root)
            errors.append(((joints - joints[:, :1]) - (true - true[:, :1])).norm(dim=2).mean(1))
        return 1e3 * float(torch.cat(errors).mean())

    def _save(self) -> float:
        save_checkpoint(self.job.out / CHECKPOINT, self._learner, (self.step, self.schedule.seconds))
        return self.schedule.seconds


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
