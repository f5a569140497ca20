"""The live extractor rewritten for running: the same function of the same weights in fewer and cheaper operators.

Trained, it standardises each map, joins them and what it knows from the coarser level, and mixes the channels. All that
is linear. Here the scales are part of the mixing weights, each map is mixed by itself and the results are summed, so
that nothing is copied together; what comes from the coarser level is mixed before it is enlarged; and the crop's pixels
are read by one convolution with a stride.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tracker.networks.extractor import INPUTS, LEVELS, PATCH, Extracted, LiveExtractor, Residual, Standardised

_MIDDLE = 0.5
"""What the extractor takes from the crop's pixels in 0..1."""


class FoldedExtractor(nn.Module):
    """`LiveExtractor` in evaluation mode."""

    def __init__(self, extractor: LiveExtractor) -> None:
        super().__init__()
        self._stem = None if extractor.stem is None else _on_pixels(cast(nn.Conv2d, extractor.stem[0]))
        self._mix = nn.ModuleList(_Mix(extractor, level) for level in LEVELS)
        self._body = nn.ModuleList(_fused(cast(Residual, extractor.body[str(level)]).conv) for level in LEVELS)
        self._head = extractor.head

    def forward(self, image: Tensor, guide: Mapping[str, Tensor]) -> Extracted:
        """As `LiveExtractor`'s."""
        trunk: Tensor | None = None
        for level, mix, body in zip(LEVELS, self._mix, self._body, strict=True):
            maps = [guide[name] for name in INPUTS[level]]
            if level == LEVELS[-1] and self._stem is not None:
                maps.append(torch.relu(self._stem(image)))
            mixed = mix(maps, trunk)
            trunk = mixed + torch.relu(body(mixed))
        assert trunk is not None
        return Extracted(functional.normalize(self._head(trunk), dim=1), trunk)


class _Mix(nn.Module):
    """ReLU of a 1×1 convolution of all that a level reads, taken apart."""

    def __init__(self, extractor: LiveExtractor, level: int) -> None:
        super().__init__()
        whole = _fused(cast(nn.Sequential, extractor.mix[str(level)]))
        scales = [cast(Standardised, extractor.scale[name]) for name in INPUTS[level]]
        sizes = [scale.num_features for scale in scales]
        rest = whole.in_channels - sum(sizes)
        stem = extractor.config.stem if level == LEVELS[-1] else 0
        weights = whole.weight.detach().split([*sizes, *(size for size in (stem, rest - stem) if size)], dim=1)
        guided = float(extractor.config.guided)
        folded = [_unscaled(weight, scale, guided) for weight, scale in zip(weights, scales, strict=False)]
        assert whole.bias is not None
        bias = whole.bias.detach() + torch.stack([offset for _, offset in folded]).sum(0)
        weights = [*(weight for weight, _ in folded), *weights[len(folded) :]]
        biases = [bias, *(None for _ in weights[1:])]
        self._maps = nn.ModuleList(map(_convolution, weights, biases))

    def forward(self, maps: Sequence[Tensor], coarser: Tensor | None) -> Tensor:
        total = self._maps[0](maps[0])
        for mix, each in zip(self._maps[1 : len(maps)], maps[1:], strict=True):
            total = total + mix(each)
        if coarser is not None:
            known = self._maps[-1](coarser)
            total = total + functional.interpolate(known, scale_factor=2.0, mode="bilinear", align_corners=False)
        return torch.relu(total)


def _unscaled(weight: Tensor, scale: Standardised, guided: float) -> tuple[Tensor, Tensor]:
    """Weights (out, in, 1, 1) and offsets (out,) that do to a map what `weight` does to the standardised one."""
    assert scale.running_var is not None and scale.running_mean is not None
    slope = guided * (scale.running_var + scale.eps).rsqrt()
    return weight * slope[None, :, None, None], -weight[:, :, 0, 0] @ (slope * scale.running_mean)


def _on_pixels(patches: nn.Conv2d) -> nn.Conv2d:
    """From the 1×1 convolution of a crop's patches, less the middle, to a convolution of the crop."""
    weight = patches.weight.detach().reshape(-1, 3, PATCH, PATCH)
    assert patches.bias is not None
    return _convolution(weight, patches.bias.detach() - _MIDDLE * weight.sum((1, 2, 3)))


def _convolution(weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """Patch after patch, as large as the weights (out, in, side, side)."""
    outputs, inputs, side, _ = weight.shape
    convolution = nn.Conv2d(inputs, outputs, side, stride=side, bias=bias is not None)
    convolution.weight.data = weight.contiguous()
    if bias is not None:
        convolution.bias.data = bias  # type: ignore[union-attr]
    return convolution.requires_grad_(False)


def _fused(conv: nn.Sequential) -> nn.Conv2d:
    """A convolution with the batch normalisation behind it."""
    fused = fuse_conv_bn_eval(cast(nn.Conv2d, conv[0]), cast(nn.BatchNorm2d, conv[1]))
    return fused.requires_grad_(False)
