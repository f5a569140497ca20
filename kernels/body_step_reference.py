"""Posing a body's kernels and fitting them in plain torch: the definition, and what runs where nothing faster can.

Written for reading, not for speed. The C++ and CUDA kernels are compared with these functions, value by value and
gradient by gradient (which autograd provides here). Formulas: docs/kernels.md.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from kernels.body_step_values import (
    Adam,
    FeatureBank,
    FitProblem,
    ObjectiveValue,
    PosedKernels,
    SkinnedBody,
    VolumeFitResult,
)
from kernels.ellipsoids_reference import likelihood
from kernels.ellipsoids_values import Ellipsoids, Likelihood


def rotation_of(vectors: Tensor) -> Tensor:
    """(…, 3) axis-angle → (…, 3, 3), by Rodrigues' formula."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(*vectors.shape, 3)
    return torch.linalg.matrix_exp(skew)


def pose(body: SkinnedBody, parameters: Tensor) -> PosedKernels:
    """Linear blend skinning of parameters (B, X): see `SkinnedBody` and `PosedKernels`."""
    theta, betas, transl = body.split(parameters)
    rest_joints = body.joints + torch.einsum("jcs,bs->bjc", body.joint_dirs, betas)
    rest_points = body.points + torch.einsum("pcs,bs->bpc", body.point_dirs, betas)
    local = rotation_of(theta)
    world: list[Tensor] = []
    place: list[Tensor] = []
    for joint, parent in enumerate(body.parents.tolist()):
        if parent < 0:
            world.append(local[:, joint])
            place.append(rest_joints[:, joint])
        else:
            bone = rest_joints[:, joint] - rest_joints[:, parent]
            world.append(world[parent] @ local[:, joint])
            place.append(place[parent] + torch.einsum("bij,bj->bi", world[parent], bone))
    rotations, joints = torch.stack(world, dim=1), torch.stack(place, dim=1) + transl[:, None]
    shift = joints - torch.einsum("bjik,bjk->bji", rotations, rest_joints)
    weights = _dense_weights(body)
    blended = torch.einsum("pj,bjik->bpik", weights, rotations)
    points = torch.einsum("bpik,bpk->bpi", blended, rest_points) + torch.einsum("pj,bji->bpi", weights, shift)
    kernels = weights[: body.kernels]
    precisions = torch.einsum("kj,bjim,kmn,bjln->bkil", kernels, rotations, body.precisions, rotations)
    ends = joints[:, body.limbs.long()]
    limbs = torch.nn.functional.normalize(ends[:, :, 1] - ends[:, :, 0], dim=-1)
    return PosedKernels(joints, points, precisions, limbs)


def _dense_weights(body: SkinnedBody) -> Tensor:
    dense = body.weights.new_zeros((body.points.shape[0], body.joints.shape[0]))
    return dense.scatter_add(1, body.weight_joints.long(), body.weights)


def mix_features(bank: FeatureBank, limbs: Tensor) -> Tensor:
    """(B, K, D): each kernel's features averaged over p(orientation | direction of its limb); limbs (B, L, 3)."""
    plane = limbs[..., 1:]
    plane = plane / torch.sqrt((plane * plane).sum(-1, keepdim=True) + 1e-6)
    p = torch.softmax(bank.kappa * plane @ bank.orientations.T, dim=-1)
    return torch.einsum("bko,kod->bkd", p[:, bank.limb.long()], bank.features).contiguous()


def keypoint_cost(points: Tensor, cameras: Tensor, targets: Tensor, sigma: float, near: float) -> Tensor:
    """(B, n) Geman–McClure cost of reprojected points (B, n, 3); 1 for a point that is not beyond `near`."""
    in_front = points[..., 2] > near
    z = torch.where(in_front, points[..., 2], 1.0)[..., None]
    pixels = points[..., :2] / z * cameras[:, None, :2] + cameras[:, None, 2:]
    square = ((pixels - targets) ** 2).sum(-1) / sigma**2
    return torch.where(in_front, square / (1 + square), 1.0)


def body_loss(problem: FitProblem, parameters: Tensor) -> tuple[Tensor, Likelihood]:
    """(B,) the loss of parameters (B, X), and what the picture says."""
    body, terms = problem.body, problem.terms
    posed = pose(body, parameters)
    centres, keypoints = posed.points[:, : body.kernels], posed.points[:, body.kernels :]
    features = mix_features(problem.bank, posed.limbs)
    ellipsoids = Ellipsoids(centres.contiguous(), posed.precisions.contiguous(), features)
    result = likelihood(ellipsoids, problem.cameras, problem.observation, problem.settings)
    near = problem.settings.near
    costs = keypoint_cost(keypoints, problem.cameras, terms.targets, terms.keypoint_sigma, near)
    residual = torch.einsum("brx,bx->br", terms.linear_matrix, parameters) - terms.linear_target
    total = terms.likelihood_weight * result.nll + terms.keypoint_weight * (terms.confidence * costs).sum(-1)
    return total + 0.5 * (residual * residual).sum(-1), result


def evaluate(problem: FitProblem, parameters: Tensor) -> ObjectiveValue:
    """Loss and gradient of parameters (B, X)."""
    leaf = parameters.detach().requires_grad_()
    with torch.enable_grad():
        value, verdict = body_loss(problem, leaf)
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
    return ObjectiveValue(value.detach(), gradient, replace(verdict, nll=verdict.nll.detach()))


class FitLoopReference:
    """`body_step.fit_loop`."""

    def __init__(self, problem: FitProblem, adam: Adam) -> None:
        self._problem, self._adam = problem, adam

    def run(self, start: Tensor) -> VolumeFitResult:
        """Adam from parameters (B, X)."""
        adam = self._adam
        x, mean, square = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
        best, best_loss, losses = start.clone(), torch.full_like(start[:, 0], math.inf), []
        verdict = evaluated = evaluate(self._problem, x)
        for step in range(1, adam.steps + 2):
            losses.append(evaluated.loss)
            better = evaluated.loss < best_loss
            best, best_loss = torch.where(better[:, None], x, best), torch.where(better, evaluated.loss, best_loss)
            if step > adam.steps:
                break
            verdict = evaluated
            gradient = torch.einsum("bxz,bx->bz", adam.units, verdict.gradient)
            mean = adam.beta1 * mean + (1 - adam.beta1) * gradient
            square = adam.beta2 * square + (1 - adam.beta2) * gradient * gradient
            scale = torch.sqrt(square / (1 - adam.beta2**step)) + adam.epsilon
            along = -adam.rate * (mean / (1 - adam.beta1**step)) / scale
            x = x + torch.einsum("bxz,bz->bx", adam.units, along)
            evaluated = evaluate(self._problem, x)
        return VolumeFitResult(best, x, torch.stack(losses, dim=1), verdict.likelihood)
