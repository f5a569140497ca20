"""Training of the pose prior from motion alone; minutes on one CPU thread.

Loss of a batch of poses R with reconstructions R̂ (evidence lower bound with a geometric likelihood, as VPoser's):

    w_rot · mean ‖R − R̂‖² + w_joint · mean ‖J(R) − J(R̂)‖² / (1 cm)² + β · mean KL(q(z|R) ‖ N(0, I))

J are joint places by forward kinematics. β rises from 0, so that the code is used before it is taxed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tracker.body.model import PARENTS, forward_kinematics
from tracker.core.arrays import Array
from tracker.core.rotation6d import six_from_rotations
from tracker.core.tensor_file import save_plain
from tracker.motion.motion_clip import joint_positions, rest_joints
from tracker.motion.motion_library import MotionLibrary
from tracker.motion.sampler import PoseSampler, SamplerConfig
from tracker.networks.pose_vae import BODY_JOINTS, PoseVae, PoseVaeConfig
from tracker.training.job import TrainingJob
from tracker.training.small_network import Losses, TrainingCourse, train_small
from tracker.training.threads import threads

_BODY = slice(1, 1 + BODY_JOINTS)
_CENTIMETRE = 0.01
_THREADS = 1
"""The matrices are small: more threads wait for each other, for long on a busy machine."""


@dataclass(frozen=True)
class PriorTraining:
    """What `configs/train/prior.yaml` may set."""

    network: PoseVaeConfig = field(default_factory=PoseVaeConfig)
    poses: SamplerConfig = field(default_factory=SamplerConfig)
    steps: int = 20000
    batch: int = 512
    learning_rate: float = 1.5e-3
    pool: int = 100_000
    """Poses drawn ahead; each is used `uses` times before new ones are drawn."""
    uses: int = 20
    rotation_weight: float = 100.0
    joint_weight: float = 0.5
    divergence_weight: float = 0.1
    warm_up: float = 0.2
    """Part of the steps over which β rises."""
    seed: int = 0


@dataclass(frozen=True)
class Reconstruction:
    """How well poses come back from their code (the encoder's mean)."""

    degrees: float
    """Mean geodesic angle of the 21 joints."""
    millimetres: float
    """Mean distance of joints 1..23, the pelvis in place."""
    noise: float
    """Root mean square of what a 6D number is off by."""


def train(job: TrainingJob) -> str:
    """`run.py train prior`: the weights from the training clips, their error from the held-out ones."""
    config, target = job.settings(PriorTraining), job.weights
    library = MotionLibrary.open(job.needed("motion"))
    train_clips, held = library.split()
    with threads(_THREADS):
        network = train_prior(train_clips, config, job.minutes)
    errors = reconstruction(network, held.rotations)
    data = (
        f"{len(train_clips.clips)} motion clips, {train_clips.seconds / 60:.0f} minutes; "
        f"{len(held.clips)} held out. The licence of the weights is the project's where the clips' licence allows it "
        "(CMU motion capture: no restriction on use; DeepMimic's clips: MIT)"
    )
    save_prior(target, network, errors.noise, job.provenance(data))
    return f"{target}: held-out poses come back within {errors.degrees:.2f}° a joint and {errors.millimetres:.1f} mm"


def train_prior(
    train: MotionLibrary,
    config: PriorTraining,
    minutes: float | None = None,
) -> PoseVae:
    """minutes: stop after so long, the learning rate following the clock. Deterministic but for that."""
    torch.manual_seed(config.seed)
    network = PoseVae(config.network)
    optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    sampler = PoseSampler(train, config.seed, config.poses)
    loss_of = _Loss(config)
    per_pool = max(config.pool * config.uses // config.batch, 1)
    pool = torch.empty(0)

    def losses(step: int, done: float) -> Losses:
        nonlocal pool
        if step % per_pool == 0:
            pool = torch.from_numpy(sampler.poses(None, config.pool)[:, _BODY])
        return loss_of(network, pool[torch.randint(len(pool), (config.batch,))], min(done / config.warm_up, 1.0))

    course = TrainingCourse(config.steps, config.learning_rate, minutes, largest_gradient=10.0)
    train_small(network, optimiser, course, losses)
    return network


class _Loss:
    def __init__(self, config: PriorTraining) -> None:
        self._config = config
        self._rest = torch.from_numpy(rest_joints()).float()

    def __call__(self, network: PoseVae, poses: Tensor, warmth: float) -> dict[str, Tensor]:
        """poses: (B, 21, 3, 3)."""
        config = self._config
        code = network.encode(poses)
        back = network.decode(code.sample())
        rotation = ((poses - back) ** 2).sum(dim=(-1, -2)).mean()
        apart = (self._joints(poses) - self._joints(back)) / _CENTIMETRE
        joint = (apart**2).sum(dim=-1).mean()
        divergence = code.divergence().mean()
        total = config.rotation_weight * rotation + config.joint_weight * joint
        total = total + warmth * config.divergence_weight * divergence
        return {"total": total, "rotation": rotation, "joint": joint, "divergence": divergence}

    def _joints(self, body: Tensor) -> Tensor:
        eye = torch.eye(3).expand(len(body), 1, 3, 3)
        rotations = torch.cat([eye, body, eye, eye], dim=1)
        return forward_kinematics(rotations, self._rest, PARENTS)[1]


def reconstruction(network: PoseVae, poses: Array) -> Reconstruction:
    """poses: (n, 24, 3, 3)."""
    body = torch.from_numpy(np.ascontiguousarray(poses[:, _BODY], np.float32))
    with torch.no_grad():
        back = network.decode(network.encode(body).mean)
    steps = body.transpose(-1, -2) @ back
    cosine = (steps.diagonal(dim1=-1, dim2=-2).sum(dim=-1) - 1) / 2
    whole = poses.astype(np.float64)
    rebuilt = whole.copy()
    rebuilt[:, _BODY] = back.numpy()
    apart = np.linalg.norm(joint_positions(rebuilt) - joint_positions(whole), axis=-1)[:, 1:]
    return Reconstruction(
        degrees=float(torch.rad2deg(torch.acos(cosine.clamp(-1, 1))).mean()),
        millimetres=1000 * float(apart.mean()),
        noise=float((six_from_rotations(body) - six_from_rotations(back)).square().mean().sqrt()),
    )


def save_prior(path: Path, network: PoseVae, noise: float, provenance: dict[str, str]) -> None:
    """Weights in safetensors with what `tracker.fit.pose_prior` needs to know, written whole or not at all."""
    metadata = {**provenance, "config": json.dumps(asdict(network.config)), "noise": f"{noise:.6f}"}
    save_plain(path, network.state_dict(), metadata)
