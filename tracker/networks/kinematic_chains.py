"""HKMR's head: the body's six kinematic chains, each regressed joint by joint (Georgakis et al. 2020, §3.2).

The trunk's chain is the root of five others. In a chain every joint sees the changes of all joints before it, along the
chain and then back along it, with layers of their own; the other chains see where the trunk has turned to. After all
six, the shape and then the place are estimated anew, and all of it is repeated.

Joints are axis-angles and change by addition. The root's is counted from a body that stands and faces the camera: as
SMPL counts it, such a body is turned by π, where axis-angles are not unique.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tracker.body.model import JOINT_NAMES, rotation_matrices
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS
from tracker.networks.head import (
    PersonReader,
    PersonReading,
    RegressedPose,
    crop_rays,
    root_from_place,
    turn_to_ray,
    within_reach,
)


def _joints(*names: str) -> tuple[int, ...]:
    return tuple(JOINT_NAMES.index(name) for name in names)


def _arm(side: str) -> tuple[int, ...]:
    return _joints(*(f"{side}_{name}" for name in ("collar", "shoulder", "elbow", "wrist", "hand")))


def _leg(side: str) -> tuple[int, ...]:
    return _joints(*(f"{side}_{name}" for name in ("hip", "knee", "ankle", "foot")))


ROOT_CHAIN = _joints("pelvis", "spine1", "spine2", "spine3")
CHAINS = (ROOT_CHAIN, _joints("neck", "head"), _arm("left"), _arm("right"), _leg("left"), _leg("right"))
"""Joints of each chain from its start to its end; the root chain comes first."""
_HANGING = 1.2
"""rad: shoulders of somebody who stands with arms down, from the T-pose."""
_FIRST_CHANGE = 0.1
"""Of the usual size of a layer's first weights: training starts near the mean pose."""


@dataclass(frozen=True)
class KinematicChainsConfig:
    """Sizes of HKMR's head, and what its ablations vary."""

    channels: int = 64
    """Of each joint's pooled feature."""
    whole: int = 256
    """Of the features Φ of the person."""
    embedding: int = 128
    """d, of a chain's embedding ψ."""
    inner: int = 4
    """Passes along a chain in one outer iteration: forward, backward, forward, …"""
    outer: int = 3
    """T: how often all chains, the shape and the place are estimated."""
    backward: bool = True
    """False goes forward in every pass."""
    hierarchy: bool = True
    """False shows each joint the change of the joint just before it alone."""

    def __post_init__(self) -> None:
        if min(self.inner, self.outer) < 1:
            raise ValueError(f"inner, outer: expected at least 1, got {self.inner} and {self.outer}")


