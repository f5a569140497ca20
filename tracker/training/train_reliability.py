"""Training of what says how far landmarks and regressed poses are off: minutes, once the people have been read.

Each of them is a Gaussian of unknown width about the truth; the widths are learned by maximum likelihood, under a
Student's t, so that a few landmarks that are far off do not widen all others.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from tracker.body import load_body
from tracker.body.body_state import BodyState
from tracker.body.kinematics import LandmarkRig
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.geometry import axis_angle_from_matrix
from tracker.core.landmark_observation import LandmarkObservation
from tracker.core.tensor_file import save_plain
from tracker.extract.feature_extractor import WEIGHTS
from tracker.fit.reliability import SIGNS, signs_of, straight
from tracker.networks.landmark_network import SIDE
from tracker.networks.reliability_network import ReliabilityNetwork
from tracker.synth.samples import SampleConfig, stream
from tracker.training.job import TrainingJob
from tracker.training.material import sample_factory
from tracker.training.read_people import ReadPeople, ReadPerson
from tracker.training.small_network import Losses, TrainingCourse, train_small
from tracker.training.threads import threads

_THREADS = 1
_FREEDOM = 4.0
"""Degrees of freedom of the t distribution."""
_SMALLEST = 1e-3
"""Of a person's size, m, rad: errors below it are not told apart."""
_HELD_OUT = 0.1
"""Share of the people who are only looked at."""


@dataclass(frozen=True)
class ReliabilityTraining:
    """What `configs/train/reliability.yaml` may set."""

    samples: SampleConfig = field(default_factory=lambda: SampleConfig(occluded=0.65, seed=11))
    people: int = 4000
    """Synthetic people who are read."""
    width: int = 48
    steps: int = 3000
    batch: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    seed: int = 0


@dataclass(frozen=True)
class Misreadings:
    """How wrong N people were read, and what told of it."""

    signs: Tensor
    """(N, 33, SIGNS)"""
    pixel: Tensor
    """(N, 33, 2): landmarks minus truth, as a part of the person's size."""
    metric: Tensor
    """(N, 33, 3) m, in the axes of a camera that looks straight at them, scale and place apart."""
    rotation: Tensor
    """(N, 24, 3) rad: from the regressed to the true rotations."""

    def rows(self, rows: Tensor) -> Misreadings:
        return Misreadings(self.signs[rows], self.pixel[rows], self.metric[rows], self.rotation[rows])


def train(job: TrainingJob) -> str:
    """`run.py train reliability`."""
    config, target = job.settings(ReliabilityTraining), job.weights
    maker = ReadPeople(sample_factory(config.samples, job, load_body(None)), WEIGHTS)
    reads = stream(maker, range(config.people), job.workers)
    people = list(tqdm(reads, total=config.people, desc="reading people", disable=None))
    with threads(_THREADS):
        network, told = train_on(misreadings(people), config)
    assets = "synthetic people" if job.assets is None else "synthetic people (MakeHuman CC0, CC0 light)"
    save_plain(target, dict(network.state_dict()), {**job.provenance(assets), "people": str(len(people))})
    return f"reliability: {told}: {target}"


def misreadings(people: list[ReadPerson]) -> Misreadings:
    """What there is to learn of people who were read."""
    rig = LandmarkRig.from_body(load_body(None))
    rows = [_misreading(rig, person) for person in people]
    return Misreadings(*(torch.from_numpy(np.stack(column)).float() for column in zip(*rows, strict=True)))


def _misreading(rig: LandmarkRig, person: ReadPerson) -> tuple[Array, Array, Array, Array]:
    camera = Camera(*person.camera, SIDE, SIDE)
    observation = LandmarkObservation(camera, person.pixels, person.metric, person.visibility)
    regressed = BodyState(person.regressed, person.regressed_betas, person.regressed_transl)
    points = rig.pose(person.true_rotations, person.true_betas).points + person.true_transl
    pixel = (person.pixels - camera.project(points)) / observation.size
    metric, true = person.metric - person.metric.mean(axis=0), straight(points)
    scale = float((metric * true).sum() / (metric * metric).sum())
    turn = axis_angle_from_matrix(np.swapaxes(person.regressed, 1, 2) @ person.true_rotations)
    return signs_of(rig, observation, regressed), pixel, scale * metric - true, turn


def train_on(read: Misreadings, config: ReliabilityTraining) -> tuple[ReliabilityNetwork, str]:
    """The network, and in words how it does on people who were held out."""
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    count = len(read.signs)
    held = max(int(_HELD_OUT * count), 1)
    learned, looked_at = torch.arange(held, count), torch.arange(held)
    network = ReliabilityNetwork(SIGNS, config.width)
    optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=config.weight_decay)

    def loss_of(step: int, done: float) -> Losses:
        rows = learned[torch.from_numpy(rng.integers(len(learned), size=config.batch))]
        value = surprise(network, read.rows(rows))
        return {"total": value}

    train_small(network, optimizer, TrainingCourse(config.steps, config.learning_rate), loss_of)
    with torch.no_grad():
        before, after = (float(surprise(network, read.rows(rows))) for rows in (learned, looked_at))
    return network, f"{before:.3f} nats a number on people learned from, {after:.3f} on others"


def surprise(network: ReliabilityNetwork, read: Misreadings) -> Tensor:
    """Mean negative log-likelihood of an error's component."""
    landmarks, joints = network(read.signs)
    parts = ((landmarks[..., 0], read.pixel), (landmarks[..., 1], read.metric), (joints, read.rotation))
    return torch.stack([_student(log_spread[..., None], error).mean() for log_spread, error in parts]).sum()


def _student(log_spread: Tensor, error: Tensor) -> Tensor:
    variance = torch.exp(2 * log_spread) + _SMALLEST**2
    return 0.5 * variance.log() + 0.5 * (_FREEDOM + 1) * torch.log1p(error**2 / (_FREEDOM * variance))
