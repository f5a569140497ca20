"""All that is computed of a crop, as one network for the engines: landmarks, feature map, first pose."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from engines import Engine, EngineOptions, Network, TensorSpec, open_engine
from engines.convert import export_onnx
from tracker.body_network import BodyNetwork
from tracker.errors import InputError
from tracker.networks.guide import MAP, guide_of
from tracker.networks.heads import NUM_PARTS
from tracker.networks.landmark_network import (
    LANDMARKS,
    SIDE,
    LandmarkNetwork,
    landmark_network_file,
    read_landmark_network,
)
from tracker.paths import cache_folder
from tracker.types import NUM_BETAS, NUM_JOINTS

INPUTS = {"crops": (3, SIDE, SIDE), "cameras": (4,)}
_FORMAT = 1
"""Goes up when the exported file changes for the same networks, so that old files in caches are left alone."""


def output_sizes(features: int) -> dict[str, tuple[int, ...]]:
    """Name → size for one crop; features: D."""
    return {
        "landmarks": (LANDMARKS, 5),
        "presence": (1,),
        "metric": (LANDMARKS, 3),
        "heatmaps": (LANDMARKS, MAP, MAP),
        "features": (features, MAP, MAP),
        "rotations": (NUM_JOINTS, 3, 3),
        "betas": (NUM_BETAS,),
        "root": (3,),
        "parts": (NUM_PARTS, MAP, MAP),
    }


class PictureNetwork(nn.Module):
    """The landmark network with extractor and head upon it."""

    def __init__(self, landmarks: LandmarkNetwork, network: BodyNetwork) -> None:
        super().__init__()
        self._landmarks, self._network = landmarks, network

    def forward(self, crops: Tensor, cameras: Tensor) -> tuple[Tensor, ...]:
        """crops: (B, 3, 256, 256) RGB in 0..1; cameras: (B, 4) fx, fy, cx, cy px of the crops. Gives `output_sizes`."""
        maps = self._landmarks(crops)
        guide = guide_of(maps)
        seen = self._network.extractor(crops, guide)
        first = self._network.head(seen.trunk, guide, cameras)
        told = (maps.landmarks, maps.presence, maps.metric, maps.heatmaps)
        return (*told, seen.features, first.rotations, first.betas, first.root, first.parts)


@dataclass(frozen=True)
class PictureModel:
    """The networks of one weights file."""

    network: BodyNetwork
    weights: Path

    def described(self, dynamic_batch: bool = False) -> Network:
        """For the engines. Raises InputError without mediapipe."""
        source, batch = landmark_network_file(), None if dynamic_batch else 1
        single = np.dtype(np.float32)
        sizes = output_sizes(self.network.config.extractor.features)
        return Network(
            name="picture-batch" if dynamic_batch else "picture",
            module=lambda: self._module(source),
            onnx=lambda: self._onnx(source, dynamic_batch),
            inputs=tuple(TensorSpec(name, (batch, *size), single) for name, size in INPUTS.items()),
            outputs=tuple(TensorSpec(name, (batch, *size), single) for name, size in sizes.items()),
        )

    def open(self, backend: str = "auto", options: EngineOptions | None = None) -> Engine:
        """An engine for one crop at a time; `options.outputs` says what is wanted of `output_sizes`."""
        return open_engine(self.described(), backend, options)

    def _module(self, source: Path) -> nn.Module:
        return PictureNetwork(read_landmark_network(source), self.network).eval()

    def _onnx(self, source: Path, dynamic_batch: bool) -> Path:
        """The ONNX file in the user's cache; made unless it is there."""
        digest = hashlib.sha256(source.read_bytes() + self.weights.read_bytes()).hexdigest()[:16]
        kind = "batch_n" if dynamic_batch else "batch_1"
        target = cache_folder() / "networks" / f"picture-{digest}-v{_FORMAT}-{kind}.onnx"
        if not target.is_file():
            try:
                self.export(self._module(source), target, dynamic_batch)
            except OSError as error:
                raise InputError(f"{target}: cannot be written ({error.strerror}); set XDG_CACHE_HOME") from None
        return target

    def export(self, module: nn.Module, target: Path, dynamic_batch: bool) -> None:
        """Writes the network to an ONNX file. Raises OSError when it cannot be written."""
        count = 2 if dynamic_batch else 1  # sizes of one in the example would be taken for sizes that always are one
        example = {name: torch.ones(count, *size) for name, size in INPUTS.items()}
        names = tuple(output_sizes(self.network.config.extractor.features))
        export_onnx(module, example, names, target, dynamic_batch)