class KinematicChainsHead(PersonReader):
    """Pose, shape and place of the person in the crop."""

    _rest: Tensor
    _facing: Tensor

    def __init__(self, trunk: int, config: KinematicChainsConfig) -> None:
        super().__init__(trunk, config.channels, config.whole)
        self.config = config
        self.chains = nn.ModuleList(
            Chain(len(chain), config.whole, 0 if chain is ROOT_CHAIN else 3 * len(ROOT_CHAIN), config)
            for chain in CHAINS
        )
        pose = 3 * NUM_JOINTS
        self.shape = _estimator(config.whole + pose + NUM_BETAS, config.embedding, NUM_BETAS)
        self.place = _estimator(config.whole + pose + NUM_BETAS, config.embedding, 3)
        self.register_buffer("_rest", _standing(), persistent=False)
        self.register_buffer("_facing", torch.diag(torch.tensor([1.0, -1.0, -1.0])), persistent=False)

    def forward(self, trunk: Tensor, guide: Mapping[str, Tensor], cameras: Tensor) -> RegressedPose:
        """trunk: (B, C, 64, 64); guide: with landmarks and metric; cameras: (B, 4) fx, fy, cx, cy px of the crops."""
        return self.estimates(self.read(trunk, guide), cameras)[-1]

    def estimates(self, reading: PersonReading, cameras: Tensor) -> list[RegressedPose]:
        """What each outer iteration says; the losses are on all of them (eq. 3)."""
        theta = self._rest.expand(len(reading.whole), -1, -1)
        betas = theta.new_zeros(len(theta), NUM_BETAS)
        estimates = []
        for _ in range(self.config.outer):
            theta = self._turned(reading.whole, betas, theta)
            flat = theta.flatten(1)
            betas = within_reach(betas + self.shape(torch.cat([reading.whole, flat, betas], dim=1)))
            place = self.place(torch.cat([reading.whole, flat, betas], dim=1))
            rotations = self._rotations(theta, cameras)
            estimates.append(RegressedPose(rotations, betas, root_from_place(place, cameras), reading.parts))
        return estimates

    def _turned(self, features: Tensor, betas: Tensor, theta: Tensor) -> Tensor:
        """θ (B, 24, 3) after one outer iteration of all chains."""
        known = torch.cat([features, betas], dim=1)
        turned: dict[int, Tensor] = {}
        for chain, joints in zip(self.chains, CHAINS, strict=True):
            if joints is not ROOT_CHAIN:
                root = torch.cat([turned[joint] for joint in ROOT_CHAIN], dim=1)
                changed = chain(torch.cat([known, root], dim=1), theta[:, list(joints)])
            else:
                changed = chain(known, theta[:, list(joints)])
            turned |= dict(zip(joints, changed.unbind(1), strict=True))
        return torch.stack([turned[joint] for joint in range(NUM_JOINTS)], dim=1)

    def _rotations(self, theta: Tensor, cameras: Tensor) -> Tensor:
        """(B, 24, 3, 3), the root's into the camera frame."""
        rotations = rotation_matrices(theta)
        turn = turn_to_ray(crop_rays(cameras)) @ self._facing
        return torch.cat([(turn @ rotations[:, 0])[:, None], rotations[:, 1:]], dim=1)


class Chain(nn.Module):
    """Q_c: one chain's joints, from what is known and their angles so far."""

    def __init__(self, joints: int, features: int, root: int, config: KinematicChainsConfig) -> None:
        """features: of Φ; root: numbers of the root chain's pose, 0 in the root chain itself."""
        super().__init__()
        self._config, size = config, config.embedding
        self.embed = nn.Sequential(
            nn.Linear(features + NUM_BETAS + root + 3 * joints, size), nn.ReLU(), nn.Linear(size, size), nn.ReLU()
        )
        earlier = [min(i, joints if config.hierarchy else 1) for i in range(joints)]
        self.forwards = nn.ModuleList(_residual(size + 3 * before) for before in earlier)
        back = joints if config.backward and config.inner > 1 else 0
        self.backwards = nn.ModuleList(_residual(size + 3 * before) for before in earlier[:back])
        """In the order in which they are used: the first is the last joint's."""

    def forward(self, known: Tensor, theta: Tensor) -> Tensor:
        """known: (B, F) of Φ, β and, but in the root chain, the root chain's new pose; theta: (B, n, 3)."""
        for step in range(self._config.inner):
            embedding = self.embed(torch.cat([known, theta.flatten(1)], dim=1))
            if step % 2 and self._config.backward:
                theta = theta + self._changes(self.backwards, embedding).flip(1)
            else:
                theta = theta + self._changes(self.forwards, embedding)
        return theta

    def _changes(self, layers: nn.ModuleList, embedding: Tensor) -> Tensor:
        """(B, n, 3): Δθ of each joint in the order of the layers, from those before it (eqs. 1 and 2)."""
        changes: list[Tensor] = []
        for layer in layers:
            before = changes[::-1] if self._config.hierarchy else changes[-1:]
            changes.append(layer(torch.cat([embedding, *before], dim=1)))
        return torch.stack(changes, dim=1)


def _standing() -> Tensor:
    """(24, 3): where the first iteration starts."""
    theta = torch.zeros(NUM_JOINTS, 3)
    for side, sign in (("left", -1.0), ("right", 1.0)):
        theta[JOINT_NAMES.index(f"{side}_shoulder"), 2] = sign * _HANGING
    return theta


def _residual(inputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, 3)
    with torch.no_grad():
        layer.weight.mul_(_FIRST_CHANGE)
        layer.bias.zero_()
    return layer


def _estimator(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, outputs))
