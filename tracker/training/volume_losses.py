"""What extractor, head and volume are trained for together, of one batch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kernels import body_step, ellipsoids
from kernels.body_step_values import orientation_circle
from kernels.ellipsoids_values import Ellipsoids
from tracker.body import BodyModel
from tracker.body.model import forward_kinematics
from tracker.body.volume import VolumeConfig
from tracker.core.arrays import NUM_JOINTS
from tracker.core.camera import thinned_intrinsics
from tracker.core.errors import RunError
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.networks.body_network import BodyNetwork
from tracker.networks.extractor import Extracted, SeparateFeatures
from tracker.networks.guide import MAP
from tracker.networks.head import RegressedPose
from tracker.networks.landmark_network import SIDE
from tracker.training import losses
from tracker.training.depth_flip import local_rotations
from tracker.training.fitted_rivals import fitted_rivals
from tracker.training.people import Batch
from tracker.training.precision import autocast
from tracker.training.rival_poses import nearby, rival
from tracker.training.volume_config import VolumeTraining

_KEPT = 4
"""Kernels of a pixel that its feature is trained to match."""
_RIVAL_STRIDE = 2
"""Every how many-th pixel tells rivals apart: the fit looks at as many."""


class VolumeLosses:
    """All losses of one batch, by name."""

    def __init__(self, network: BodyNetwork, body: BodyModel, settings: VolumeTraining) -> None:
        self._network, self._body, self._settings = network, body, settings
        regressor = body.joint_regressor
        self._joints = (regressor @ body.v_template).float()
        self._joint_dirs = torch.einsum("jv,vcs->jcs", regressor, body.shapedirs).float()

    def __call__(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """Losses with gradients; rng draws the pixels that are compared."""
        extractor = self._network.extractor
        if self._settings.features_only and isinstance(extractor, SeparateFeatures):
            with autocast(self._settings.precision, batch.image.device):
                features = extractor.features(batch.image, batch.guide)
            return self.dense(batch, features.float(), rng)
        with autocast(self._settings.precision, batch.image.device):
            extracted = extractor(batch.image, batch.guide)
        extracted = Extracted(extracted.features.float(), extracted.trunk.float())
        first = self._network.head(extracted.trunk, batch.guide, batch.camera)
        return self.dense(batch, extracted.features, rng) | self._pose(batch, first)

    def dense(self, batch: Batch, features: Tensor, rng: np.random.Generator) -> dict[str, Tensor]:
        """The losses of the feature maps (B, D, 64, 64)."""
        network = self._network
        bank, clutter = network.unit_bank(), functional.normalize(network.clutter, dim=1)
        temperature = network.volume.config.temperature
        features = features.permute(0, 2, 3, 1)
        index, weight, orientations = (value.to(features.device) for value in self._volume_maps(batch))
        pixels = self._body_pixels(batch, features, (index, weight, orientations), rng)
        empty = self._empty_pixels(batch.parts == 0, index[..., 0] >= 0, rng)
        values = {
            "contrast": losses.contrast(pixels, bank, clutter, temperature),
            "clutter": losses.clutter_contrast(features[empty], bank, clutter, temperature),
        }
        if self._settings.rivals:
            poses = self._with_rivals(batch, features.detach(), rng)
            costs = losses.pose_costs(self._rendered(batch, features, bank, poses), clutter, temperature)
            errors, settings = self._errors(poses).to(costs), self._settings
            values["rivals"] = losses.pose_contrast(costs, errors, settings.rival_weight, settings.rival_spread)
        return values

    def _rendered(self, batch: Batch, features: Tensor, bank: Tensor, poses: Tensor) -> losses.RenderedPixels:
        """Poses (B, R, X) over every _RIVAL_STRIDE-th pixel; only the features have gradients."""
        volume, step, count = self._network.volume, _RIVAL_STRIDE, poses.shape[1]
        side, parameters = MAP // step, poses.flatten(0, 1)
        posed = body_step.pose(volume.body, parameters)
        blank = torch.zeros(len(parameters), volume.count, 8)
        bodies = Ellipsoids(posed.points[:, : volume.count].contiguous(), posed.precisions, blank)
        thinned = thinned_intrinsics(batch.camera.cpu().double().numpy() * MAP / SIDE, step)
        cameras = torch.from_numpy(thinned).float().repeat_interleave(count, dim=0).contiguous()
        drawn = ellipsoids.render(bodies, cameras, (side, side), kept=_KEPT)
        shares = orientation_shares(posed.limbs, volume.config).to(bank)[:, volume.limb.long()]
        mixed = torch.einsum("bko,kod->bkd", shares, bank)
        maps = (mixed, drawn.index.long().clamp(min=0), drawn.weight, drawn.coverage)
        split = (value.to(bank.device).unflatten(0, (-1, count)) for value in maps)
        middle = step // 2
        return losses.RenderedPixels(features[:, middle::step, middle::step], *split)

    @torch.no_grad()
    def _with_rivals(self, batch: Batch, features: Tensor, rng: np.random.Generator) -> Tensor:
        """(B, R, X): each true pose, its rivals, who share its shape and place, and where fits from the first of these
        lead."""
        truth = matrix_from_axis_angle(batch.theta.cpu().double().numpy())
        rest = self._rest(batch.betas).cpu().double()
        world, joints = forward_kinematics(torch.from_numpy(truth), rest, self._body.parents)
        joints = joints + batch.transl.cpu()[:, None]
        count, fitted, theta = self._settings.rivals, self._settings.fitted_rivals, []
        for n, turned in enumerate(world.numpy()):
            theta.append(batch.theta[n].cpu().flatten().double().numpy())
            for number in range(count):
                wrong = nearby(rng, turned) if number < fitted else rival(rng, turned, joints[n].numpy())
                theta.append(axis_angle_from_matrix(local_rotations(wrong)).reshape(-1))
        same = torch.cat([batch.betas, batch.transl], dim=1).cpu()[:, None].expand(-1, 1 + count, -1)
        poses = torch.cat([torch.from_numpy(np.stack(theta)).to(same).unflatten(0, (-1, 1 + count)), same], dim=2)
        led = fitted_rivals(self._network, features, batch.camera, poses[:, 1 : 1 + fitted])
        return torch.cat([poses, led], dim=1)

    @torch.no_grad()
    def _errors(self, poses: Tensor) -> Tensor:
        """(B, R) m: how far the joints of poses (B, R, X) are from the first one's, their roots brought together."""
        count = poses.shape[1]
        theta, betas = poses[..., : 3 * NUM_JOINTS].double(), poses[..., 3 * NUM_JOINTS : -3].double().flatten(0, 1)
        rotations = torch.from_numpy(matrix_from_axis_angle(theta.reshape(-1, NUM_JOINTS, 3).numpy()))
        joints = self._placed(rotations, betas)
        joints = (joints - joints[:, :1]).unflatten(0, (-1, count))
        return (joints - joints[:, :1]).norm(dim=-1).mean(dim=-1)

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

    def _empty_pixels(self, empty: Tensor, body: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Image, row, column of pixels where no body is seen; half of them where it would be, were nothing in front."""
        count = self._settings.clutter_pixels
        anywhere = _draw_pixels(empty, count // 2, rng)
        if not bool((empty & body).any()):
            return anywhere
        hidden = _draw_pixels(empty & body, count // 2, rng)
        image, row, column = (torch.cat(pair) for pair in zip(anywhere, hidden, strict=True))
        return image, row, column

    def _body_pixels(
        self, batch: Batch, features: Tensor, maps: tuple[Tensor, Tensor, Tensor], rng: np.random.Generator
    ) -> losses.FeaturePixels:
        index, weight, orientations = maps
        visible = (batch.parts > 0) & (index[..., 0] >= 0)
        image, row, column = _draw_pixels(visible, self._settings.body_pixels, rng)
        kernels = index[image, row, column].long()
        shares = weight[image, row, column]
        limbs = self._network.volume.limb.to(features.device)[kernels.clamp(min=0)].long()
        return losses.FeaturePixels(
            features[image, row, column],
            kernels.clamp(min=0),
            shares / shares.sum(1, keepdim=True).clamp(min=1e-6),
            orientations[image[:, None], limbs],
        )

    def _pose(self, batch: Batch, first: RegressedPose) -> dict[str, Tensor]:
        truth = torch.from_numpy(matrix_from_axis_angle(batch.theta.cpu().double().numpy())).to(first.rotations)
        joints, true_joints = self._placed(first.rotations, first.betas), self._placed(truth, batch.betas)
        root = batch.transl + self._rest(batch.betas)[:, 0]
        predicted = joints - joints[:, :1] + first.root[:, None]
        true = true_joints - true_joints[:, :1] + root[:, None]
        return {
            "rotation": losses.rotation_loss(first.rotations, truth, batch.trusted),
            "joints": losses.joint_loss(joints, true_joints, batch.trusted),
            "projection": losses.projection_loss(predicted, true, batch.camera, SIDE / 2),
            "depth": losses.depth_loss(first.root, root),
            "shape": (((first.betas - batch.betas) ** 2).mean(1) * batch.shape_trusted).mean(),
            "parts": losses.part_loss(first.parts, batch.parts),
        }

    def _rest(self, betas: Tensor) -> Tensor:
        """(B, 24, 3) m: rest joints."""
        return self._joints.to(betas) + torch.einsum("jcs,bs->bjc", self._joint_dirs.to(betas), betas)

    def _placed(self, rotations: Tensor, betas: Tensor) -> Tensor:
        return forward_kinematics(rotations, self._rest(betas), self._body.parents)[1]


def orientation_shares(limbs: Tensor, config: VolumeConfig) -> Tensor:
    """p(o | l) ∝ exp(κ u·l_o), u the unit direction in the yz plane, for limb directions (B, L, 3): (B, L, O)."""
    circle = orientation_circle(config.orientations).to(limbs)
    plane = functional.normalize(limbs[..., 1:], dim=-1, eps=1e-3)
    return torch.softmax(config.kappa * plane @ circle.T, dim=-1)


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
