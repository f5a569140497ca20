"""Trains extractor, head and the volume's features together (3DNBF §3.5), on examples made as they are needed."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from tracker.body import BodyModel, load_body
from tracker.body_network import BodyNetwork
from tracker.errors import RunError
from tracker.training.job import TrainingJob
from tracker.training.loop import Curves, Schedule, keep_freed_memory, load_checkpoint, save_checkpoint
from tracker.training.material import Material
from tracker.training.people import Batch
from tracker.training.validation import Validation
from tracker.training.volume_config import VolumeTraining
from tracker.training.volume_losses import VolumeLosses
from tracker.volume import BodyVolume

log = logging.getLogger("tracker")

CHECKPOINT, CURVES = "checkpoint.safetensors", "curves.csv"
VALIDATION, SHEET = "validation.csv", "sheet.png"
_TELL_EVERY = 20
"""Steps between two lines of the curves."""


def train(job: TrainingJob) -> str:
    """Runs, or goes on with, a training in job.out; gives back where the weights are.

    Raises InputError for settings and folders that do not fit, RunError when a loss is no longer a number.
    """
    settings, path = job.settings(VolumeTraining), job.weights
    keep_freed_memory()
    torch.manual_seed(settings.seed)
    body = load_body(None)
    run = VolumeTrainer(job, settings, body)
    run.go_on()
    run.network.save(path, {"steps": run.step, **job.provenance(run.material.provenance)})
    return f"trained {run.step} steps in {run.schedule.seconds / 60:.0f} minutes: {path}"


def _device(name: str) -> str:
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


class VolumeTrainer:
    """One training under way. `advance` alone also serves whoever makes the batches themselves."""

    def __init__(self, job: TrainingJob, settings: VolumeTraining, body: BodyModel) -> None:
        self.job, self.settings, self.body = job, settings, body
        self._device = _device(job.device)
        job.out.mkdir(parents=True, exist_ok=True)
        self.network = BodyNetwork(settings.network, BodyVolume.on(body, settings.volume)).to(self._device)
        self.losses = VolumeLosses(self.network, body, settings)
        self.material = Material(job, settings, body)
        groups: list[dict[str, Any]] = [
            {"params": list(self.network.extractor.parameters()) + list(self.network.head.parameters())},
            {"params": [self.network.bank, self.network.clutter], "lr": settings.bank_rate},
        ]
        self._optimizer = torch.optim.Adam(groups, lr=settings.learning_rate, fused=True)
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self.step, seconds = 0, 0.0
        if (job.out / CHECKPOINT).exists():
            self.step, seconds = load_checkpoint(job.out / CHECKPOINT, self.network, self._optimizer)
            log.info("going on after step %d", self.step)
        self.schedule = Schedule(settings.steps, job.minutes, elapsed=seconds)
        self._curves = Curves(job.out / CURVES)
        self._curves.forget_after(self.step)
        self._validated = Curves(job.out / VALIDATION)
        self._validated.forget_after(self.step)
        self._validation: Validation | None = None
        self._saved = seconds

    def go_on(self) -> None:
        """Until the schedule's end. Each step's examples depend on its number alone."""
        settings = self.settings
        held_out = self.material.held_out()
        self._validation = Validation(held_out, self.body) if held_out else None
        batches = self.material.batches(self.step)
        total = settings.steps if self.job.minutes is None else None
        with tqdm(total=total, initial=self.step, desc="training", unit="step", disable=None) as bar:
            while self.schedule.progress(self.step) < 1:
                values = self.advance(Batch.of(next(batches), self._device))
                bar.set_postfix({k: f"{v:.3f}" for k, v in values.items()}, refresh=False)
                bar.update()
        self.save()

    def advance(self, batch: Batch) -> dict[str, float]:
        factor = self.schedule.factor(self.step)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        self.network.train()
        torch.manual_seed(self.settings.seed + self.step)  # for the dropout: a resumed run draws what it would have
        values = self.losses(batch, np.random.default_rng([self.settings.seed, self.step]))
        total = torch.stack([getattr(self.settings.losses, name) * value for name, value in values.items()]).sum()
        if not torch.isfinite(total):
            raise RunError(f"training: the loss is {total.item()} at step {self.step}; lower learning_rate")
        self._optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self._optimizer.step()
        self.step += 1
        seen = {name: float(value.detach()) for name, value in values.items()}
        if self.step % _TELL_EVERY == 0:
            self._curves.add({"step": self.step - 1, "seconds": self.schedule.seconds, "rate": factor, **seen})
        if self.schedule.seconds - self._saved > self.settings.save_seconds:
            self.save()
        return seen

    def save(self) -> None:
        at = (self.step, self.schedule.seconds)
        save_checkpoint(self.job.out / CHECKPOINT, self.network, self._optimizer, at)
        self._saved = self.schedule.seconds
        if self._validation is not None:
            self._validated.add({"step": self.step - 1, **self._validation(self.network, self.job.out / SHEET)})
