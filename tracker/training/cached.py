"""The loop of networks that are trained on cached features: batches by their step's number, curves, checkpoints."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from tracker.body import BodyModel
from tracker.core.errors import RunError
from tracker.networks.body_network import BodyNetwork
from tracker.synth.samples import SampleConfig
from tracker.training.feature_cache import FeatureCache, HeadExamples, cache_key
from tracker.training.job import TrainingJob
from tracker.training.loop import Curves, Learner, Schedule, load_checkpoint, save_checkpoint
from tracker.training.material import sample_factory
from tracker.training.people import Guided, Synthetic
from tracker.weights import weights_file

log = logging.getLogger("tracker")

CHECKPOINT, CURVES = "checkpoint.safetensors", "curves.csv"
_TELL_EVERY = 20
"""Steps between two lines of the curves."""

Moved = TypeVar("Moved")

LossOf = Callable[[HeadExamples, np.random.Generator], dict[str, Tensor]]


@dataclass(frozen=True)
class CachedExamples:
    """Which examples, and whose features of them."""

    weights: Path = field(default_factory=lambda: weights_file("live"))
    """Of the extractor and the volume."""
    samples: SampleConfig = field(default_factory=SampleConfig)
    count: int = 4000
    held_out: int = 200
    folder: Path | None = None
    """Of the features; null is `features` in the training's folder. Trainings of the same examples can share it."""


@dataclass(frozen=True)
class CachedCourse:
    """How long is trained, and how fast."""

    steps: int = 4000
    batch: int = 32
    learning_rate: float = 1e-3
    save_seconds: float = 120.0
    seed: int = 0


def moved(value: Moved, device: torch.device | str) -> Moved:
    """A dataclass with its tensors, also those of dataclasses in it, on a device."""
    changed: dict[str, Any] = {}
    for each in fields(value):  # type: ignore[arg-type]
        held = getattr(value, each.name)
        if isinstance(held, Tensor):
            changed[each.name] = held.to(device)
        elif is_dataclass(held):
            changed[each.name] = moved(held, device)
    return replace(value, **changed)  # type: ignore[type-var]


def filled_cache(
    job: TrainingJob, examples: CachedExamples, base: BodyNetwork, body: BodyModel, held_out: bool
) -> FeatureCache:
    """The features of the examples to learn from, or of the held-out ones; makes what is missing.

    Raises InputError where the folder holds others.
    """
    samples = replace(examples.samples, split="held_out" if held_out else "train")
    count = examples.held_out if held_out else examples.count
    motion, assets = (path and path.resolve() for path in (job.motion, job.assets))
    key = cache_key(examples.weights, samples=samples, motion=motion, assets=assets)
    cache = FeatureCache((examples.folder or job.out / "features") / samples.split, count, base, key, body)
    if cache.made < count:
        cache.fill(Guided(Synthetic(sample_factory(samples, job, body))), job.workers)
    return cache


class CachedTraining:
    """One training under way, in job.out. Each step depends on its number alone."""

    def __init__(
        self, job: TrainingJob, course: CachedCourse, network: nn.Module, device: str, maps: bool = True
    ) -> None:
        """Goes on from the checkpoint in job.out. maps: whether the losses look at the cached maps.

        Raises InputError when the checkpoint is of another configuration.
        """
        self._maps = maps
        self._job, self._course, self._network, self._device = job, course, network, device
        learned = [p for p in network.parameters() if p.requires_grad]
        self._optimizer = torch.optim.Adam(learned, lr=course.learning_rate)
        self._learner = Learner(network, self._optimizer, torch.amp.GradScaler("cpu", enabled=False))
        self.step, seconds = 0, 0.0
        job.out.mkdir(parents=True, exist_ok=True)
        if (job.out / CHECKPOINT).exists():
            self.step, seconds = load_checkpoint(job.out / CHECKPOINT, self._learner)
            log.info("going on after step %d", self.step)
        self._schedule = Schedule(course.steps, job.minutes, elapsed=seconds)
        self._curves = Curves(job.out / CURVES)
        self._curves.forget_after(self.step)

    def go_on(self, cache: FeatureCache, loss_of: LossOf, weights: object) -> None:
        """Until the schedule's end; leaves the network in evaluation mode. weights: of the losses, by name."""
        saved = self._schedule.seconds
        with tqdm(total=self._course.steps, initial=self.step, unit="step", disable=None) as bar:
            while self._schedule.progress(self.step) < 1:
                values = self.advance(cache, loss_of, weights)
                bar.set_postfix({k: f"{v:.3f}" for k, v in values.items()}, refresh=False)
                bar.update()
                if self._schedule.seconds - saved > self._course.save_seconds:
                    saved = self.save()
        self.save()
        self._network.eval()

    def advance(self, cache: FeatureCache, loss_of: LossOf, weights: object) -> dict[str, float]:
        """One step; the losses by name. Raises RunError when the loss is no longer a number."""
        course, rng = self._course, np.random.default_rng([self._course.seed, self.step])
        for group in self._optimizer.param_groups:
            group["lr"] = course.learning_rate * self._schedule.factor(self.step)
        torch.manual_seed(int(rng.integers(2**31)))
        rows = np.sort(rng.choice(cache.made, min(course.batch, cache.made), replace=False))
        self._network.train()
        values = loss_of(cache.rows(rows, self._device, self._maps), rng)
        total = torch.stack([getattr(weights, name) * value for name, value in values.items()]).sum()
        if not math.isfinite(float(total.detach())):
            raise RunError(f"training: the loss is {float(total.detach())} at step {self.step}; lower learning_rate")
        self._optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_([p for p in self._network.parameters() if p.grad is not None], 5.0)
        self._optimizer.step()
        self.step += 1
        numbers = {name: float(value.detach()) for name, value in values.items()}
        if self.step % _TELL_EVERY == 0:
            self._curves.add({"step": self.step - 1, "seconds": self._schedule.seconds, **numbers})
        return numbers

    def save(self) -> float:
        """A checkpoint; gives back the seconds spent so far."""
        save_checkpoint(self._job.out / CHECKPOINT, self._learner, (self.step, self._schedule.seconds))
        return self._schedule.seconds
