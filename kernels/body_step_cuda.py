"""The body step and the fitting loop on a GPU; float32.

`Fitter` allocates everything when it is made: its launches allocate nothing and wait for nothing, so that a CUDA graph
can hold them.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kernels import cuda
from kernels.body_step_values import Adam, FeatureBank, FitProblem, ObjectiveValue, SkinnedBody, VolumeFitResult
from kernels.build import pointer
from kernels.cuda import blocks, floats, integers, pointers, record
from kernels.ellipsoids_cuda import (
    TILE_THREADS,
    Gradients,
    LikelihoodArguments,
    MapView,
    launch_boxes,
    observation_fields,
    scene_of,
)
from kernels.ellipsoids_values import Likelihood

_JOINT_THREADS = 64
_POINT_THREADS = 128
_WARP = 32

_Body = record(
    "BodyData",
    [
        *pointers("parents weight_joints limbs joints joint_dirs points point_dirs weights precisions"),
        *integers("n_joints n_shapes n_points n_kernels n_limbs n_influences"),
    ],
)
_Bank = record(
    "FeatureBank",
    [*pointers("features orientations limb"), *integers("n_orientations channels"), *floats("kappa")],
)
_Skeleton = record("CudaSkeleton", pointers("world local rest shift"))
_Pose = record(
    "PoseArguments",
    [("body", _Body), ("skeleton", _Skeleton), *pointers("parameters joints points precisions limbs")],
)
_Mix = record("MixArguments", [("body", _Body), ("bank", _Bank), *pointers("limbs g_features features g_p g_limbs")])
_PoseBackward = record(
    "PoseBackwardArguments",
    [
        ("body", _Body),
        ("skeleton", _Skeleton),
        *pointers("parameters joints g_joints g_points g_precisions g_limbs g_world g_shift g_place g_betas gradient"),
    ],
)
_Terms = record(
    "TermsArguments",
    [
        ("body", _Body),
        *pointers("parameters points cameras targets confidence linear_matrix linear_target"),
        *pointers("residual loss g_points gradient"),
        *integers("linear_rows"),
        *floats("keypoint_weight keypoint_sigma near"),
    ],
)
_Adam = record(
    "AdamArguments",
    [
        *pointers("units gradient loss parameters best best_loss losses mean square along"),
        *integers("count step columns"),
        *floats("rate beta1 beta2 epsilon correction1 correction2"),
        *integers("update"),
    ],
)


def _body_of(body: SkinnedBody) -> ctypes.Structure:
    if body.joints.dtype != torch.float32:
        raise TypeError(f"joints: expected dtype torch.float32 on a GPU, got {body.joints.dtype}")
    held = (
        body.parents, body.weight_joints, body.limbs, body.joints, body.joint_dirs, body.points, body.point_dirs,
        body.weights, body.precisions,
    )  # fmt: skip
    counts = (body.joints.shape[0], body.joint_dirs.shape[2], body.points.shape[0], body.kernels, body.limbs.shape[0])
    return _Body(*map(pointer, held), *counts, body.weights.shape[1])


def _bank_of(bank: FeatureBank) -> ctypes.Structure:
    _, count, channels = bank.features.shape
    return _Bank(*map(pointer, (bank.features, bank.orientations, bank.limb)), count, channels, bank.kappa)


class Posing:
    """A batch of bodies' transforms and posed parts, and the way back from gradients of the parts to the parameters."""

    def __init__(self, body: SkinnedBody, batch: int) -> None:
        new, joints, points = body.joints.new_empty, body.joints.shape[0], body.points.shape[0]
        self.body, self.batch = body, batch
        self.skeleton = [new((batch, joints, n)) for n in (9, 9, 3, 3)]
        self.joints, self.points = new((batch, joints, 3)), new((batch, points, 3))
        self.precisions = new((batch, body.kernels, 3, 3))
        self.limbs = new((batch, body.limbs.shape[0], 3))
        sizes = [joints * 9, joints * 3, joints * 3, body.joint_dirs.shape[2]]
        self.sums = body.joints.new_zeros(batch * sum(sizes))
        self._split = self.sums.split([batch * size for size in sizes])

    def forward(self, parameters: Tensor) -> None:
        """Fills joints, points, precisions, limbs."""
        parts = map(pointer, (parameters, self.joints, self.points, self.precisions, self.limbs))
        arguments = _Pose(_body_of(self.body), _Skeleton(*map(pointer, self.skeleton)), *parts)
        cuda.launch("body_pose", (self.batch, 1), _JOINT_THREADS, arguments)
        cuda.launch("body_skin", (blocks(self.points.shape[1], _POINT_THREADS), self.batch), _POINT_THREADS, arguments)

    def backward(self, parameters: Tensor, cotangents: tuple[Tensor | None, ...], gradient: Tensor) -> None:
        """Writes gradient (B, X) from those of joints (may be None), points, precisions, limbs, after `forward`."""
        self.sums.zero_()
        parts = map(pointer, (parameters, self.joints, *cotangents, *self._split, gradient))
        arguments = _PoseBackward(_body_of(self.body), _Skeleton(*map(pointer, self.skeleton)), *parts)
        points = (blocks(self.points.shape[1], _POINT_THREADS), self.batch)
        cuda.launch("body_skin_backward", points, _POINT_THREADS, arguments)
        cuda.launch("body_pose_backward", (self.batch, 1), _JOINT_THREADS, arguments)


class PoseFunction(torch.autograd.Function):
    """`body_step.pose`."""

    @staticmethod
    def forward(ctx, parameters, body):  # type: ignore[no-untyped-def]
        posing = Posing(body, parameters.shape[0])
        posing.forward(parameters)
        ctx.save_for_backward(parameters)
        ctx.posing = posing
        return posing.joints.clone(), posing.points.clone(), posing.precisions.clone(), posing.limbs.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, *cotangents):  # type: ignore[no-untyped-def]
        (parameters,) = ctx.saved_tensors
        gradient = torch.empty_like(parameters)
        held = tuple(g.contiguous() for g in cotangents)
        ctx.posing.backward(parameters, held, gradient)
        return gradient, None


@dataclass(frozen=True)
class _MixBuffers:
    limbs: Tensor
    g_features: Tensor | None
    features: Tensor | None
    g_p: Tensor | None
    g_limbs: Tensor | None


def _mix_arguments(body: SkinnedBody, bank: FeatureBank, held: _MixBuffers) -> ctypes.Structure:
    tensors = (held.limbs, held.g_features, held.features, held.g_p, held.g_limbs)
    return _Mix(_body_of(body), _bank_of(bank), *map(pointer, tensors))


def _launch_mix(arguments: ctypes.Structure, batch: int) -> None:
    cuda.launch("body_mix", (arguments.body.n_kernels, batch), _WARP, arguments)


def _launch_mix_backward(arguments: ctypes.Structure, batch: int) -> None:
    cuda.launch("body_mix_backward", (arguments.body.n_kernels, batch), _WARP, arguments)
    limb_threads = blocks(arguments.body.n_limbs, _WARP) * _WARP
    cuda.launch("body_limbs_backward", (batch, 1), limb_threads, arguments)


class Mix(torch.autograd.Function):
    """`body_step.mix_features`."""

    @staticmethod
    def forward(ctx, limbs, body, bank):  # type: ignore[no-untyped-def]
        features = limbs.new_empty((limbs.shape[0], body.kernels, bank.features.shape[2]))
        _launch_mix(_mix_arguments(body, bank, _MixBuffers(limbs, None, features, None, None)), limbs.shape[0])
        ctx.save_for_backward(limbs)
        ctx.body, ctx.bank = body, bank
        return features

    @staticmethod
    @once_differentiable
    def backward(ctx, g_features):  # type: ignore[no-untyped-def]
        (limbs,) = ctx.saved_tensors
        g_p = limbs.new_zeros((*limbs.shape[:2], ctx.bank.features.shape[1]))
        gradient, cotangent = torch.empty_like(limbs), g_features.contiguous()
        held = _MixBuffers(limbs, cotangent, None, g_p, gradient)
        _launch_mix_backward(_mix_arguments(ctx.body, ctx.bank, held), limbs.shape[0])
        return gradient, None, None


