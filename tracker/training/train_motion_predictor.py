"""Training of the motion predictor from motion alone; minutes on one CPU thread.

The past is given as a tracker sees it: each joint off by a little in every frame, at frame rates from 30 down to 5, the
camera's idea of up tilted. What is to be said is the clean future. Loss: mean absolute error of every output over the
square root of its usual size, so that large and distant motions count for more, but not for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tracker.core.arrays import Array
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.core.tensor_file import save_plain
from tracker.initialise.motion_predictor import (
    FEATURES,
    HORIZONS,
    MOVING_JOINTS,
    OUTPUTS,
    SPANS,
    Glimpse,
)
from tracker.motion.motion_clip import mirror
from tracker.motion.motion_library import MotionLibrary
from tracker.networks.motion_network import PredictorNetwork
from tracker.training.job import TrainingJob
from tracker.training.small_network import Losses, TrainingCourse, train_small
from tracker.training.threads import threads

_RATE = 30
_BACK, _AHEAD = np.round(SPANS * _RATE).astype(int), np.round(HORIZONS * _RATE).astype(int)
_STRIDES = (1, 1, 1, 2, 3, 6)
"""Frames from one moment that the tracker sees to the next."""
_UP = np.array([0.0, 1.0, 0.0])
_MIRROR = np.array([-1.0, 1.0, 1.0])
_THREADS = 1
"""The matrices are small: more threads wait for each other, for long on a busy machine."""


@dataclass(frozen=True)
class PredictorTraining:
    """What `configs/train/predictor.yaml` may set."""

    width: int = 256
    dropout: float = 0.1
    steps: int = 8000
    batch: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    evenness: float = 0.75
    """Errors count over the usual size of what is predicted to this power: at 1 small and large motions count alike."""
    pool: int = 60_000
    """Moments drawn ahead; each is used `uses` times before new ones are drawn."""
    uses: int = 20
    joint_noise: float = 2.0
    """Degrees; each moment's noise is drawn from 0 to this."""
    place_noise: float = 0.01
    """m, likewise."""
    depth_noise: float = 0.06
    """m, likewise, along one level direction: a single camera hardly sees how far away somebody is."""
    tilt: float = 12.0
    """Degrees, standard deviation: how far the camera's up is from the world's."""
    seed: int = 0


@dataclass(frozen=True)
class Moments:
    """Moments of motion with what came before and after, at 30 fps. n moments."""

    past: Array
    """(n, 1 + spans, 24, 3, 3): now, then the spans back."""
    past_places: Array
    """(n, 1 + spans, 3)."""
    future: Array
    """(n, horizons, 24, 3, 3)."""
    future_places: Array
    """(n, horizons, 3)."""
    back: Array
    """(n, spans) s that the past lies back."""

    @classmethod
    def draw(cls, library: MotionLibrary, rng: np.random.Generator, count: int) -> Moments:
        """From anywhere in the clips that are long enough, half of them mirrored, at mixed frame rates."""
        stride = rng.choice(_STRIDES, size=count)
        back = np.maximum(np.ceil(_BACK / stride[:, None]).astype(int), 1) * stride[:, None]
        longest = int(back.max())
        room = np.array([max(len(clip.theta) - longest - _AHEAD[-1], 0) for clip in library.clips])
        if not room.sum():
            raise ValueError(f"no clip is as long as {longest + _AHEAD[-1] + 1} frames")
        chosen = rng.choice(len(room), size=count, p=room / room.sum())
        now = library.starts[chosen] + longest + (rng.random(count) * room[chosen]).astype(int)
        places = np.concatenate([clip.transl for clip in library.clips])
        rows = np.concatenate([now[:, None], now[:, None] - back, now[:, None] + _AHEAD], axis=1)
        rotations, where = library.rotations[rows], places[rows].astype(np.float64)
        flipped = rng.random(count) < 0.5
        rotations[flipped] = mirror(rotations[flipped])
        where[flipped] *= _MIRROR
        cut = 1 + len(SPANS)
        return cls(rotations[:, :cut], where[:, :cut], rotations[:, cut:], where[:, cut:], back / _RATE)

    def disturbed(self, rng: np.random.Generator, config: PredictorTraining) -> Moments:
        """The past as a tracker would have seen it."""
        count, level = len(self.past), rng.random((len(self.past), 1, 1, 1))
        noise = np.radians(config.joint_noise) * level * rng.normal(size=(*self.past.shape[:3], 3))
        past = self.past @ matrix_from_axis_angle(noise).astype(np.float32)
        shape = (count, self.past.shape[1], 1)
        off = config.place_noise * level[:, 0] * rng.normal(size=(*shape[:2], 3))
        bearing = rng.uniform(-np.pi, np.pi, (count, 1))
        ahead = np.stack([np.cos(bearing), np.zeros_like(bearing), np.sin(bearing)], axis=-1)
        off += config.depth_noise * rng.random((count, 1, 1)) * rng.normal(size=shape) * ahead
        return Moments(past, self.past_places + off, self.future, self.future_places, self.back)

    def glimpse(self) -> Glimpse:
        now, before = self.past[:, :1], self.past[:, 1:]
        turning = axis_angle_from_matrix(np.swapaxes(before, -1, -2) @ now) / self.back[..., None, None]
        moving = (self.past_places[:, :1] - self.past_places[:, 1:]) / self.back[..., None]
        return Glimpse(now[:, 0], turning, moving)

    def targets(self) -> Array:
        """(n, horizons · OUTPUTS) float32: from the past's now to the true future."""
        now = self.past[:, :1]
        turns = axis_angle_from_matrix(np.swapaxes(now, -1, -2) @ self.future)[:, :, :MOVING_JOINTS]
        moves = (self.future_places - self.past_places[:, :1]) @ now[:, 0, 0]
        both = np.concatenate([turns.reshape(*turns.shape[:2], -1), moves], axis=-1)
        return both.reshape(len(both), -1).astype(np.float32)


