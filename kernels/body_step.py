"""From a pose to joints, kernels and features, back again, and the whole fitting loop in one call.

A pose is one row of parameters: axis-angles of all joints, shape coefficients, translation (see `SkinnedBody`). Only
the points that carry kernels or keypoints are posed: there is no mesh in the loop. Formulas: docs/kernels.md.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kernels import backend, body_step_cuda, body_step_reference, build, ellipsoids
from kernels.body_step_values import (
    Adam,
    FeatureBank,
    FitProblem,
    ObjectiveValue,
    PosedKernels,
    SkinnedBody,
    VolumeFitResult,
)
from kernels.checks import check_tensor
from kernels.ellipsoids import structure, suffix
from kernels.ellipsoids_values import Likelihood
from kernels.implementation import Implementation


def pose(body: SkinnedBody, parameters: Tensor, implementation: Implementation | None = None) -> PosedKernels:
    """Bodies in the poses parameters (B, X), differentiable in them."""
    check_tensor("parameters", parameters, (-1, body.parameters), like=body.joints)
    chosen = backend.choose(parameters, implementation)
    if chosen is Implementation.REFERENCE:
        return body_step_reference.pose(body, parameters)
    return PosedKernels(*_POSE[chosen].apply(parameters, body))


def mix_features(
    body: SkinnedBody, bank: FeatureBank, limbs: Tensor, implementation: Implementation | None = None
) -> Tensor:
    """(B, K, D) features of the kernels of bodies whose limbs point along limbs (B, L, 3); differentiable in them."""
    check_tensor("limbs", limbs, (-1, body.limbs.shape[0], 3), like=body.joints)
    check_tensor("bank.features", bank.features, (body.kernels, -1, -1), like=body.joints)
    chosen = backend.choose(limbs, implementation)
    if chosen is Implementation.REFERENCE:
        return body_step_reference.mix_features(bank, limbs)
    return _MIX[chosen].apply(limbs, body, bank)


def evaluate(problem: FitProblem, parameters: Tensor, implementation: Implementation | None = None) -> ObjectiveValue:
    """The whole loss of parameters (B, X), its gradient, and what the picture shows: one step without the update."""
    _check_parameters(problem, parameters)
    return _EVALUATE[backend.choose(parameters, implementation)](problem, parameters)


class FitLoop(Protocol):
    """Adam on a problem, adam.steps times, without returning to Python in between.

    The tensors of the problem and Adam's units are read anew at every run: a new frame's are written into them.
    """

    def run(self, start: Tensor) -> VolumeFitResult:
        """From the poses start (B, X). The pose of the least loss is kept."""
        ...


def fit_loop(problem: FitProblem, adam: Adam, implementation: Implementation | None = None) -> FitLoop:
    """A loop to be run many times; on a GPU its steps are recorded in a CUDA graph at the first run.

    Raises TypeError or ValueError that name the bad argument.
    """
    size = problem.body.parameters
    check_tensor("units", adam.units, (problem.cameras.shape[0], size, size), like=problem.body.joints)
    return _LOOP[backend.choose(problem.body.joints, implementation)](problem, adam)


def fit(
    problem: FitProblem, start: Tensor, adam: Adam, implementation: Implementation | None = None
) -> VolumeFitResult:
    """`fit_loop`, run once. Raises TypeError or ValueError that name the bad argument."""
    _check_parameters(problem, start)
    return fit_loop(problem, adam, implementation).run(start)


def _check_parameters(problem: FitProblem, parameters: Tensor) -> None:
    check_tensor(
        "parameters", parameters, (problem.cameras.shape[0], problem.body.parameters), like=problem.body.joints
    )


# --- C++ --------------------------------------------------------------------------------------------------------------

_DTYPES = (torch.float32, torch.float64)
_BODY = structure(
    "parents weight_joints limbs joints joint_dirs points point_dirs weights precisions",
    "n_joints n_shapes n_points n_kernels n_limbs n_influences",
)
_BANK = structure("features orientations limb", "n_orientations channels", "kappa")
_POSED = structure("joints points precisions limbs")
_EVALUATION = structure("loss gradient nll occlusion weight support")
_TERMS = structure(
    "targets confidence linear_matrix linear_target",
    "linear_rows steps",
    "likelihood_weight keypoint_weight keypoint_sigma rate beta1 beta2 epsilon",
)


def _problem_structure(dtype: torch.dtype) -> type[ctypes.Structure]:
    parts = {"body": _BODY, "bank": _BANK, "scene": ellipsoids.SCENE, "seen": ellipsoids.SEEN, "terms": _TERMS}
    return type("Problem", (ctypes.Structure,), {"_fields_": [(name, part[dtype]) for name, part in parts.items()]})


_PROBLEM = {dtype: _problem_structure(dtype) for dtype in _DTYPES}


def _c_body(body: SkinnedBody) -> ctypes.Structure:
    pointers = (
        body.parents, body.weight_joints, body.limbs, body.joints, body.joint_dirs, body.points, body.point_dirs,
        body.weights, body.precisions,
    )  # fmt: skip
    return _BODY[body.joints.dtype](
        *map(build.pointer, pointers), body.joints.shape[0], body.joint_dirs.shape[2], body.points.shape[0],
        body.kernels, body.limbs.shape[0], body.weights.shape[1],
    )  # fmt: skip


def _c_bank(bank: FeatureBank) -> ctypes.Structure:
    _, count, channels = bank.features.shape
    pointers = map(build.pointer, (bank.features, bank.orientations, bank.limb))
    return _BANK[bank.features.dtype](*pointers, count, channels, bank.kappa)


def _c_problem(problem: FitProblem, adam: Adam | None) -> ctypes.Structure:
    terms, observation, dtype = problem.terms, problem.observation, problem.body.joints.dtype
    moments = (0.0, 0.0, 0.0, 1.0) if adam is None else (adam.rate, adam.beta1, adam.beta2, adam.epsilon)
    c_terms = _TERMS[dtype](
        *map(build.pointer, (terms.targets, terms.confidence, terms.linear_matrix, terms.linear_target)),
        terms.linear_matrix.shape[1], 0 if adam is None else adam.steps,
        terms.likelihood_weight, terms.keypoint_weight, terms.keypoint_sigma, *moments,
    )  # fmt: skip
    settings, (_, height, width, channels) = problem.settings, observation.features.shape
    c_scene = ellipsoids.SCENE[dtype](
        None, None, None, build.pointer(problem.cameras), problem.cameras.shape[0], problem.body.kernels, channels,
        height, width, settings.tau, settings.threshold, settings.near, settings.max_per_pixel,
    )  # fmt: skip
    return _PROBLEM[dtype](
        _c_body(problem.body), _c_bank(problem.bank), c_scene, ellipsoids.c_observation(observation), c_terms
    )


def _call(name: str, dtype: torch.dtype, *arguments: ctypes.Structure | Tensor | int) -> None:
    function = getattr(build.library(), f"{name}_{suffix(dtype)}")
    function(*map(_argument, arguments), backend.threads())


def _argument(value: ctypes.Structure | Tensor | int) -> object:
    if isinstance(value, Tensor):
        return build.pointer(value)
    return ctypes.byref(value) if isinstance(value, ctypes.Structure) else value


class _PoseCpu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, parameters, body):  # type: ignore[no-untyped-def]
        batch, dtype = parameters.shape[0], parameters.dtype
        counts = (body.joints.shape[0], body.points.shape[0], body.kernels, body.limbs.shape[0])
        shapes = [(batch, n, 3, 3) if i == 2 else (batch, n, 3) for i, n in enumerate(counts)]
        outputs = tuple(parameters.new_empty(shape) for shape in shapes)
        _call("body_pose", dtype, _c_body(body), parameters, batch, _POSED[dtype](*map(build.pointer, outputs)))
        ctx.save_for_backward(parameters)
        ctx.body = body
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx, *cotangents):  # type: ignore[no-untyped-def]
        (parameters,) = ctx.saved_tensors
        dtype, gradient = parameters.dtype, torch.empty_like(parameters)
        held = [g.contiguous() for g in cotangents]
        posed = _POSED[dtype](*map(build.pointer, held))
        _call("body_pose_backward", dtype, _c_body(ctx.body), parameters, parameters.shape[0], posed, gradient)
        return gradient, None


class _MixCpu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, limbs, body, bank):  # type: ignore[no-untyped-def]
        features = limbs.new_empty((limbs.shape[0], body.kernels, bank.features.shape[2]))
        _call("body_mix", limbs.dtype, _c_body(body), _c_bank(bank), limbs, limbs.shape[0], features)
        ctx.save_for_backward(limbs)
        ctx.body, ctx.bank = body, bank
        return features

    @staticmethod
    @once_differentiable
    def backward(ctx, g_features):  # type: ignore[no-untyped-def]
        (limbs,) = ctx.saved_tensors
        gradient, cotangent = torch.empty_like(limbs), g_features.contiguous()
        structures = (_c_body(ctx.body), _c_bank(ctx.bank))
        _call("body_mix_backward", limbs.dtype, *structures, limbs, limbs.shape[0], cotangent, gradient)
        return gradient, None, None


def _c_evaluation(likelihood: Likelihood, loss: Tensor | None, gradient: Tensor | None) -> ctypes.Structure:
    verdict = (likelihood.nll, likelihood.occlusion, likelihood.weight, likelihood.support)
    return _EVALUATION[likelihood.nll.dtype](*map(build.pointer, (loss, gradient, *verdict)))


def _evaluate_cpu(problem: FitProblem, parameters: Tensor) -> ObjectiveValue:
    loss, gradient = parameters.new_empty(parameters.shape[0]), torch.empty_like(parameters)
    value = ObjectiveValue(loss, gradient, problem.likelihood_buffers())
    out = _c_evaluation(value.likelihood, loss, gradient)
    _call("body_loss", parameters.dtype, _c_problem(problem, None), parameters, out)
    return value


class _FitLoopCpu:
    def __init__(self, problem: FitProblem, adam: Adam) -> None:
        self._held, self._c_problem = (
            problem,
            _c_problem(problem, adam),
        )  # C++ reads the problem's tensors where they lie
        self._adam = adam

    def run(self, start: Tensor) -> VolumeFitResult:
        likelihood = self._held.likelihood_buffers()
        best, last = start.detach().clone(), torch.empty_like(start)
        losses = start.new_empty((start.shape[0], self._adam.steps + 1))
        verdict = _c_evaluation(likelihood, None, None)
        _call("body_fit", start.dtype, self._c_problem, self._adam.units, best, last, losses, verdict)
        return VolumeFitResult(best, last, losses, likelihood)


_POSE = {Implementation.CPU: _PoseCpu, Implementation.CUDA: body_step_cuda.PoseFunction}
_MIX = {Implementation.CPU: _MixCpu, Implementation.CUDA: body_step_cuda.Mix}
_EVALUATE = {
    Implementation.REFERENCE: body_step_reference.evaluate,
    Implementation.CPU: _evaluate_cpu,
    Implementation.CUDA: body_step_cuda.evaluate,
}
_LOOP: dict[Implementation, Callable[[FitProblem, Adam], FitLoop]] = {
    Implementation.REFERENCE: body_step_reference.FitLoopReference,
    Implementation.CPU: _FitLoopCpu,
    Implementation.CUDA: body_step_cuda.FitLoopCuda,
}
