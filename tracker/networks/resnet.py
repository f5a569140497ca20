"""The `paper` extractor: a U-Net on a ResNet-50 that sees the picture alone (3DNBF §3.5).

It has no part in the landmark network, so it must be trained on a GPU and for long before it is of use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tracker.networks.extractor import Extracted

_BLOCKS = (3, 4, 6, 3)
"""Of ResNet-50's four stages (He et al. 2016, table 1)."""
_EXPANSION = 4
_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of RGB in 0..1, as ResNets are fed by convention."""


@dataclass(frozen=True)
class ResNetConfig:
    """Sizes of the paper's extractor."""

    base: int = 64
    """Channels of the first stage before expansion; 64 is ResNet-50."""
    decoder: tuple[int, int, int] = (256, 192, 128)
    """Channels of the decoder at 1/16, 1/8 and 1/4 of the crop."""
    features: int = 64
    """D."""

    @property
    def trunk(self) -> int:
        """Channels of the maps that heads read."""
        return self.decoder[-1]


class ResNetBackbone(nn.Module):
    """A ResNet-50's four stages; at `base` 64, as it is published."""

    reads: tuple[str, ...] = ()
    """What it takes of the guide."""
    _mean: Tensor
    _spread: Tensor

    def __init__(self, base: int) -> None:
        super().__init__()
        self.register_buffer("_mean", torch.tensor(_MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("_spread", torch.tensor(_SPREAD).reshape(1, 3, 1, 1), persistent=False)
        self.stem = nn.Sequential(_conv(3, base, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1))
        widths = [base * 2**i for i in range(len(_BLOCKS))]
        self.channels = [base, *(_EXPANSION * width for width in widths)]
        """Of the stem and of each stage."""
        self.stages = nn.ModuleList(
            _stage(self.channels[i], widths[i], blocks, stride=1 if i == 0 else 2) for i, blocks in enumerate(_BLOCKS)
        )

    def maps(self, image: Tensor) -> list[Tensor]:
        """What each stage makes of crops (B, 3, s, s) RGB in 0..1: at 1/4, 1/8, 1/16 and 1/32 of the resolution."""
        x = self.stem((image - self._mean) / self._spread)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class ResNetExtractor(ResNetBackbone):
    """From crops to features at 1/4 of the resolution."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__(config.base)
        self.config = config
        channels = self.channels
        deep = [channels[-1], *config.decoder[:-1]]
        self.up = nn.ModuleList(
            nn.Sequential(_conv(before + channels[-2 - i], after, 3), nn.ReLU())
            for i, (before, after) in enumerate(zip(deep, config.decoder, strict=True))
        )
        self.head = nn.Conv2d(config.decoder[-1], config.features, 1)

    def forward(self, image: Tensor, guide: Mapping[str, Tensor]) -> Extracted:
        """image: (B, 3, 256, 256) RGB in 0..1. guide: not looked at."""
        *skips, x = self.maps(image)
        for up, skip in zip(self.up, reversed(skips), strict=True):
            x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = up(torch.cat([x, skip], dim=1))
        return Extracted(functional.normalize(self.head(x), dim=1), x)


class _Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 convolutions beside a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = _EXPANSION * width
        self.body = nn.Sequential(
            _conv(inputs, width, 1), nn.ReLU(), _conv(width, width, 3, stride), nn.ReLU(), _conv(width, outputs, 1)
        )
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else _conv(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.body(x) + self.shortcut(x))


def _stage(inputs: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    later = [_Bottleneck(_EXPANSION * width, width, 1) for _ in range(blocks - 1)]
    return nn.Sequential(_Bottleneck(inputs, width, stride), *later)


def _conv(inputs: int, outputs: int, side: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, bias=False), nn.BatchNorm2d(outputs)
    )
