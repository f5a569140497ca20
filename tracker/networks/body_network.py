"""Extractor, head and the volume's features: everything that is trained together, and the one file that holds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import dacite
import torch
from torch import Tensor, nn
from torch.nn import functional

from tracker.body.model import BodyModel
from tracker.body.volume import BodyVolume, VolumeConfig
from tracker.core.errors import InputError
from tracker.core.tensor_file import load_tensors, save_tensors
from tracker.networks.extractor import ExtractorConfig, LiveExtractor
from tracker.networks.kinematic_chains import KinematicChainsConfig, KinematicChainsHead
from tracker.networks.local_extractor import LocalExtractor, LocalExtractorConfig
from tracker.networks.part_attention import PartAttentionConfig, PartAttentionHead
from tracker.networks.released import (
    ReleasedConfig,
    ReleasedExtractor,
    ReleasedHead,
    ReleasedHeadConfig,
    read_kernel_vertices,
    read_released,
    released_volume,
)
from tracker.networks.resnet import ResNetConfig, ResNetExtractor

_PURPOSE = "the tracker's network weights"


Extractor = LiveExtractor | LocalExtractor | ResNetExtractor | ReleasedExtractor
AnyExtractorConfig = ExtractorConfig | LocalExtractorConfig | ResNetConfig | ReleasedConfig

EXTRACTORS: dict[type, Callable[[Any], Extractor]] = {
    ExtractorConfig: LiveExtractor,
    LocalExtractorConfig: LocalExtractor,
    ResNetConfig: ResNetExtractor,
    ReleasedConfig: ReleasedExtractor,
}
"""A configuration's class → what makes the extractor of it."""
RegressionHead = PartAttentionHead | KinematicChainsHead | ReleasedHead
HeadConfig = PartAttentionConfig | KinematicChainsConfig | ReleasedHeadConfig

HEADS: dict[type, Callable[[int, Any], RegressionHead]] = {
    PartAttentionConfig: PartAttentionHead,
    KinematicChainsConfig: KinematicChainsHead,
    ReleasedHeadConfig: ReleasedHead,
}
"""A configuration's class → what makes the head of it, from the channels of the extractor's trunk. A further head adds
its configuration to `HeadConfig` too."""


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the trained networks."""

    extractor: AnyExtractorConfig = field(default_factory=ExtractorConfig)
    head: HeadConfig = field(default_factory=PartAttentionConfig)


class BodyNetwork(nn.Module):
    """What is learned of pictures and of the body's surface."""

    def __init__(self, config: NetworkConfig, volume: BodyVolume) -> None:
        super().__init__()
        self.config, self.volume = config, volume
        self.extractor: Extractor = EXTRACTORS[type(config.extractor)](config.extractor)
        self.head: RegressionHead = HEADS[type(config.head)](config.extractor.trunk, config.head)
        size = config.extractor.features
        self.bank = nn.Parameter(torch.randn(volume.count, volume.config.orientations, size))
        self.clutter = nn.Parameter(torch.randn(volume.config.clutter, size))

    def start_from(self, other: BodyNetwork) -> None:
        """Takes what another network of the same volume has learned of it, the head, and the maps that the head reads.

        Raises InputError when heads or volumes differ.
        """
        mine, theirs = self.extractor, other.extractor
        pairs: list[tuple[nn.Module, nn.Module]] = [(self.head, other.head)]
        if isinstance(mine, LocalExtractor):
            pairs.append((mine.context, theirs.context if isinstance(theirs, LocalExtractor) else theirs))
            if isinstance(theirs, LocalExtractor):
                pairs.append((mine.local, theirs.local))
        else:
            pairs.append((mine, theirs))
        try:
            for target, source in pairs:
                target.load_state_dict(source.state_dict())
            with torch.no_grad():
                self.bank.copy_(other.bank)
                self.clutter.copy_(other.clutter)
        except RuntimeError as error:
            raise InputError(f"start_from: weights of another kind ({str(error).splitlines()[0]})") from error

    def unit_bank(self) -> Tensor:
        """(K, O, D): φ_ko, unit length."""
        return functional.normalize(self.bank, dim=2)

    def unit_clutter(self) -> Tensor:
        """(C, D), unit length."""
        return functional.normalize(self.clutter, dim=1)

    def save(self, path: Path, metadata: Mapping[str, Any]) -> None:
        """One safetensors file in half precision, with what it takes to read it again in its metadata."""
        tensors = {
            name: value.half() if value.is_floating_point() else value for name, value in self.state_dict().items()
        }
        described = {"network": asdict(self.config), "volume": asdict(self.volume.config), "body": self.volume.name}
        save_tensors(path, tensors, {**described, **metadata})

    @classmethod
    def load(cls, path: Path, body: BodyModel) -> BodyNetwork:
        """Raises InputError, naming the file, when it is missing, damaged, holds something else, or another body's."""
        tensors, metadata = load_tensors(path, _PURPOSE)
        if metadata.get("body", body.name) != body.name:
            raise InputError(
                f"{path}: its kernels lie on the surface of {metadata['body']}, not of {body.name}; "
                "train them on this body, or fit to landmarks alone (extract: enabled: false)"
            )
        strict = dacite.Config(strict=True, cast=[tuple])
        try:
            config = dacite.from_dict(NetworkConfig, metadata["network"], strict)
            volume = BodyVolume.on(body, dacite.from_dict(VolumeConfig, metadata["volume"], strict))
            network = cls(config, volume)
            network.load_state_dict({n: v.float() if v.is_floating_point() else v for n, v in tensors.items()})
        except (KeyError, dacite.DaciteError, RuntimeError) as error:
            first = str(error).splitlines()[0]
            raise InputError(f"{path}: does not hold {_PURPOSE} of this version ({first})") from error
        return network.eval()

    @classmethod
    def load_released(cls, path: Path, body: BodyModel, vertices: Path) -> BodyNetwork:
        """3DNBF's released checkpoint on an SMPL body. vertices: the authors' list of where its kernels lie.

        Raises InputError that names the file which is something else.
        """
        volume = released_volume(body, read_kernel_vertices(vertices))
        weights = read_released(path)
        network = cls(NetworkConfig(ReleasedConfig(), ReleasedHeadConfig()), volume)
        network.extractor.load_state_dict(weights.extractor, strict=False)
        assert isinstance(network.head, ReleasedHead)
        network.head.load_state_dict(weights.head)
        network.head.stand_on(body)
        with torch.no_grad():
            network.bank.copy_(weights.bank)
            network.clutter.copy_(weights.clutter)
        return network.eval()