def train(job: TrainingJob) -> str:
    """`run.py train predictor`."""
    config, target = job.settings(PredictorTraining), job.weights
    library = MotionLibrary.open(job.needed("motion"), float(_RATE))
    train_clips, held = library.split()
    with threads(_THREADS):
        network = train_predictor(train_clips, config, job.minutes)
    moments = Moments.draw(held, np.random.default_rng(1), 4000)
    with torch.no_grad():
        predicted = network(torch.from_numpy(_features(moments, np.random.default_rng(1), 0.0)))
    off = (predicted.numpy() - moments.targets()).reshape(len(predicted), len(HORIZONS), OUTPUTS)[..., :-3]
    degrees = np.degrees(np.linalg.norm(off.reshape(len(predicted), len(HORIZONS), -1, 3), axis=-1)).mean(axis=(0, 2))
    data = (
        f"{len(train_clips.clips)} motion clips, {train_clips.seconds / 60:.0f} minutes; {len(held.clips)} held out "
        "(CMU motion capture: no restriction on use; DeepMimic's clips: MIT)"
    )
    save_predictor(target, network, job.provenance(data))
    listed = ", ".join(f"{d:.1f}° at {h:.2f} s" for d, h in zip(degrees, HORIZONS, strict=True))
    return f"{target}: held-out joints are off by {listed}"


def train_predictor(
    library: MotionLibrary, config: PredictorTraining, minutes: float | None = None
) -> PredictorNetwork:
    """minutes: stop after so long, the learning rate following the clock. Deterministic but for that."""
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    network = PredictorNetwork(FEATURES, len(HORIZONS) * OUTPUTS, config.width, config.dropout)
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    per_pool = max(config.pool * config.uses // config.batch, 1)
    features, targets, scale = torch.empty(0), torch.empty(0), torch.empty(0)

    def losses(step: int, done: float) -> Losses:
        nonlocal features, targets, scale
        if step % per_pool == 0:
            features, targets = _pool(library, rng, config)
            scale = targets.std(dim=0) ** config.evenness + 1e-2 if not len(scale) else scale
        rows = torch.randint(len(features), (config.batch,))
        return {"total": ((network(features[rows]) - targets[rows]) / scale).abs().mean()}

    train_small(network, optimiser, TrainingCourse(config.steps, config.learning_rate, minutes), losses)
    return network


def _pool(library: MotionLibrary, rng: np.random.Generator, config: PredictorTraining) -> tuple[Tensor, Tensor]:
    moments = Moments.draw(library, rng, config.pool).disturbed(rng, config)
    return torch.from_numpy(_features(moments, rng, config.tilt)), torch.from_numpy(moments.targets())


def _features(moments: Moments, rng: np.random.Generator, tilt: float) -> Array:
    tilts = matrix_from_axis_angle(np.radians(tilt) * rng.normal(size=(len(moments.past), 3)))
    return moments.glimpse().features(tilts @ _UP)


def save_predictor(path: Path, network: PredictorNetwork, provenance: dict[str, str]) -> None:
    """Weights in safetensors, written whole or not at all."""
    save_plain(path, network.state_dict(), provenance)
