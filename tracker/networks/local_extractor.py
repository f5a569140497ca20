"""An extractor whose features are local: what lies elsewhere in the crop, an occluder above all, does not change them.

The landmark network's decoder, heat maps and mask say where it believes the body to be, also where it sees none of it.
Read by the features, they make a hidden limb look visible. So the features are read from the crop itself and from the
landmark network's encoder alone, by a U-Net of their own; heads keep the maps that know the whole person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from tracker.networks.extractor import Extracted, ExtractorConfig, LiveExtractor, Residual, Standardised
from tracker.networks.guide import GUIDE_CHANNELS

ENCODERS = {64: "encoder_64", 32: "encoder_32", 16: "encoder_16"}
"""Of the guide, by side."""
_MIDDLE = 0.5


@dataclass(frozen=True)
class LocalExtractorConfig:
    """Sizes of the local extractor."""

    context: ExtractorConfig = field(default_factory=ExtractorConfig)
    """Of the decoder that heads read."""
    stem: int = 24
    """Channels at 1/2 of the crop."""
    width: tuple[int, int, int] = (40, 64, 96)
    """Channels at 1/4, 1/8 and 1/16 of the crop, downwards."""
    out: int = 48
    """Channels at 1/4 of the crop, upwards."""
    features: int = 64
    """D."""

    @property
    def trunk(self) -> int:
        """Channels of the maps that heads read."""
        return self.context.trunk


class LocalExtractor(nn.Module):
    """Features from crop and encoder; the trunk for the heads from all that the landmark network knows."""

    def __init__(self, config: LocalExtractorConfig) -> None:
        super().__init__()
        self.config = config
        self.context = LiveExtractor(config.context)
        self.local = LocalFeatures(config)
        self.reads = tuple(dict.fromkeys((*self.context.reads, *ENCODERS.values())))

    def forward(self, image: Tensor, guide: Mapping[str, Tensor]) -> Extracted:
        """image: (B, 3, 256, 256) RGB in 0..1; guide: GUIDE_CHANNELS' maps, (B, C, s, s) each."""
        return Extracted(self.local(image, guide), self.context(image, guide).trunk)

    def features(self, image: Tensor, guide: Mapping[str, Tensor]) -> Tensor:
        """(B, D, 64, 64), unit length along D."""
        maps: Tensor = self.local(image, guide)
        return maps

    def feature_parameters(self) -> Iterator[nn.Parameter]:
        """What is learned for the features alone."""
        return self.local.parameters()


class LocalFeatures(nn.Module):
    """A U-Net on the crop that takes the landmark network's encoder maps at each of its levels."""

    def __init__(self, config: LocalExtractorConfig) -> None:
        super().__init__()
        fine, middle, coarse = config.width
        sizes = {side: GUIDE_CHANNELS[name][0] for side, name in ENCODERS.items()}
        # the maps' scales differ a hundredfold
        self.scale = nn.ModuleDict({name: Standardised(sizes[side]) for side, name in ENCODERS.items()})
        self.stem = nn.Sequential(_conv(3, config.stem, 3, 2), _conv(config.stem, fine, 3, 2), Residual(fine))
        self.down_32 = nn.Sequential(_conv(fine + sizes[64], middle, 3, 2), Residual(middle))
        self.down_16 = nn.Sequential(_conv(middle + sizes[32], coarse, 3, 2), Residual(coarse))
        self.bottom = nn.Sequential(_conv(coarse + sizes[16], coarse, 1), Residual(coarse))
        self.up_32 = nn.Sequential(_conv(coarse + middle + sizes[32], middle, 1), Residual(middle))
        self.up_64 = nn.Sequential(_conv(middle + fine + sizes[64], config.out, 1), Residual(config.out))
        self.head = nn.Conv2d(config.out, config.features, 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as quick to train on a CPU

    def forward(self, image: Tensor, guide: Mapping[str, Tensor]) -> Tensor:
        """(B, D, 64, 64), unit length along D."""
        image = image.contiguous(memory_format=torch.channels_last)
        encoder = {side: self.scale[name](guide[name]) for side, name in ENCODERS.items()}
        fine = torch.cat([self.stem(image - _MIDDLE), encoder[64]], dim=1)
        middle = torch.cat([self.down_32(fine), encoder[32]], dim=1)
        coarse = self.bottom(torch.cat([self.down_16(middle), encoder[16]], dim=1))
        up = self.up_32(torch.cat([_enlarged(coarse), middle], dim=1))
        return functional.normalize(self.head(self.up_64(torch.cat([_enlarged(up), fine], dim=1))), dim=1)


def _enlarged(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)


def _conv(inputs: int, outputs: int, side: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )
