"""Trains extractor, head and the volume's features together (3DNBF §3.5), on examples made as they are needed."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from kernels import body_step, ellipsoids
from kernels.values import Ellipsoids, orientation_circle
from tracker.body import BodyModel, load_body
from tracker.body.model import forward_kinematics
from tracker.body_network import BodyNetwork, NetworkConfig
from tracker.errors import InputError, RunError
from tracker.geometry import matrix_from_axis_angle
from tracker.motion import MotionLibrary, PoseSampler
from tracker.networks.extractor import Extracted
from tracker.networks.guide import MAP
from tracker.networks.heads import FirstPose
from tracker.networks.landmark_network import SIDE
from tracker.paths import cache_folder
from tracker.picture import PictureConfig
from tracker.pipeline import TrackerConfig
from tracker.synth.samples import AssetFolder, SampleConfig, SampleFactory, stream
from tracker.training import losses
from tracker.training.footage import FootageConfig, LabelledCrop, find_clips, label_footage, split_clips
from tracker.training.job import TrainingJob
from tracker.training.loop import Curves, Schedule, keep_freed_memory, load_checkpoint, save_checkpoint
from tracker.training.people import Batch, Example, Guided, Mixed, RealPeople
from tracker.training.validation import Validation
from tracker.volume import BodyVolume, VolumeConfig

log = logging.getLogger("tracker")

CHECKPOINT, CURVES = "checkpoint.safetensors", "curves.csv"
VALIDATION, SHEET = "validation.csv", "sheet.png"
_TELL_EVERY = 20
"""Steps between two lines of the curves."""
_KEPT = 4
"""Kernels of a pixel that its feature is trained to match."""


@dataclass(frozen=True)
class LossWeights:
    """What each loss counts."""

    contrast: float = 0.3
    clutter: float = 0.1
    rotation: float = 0.5
    joints: float = 4.0
    projection: float = 1.0
    depth: float = 0.5
    shape: float = 0.02
    parts: float = 0.3


@dataclass(frozen=True)
class VolumeTraining:
    """A configuration of `task: volume`."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    volume: VolumeConfig = field(default_factory=VolumeConfig)
    samples: SampleConfig = field(default_factory=SampleConfig)
    losses: LossWeights = field(default_factory=LossWeights)
    footage: FootageConfig = field(default_factory=FootageConfig)
    real_share: float = 0.3
    """Of the examples, where there is footage."""
    steps: int = 20_000
    batch: int = 16
    reuse: int = 2
    """How often an example is used: examples cost more time than steps on a small machine."""
    reservoir: int = 1024
    """Examples that are kept to be used again."""
    learning_rate: float = 1e-3
    bank_rate: float = 5e-3
    body_pixels: int = 192
    """Pixels of each crop whose features are compared with all kernels."""
    clutter_pixels: int = 64
    validation: int = 12
    """Held-out people who are looked at whenever the state is saved; as many again from held-out footage."""
    save_seconds: float = 120.0
    seed: int = 0


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
    run.network.save(path, {"steps": run.step, **job.provenance(_material(job))})
    return f"trained {run.step} steps in {run.schedule.seconds / 60:.0f} minutes: {path}"


def _device(name: str) -> str:
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def _material(job: TrainingJob) -> str:
    """What the weights were made from, for their metadata."""
    dressed = "" if job.assets is None else " with CC0 skins, clothes and light (MakeHuman, HDRIs)"
    motion = "joint-limit poses" if job.motion is None else "CMU and DeepMimic motion clips (free use; MIT)"
    real = "" if job.footage is None else "; the tracker's own fits on MIT-licensed webcam clips"
    return f"synthetic people{dressed}; {motion}{real}"


class VolumeTrainer:
    """One training under way. `advance` alone also serves whoever makes the batches themselves."""

    def __init__(self, job: TrainingJob, settings: VolumeTraining, body: BodyModel) -> None:
        self.job, self.settings, self.body = job, settings, body
        self._device = _device(job.device)
        job.out.mkdir(parents=True, exist_ok=True)
        self.network = BodyNetwork(settings.network, BodyVolume.on(body, settings.volume)).to(self._device)
        self.losses = VolumeLosses(self.network, body, settings)
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
        held_out = self._held_out()
        self._validation = Validation(held_out, self.body) if held_out else None
        examples = _reused(self.examples(), self.step, settings)
        total = settings.steps if self.job.minutes is None else None
        with tqdm(total=total, initial=self.step, desc="training", unit="step", disable=None) as bar:
            while self.schedule.progress(self.step) < 1:
                values = self.advance(Batch.of(next(examples), self._device))
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

    def _held_out(self) -> list[Example]:
        """People for the validation: other looks, shapes and clips than those to learn from."""
        number, settings = self.settings.validation, self.settings
        factory = sample_factory(replace(settings.samples, split="held_out"), self.job, self.body)
        people = [Guided(factory).sample(i) for i in range(number)]
        if self.job.footage is not None and number:
            _, clips = split_clips(find_clips(self.job.footage), settings.footage)
            real = RealPeople(self._labelled(clips), self.body)
            people += [real.sample(i) for i in range(number)]
        return people

    def _labelled(self, clips: Sequence[Path]) -> list[LabelledCrop]:
        """The crops of real clips that can be learned from. Raises InputError when there are none."""
        # labelled by the landmark fit alone: what is trained must not be taught by itself
        alone = TrackerConfig(picture=PictureConfig(enabled=False))
        crops = list(label_footage(clips, self.settings.footage, alone, cache_folder() / "footage"))
        if not crops:
            raise InputError(f"--footage {self.job.footage}: no frame in which landmarks, mask and mesh agree")
        return crops

    def examples(self) -> Iterator[Example]:
        """Fresh examples from the number on that this step, and the reservoir before it, begin with."""
        settings = self.settings
        synthetic = Guided(sample_factory(settings.samples, self.job, self.body))
        source: Guided | Mixed = synthetic
        if self.job.footage is not None:
            train_clips, _ = split_clips(find_clips(self.job.footage), settings.footage)
            crops = self._labelled(train_clips)
            log.info("%d crops of real people", len(crops))
            source = Mixed(synthetic, RealPeople(crops, self.body), settings.real_share)
        start = _first_needed(self.step, settings)
        return stream(source, count(start), self.job.workers)


def sample_factory(config: SampleConfig, job: TrainingJob, body: BodyModel) -> SampleFactory:
    """The maker of synthetic samples for one split: its motion clips, its looks."""
    library = None
    if job.motion is not None:
        halves = MotionLibrary.open(job.motion).split()
        library = halves[config.split == "held_out"]
    assets = None if job.assets is None else AssetFolder.open(job.assets)
    return SampleFactory(config, body, PoseSampler(library), assets)


