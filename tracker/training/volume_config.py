"""The settings of `task: volume`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tracker.body.volume import VolumeConfig
from tracker.networks.body_network import NetworkConfig
from tracker.synth.samples import SampleConfig
from tracker.training.annotated import AnnotatedData
from tracker.training.precision import Precision
from tracker.training.real_clips import FootageConfig


@dataclass(frozen=True)
class LossWeights:
    """What each loss counts."""

    contrast: float = 0.3
    clutter: float = 0.2
    rivals: float = 0.3
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
    data: tuple[AnnotatedData, ...] = ()
    """Annotated pictures, beside those of --data."""
    data_share: float = 0.4
    """Of the examples, where there are annotated pictures."""
    start_from: Path | None = None
    """Weights to begin with: of the head, the maps that it reads, and the volume."""
    features_only: bool = False
    """Train the features and the volume; the head and the maps that it reads stay as they are."""
    steps: int = 20_000
    batch: int = 16
    """Examples of a step, in each process."""
    precision: Precision = "fp32"
    """Of the extractor's arithmetic: fp32, bf16 or fp16."""
    reuse: int = 2
    """How often an example is used: examples cost more time than steps on a small machine."""
    reservoir: int = 1024
    """Examples that are kept to be used again."""
    learning_rate: float = 1e-3
    bank_rate: float = 5e-3
    body_pixels: int = 256
    """Pixels of each crop whose features are compared with all kernels."""
    rivals: int = 0
    """Wrong poses that each example's likelihood must tell from the true one; 0 leaves that out."""
    fitted_rivals: int = 0
    """Of these, those that are near the true pose, and are joined by where a fit from them leads."""
    rival_weight: float = 0.1
    """What a nat of the pixels that rivals are told by counts; a quarter of all are looked at."""
    rival_spread: float = 0.03
    """m: of two poses whose joints are off by so much more and less, e times less is wanted of the worse."""
    clutter_pixels: int = 96
    """Pixels of each crop where no body is seen: half of them, as far as there are, where something hides it."""
    validation: int = 12
    """Held-out people who are looked at whenever the state is saved; as many again from held-out footage."""
    save_seconds: float = 120.0
    seed: int = 0
