"""The training loop of the small networks: a course of steps, each a loss of data that is made as it is needed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

_SHOWN_EVERY = 200
"""Steps between two updates of the losses beside the progress bar."""

Losses = dict[str, Tensor]
"""Name → value, `total` among them."""


@dataclass(frozen=True)
class TrainingCourse:
    """How long is trained, and with which rates: half a cosine, after a rise where there is one."""

    steps: int
    learning_rate: float
    minutes: float | None = None
    """Stop after so long, the learning rate following the clock; the result then depends on the machine."""
    rise: int = 0
    """Steps over which the learning rate rises."""
    largest_gradient: float = math.inf
    """Norm to which longer gradients are shortened."""

    def rate(self, step: int, done: float) -> float:
        """done: 0..1 of the course."""
        rising = (step + 1) / self.rise if self.rise else 1.0
        return self.learning_rate * min(0.5 * (1 + math.cos(math.pi * done)), rising)


def train_small(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    course: TrainingCourse,
    loss_of: Callable[[int, float], Losses],
) -> None:
    """loss_of: of a step's number and how much of the course is done, 0..1. Leaves the network in evaluation mode.

    Deterministic for the same random state, unless `course.minutes` ends it.
    """
    began = time.monotonic()
    with tqdm(range(course.steps), unit="step", disable=None) as bar:
        for step in bar:
            done = step / course.steps
            if course.minutes is not None:
                done = max(done, (time.monotonic() - began) / (60 * course.minutes))
            if done >= 1:
                break
            for group in optimizer.param_groups:
                group["lr"] = course.rate(step, done)
            losses = loss_of(step, done)
            optimizer.zero_grad(set_to_none=True)
            losses["total"].backward()
            if math.isfinite(course.largest_gradient):
                nn.utils.clip_grad_norm_(network.parameters(), course.largest_gradient)
            optimizer.step()
            if step % _SHOWN_EVERY == 0:
                bar.set_postfix({name: f"{float(value.detach()):.3g}" for name, value in losses.items()})
    network.eval()
