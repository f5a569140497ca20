"""What the ops on a posed body take and give: its kernels, their features by orientation, a fit's terms and results.

Shapes and frames as in `ellipsoids_values`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kernels.checks import check_dtype, check_indices, check_tensor
from kernels.ellipsoids_values import (
    MAX_CHANNELS,
    FeatureObservation,
    Likelihood,
    RenderSettings,
)

MAX_JOINTS = 64
MAX_SHAPES = 64
MAX_ORIENTATIONS = 16


@dataclass(frozen=True)
class SkinnedBody:
    """What a body is at rest: J joints, S shape directions, P points of which the first K carry ellipsoids.

    A pose is one row of parameters (X = 3 J + S + 3): axis-angles (J, 3), shape coefficients (S), translation (3); the
    rotations are the joints' own, relative to their parents', and the root's turns the body into the camera's frame.
    """

    parents: Tensor
    """(J,) int32: a joint's parent, which comes before it; -1 for the first."""
    joints: Tensor
    """(J, 3) m."""
    joint_dirs: Tensor
    """(J, 3, S) m for a unit of shape."""
    points: Tensor
    """(P, 3) m: K kernel centres, then keypoints."""
    point_dirs: Tensor
    """(P, 3, S) m for a unit of shape."""
    weight_joints: Tensor
    """(P, n) int32: the joints that move each point."""
    weights: Tensor
    """(P, n): how much; a row adds up to 1."""
    precisions: Tensor
    """(K, 3, 3) 1/m²: inverse covariances at rest."""
    limbs: Tensor
    """(L, 2) int32: each limb's first and last joint; it points from the one to the other."""

    def __post_init__(self) -> None:
        check_dtype("joints", self.joints, torch.float32, torch.float64)
        check_tensor("joints", self.joints, (-1, 3))
        count, shapes, points = self.joints.shape[0], self.joint_dirs.shape[-1], self.points.shape[0]
        if not (1 <= count <= MAX_JOINTS and shapes <= MAX_SHAPES):
            raise ValueError(
                f"joints: expected up to {MAX_JOINTS} with up to {MAX_SHAPES} shapes, got {count}, {shapes}"
            )
        check_tensor("joint_dirs", self.joint_dirs, (count, 3, shapes), like=self.joints)
        check_tensor("points", self.points, (-1, 3), like=self.joints)
        check_tensor("point_dirs", self.point_dirs, (points, 3, shapes), like=self.joints)
        check_tensor("weights", self.weights, (points, -1), like=self.joints)
        check_tensor("precisions", self.precisions, (-1, 3, 3), like=self.joints)
        for name, shape in (("parents", (count,)), ("weight_joints", tuple(self.weights.shape)), ("limbs", (-1, 2))):
            check_dtype(name, getattr(self, name), torch.int32)
            check_tensor(name, getattr(self, name), shape)
        check_indices("weight_joints", self.weight_joints, count)
        check_indices("limbs", self.limbs, count)
        order = self.parents.tolist()
        if order[0] != -1 or any(not 0 <= parent < joint for joint, parent in enumerate(order[1:], start=1)):
            raise ValueError(f"parents: expected -1 and then, for each joint, one before it, got {order}")
        if self.kernels > points:
            raise ValueError(f"precisions: expected at most one for each of {points} points, got {self.kernels}")

    @property
    def kernels(self) -> int:
        """K."""
        return self.precisions.shape[0]

    @property
    def parameters(self) -> int:
        """X."""
        return 3 * self.joints.shape[0] + self.joint_dirs.shape[2] + 3

    def split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, X) → axis-angles (B, J, 3) rad, betas (B, S), transl (B, 3) m."""
        joints, shapes = 3 * self.joints.shape[0], self.joint_dirs.shape[2]
        theta, betas, transl = parameters.split([joints, shapes, 3], dim=1)
        return theta.reshape(-1, joints // 3, 3), betas, transl


def sparse_weights(dense: Tensor) -> tuple[Tensor, Tensor]:
    """Blend weights (P, J) → the joints (P, n) int32 and weights (P, n) that are not zero, padded with zeros."""
    most = max(int((dense != 0).sum(dim=1).max()), 1)
    weights, joints = torch.topk(dense, most, dim=1)
    return joints.int().contiguous(), weights.contiguous()


@dataclass(frozen=True)
class FeatureBank:
    """Each kernel's features at O reference orientations of its limb."""

    features: Tensor
    """(K, O, D)."""
    limb: Tensor
    """(K,) int32: the limb that each kernel belongs to."""
    orientations: Tensor
    """(O, 2) unit vectors (y, z): see `orientation_circle`."""
    kappa: float
    """Concentration of the orientations' von Mises–Fisher densities."""

    def __post_init__(self) -> None:
        check_tensor("bank.features", self.features, (-1, -1, -1))
        kernels, count, _ = self.features.shape
        if not 1 <= count <= MAX_ORIENTATIONS:
            raise ValueError(f"bank.features: expected 1..{MAX_ORIENTATIONS} orientations, got {count}")
        check_tensor("bank.orientations", self.orientations, (count, 2), like=self.features)
        check_dtype("bank.limb", self.limb, torch.int32)
        check_tensor("bank.limb", self.limb, (kernels,))
        if not (self.kappa >= 0 and math.isfinite(self.kappa)):
            raise ValueError(f"bank.kappa: expected a number not below 0, got {self.kappa}")


