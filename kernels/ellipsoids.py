"""Gaussian ellipsoids: rendered feature maps, and the robust likelihood of an observed map with its gradients.

`likelihood` never writes the rendered features: each pixel's contribution and its gradients are worked out while its
few kernels are in the cache. Formulas: docs/kernels.md.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from kernels import backend, build, ellipsoids_cuda, ellipsoids_reference
from kernels.checks import check_tensor
from kernels.ellipsoids_values import Ellipsoids, FeatureObservation, FeatureRendering, Likelihood, RenderSettings
from kernels.implementation import Implementation


def render(
    ellipsoids: Ellipsoids,
    cameras: Tensor,
    size: tuple[int, int],
    settings: RenderSettings | None = None,
    kept: int = 20,
    implementation: Implementation | None = None,
) -> FeatureRendering:
    """Feature maps of B bodies before B cameras, differentiable in centres, precisions, features.

    cameras: (B, 4) fx, fy, cx, cy in pixels of the map. size: (width, height) px. kept: for how many kernels of a pixel
    index and weight are given out. Raises TypeError or ValueError that name the bad argument.
    """
    _check_cameras(cameras, ellipsoids)
    if not (size[0] > 0 and size[1] > 0 and size[0] * size[1] <= 1 << 24):
        raise ValueError(f"size: expected a positive (width, height), got {size}")
    if kept < 1:
        raise ValueError(f"kept: expected at least 1, got {kept}")
    settings = settings or RenderSettings()
    chosen = backend.choose(ellipsoids.centres, implementation)
    if chosen is Implementation.REFERENCE:
        return ellipsoids_reference.render(ellipsoids, cameras, size, settings, kept)
    return FeatureRendering(*_RENDER[chosen].apply(*_tensors(ellipsoids), cameras, size, settings, kept))


def likelihood(
    ellipsoids: Ellipsoids,
    cameras: Tensor,
    observation: FeatureObservation,
    settings: RenderSettings | None = None,
    implementation: Implementation | None = None,
) -> Likelihood:
    """How well B bodies explain the maps that they are compared with; `nll` is differentiable in the ellipsoids.

    Gradients are worked out together with the value, if something asks for them. cameras: (B, 4) fx, fy, cx, cy in
    pixels of the map. Raises TypeError or ValueError that name the bad argument.
    """
    _check_cameras(cameras, ellipsoids)
    _check_observation(observation, ellipsoids)
    settings = settings or RenderSettings()
    chosen = backend.choose(ellipsoids.centres, implementation)
    if chosen is Implementation.REFERENCE:
        return ellipsoids_reference.likelihood(ellipsoids, cameras, observation, settings)
    return Likelihood(*_LIKELIHOOD[chosen].apply(*_tensors(ellipsoids), cameras, observation, settings))


def score(
    ellipsoids: Ellipsoids,
    cameras: Tensor,
    observation: FeatureObservation,
    settings: RenderSettings | None = None,
    implementation: Implementation | None = None,
) -> Tensor:
    """(B,) the `nll` alone, without gradients and cheaper: for choosing among candidate poses."""
    _check_cameras(cameras, ellipsoids)
    _check_observation(observation, ellipsoids)
    settings = settings or RenderSettings()
    chosen = backend.choose(ellipsoids.centres, implementation)
    with torch.no_grad():
        return _SCORE[chosen](ellipsoids, cameras, observation, settings)


def _check_cameras(cameras: Tensor, ellipsoids: Ellipsoids) -> None:
    check_tensor("cameras", cameras, (ellipsoids.centres.shape[0], 4), like=ellipsoids.centres)


def _check_observation(observation: FeatureObservation, ellipsoids: Ellipsoids) -> None:
    check_tensor(
        "observation.features", observation.features, (-1, -1, -1, ellipsoids.channels), like=ellipsoids.centres
    )
    if observation.index.shape != ellipsoids.centres.shape[:1] or observation.index.device != ellipsoids.centres.device:
        raise ValueError(
            f"observation.index: expected ({ellipsoids.centres.shape[0]},) on {ellipsoids.centres.device}, "
            f"got {tuple(observation.index.shape)} on {observation.index.device}"
        )


def _tensors(ellipsoids: Ellipsoids) -> tuple[Tensor, Tensor, Tensor]:
    return ellipsoids.centres, ellipsoids.precisions, ellipsoids.features


# --- C++ --------------------------------------------------------------------------------------------------------------


def real_type(dtype: torch.dtype) -> type[ctypes.c_float] | type[ctypes.c_double]:
    """The C type of a float dtype."""
    return ctypes.c_float if dtype == torch.float32 else ctypes.c_double


def suffix(dtype: torch.dtype) -> str:
    """How C++ names its functions for a float dtype."""
    return "f32" if dtype == torch.float32 else "f64"


def structure(pointers: str, integers: str = "", reals: str = "", more: str = "") -> dict[torch.dtype, type]:
    """C structures of pointers, ints, floats of the dtype and more ints, in this order, for each dtype."""
    made = {}
    for dtype in (torch.float32, torch.float64):
        fields: list[tuple[str, type]] = [(name, ctypes.c_void_p) for name in pointers.split()]
        fields += [(name, ctypes.c_int) for name in integers.split()]
        fields += [(name, real_type(dtype)) for name in reals.split()]
        fields += [(name, ctypes.c_int) for name in more.split()]
        made[dtype] = type("Structure", (ctypes.Structure,), {"_fields_": fields})
    return made


SCENE = structure(
    "centres precisions features cameras", "batch count channels height width", "tau threshold near", "max_per_pixel"
)
SEEN = structure("features base weight mask index", reals="concentration mask_weight")
GRADIENTS = structure("centres precisions features weight support")
_RENDERED = structure("features coverage depth weight index", "kept")


def _c_scene(tensors: tuple[Tensor, ...], size: tuple[int, int], settings: RenderSettings) -> ctypes.Structure:
    centres, _, features, _ = tensors
    batch, count, channels = features.shape
    return SCENE[centres.dtype](
        *map(build.pointer, tensors), batch, count, channels, size[1], size[0],
        settings.tau, settings.threshold, settings.near, settings.max_per_pixel,
    )  # fmt: skip


def c_observation(observation: FeatureObservation) -> ctypes.Structure:
    """An observation for C++; valid while its tensors live."""
    maps = (observation.features, observation.base, observation.weight, observation.mask, observation.index)
    return SEEN[observation.features.dtype](
        *map(build.pointer, maps), observation.concentration, observation.mask_weight
    )


def _call(name: str, dtype: torch.dtype, *arguments: ctypes.Structure | ctypes.c_void_p | None) -> None:
    function = getattr(build.library(), f"{name}_{suffix(dtype)}")
    passed = [ctypes.byref(a) if isinstance(a, ctypes.Structure) else a for a in arguments]
    function(*passed, backend.threads())


class _RenderCpu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, centres, precisions, features, cameras, size, settings, kept):  # type: ignore[no-untyped-def]
        tensors = (centres, precisions, features, cameras)
        batch, _, channels = features.shape
        shape = (batch, size[1], size[0])
        rendered = centres.new_empty((*shape, channels))
        coverage, depth = centres.new_empty(shape), centres.new_empty(shape)
        weight = centres.new_empty((*shape, kept))
        index = torch.empty((*shape, kept), dtype=torch.int32)
        outputs = _RENDERED[centres.dtype](*map(build.pointer, (rendered, coverage, depth, weight, index)), kept)
        _call("ellipsoids_render", centres.dtype, _c_scene(tensors, size, settings), outputs)
        ctx.save_for_backward(*tensors)
        ctx.size, ctx.settings = size, settings
        ctx.mark_non_differentiable(depth, index, weight)
        return rendered, coverage, depth, index, weight

    @staticmethod
    @once_differentiable
    def backward(ctx, g_rendered, g_coverage, *_):  # type: ignore[no-untyped-def]
        tensors = ctx.saved_tensors
        gradients = [torch.empty_like(t) for t in tensors[:3]]
        _call(
            "ellipsoids_render_backward",
            tensors[0].dtype,
            _c_scene(tensors, ctx.size, ctx.settings),
            build.pointer(g_rendered.contiguous()),
            build.pointer(g_coverage.contiguous()),
            GRADIENTS[tensors[0].dtype](*map(build.pointer, (*gradients, None, None))),
        )
        return *gradients, None, None, None, None


class _LikelihoodCpu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, centres, precisions, features, cameras, observation, settings):  # type: ignore[no-untyped-def]
        tensors = (centres, precisions, features, cameras)
        size = (observation.features.shape[2], observation.features.shape[1])
        nll = centres.new_empty(centres.shape[0])
        occlusion = centres.new_empty((centres.shape[0], size[1], size[0]))
        weight, support = centres.new_empty(centres.shape[:2]), centres.new_empty(centres.shape[:2])
        gradients = [torch.empty_like(t) for t in tensors[:3]]
        _call(
            "ellipsoids_likelihood",
            centres.dtype,
            _c_scene(tensors, size, settings),
            c_observation(observation),
            build.pointer(nll),
            build.pointer(occlusion),
            GRADIENTS[centres.dtype](*map(build.pointer, (*gradients, weight, support))),
        )
        ctx.save_for_backward(*gradients)
        ctx.mark_non_differentiable(occlusion, weight, support)
        return nll, occlusion, weight, support

    @staticmethod
    @once_differentiable
    def backward(ctx, g_nll, *_):  # type: ignore[no-untyped-def]
        gradients = ctx.saved_tensors
        if not bool((g_nll == 1).all()):
            gradients = tuple(g_nll.reshape(-1, *[1] * (g.ndim - 1)) * g for g in gradients)
        return *gradients, None, None, None


def _score_cpu(
    ellipsoids: Ellipsoids, cameras: Tensor, observation: FeatureObservation, settings: RenderSettings
) -> Tensor:
    centres, precisions, features = (t.detach() for t in _tensors(ellipsoids))
    tensors = (centres, precisions, features, cameras)
    size = (observation.features.shape[2], observation.features.shape[1])
    nll = centres.new_empty(centres.shape[0])
    scene = _c_scene(tensors, size, settings)
    _call("ellipsoids_likelihood", nll.dtype, scene, c_observation(observation), build.pointer(nll), None, None)
    return nll


def _score_reference(
    ellipsoids: Ellipsoids, cameras: Tensor, observation: FeatureObservation, settings: RenderSettings
) -> Tensor:
    return ellipsoids_reference.likelihood(ellipsoids, cameras, observation, settings).nll


_RENDER = {Implementation.CPU: _RenderCpu, Implementation.CUDA: ellipsoids_cuda.Render}
_LIKELIHOOD = {Implementation.CPU: _LikelihoodCpu, Implementation.CUDA: ellipsoids_cuda.FusedLikelihood}
_SCORE = {
    Implementation.REFERENCE: _score_reference,
    Implementation.CPU: _score_cpu,
    Implementation.CUDA: ellipsoids_cuda.score,
}