class Fitter:
    """The buffers of a fit, and its launches."""

    def __init__(self, problem: FitProblem) -> None:
        body, batch = problem.body, problem.cameras.shape[0]
        kernels, _, channels = problem.bank.features.shape
        device, new = body.joints.device, body.joints.new_empty
        observation = problem.observation
        self.problem, self.posing = problem, Posing(body, batch)
        self.parameters, self.gradient = new((batch, body.parameters)), new((batch, body.parameters))
        self.features, self.g_limbs = new((batch, kernels, channels)), torch.empty_like(self.posing.limbs)
        self._residual = new((batch, problem.terms.linear_matrix.shape[1]))
        self._boxes = torch.empty((batch, kernels, 4), dtype=torch.int32, device=device)
        self._view = MapView(
            problem.cameras, (observation.features.shape[2], observation.features.shape[1]), problem.settings
        )
        orientations = problem.bank.orientations.shape[0]
        shapes = [self.posing.points.shape, self.posing.precisions.shape, self.features.shape]
        shapes += [torch.Size((batch, body.limbs.shape[0], orientations)), torch.Size((batch,))]
        self._sums = body.joints.new_zeros(sum(shape.numel() for shape in shapes))
        parts = self._sums.split([shape.numel() for shape in shapes])
        held = (part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))
        self._g_points, self._g_precisions, self._g_features, self._g_p, self.loss = held

    def evaluate(self, verdict: Likelihood | None = None) -> None:
        """Loss (B) and gradient (B, X) of the parameters. verdict: where what the picture says is written, too."""
        self._sums.zero_()
        self.posing.forward(self.parameters)
        held = _MixBuffers(self.posing.limbs, self._g_features, self.features, self._g_p, self.g_limbs)
        mix, batch = _mix_arguments(self.problem.body, self.problem.bank, held), self.parameters.shape[0]
        _launch_mix(mix, batch)
        self._launch_likelihood(verdict)
        terms = self._terms()
        keypoints = terms.body.n_points - terms.body.n_kernels
        cuda.launch("body_keypoints", (blocks(keypoints, _POINT_THREADS), batch), _POINT_THREADS, terms)
        _launch_mix_backward(mix, batch)
        cotangents = (None, self._g_points, self._g_precisions, self.g_limbs)
        self.posing.backward(self.parameters, cotangents, self.gradient)
        cuda.launch("body_linear", (batch, 1), _POINT_THREADS, terms)

    def _launch_likelihood(self, verdict: Likelihood | None) -> None:
        tensors = (self.posing.points, self.posing.precisions, self.features)
        scene = scene_of(tensors, self._boxes, self._view)
        launch_boxes(scene)
        occlusion, *sums = (
            (None,) * 3 if verdict is None else (verdict.occlusion, verdict.weight.zero_(), verdict.support.zero_())
        )
        gradients = Gradients(*map(pointer, (self._g_points, self._g_precisions, self._g_features, *sums)))
        weight = self.problem.terms.likelihood_weight
        observation = observation_fields(self.problem.observation)
        arguments = LikelihoodArguments(scene, *observation, weight, pointer(self.loss), pointer(occlusion), gradients)
        cuda.launch("ellipsoids_likelihood", self._view.tiles, TILE_THREADS, arguments)
        if verdict is not None:
            torch.mul(self.loss, 1 / weight if weight else 0.0, out=verdict.nll)

    def _terms(self) -> ctypes.Structure:
        terms = self.problem.terms
        read = (
            self.parameters, self.posing.points, self.problem.cameras, terms.targets, terms.confidence,
            terms.linear_matrix, terms.linear_target,
        )  # fmt: skip
        written = (self._residual, self.loss, self._g_points, self.gradient)
        weights = (terms.keypoint_weight, terms.keypoint_sigma, self.problem.settings.near)
        rows = terms.linear_matrix.shape[1]
        return _Terms(_body_of(self.problem.body), *map(pointer, (*read, *written)), rows, *weights)


class FitLoopCuda:
    """`body_step.fit_loop`."""

    def __init__(self, problem: FitProblem, adam: Adam) -> None:
        self._fitter, self._adam = Fitter(problem), adam
        x = self._fitter.parameters
        self._best, self._mean, self._square, self._along = torch.empty_like(x), *torch.zeros((3, *x.shape)).to(x)
        self._best_loss = x.new_empty(x.shape[0])
        self._losses = x.new_empty((x.shape[0], adam.steps + 1))
        self._told = problem.likelihood_buffers()
        self._graph: torch.cuda.CUDAGraph | None = None

    def run(self, start: Tensor) -> VolumeFitResult:
        """Steps from start (B, X); recorded in a CUDA graph the first time, and replayed from then on."""
        if self._graph is None and start.is_cuda:
            self._graph = self._recorded()
        self._fitter.parameters.copy_(start)
        if self._graph is None:  # where the kernels are emulated there are no graphs
            self._steps()
        else:
            self._graph.replay()
        verdict = Likelihood(*(part.clone() for part in _parts(self._told)))
        return VolumeFitResult(self._best.clone(), self._fitter.parameters.clone(), self._losses.clone(), verdict)

    def _recorded(self) -> torch.cuda.CUDAGraph:
        self._fitter.parameters.zero_()
        self._fitter.parameters[:, -1] = 1.0
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            self._steps()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._steps()
        return graph

    def _steps(self) -> None:
        for buffer in (self._mean, self._square):
            buffer.zero_()
        self._best_loss.fill_(float("inf"))
        for step in range(self._adam.steps + 1):
            self._fitter.evaluate(self._told if step == max(self._adam.steps - 1, 0) else None)
            self._launch_adam(step)

    def _launch_adam(self, step: int) -> None:
        fitter, adam = self._fitter, self._adam
        tensors = (
            adam.units, fitter.gradient, fitter.loss, fitter.parameters, self._best, self._best_loss, self._losses,
            self._mean, self._square, self._along,
        )  # fmt: skip
        corrections = (1 - adam.beta1 ** (step + 1), 1 - adam.beta2 ** (step + 1))
        arguments = _Adam(
            *map(pointer, tensors), fitter.parameters.shape[1], step, adam.steps + 1,
            adam.rate, adam.beta1, adam.beta2, adam.epsilon, *corrections, int(step < adam.steps),
        )  # fmt: skip
        cuda.launch("body_adam", (fitter.parameters.shape[0], 1), _POINT_THREADS, arguments)


def _parts(likelihood: Likelihood) -> tuple[Tensor, ...]:
    return likelihood.nll, likelihood.occlusion, likelihood.weight, likelihood.support


def evaluate(problem: FitProblem, parameters: Tensor) -> ObjectiveValue:
    """`body_step.evaluate`."""
    fitter, verdict = Fitter(problem), problem.likelihood_buffers()
    fitter.parameters.copy_(parameters)
    fitter.evaluate(verdict)
    return ObjectiveValue(fitter.loss.clone(), fitter.gradient, verdict)