def orientation_circle(count: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """(count, 2) unit vectors, evenly spread."""
    angles = torch.arange(count, dtype=dtype) * (2 * math.pi / count)
    return torch.stack([angles.cos(), angles.sin()], dim=1)


@dataclass(frozen=True)
class PosedKernels:
    """B bodies in the camera's frame, metres."""

    joints: Tensor
    """(B, J, 3)."""
    points: Tensor
    """(B, P, 3): K kernel centres, then keypoints."""
    precisions: Tensor
    """(B, K, 3, 3)."""
    limbs: Tensor
    """(B, L, 3) unit directions."""


@dataclass(frozen=True)
class FitTerms:
    """What is fitted, and how much each part counts."""

    targets: Tensor
    """(B, P − K, 2) px of the map: where the keypoints were detected."""
    confidence: Tensor
    """(B, P − K), not negative; 0 for a keypoint that was not detected."""
    linear_matrix: Tensor
    """(B, R, X). ½ |matrix · parameters − target|² holds Gaussian priors, and the motion's prediction in time."""
    linear_target: Tensor
    """(B, R)."""
    likelihood_weight: float = 1.0
    keypoint_weight: float = 1.0
    keypoint_sigma: float = 2.0
    """px: the distance at which a detection begins to count as an outlier."""


@dataclass(frozen=True)
class FitProblem:
    """Bodies to be fitted to what is observed."""

    body: SkinnedBody
    bank: FeatureBank
    cameras: Tensor
    """(B, 4) fx, fy, cx, cy in pixels of the map."""
    observation: FeatureObservation
    terms: FitTerms
    settings: RenderSettings = field(default_factory=RenderSettings)

    def __post_init__(self) -> None:
        body, batch = self.body, self.cameras.shape[0]
        kernels, keypoints = body.kernels, body.points.shape[0] - body.kernels
        check_tensor("cameras", self.cameras, (-1, 4), like=body.joints)
        channels = self.bank.features.shape[2]
        check_tensor("bank.features", self.bank.features, (kernels, -1, channels), like=body.joints)
        if channels % 8 or not 8 <= channels <= MAX_CHANNELS:
            raise ValueError(f"bank.features: expected a multiple of 8 channels up to {MAX_CHANNELS}, got {channels}")
        check_indices("bank.limb", self.bank.limb, body.limbs.shape[0])
        check_tensor("observation.features", self.observation.features, (-1, -1, -1, channels), like=body.joints)
        check_tensor("observation.index", self.observation.index, (batch,))
        check_tensor("targets", self.terms.targets, (batch, keypoints, 2), like=body.joints)
        check_tensor("confidence", self.terms.confidence, (batch, keypoints), like=body.joints)
        check_tensor("linear_matrix", self.terms.linear_matrix, (batch, -1, body.parameters), like=body.joints)
        rows = self.terms.linear_matrix.shape[1]
        check_tensor("linear_target", self.terms.linear_target, (batch, rows), like=body.joints)
        if not self.terms.keypoint_sigma > 0:
            raise ValueError(f"keypoint_sigma: expected pixels above 0, got {self.terms.keypoint_sigma}")

    def likelihood_buffers(self) -> Likelihood:
        """Unwritten, where an op puts what the picture says."""
        batch, kernels, new = self.cameras.shape[0], self.body.kernels, self.body.joints.new_empty
        size = self.observation.features.shape[1:3]
        return Likelihood(new(batch), new((batch, *size)), new((batch, kernels)), new((batch, kernels)))


@dataclass(frozen=True)
class Adam:
    """How the fitting loop steps."""

    units: Tensor
    """(B, X, X) W: the steps are Adam's in z, where parameters = start + W z; a row of zeros holds a parameter."""
    steps: int
    rate: float = 0.02
    """In units; 3DNBF's, of plain parameters."""
    beta1: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ValueError(f"steps: expected a number not below 0, got {self.steps}")
        if not (self.rate > 0 and math.isfinite(self.rate)):
            raise ValueError(f"rate: expected a number above 0, got {self.rate}")
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1 and self.epsilon > 0):
            raise ValueError(f"adam: expected 0 <= beta < 1 and epsilon > 0, got {self}")


@dataclass(frozen=True)
class ObjectiveValue:
    """One step's work without the step: the whole loss, and what the picture says of the pose meanwhile."""

    loss: Tensor
    """(B,)"""
    gradient: Tensor
    """(B, X)"""
    likelihood: Likelihood
    """As it is without `likelihood_weight`."""


@dataclass(frozen=True)
class VolumeFitResult:
    """What a fit found."""

    parameters: Tensor
    """(B, X) of the least loss."""
    last: Tensor
    """(B, X) after the last step."""
    losses: Tensor
    """(B, steps + 1): before the first step and after each."""
    likelihood: Likelihood
    """What the picture says of the pose before the last step, of `start` where there is none; without
    `likelihood_weight`."""
