"""Trains extractor, head and the volume's features together (3DNBF §3.5), on examples made as they are needed."""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from tracker.body import BodyModel, load_body
from tracker.body.volume import BodyVolume
from tracker.core.errors import InputError, RunError
from tracker.networks.body_network import BodyNetwork
from tracker.networks.extractor import SeparateFeatures
from tracker.networks.guide import BatchGuide
from tracker.training.job import TrainingJob
from tracker.training.loop import Curves, Learner, Schedule, keep_freed_memory, load_checkpoint, save_checkpoint
from tracker.training.material import Material
from tracker.training.parallel import Ranks, chosen_device, joined
from tracker.training.people import Batch
from tracker.training.precision import check_precision, gradient_scaler
from tracker.training.validation import Validation
from tracker.training.volume_config import VolumeTraining
from tracker.training.volume_losses import VolumeLosses

log = logging.getLogger("tracker")

CHECKPOINT, CURVES = "checkpoint.safetensors", "curves.csv"
VALIDATION, SHEET = "validation.csv", "sheet.png"
_TELL_EVERY = 20
"""Steps between two lines of the curves."""


def train(job: TrainingJob) -> str:
    """Runs, or goes on with, a training in job.out; gives back where the weights are (the first of several processes
    does; the others give back nothing).

    Raises InputError for settings and folders that do not fit, RunError when a loss is no longer a number.
    """
    settings, path = job.settings(VolumeTraining), job.weights
    keep_freed_memory()
    with joined(job.device) as ranks:
        torch.manual_seed(settings.seed)
        trainer = VolumeTrainer(job, settings, load_body(None), ranks)
        trainer.go_on()
        if not ranks.first:
            return ""
        described = {"steps": trainer.step, "processes": ranks.count, "precision": settings.precision}
        trainer.network.save(path, {**described, **job.provenance(trainer.material.provenance)})
    return f"trained {trainer.step} steps in {trainer.schedule.seconds / 60:.0f} minutes: {path}"


class VolumeTrainer:
    """One training under way. `advance` alone also serves whoever makes the batches themselves."""

    def __init__(self, job: TrainingJob, settings: VolumeTraining, body: BodyModel, ranks: Ranks | None = None) -> None:
        """ranks: of which this process is one; without them it is alone. Goes on from the checkpoint in job.out."""
        self.job, self.settings, self.body = job, settings, body
        self._ranks = ranks = ranks or Ranks(chosen_device(job.device))
        check_precision(settings.precision, ranks.device)
        job.out.mkdir(parents=True, exist_ok=True)
        self.network = BodyNetwork(settings.network, BodyVolume.on(body, settings.volume)).to(ranks.device)
        if settings.start_from is not None:
            self.network.start_from(BodyNetwork.load(settings.start_from, body))
        self.losses = VolumeLosses(self.network, body, settings)
        self.material = Material(job, settings, body, ranks)
        self._learner = self._made_learner()
        self._rates = [group["lr"] for group in self._learner.optimizer.param_groups]
        self.step, seconds = 0, 0.0
        if (job.out / CHECKPOINT).exists():
            self.step, seconds = load_checkpoint(job.out / CHECKPOINT, self._learner)
            log.info("going on after step %d", self.step)
        self.schedule = Schedule(settings.steps, job.minutes, elapsed=seconds)
        self._curves, self._validated = Curves(job.out / CURVES), Curves(job.out / VALIDATION)
        if ranks.first:
            self._curves.forget_after(self.step)
            self._validated.forget_after(self.step)
        self._validation: Validation | None = None
        self._saved = seconds

    def _made_learner(self) -> Learner:
        network, settings = self.network, self.settings
        groups: list[dict[str, Any]] = [
            {"params": self._learned()},
            {"params": [network.bank, network.clutter], "lr": settings.bank_rate},
        ]
        optimizer = torch.optim.Adam(groups, lr=settings.learning_rate, fused=True)
        return Learner(network, optimizer, gradient_scaler(settings.precision))

    def _learned(self) -> list[nn.Parameter]:
        """The networks' weights that are trained."""
        extractor = self.network.extractor
        if self.settings.features_only:
            if not isinstance(extractor, SeparateFeatures):
                raise InputError("features_only: this extractor's features are not apart from what the head reads")
            return list(extractor.feature_parameters())
        return [*extractor.parameters(), *self.network.head.parameters()]

    def go_on(self) -> None:
        """Until the schedule's end. Each step's examples depend on its number, and on the process's, alone."""
        ranks, settings = self._ranks, self.settings
        with ranks.in_turn():
            source = self.material.source()
            held_out = self.material.held_out() if ranks.first else []
        self._validation = Validation(held_out, self.body) if held_out else None
        batches = self.material.batches(source, self.step)
        guide_maker = BatchGuide(ranks.device) if ranks.on_gpu else None
        total = settings.steps if self.job.minutes is None else None
        hidden = None if ranks.first else True  # None: where nobody looks
        with tqdm(total=total, initial=self.step, desc="training", unit="step", disable=hidden) as bar:
            while ranks.agreed(self.schedule.progress(self.step)) < 1:
                values = self.advance(Batch.of(next(batches), ranks.device, guide_maker))
                bar.set_postfix({k: f"{v:.3f}" for k, v in values.items()}, refresh=False)
                bar.update()
        self.save()

    def advance(self, batch: Batch) -> dict[str, float]:
        """One step on this process's batch; the losses by name, averaged over the processes.

        Raises RunError when the loss is no longer a number.
        """
        factor = self._ranks.agreed(self.schedule.factor(self.step))
        for group, rate in zip(self._learner.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        self.network.train()
        # of the dropout and the pixels: a resumed run draws what it would have
        key = [self.settings.seed, self.step, self._ranks.number]
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
        values = self.losses(batch, np.random.default_rng(key))
        total = torch.stack([getattr(self.settings.losses, name) * value for name, value in values.items()]).sum()
        numbers = self._told(values, total)
        self._learn(total)
        self.step += 1
        if self._ranks.first and self.step % _TELL_EVERY == 0:
            self._curves.add({"step": self.step - 1, "seconds": self.schedule.seconds, "rate": factor, **numbers})
        if self.schedule.seconds - self._saved > self.settings.save_seconds:
            self.save()
        return numbers

    def _told(self, values: dict[str, Tensor], total: Tensor) -> dict[str, float]:
        """The losses as numbers. Raises RunError, in all processes, when they are none in one of them."""
        numbers = torch.stack([*values.values(), total]).detach()
        self._ranks.average([numbers])
        *numbers_by_loss, whole = numbers.tolist()
        if not math.isfinite(whole):
            raise RunError(f"training: the loss is {whole} at step {self.step}; lower learning_rate")
        return dict(zip(values, numbers_by_loss, strict=True))

    def _learn(self, total: Tensor) -> None:
        network, optimizer, scaler = self.network, self._learner.optimizer, self._learner.scaler
        optimizer.zero_grad()
        scaler.scale(total).backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        # what batches were normalised by differs between processes as the gradients do
        self._ranks.average([*gradients, *(b for b in network.buffers() if b.is_floating_point())])
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        scaler.step(optimizer)
        scaler.update()

    def save(self) -> None:
        """A checkpoint, and a look at the held-out people; the first process's alone."""
        self._saved = self.schedule.seconds
        if not self._ranks.first:
            return
        save_checkpoint(self.job.out / CHECKPOINT, self._learner, (self.step, self._saved))
        if self._validation is not None:
            self._validated.add({"step": self.step - 1, **self._validation(self.network, self.job.out / SHEET)})
