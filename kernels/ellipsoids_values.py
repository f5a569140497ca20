"""What the ellipsoid ops take and give: sets of Gaussian kernels, observed feature maps, and how they are compared.

Shapes: B bodies (people, or candidate poses of one), K kernels, D feature channels, N observed maps of H × W pixels.
Metres in the camera's frame (OpenCV: x right, y down, z forward); pixel (x, y) has its centre at (x + 0.5, y + 0.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.checks import check_dtype, check_indices, check_tensor

MAX_CHANNELS = 128
MAX_PER_PIXEL = 256


@dataclass(frozen=True)
class RenderSettings:
    """Constants of the renderer (VoGE's, where it has them)."""

    tau: float = 1.0
    """How opaque a kernel is."""
    threshold: float = 1e-3
    """A kernel takes no part in a pixel where its activation e^{-q} is below this."""
    near: float = 0.05
    """m: a kernel whose centre is not farther than this along z takes no part."""
    max_per_pixel: int = MAX_PER_PIXEL
    """Of more kernels than this the nearest along the ray are kept."""

    def __post_init__(self) -> None:
        if not (self.tau > 0 and math.isfinite(self.tau)):
            raise ValueError(f"tau: expected a positive number, got {self.tau}")
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold: expected a number between 0 and 1, got {self.threshold}")
        if not self.near > 0:
            raise ValueError(f"near: expected a distance above 0 m, got {self.near}")
        if not 1 <= self.max_per_pixel <= MAX_PER_PIXEL:
            raise ValueError(f"max_per_pixel: expected 1..{MAX_PER_PIXEL}, got {self.max_per_pixel}")


@dataclass(frozen=True)
class Ellipsoids:
    """B sets of K Gaussian kernels; float32 or float64."""

    centres: Tensor
    """(B, K, 3) m, camera frame."""
    precisions: Tensor
    """(B, K, 3, 3) 1/m²: symmetric, positive definite inverse covariances."""
    features: Tensor
    """(B, K, D), D a multiple of 8 up to 128."""

    def __post_init__(self) -> None:
        check_dtype("centres", self.centres, torch.float32, torch.float64)
        check_tensor("centres", self.centres, (-1, -1, 3))
        batch, count, _ = self.centres.shape
        check_tensor("precisions", self.precisions, (batch, count, 3, 3), like=self.centres)
        check_tensor("features", self.features, (batch, count, -1), like=self.centres)
        if self.channels % 8 or not 8 <= self.channels <= MAX_CHANNELS:
            raise ValueError(f"features: expected a multiple of 8 channels up to {MAX_CHANNELS}, got {self.channels}")

    @property
    def channels(self) -> int:
        """D."""
        return self.features.shape[2]


@dataclass(frozen=True)
class FeatureObservation:
    """N observed maps, and what a pixel's feature says about body and background: see `observe`."""

    features: Tensor
    """(N, H, W, D)."""
    base: Tensor
    """(N, H, W): log N_fg − log N_bg of a pixel where the rendered feature is at right angles to the observed one."""
    weight: Tensor
    """(N, H, W), not negative: how much each pixel counts; 0 outside the picture."""
    mask: Tensor
    """(N, H, W) in 0..1: where a person is observation."""
    index: Tensor
    """(B,) int32: which map each body is compared with."""
    concentration: float
    """1/σ_f² of the foreground's features."""
    mask_weight: float = 0.0
    """How much a squared unit of coverage minus mask costs."""

    def __post_init__(self) -> None:
        check_dtype("observation.features", self.features, torch.float32, torch.float64)
        check_tensor("observation.features", self.features, (-1, -1, -1, -1))
        for name in ("base", "weight", "mask"):
            check_tensor(f"observation.{name}", getattr(self, name), tuple(self.features.shape[:3]), like=self.features)
        check_dtype("observation.index", self.index, torch.int32)
        check_tensor("observation.index", self.index, (-1,))
        check_indices("observation.index", self.index, self.features.shape[0])
        if not (self.concentration > 0 and self.mask_weight >= 0):
            raise ValueError(
                "observation: expected concentration > 0 and mask_weight >= 0, "
                f"got {self.concentration} and {self.mask_weight}"
            )


def background_log_density(features: Tensor, means: Tensor, sigma: float) -> Tensor:
    """(N, H, W) log density of features (N, H, W, D) under a bank of background features (C, D), all equally likely."""
    channels, count = features.shape[-1], means.shape[0]
    square = (features * features).sum(-1, keepdim=True) + (means * means).sum(-1) - 2 * features @ means.T
    peak = -0.5 * channels * math.log(2 * math.pi * sigma * sigma)
    return torch.logsumexp(-square / (2 * sigma * sigma), dim=-1) + peak - math.log(count)


def observe(
    features: Tensor,
    background: Tensor,
    sigma: float,
    weight: Tensor | None = None,
    mask: Tensor | None = None,
    mask_weight: float = 0.0,
) -> FeatureObservation:
    """An observation from features (N, H, W, D), their log density under the background (N, H, W), and σ_f.

    Each body is compared with the map of its own number; use `dataclasses.replace` for another `index`.
    """
    peak = -0.5 * features.shape[-1] * math.log(2 * math.pi * sigma * sigma)
    base = peak - ((features * features).sum(-1) + 1) / (2 * sigma * sigma) - background
    index = torch.arange(features.shape[0], dtype=torch.int32, device=features.device)
    ones, zeros = torch.ones_like(base), torch.zeros_like(base)
    weight, mask = ones if weight is None else weight, zeros if mask is None else mask
    return FeatureObservation(features, base, weight, mask, index, 1 / (sigma * sigma), mask_weight)


def unit_base(features: Tensor, clutter: Tensor) -> Tensor:
    """`FeatureObservation.base` of features of unit length (..., D) under a bank of unit background features, of which
    with unit lengths most cancels out: log N_fg − log N_bg = log C − log Σ_c exp(f·m_c/σ²), less the body's own cosine.

    clutter: (D, C), the features over σ².
    """
    return -torch.log(torch.exp(features @ clutter).mean(-1))


@dataclass(frozen=True)
class FeatureRendering:
    """Maps of H × W pixels; where no kernel contributes, 0, and depth infinite."""

    features: Tensor
    """(B, H, W, D): Σ_k w_k φ_k. Differentiable."""
    coverage: Tensor
    """(B, H, W) in 0..1. Differentiable."""
    depth: Tensor
    """(B, H, W) m along z: the kernels' depths, weighted by w."""
    index: Tensor
    """(B, H, W, n) int32: the kernels that weigh most, the heaviest first; -1 beyond the last."""
    weight: Tensor
    """(B, H, W, n): their w; 0 beyond the last."""


@dataclass(frozen=True)
class Likelihood:
    """How well bodies explain what is observed."""

    nll: Tensor
    """(B,) negative log-likelihood relative to the background explaining everything, plus the mask's cost.
    Differentiable."""
    occlusion: Tensor
    """(B, H, W): posterior that something other than the body explains the pixel; 0 where no kernel contributes."""
    weight: Tensor
    """(B, K): Σ of each kernel's w over the pixels; 0 for a kernel that is hidden or out of the picture."""
    support: Tensor
    """(B, K): the same with each pixel counted by the posterior that the body explains it: support over weight, of
    the kernels around a joint, says how far the image supports it."""
