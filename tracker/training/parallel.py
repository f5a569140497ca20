"""Training in several processes, one a GPU, as `torchrun` starts them: the same weights, each its own examples.

Gradients are averaged over the processes by hand, in one piece: extractor, head and features are called one by one, and
DistributedDataParallel wraps modules that are called as a whole. What is only told (curves, checkpoints, pictures) is
the first process's business.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count

import torch
from torch import Tensor, distributed

from tracker.core.errors import InputError

_PATIENCE = timedelta(hours=12)
"""How long a process waits for the first one, which may have hours of footage to label."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together."""

    device: str
    """What it computes on."""
    number: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes."""
        return self.number == 0

    @property
    def on_gpu(self) -> bool:
        """Whether it computes on one."""
        return self.device.startswith("cuda")

    def seeds(self, start: int) -> Iterator[int]:
        """The numbers of its own examples without end, from its `start`-th on: each process takes every count-th."""
        return count(start * self.count + self.number, self.count)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor by its mean over the processes."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(flat)
        flat /= self.count
        for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def agreed(self, value: float) -> float:
        """The first process's value: what follows from the clock must be the same in all of them."""
        if self.count == 1:
            return value
        agreed_value = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.broadcast(agreed_value, src=0)
        return float(agreed_value)

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first process goes through the block before the others, which then find its work in the caches."""
        if self.count > 1 and not self.first:
            distributed.barrier()
        yield
        if self.count > 1 and self.first:
            distributed.barrier()


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """The processes that torchrun started, or this process alone. device: auto, cpu, cuda or cuda:N.

    Raises InputError when there are more processes than GPUs.
    """
    if not distributed.is_torchelastic_launched():
        yield Ranks(chosen_device(device))
        return
    chosen = chosen_device(device, int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if chosen.startswith("cuda") else "gloo", timeout=_PATIENCE)
    log, level = logging.getLogger("tracker"), logging.getLogger("tracker").level
    try:
        ranks = Ranks(chosen, distributed.get_rank(), distributed.get_world_size())
        if not ranks.first:
            log.setLevel(logging.WARNING)
        yield ranks
    finally:
        log.setLevel(level)
        distributed.destroy_process_group()


def chosen_device(device: str, local: int | None = None) -> str:
    """What "auto" and "cuda" mean here. local: this process's number on this machine, where there are several.

    Raises InputError for several processes on one GPU.
    """
    wanted = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if local is None or not wanted.startswith("cuda"):
        return wanted
    if wanted != "cuda":
        raise InputError(f"--device {device}: torchrun gives each process a GPU of its own; say --device cuda")
    if local >= torch.cuda.device_count():
        raise InputError(
            f"torchrun: more processes than GPUs; start --nproc-per-node {torch.cuda.device_count()} or --device cpu"
        )
    torch.cuda.set_device(local)
    return f"cuda:{local}"
