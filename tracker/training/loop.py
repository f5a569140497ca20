"""What long trainings share: the learning rate's schedule, curves, checkpoints to go on from."""

from __future__ import annotations

import csv
import ctypes
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from tracker.core.errors import InputError
from tracker.core.tensor_file import load_tensors, save_tensors

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""mallopt's names for its options."""


@dataclass
class Schedule:
    """Learning rate over a run whose end is a number of steps, or a time: a short rise, then half a cosine."""

    steps: int
    minutes: float | None = None
    warm_up: int = 100
    elapsed: float = 0.0
    """s of earlier parts of a resumed run."""
    _started: float = field(default_factory=perf_counter)

    @property
    def seconds(self) -> float:
        """Of training so far."""
        return self.elapsed + perf_counter() - self._started

    def progress(self, step: int) -> float:
        """0..1; 1 when it is time to end."""
        by_time = 0.0 if self.minutes is None else self.seconds / (60 * self.minutes)
        by_steps = step / self.steps if self.minutes is None else 0.0
        return min(max(by_time, by_steps), 1.0)

    def factor(self, step: int) -> float:
        """Of the configured learning rate."""
        rise = min((step + 1) / self.warm_up, 1.0)
        return rise * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * self.progress(step))))


class Curves:
    """Numbers over the steps, as CSV: one file for a run, a line each time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def forget_after(self, step: int) -> None:
        """Drops the lines of steps that a resumed run will do again."""
        if not self._path.exists():
            return
        with self._path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        kept = [row for row in rows if int(row["step"]) < step]
        self._path.unlink()
        for row in kept:
            self.add(row)

    def add(self, row: Mapping[str, Any]) -> None:
        """row: with 'step'; all rows have the same keys."""
        new = not self._path.exists()
        with self._path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


def keep_freed_memory() -> None:
    """Has glibc reuse freed memory: a step's large tensors otherwise go back to the system, and every page of the next
    step's is mapped and cleared anew, which can take as long as the arithmetic. Elsewhere it does nothing."""
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
    libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


@dataclass(frozen=True)
class Learner:
    """What a checkpoint holds the state of."""

    module: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler


def save_checkpoint(path: Path, learner: Learner, at: tuple[int, float]) -> None:
    """at: steps done and seconds spent."""
    tensors = {f"model.{name}": value for name, value in learner.module.state_dict().items()}
    for index, state in learner.optimizer.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
    save_tensors(path, tensors, {"step": at[0], "seconds": at[1], "scaler": learner.scaler.state_dict()})


def load_checkpoint(path: Path, learner: Learner) -> tuple[int, float]:
    """Puts a saved state into the learner; gives back steps done and seconds spent.

    Raises InputError when the file is damaged or belongs to another configuration.
    """
    tensors, metadata = load_tensors(path, "a checkpoint of this training")
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = value
    groups = learner.optimizer.state_dict()["param_groups"]
    model = {n.removeprefix("model."): v for n, v in tensors.items() if n.startswith("model.")}
    try:
        learner.module.load_state_dict(model)
        learner.optimizer.load_state_dict({"state": state, "param_groups": groups})
    except (RuntimeError, ValueError, KeyError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{path}: a checkpoint of another configuration; use another --out ({first})") from error
    if metadata.get("scaler"):
        learner.scaler.load_state_dict(metadata["scaler"])
    return int(metadata["step"]), float(metadata["seconds"])
