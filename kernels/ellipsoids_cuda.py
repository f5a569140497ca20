"""The ellipsoid ops on a GPU; float32."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kernels import cuda
from kernels.build import pointer
from kernels.cuda import blocks, floats, integers, pointers, record
from kernels.ellipsoids_values import Ellipsoids, FeatureObservation, RenderSettings

TILE = 4
TILE_THREADS = 128
_BOX_THREADS = 128
MAX_KERNELS = 4096
_BOX_INTS = 4

EllipsoidScene = record(
    "CudaEllipsoids",
    [
        *pointers("centres precisions features cameras boxes"),
        *integers("batch count channels height width max_per_pixel centre_stride"),
        *floats("tau limit near"),
    ],
)
Gradients = record("CudaGradients", pointers("centres precisions features weight support"))
_Render = record(
    "RenderArguments",
    [("scene", EllipsoidScene), *pointers("features coverage depth weight index"), *integers("kept")],
)
_RenderBackward = record(
    "RenderBackwardArguments", [("scene", EllipsoidScene), *pointers("g_features g_coverage"), ("out", Gradients)]
)
LikelihoodArguments = record(
    "LikelihoodArguments",
    [
        ("scene", EllipsoidScene),
        *pointers("observed base pixel_weight mask index"),
        *floats("concentration mask_weight scale"),
        *pointers("nll occlusion"),
        ("out", Gradients),
    ],
)


@dataclass(frozen=True)
class MapView:
    """What is rendered onto: cameras (B, 4) and the map's size."""

    cameras: Tensor
    size: tuple[int, int]
    settings: RenderSettings

    @property
    def tiles(self) -> tuple[int, int]:
        """The grid of blocks that covers the maps of all bodies."""
        return blocks(self.size[0], TILE) * blocks(self.size[1], TILE), self.cameras.shape[0]


def scene_of(tensors: tuple[Tensor, Tensor, Tensor], boxes: Tensor, view: MapView) -> ctypes.Structure:
    """The structure for centres (B, ≥ K, 3), precisions (B, K, 3, 3), features (B, K, D) and scratch boxes."""
    centres, _, features = tensors
    batch, count, channels = features.shape
    if count > MAX_KERNELS:
        raise ValueError(f"centres: expected up to {MAX_KERNELS} kernels on a GPU, got {count}")
    if features.dtype != torch.float32:
        raise TypeError(f"centres: expected dtype torch.float32 on a GPU, got {features.dtype}")
    return EllipsoidScene(
        *map(pointer, (*tensors, view.cameras, boxes)), batch, count, channels, view.size[1], view.size[0],
        view.settings.max_per_pixel, centres.shape[1], view.settings.tau, -math.log(view.settings.threshold),
        view.settings.near,
    )  # fmt: skip


def launch_boxes(scene: ctypes.Structure) -> None:
    """Finds the pixels that each kernel can reach."""
    cuda.launch("ellipsoids_boxes", (blocks(scene.batch * scene.count, _BOX_THREADS), 1), _BOX_THREADS, scene)


def _boxes(features: Tensor) -> Tensor:
    return torch.empty((*features.shape[:2], _BOX_INTS), dtype=torch.int32, device=features.device)


def observation_fields(observation: FeatureObservation) -> tuple[ctypes.c_void_p | float, ...]:
    """An observation's part of the likelihood's arguments."""
    maps = (observation.features, observation.base, observation.weight, observation.mask, observation.index)
    return (*map(pointer, maps), observation.concentration, observation.mask_weight)


class Render(torch.autograd.Function):
    """`ellipsoids.render`."""

    @staticmethod
    def forward(ctx, centres, precisions, features, cameras, size, settings, kept):  # type: ignore[no-untyped-def]
        view, tensors, boxes = MapView(cameras, size, settings), (centres, precisions, features), _boxes(features)
        shape = (centres.shape[0], size[1], size[0])
        rendered = centres.new_empty((*shape, features.shape[2]))
        coverage, depth, weight = (centres.new_empty(s) for s in (shape, shape, (*shape, kept)))
        index = torch.empty((*shape, kept), dtype=torch.int32, device=centres.device)
        scene = scene_of(tensors, boxes, view)
        launch_boxes(scene)
        outputs = map(pointer, (rendered, coverage, depth, weight, index))
        cuda.launch("ellipsoids_render", view.tiles, TILE_THREADS, _Render(scene, *outputs, kept))
        ctx.save_for_backward(*tensors, cameras, boxes)
        ctx.view = view
        ctx.mark_non_differentiable(depth, index, weight)
        return rendered, coverage, depth, index, weight

    @staticmethod
    @once_differentiable
    def backward(ctx, g_rendered, g_coverage, *_):  # type: ignore[no-untyped-def]
        *tensors, _, boxes = ctx.saved_tensors
        gradients_of = [torch.zeros_like(t) for t in tensors]
        cotangents = (g_rendered.contiguous(), g_coverage.contiguous())
        arguments = _RenderBackward(
            scene_of(tuple(tensors), boxes, ctx.view),
            *map(pointer, cotangents),
            Gradients(*map(pointer, (*gradients_of, None, None))),
        )
        cuda.launch("ellipsoids_render_backward", ctx.view.tiles, TILE_THREADS, arguments)
        return *gradients_of, None, None, None, None


def _launch_likelihood(
    tensors: tuple[Tensor, Tensor, Tensor],
    view: MapView,
    observation: FeatureObservation,
    outputs: tuple[Tensor, Tensor | None],
    gradients: tuple[Tensor | None, ...],
) -> None:
    boxes = _boxes(tensors[2])
    scene = scene_of(tensors, boxes, view)
    launch_boxes(scene)
    targets = Gradients(*map(pointer, gradients))
    arguments = LikelihoodArguments(scene, *observation_fields(observation), 1.0, *map(pointer, outputs), targets)
    cuda.launch("ellipsoids_likelihood", view.tiles, TILE_THREADS, arguments)


def _view(observation: FeatureObservation, cameras: Tensor, settings: RenderSettings) -> MapView:
    return MapView(cameras, (observation.features.shape[2], observation.features.shape[1]), settings)


class FusedLikelihood(torch.autograd.Function):
    """`ellipsoids.likelihood`."""

    @staticmethod
    def forward(ctx, centres, precisions, features, cameras, observation, settings):  # type: ignore[no-untyped-def]
        tensors, view = (centres, precisions, features), _view(observation, cameras, settings)
        nll = centres.new_zeros(centres.shape[0])
        occlusion = centres.new_empty((centres.shape[0], view.size[1], view.size[0]))
        gradients_of = [torch.zeros_like(t) for t in tensors]
        weight, support = centres.new_zeros(centres.shape[:2]), centres.new_zeros(centres.shape[:2])
        _launch_likelihood(tensors, view, observation, (nll, occlusion), (*gradients_of, weight, support))
        ctx.save_for_backward(*gradients_of)
        ctx.mark_non_differentiable(occlusion, weight, support)
        return nll, occlusion, weight, support

    @staticmethod
    @once_differentiable
    def backward(ctx, g_nll, *_):  # type: ignore[no-untyped-def]
        scaled = (g_nll.reshape(-1, *[1] * (g.ndim - 1)) * g for g in ctx.saved_tensors)
        return *scaled, None, None, None


def score(ellipsoids: Ellipsoids, cameras: Tensor, observation: FeatureObservation, settings: RenderSettings) -> Tensor:
    """`ellipsoids.score`."""
    tensors = (ellipsoids.centres, ellipsoids.precisions, ellipsoids.features)
    nll = cameras.new_zeros(cameras.shape[0])
    _launch_likelihood(tensors, _view(observation, cameras, settings), observation, (nll, None), (None,) * 5)
    return nll
