"""From a pose to joints, kernels and features, back again, and the whole fitting loop in one call.

A pose is one row of parameters: axis-angles of all joints, shape coefficients, translation (see `SkinnedBody`). Only
the points that carry kernels or keypoints are posed: there is no mesh in the loop. Formulas: docs/kernels.md.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kernels import backend, body_step_cuda, body_step_reference, build, ellipsoids
from kernels.backend import Implementation
from kernels.body_step_values import (
    Adam,
    FeatureBank,
    FitProblem,
    ObjectiveValue,
    PosedKernels,
    Prior,
    SkinnedBody,
    VolumeFitResult,
)
from kernels.checks import check_tensor
from kernels.ellipsoids import real_type, structure, suffix


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


def fit(
    problem: FitProblem, start: Tensor, adam: Adam, implementation: Implementation | None = None
) -> VolumeFitResult:
    """Adam from the poses start (B, X), adam.steps times, without returning to Python in between.

    The pose of the least loss is kept. Raises TypeError or ValueError that name the bad argument.
    """
    _check_parameters(problem, start)
    check_tensor("rates", adam.rates, (problem.body.parameters,), like=start)
    return _FIT[backend.choose(start, implementation)](problem, start, adam)


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
_EVALUATION = structure("loss gradient occlusion weight support")
_TERMS = structure(
    "targets confidence linear_matrix linear_target prior",
    "linear_rows steps",
    "likelihood_weight keypoint_weight keypoint_sigma beta1 beta2 epsilon",
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


@dataclass(frozen=True)
class _Callback:
    """A prior as C++ calls it. `function` must live as long as C++ may call; what it raised is kept in `errors`."""

    function: Any
    errors: list[BaseException]

    @classmethod
    def of(cls, prior: Prior, shape: tuple[int, int], dtype: torch.dtype) -> _Callback:
        errors: list[BaseException] = []
        pointer = ctypes.POINTER(real_type(dtype))

        def call(parameters, loss, gradient):  # type: ignore[no-untyped-def]
            views = [_view(p, s, dtype) for p, s in ((parameters, shape), (loss, shape[:1]), (gradient, shape))]
            try:
                value, slope = prior(views[0].clone())
                views[1].copy_(value)
                views[2].copy_(slope)
            except BaseException as error:  # an exception cannot pass through C++: `raise_first` re-raises it
                errors.append(error)
                views[1].zero_()
                views[2].zero_()

        return cls(ctypes.CFUNCTYPE(None, pointer, pointer, pointer)(call), errors)

    def raise_first(self) -> None:
        if self.errors:
            raise self.errors[0]


def _view(pointer: ctypes._Pointer, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    count = int(torch.Size(shape).numel())
    array = ctypes.cast(pointer, ctypes.POINTER(real_type(dtype) * count)).contents
    return torch.frombuffer(array, dtype=dtype).reshape(shape)


def _callback(problem: FitProblem) -> _Callback | None:
    prior, shape = problem.terms.prior, (problem.cameras.shape[0], problem.body.parameters)
    return None if prior is None else _Callback.of(prior, shape, problem.body.joints.dtype)


def _c_problem(problem: FitProblem, callback: _Callback | None, adam: Adam | None) -> ctypes.Structure:
    terms, observation, dtype = problem.terms, problem.observation, problem.body.joints.dtype
    function = None if callback is None else ctypes.cast(callback.function, ctypes.c_void_p)
    moments = (0.0, 0.0, 1.0) if adam is None else (adam.beta1, adam.beta2, adam.epsilon)
    c_terms = _TERMS[dtype](
        *map(build.pointer, (terms.targets, terms.confidence, terms.linear_matrix, terms.linear_target)), function,
        terms.linear_matrix.shape[0], 0 if adam is None else adam.steps,
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


def _evaluate_cpu(problem: FitProblem, parameters: Tensor) -> ObjectiveValue:
    callback, batch, new = _callback(problem), parameters.shape[0], parameters.new_empty
    size, kernels = problem.observation.features.shape[1:3], problem.body.kernels
    value = ObjectiveValue(
        new(batch), torch.empty_like(parameters), new((batch, *size)), new((batch, kernels)), new((batch, kernels))
    )
    pointers = (value.loss, value.gradient, value.occlusion, value.weight, value.support)
    out = _EVALUATION[parameters.dtype](*map(build.pointer, pointers))
    _call("body_loss", parameters.dtype, _c_problem(problem, callback, None), parameters, out)
    if callback is not None:
        callback.raise_first()
    return value


def _fit_cpu(problem: FitProblem, start: Tensor, adam: Adam) -> VolumeFitResult:
    callback = _callback(problem)
    best, last = start.detach().clone(), torch.empty_like(start)
    losses = start.new_empty((start.shape[0], adam.steps + 1))
    _call("body_fit", start.dtype, _c_problem(problem, callback, adam), adam.rates, best, last, losses)
    if callback is not None:
        callback.raise_first()
    return VolumeFitResult(best, last, losses)


_POSE = {Implementation.CPU: _PoseCpu, Implementation.CUDA: body_step_cuda.PoseFunction}
_MIX = {Implementation.CPU: _MixCpu, Implementation.CUDA: body_step_cuda.Mix}
_EVALUATE = {
    Implementation.REFERENCE: body_step_reference.evaluate,
    Implementation.CPU: _evaluate_cpu,
    Implementation.CUDA: body_step_cuda.evaluate,
}
_FIT = {
    Implementation.REFERENCE: body_step_reference.fit,
    Implementation.CPU: _fit_cpu,
    Implementation.CUDA: body_step_cuda.fit,
}
