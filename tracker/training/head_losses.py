"""What a regression head is trained for (HKMR §3.3, eq. 3): every outer iteration's pose, added up over the iterations.

    L = Σ_t  λ_3D |X̂ − X|₁ + λ_smpl ‖[Θ̂, β̂] − [Θ, β]‖² + λ_2D |x̂ − x|₁ + λ_KL KL(q(z | Θ̂) ‖ N(0, I))

Joints X are seen from the root; Θ are compared as rotation matrices, since axis-angles are not unique. The camera is
the crop's own, so the depth is a term of its own. Heads without iterations count as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tracker.body.model import BodyModel, forward_kinematics
from tracker.networks.head import RegressedPose
from tracker.networks.landmark_network import SIDE
from tracker.networks.pose_vae import BODY_JOINTS, PoseVae
from tracker.training import losses

_BODY = slice(1, 1 + BODY_JOINTS)
_FARTHEST = 4.0
"""Half crops: a joint behind the camera projects anywhere."""


@dataclass(frozen=True)
class HeadLossWeights:
    """What each loss counts."""

    joints: float = 4.0
    """λ_3D, of a metre."""
    pose: float = 0.5
    """λ_smpl of Θ."""
    shape: float = 0.02
    """λ_smpl of β."""
    projection: float = 1.0
    """λ_2D, of half a crop."""
    depth: float = 0.5
    """Of the depth's logarithm."""
    prior: float = 0.002
    """λ_KL, of a nat."""
    parts: float = 0.3
    """Of the part maps' cross-entropy."""


@dataclass(frozen=True)
class TruePeople:
    """What B heads should say."""

    rotations: Tensor
    """(B, 24, 3, 3)."""
    betas: Tensor
    root: Tensor
    """(B, 3) m."""
    cameras: Tensor
    """(B, 4) px."""
    parts: Tensor
    """(B, 64, 64)."""
    trusted: Tensor
    """(B,): 1 where the pose is exact, less where it was estimated, 0 where it is not known."""
    shape_trusted: Tensor


class HeadLosses:
    """All losses of one batch, by name."""

    def __init__(self, body: BodyModel, prior: PoseVae) -> None:
        self._prior, self._parents = prior, body.parents
        self._joints = (body.joint_regressor @ body.v_template).float()
        self._joint_dirs = torch.einsum("jv,vcs->jcs", body.joint_regressor, body.shapedirs).float()

    def __call__(self, estimates: Sequence[RegressedPose], truth: TruePeople) -> dict[str, Tensor]:
        """Sums over the iterations of means over the people."""
        placed = self.placed(truth.rotations, truth.betas, truth.root)
        each = [self._of(estimate, truth, placed) for estimate in estimates]
        total = {name: torch.stack([one[name] for one in each]).sum() for name in each[0]}
        logits = estimates[-1].parts
        if not logits.numel():  # of a reader that does not learn
            return total
        return total | {"parts": losses.part_loss(logits, truth.parts)}

    def placed(self, rotations: Tensor, betas: Tensor, root: Tensor) -> Tensor:
        """(B, 24, 3) m: joints in the camera frame."""
        joints = forward_kinematics(rotations, self.rest(betas), self._parents)[1]
        return joints - joints[:, :1] + root[:, None]

    def rest(self, betas: Tensor) -> Tensor:
        """(B, 24, 3) m: joints in the T-pose."""
        return self._joints.to(betas) + torch.einsum("jcs,bs->bjc", self._joint_dirs.to(betas), betas)

    def _of(self, estimate: RegressedPose, truth: TruePeople, placed: Tensor) -> dict[str, Tensor]:
        joints = self.placed(estimate.rotations, estimate.betas, estimate.root)
        seen_from_root = (joints - joints[:, :1]) - (placed - placed[:, :1])
        body = self._prior.encode(estimate.rotations[:, _BODY])
        return {
            "joints": (seen_from_root.abs().mean((1, 2)) * truth.trusted).mean(),
            "pose": losses.rotation_loss(estimate.rotations, truth.rotations, truth.trusted),
            "shape": (((estimate.betas - truth.betas) ** 2).mean(1) * truth.shape_trusted).mean(),
            "projection": projection_distance(joints, placed, truth.cameras),
            "depth": losses.depth_loss(estimate.root, truth.root),
            "prior": body.divergence().mean(),
        }


def projection_distance(predicted: Tensor, truth: Tensor, cameras: Tensor) -> Tensor:
    """Mean |Δx| + |Δy| in half crops between the projections of joints (B, J, 3) m; cameras: (B, 4) px."""
    off = (losses.project(predicted, cameras) - losses.project(truth, cameras)).abs().sum(2) / (SIDE / 2)
    return off.clamp(max=_FARTHEST).mean()