def _fresh(settings: VolumeTraining) -> int:
    """New examples for each step; the others of the batch come from the reservoir."""
    return max(settings.batch // settings.reuse, 1)


def _first_needed(step: int, settings: VolumeTraining) -> int:
    return max(step * _fresh(settings) - settings.reservoir, 0)


def _reused(fresh: Iterator[Example], step: int, settings: VolumeTraining) -> Iterator[list[Example]]:
    """Batches of new examples and of ones used before. Which, depends on the step's number alone."""
    reservoir: deque[Example] = deque(maxlen=settings.reservoir)
    for _ in range(step * _fresh(settings) - _first_needed(step, settings)):
        reservoir.append(next(fresh))
    for number in count(step):
        new = [next(fresh) for _ in range(_fresh(settings))]
        reservoir.extend(new)
        rng = np.random.default_rng([settings.seed, number, 1])
        again = rng.integers(len(reservoir), size=settings.batch - len(new))
        yield new + [reservoir[i] for i in again]


class VolumeLosses:
    """All losses of one batch, by name."""

    def __init__(self, network: BodyNetwork, body: BodyModel, settings: VolumeTraining) -> None:
        self._network, self._body, self._settings = network, body, settings
        regressor = body.joint_regressor
        self._joints = (regressor @ body.v_template).float()
        self._joint_dirs = torch.einsum("jv,vcs->jcs", regressor, body.shapedirs).float()

    def __call__(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """Losses with gradients; rng draws the pixels that are compared."""
        seen = self._network.extractor(batch.image, batch.guide)
        first = self._network.head(seen.trunk, batch.guide, batch.camera)
        return self.dense(batch, seen, rng) | self._pose(batch, first)

    def dense(self, batch: Batch, seen: Extracted, rng: np.random.Generator) -> dict[str, Tensor]:
        """The losses of the feature maps."""
        network, settings = self._network, self._settings
        bank, clutter = network.unit_bank(), functional.normalize(network.clutter, dim=1)
        temperature = network.volume.config.temperature
        features = seen.features.permute(0, 2, 3, 1)
        pixels = self._body_pixels(batch, features, rng)
        empty = _draw_pixels(batch.parts == 0, settings.clutter_pixels, rng)
        return {
            "contrast": losses.contrast(pixels, bank, clutter, temperature),
            "clutter": losses.clutter_contrast(features[empty], bank, clutter, temperature),
        }

    @torch.no_grad()
    def _volume_maps(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Kernels (B, 64, 64, n), their shares, and p(o | limb) (B, L, O), of the true poses."""
        volume = self._network.volume
        parameters = torch.cat([batch.theta.flatten(1), batch.betas, batch.transl], dim=1).cpu()
        posed = body_step.pose(volume.body, parameters)
        blank = torch.zeros(len(parameters), volume.count, 8)
        bodies = Ellipsoids(posed.points[:, : volume.count].contiguous(), posed.precisions, blank)
        drawn = ellipsoids.render(bodies, batch.camera.cpu() * MAP / SIDE, (MAP, MAP), kept=_KEPT)
        return drawn.index, drawn.weight, orientation_shares(posed.limbs, volume.config)

    def _body_pixels(self, batch: Batch, features: Tensor, rng: np.random.Generator) -> losses.Pixels:
        index, weight, orientations = (value.to(features.device) for value in self._volume_maps(batch))
        seen = (batch.parts > 0) & (index[..., 0] >= 0)
        image, row, column = _draw_pixels(seen, self._settings.body_pixels, rng)
        kernels = index[image, row, column].long()
        shares = weight[image, row, column]
        limbs = self._network.volume.limb.to(features.device)[kernels.clamp(min=0)].long()
        return losses.Pixels(
            features[image, row, column],
            kernels.clamp(min=0),
            shares / shares.sum(1, keepdim=True).clamp(min=1e-6),
            orientations[image[:, None], limbs],
        )

    def _pose(self, batch: Batch, first: FirstPose) -> dict[str, Tensor]:
        truth = torch.from_numpy(matrix_from_axis_angle(batch.theta.cpu().double().numpy())).to(first.rotations)
        joints, true_joints = self._placed(first.rotations, first.betas), self._placed(truth, batch.betas)
        root = batch.transl + self._rest(batch.betas)[:, 0]
        found = joints - joints[:, :1] + first.root[:, None]
        true = true_joints - true_joints[:, :1] + root[:, None]
        return {
            "rotation": losses.rotation_loss(first.rotations, truth, batch.trusted),
            "joints": losses.joint_loss(joints, true_joints, batch.trusted),
            "projection": losses.projection_loss(found, true, batch.camera, SIDE / 2),
            "depth": losses.depth_loss(first.root, root),
            "shape": (((first.betas - batch.betas) ** 2).mean(1) * batch.trusted).mean(),
            "parts": losses.part_loss(first.parts, batch.parts),
        }

    def _rest(self, betas: Tensor) -> Tensor:
        """(B, 24, 3) m: rest joints."""
        return self._joints.to(betas) + torch.einsum("jcs,bs->bjc", self._joint_dirs.to(betas), betas)

    def _placed(self, rotations: Tensor, betas: Tensor) -> Tensor:
        return forward_kinematics(rotations, self._rest(betas), self._body.parents)[1]


def orientation_shares(limbs: Tensor, config: VolumeConfig) -> Tensor:
    """p(o | l) ∝ exp(κ u·l_o) for limb directions (B, L, 3): (B, L, O)."""
    circle = orientation_circle(config.orientations).to(limbs)
    return torch.softmax(config.kappa * limbs[..., 1:] @ circle.T, dim=-1)


def _draw_pixels(where: Tensor, each: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Image, row, column (N,) of up to `each` of the True pixels of every map (B, s, s)."""
    chosen = []
    for number, one in enumerate(where.cpu().numpy()):
        flat = np.flatnonzero(one)
        if len(flat):
            picked = rng.choice(flat, min(each, len(flat)), replace=False)
            chosen.append(np.stack([np.full(len(picked), number), picked // one.shape[1], picked % one.shape[1]]))
    if not chosen:
        raise RunError("training: a batch without a single pixel of its kind; are the samples' masks right?")
    image, row, column = torch.from_numpy(np.concatenate(chosen, axis=1)).to(where.device)
    return image, row, column
