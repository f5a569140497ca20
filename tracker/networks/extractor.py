"""The `live` extractor: a light decoder on the landmark network's own maps.

3DNBF's extractor is a U-Net on ResNet-50 (§3.5). Here the backbone is the landmark network, which runs anyway, stays as
it is, and knows real people; only what turns its maps into features of the body's surface is trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from tracker.networks.guide import GUIDE_CHANNELS

LEVELS = (8, 16, 32, 64)
INPUTS = {
    8: ("decoder_8",),
    16: ("decoder_16", "encoder_16"),
    32: ("decoder_32", "encoder_32"),
    64: ("decoder_64", "encoder_64", "heatmaps", "mask"),
}
PATCH = 4
"""px: the crop's own pixels come in as patches of this side, one for each pixel of the features."""


@dataclass(frozen=True)
class ExtractorConfig:
    """Sizes of the live extractor."""

    width: tuple[int, int, int, int] = (96, 96, 80, 64)
    """Channels at 1/32, 1/16, 1/8 and 1/4 of the crop."""
    stem: int = 16
    """Channels read from the crop's pixels; 0 for the landmark network's maps alone."""
    features: int = 64
    """D."""
    guided: bool = True
    """False hides the landmark network's maps (they read 0): what they are worth."""

    @property
    def trunk(self) -> int:
        """Channels of the maps that heads read."""
        return self.width[-1]


@dataclass(frozen=True)
class Extracted:
    """What the extractor sees in B crops."""

    features: Tensor
    """(B, D, 64, 64), unit length along D: eq. 1's feature map F."""
    trunk: Tensor
    """(B, C, 64, 64): the maps that the features are read from; the heads read from them too."""


@runtime_checkable
class SeparateFeatures(Protocol):
    """An extractor whose features can be trained while all that heads read stays as it is."""

    def features(self, image: Tensor, guide: Mapping[str, Tensor]) -> Tensor:
        """(B, D, 64, 64), unit length along D."""
        ...

    def feature_parameters(self) -> Iterator[nn.Parameter]:
        """What is learned for the features alone."""
        ...


class LiveExtractor(nn.Module):
    """From crops and their guides to features at 1/4 of the resolution."""

    reads = tuple(name for names in INPUTS.values() for name in names)
    """What it takes of the guide."""

    def __init__(self, config: ExtractorConfig) -> None:
        super().__init__()
        self.config = config
        channels = {name: size for name, (size, _) in GUIDE_CHANNELS.items()}
        read = {level: sum(channels[name] for name in names) for level, names in INPUTS.items()}
        read[64] += config.stem
        # the maps' scales differ a hundredfold
        self.scale = nn.ModuleDict({n: Standardised(channels[n]) for ns in INPUTS.values() for n in ns})
        self.stem = nn.Sequential(nn.Conv2d(3 * PATCH**2, config.stem, 1), nn.ReLU()) if config.stem else None
        before = dict(zip(LEVELS, (0, *config.width[:-1]), strict=True))
        width = dict(zip(LEVELS, config.width, strict=True))
        self.mix = nn.ModuleDict({str(s): _conv(read[s] + before[s], width[s], 1) for s in LEVELS})
        self.body = nn.ModuleDict({str(s): Residual(width[s]) for s in LEVELS})
        self.head = nn.Conv2d(width[64], config.features, 1)

    def forward(self, image: Tensor, guide: Mapping[str, Tensor]) -> Extracted:
        """image: (B, 3, 256, 256) RGB in 0..1; guide: GUIDE_CHANNELS' maps, (B, C, s, s) each."""
        trunk = self._trunk(image, guide)
        return Extracted(functional.normalize(self.head(trunk), dim=1), trunk)

    def features(self, image: Tensor, guide: Mapping[str, Tensor]) -> Tensor:
        """(B, D, 64, 64), unit length along D, from a trunk that stays as it is."""
        training = self.training
        with torch.no_grad():
            trunk = self.eval()._trunk(image, guide)
        self.train(training)
        return functional.normalize(self.head(trunk), dim=1)

    def feature_parameters(self) -> Iterator[nn.Parameter]:
        """What is learned for the features alone."""
        return self.head.parameters()

    def _trunk(self, image: Tensor, guide: Mapping[str, Tensor]) -> Tensor:
        trunk: Tensor | None = None
        for level in LEVELS:
            parts = [self.scale[name](guide[name]) * float(self.config.guided) for name in INPUTS[level]]
            if level == 64 and self.stem is not None:
                parts.append(self.stem(functional.pixel_unshuffle(image - 0.5, PATCH)))
            if trunk is not None:
                parts.append(functional.interpolate(trunk, scale_factor=2.0, mode="bilinear", align_corners=False))
            trunk = self.body[str(level)](self.mix[str(level)](torch.cat(parts, dim=1)))
        assert trunk is not None
        return trunk


class Standardised(nn.BatchNorm2d):
    """Batch normalisation of (B, size, ...) with nothing learned. Scale and offset are spelled out for the ONNX
    exporter, which otherwise asks for their size where the batch is free."""

    _one: Tensor
    _zero: Tensor

    def __init__(self, size: int) -> None:
        super().__init__(size, affine=False)
        self.register_buffer("_one", torch.ones(size), persistent=False)
        self.register_buffer("_zero", torch.zeros(size), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        rate = self.momentum or 0.0
        return functional.batch_norm(
            x, self.running_mean, self.running_var, self._one, self._zero, self.training, rate, self.eps
        )


class Residual(nn.Module):
    """x + 3×3 convolution of x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = _conv(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x)


def _conv(inputs: int, outputs: int, side: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )
