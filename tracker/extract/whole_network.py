"""Landmark network, extractor and head as one network: from a crop to landmarks, features and a first pose.

Behind another landmark network than the full one, whose maps they read, that one tells its landmarks, too.

The landmark network's inner maps stay inside. On a GPU they would otherwise come to the CPU and go back, 1.7 MB a
person; so it sees several people at a time there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from engines import Network, TensorSpec
from engines.convert import export_onnx
from engines.engine import Precision
from tracker.detect.crop_landmarks import READ
from tracker.extract.feature_network import FeatureModel, FeatureNetwork, output_sizes
from tracker.extract.second_opinion import SECOND
from tracker.networks.crop_network import CropNetwork
from tracker.networks.landmark_files import landmark_network_file
from tracker.networks.landmark_network import SIDE, read_landmark_network
from tracker.networks.landmark_onnx import INPUT, FlatLandmarkNetwork, landmark_onnx_place
from tracker.networks.landmark_onnx import OUTPUTS as LANDMARK_OUTPUTS
from tracker.networks.landmark_onnx import output_sizes as landmark_sizes
from tracker.networks.onnx_file import kept_onnx, onnx_place

_FORMAT = 2
"""Goes up when the exported file changes for the same networks, so that old files in caches are left alone."""


class WholeNetwork(nn.Module):
    """From bytes to a tuple, `whole_sizes`."""

    def __init__(self, landmarks: FlatLandmarkNetwork, guide: FlatLandmarkNetwork, features: FeatureNetwork) -> None:
        """guide: the full landmark network, which may be `landmarks` itself."""
        super().__init__()
        self._landmarks, self._guide, self._features = landmarks, guide, features

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """crops: (B, 256, 256, 3) RGB bytes."""
        landmarks = dict(zip(LANDMARK_OUTPUTS, self._landmarks(crops), strict=True))
        guide = landmarks
        if self._guide is not self._landmarks:
            guide = dict(zip(LANDMARK_OUTPUTS, self._guide(crops), strict=True))
        read = self._features(crops, *(guide[name] for name in self._features.maps))
        own = tuple(landmarks[name] for name in landmark_sizes({}))
        return (*own, *read) if guide is landmarks else (*own, *read, *(guide[name] for name in READ))


def whole_sizes(features: int, is_guided: bool) -> dict[str, tuple[int, ...]]:
    """Name → size for one crop. features: D; is_guided: whether the full landmark network is a second one in it."""
    sizes = landmark_sizes({})
    second = {SECOND[name]: sizes[name] for name in READ} if is_guided else {}
    return {**sizes, **output_sizes(features), **second}


@dataclass(frozen=True)
class WholeModel:
    """The networks of one weights file, with any landmark network before them."""

    features: FeatureModel
    wanted: Sequence[str]
    """Of the outputs of extractor and head, those that are wanted of each crop."""
    several: bool
    """Whether it sees several people at a time."""
    precision: Precision = "float32"
    """What all of it computes in."""

    def with_landmarks(self, file: Path) -> CropNetwork:
        """A `CropNetworks`."""
        second = tuple(SECOND.values()) if _is_guided(file) else ()
        return CropNetwork(file, lambda: self.described(file), (*self.wanted, *second), self.precision)

    def described(self, landmarks: Path) -> Network:
        """For the engines. landmarks: the landmark network's file. Raises InputError where there is none."""
        sizes, single = self._sizes(landmarks), np.dtype(np.float32)
        batch = None if self.several else 1
        other = f"-{landmarks.stem.removeprefix('pose_landmark_')}" if _is_guided(landmarks) else ""
        return Network(
            name=f"whole{other}",
            module=lambda: self._module(landmarks),
            onnx=lambda: kept_onnx(self.onnx_place(landmarks).name, lambda path: self._export(landmarks, path)),
            inputs=(TensorSpec(INPUT, (batch, SIDE, SIDE, 3), np.dtype(np.uint8)),),
            outputs=tuple(TensorSpec(name, (batch, *size), single) for name, size in sizes.items()),
        )

    def onnx_place(self, landmarks: Path) -> Path:
        """Where its ONNX file is kept, made or not."""
        parts = (landmark_onnx_place(self.several, landmarks), self.features.onnx_place(self.several))
        return onnx_place(f"whole-v{_FORMAT}-{'-with-'.join(each.stem for each in parts)}.onnx")

    def _module(self, landmarks: Path) -> WholeNetwork:
        first = FlatLandmarkNetwork(read_landmark_network(landmarks))
        guide = FlatLandmarkNetwork(read_landmark_network(landmark_network_file())) if _is_guided(landmarks) else first
        return WholeNetwork(first, guide, FeatureNetwork(self.features.network)).eval()

    def _export(self, landmarks: Path, target: Path) -> None:
        # sizes of one in the example would be taken for sizes that always are one
        example = {INPUT: torch.zeros(2 if self.several else 1, SIDE, SIDE, 3, dtype=torch.uint8)}
        export_onnx(self._module(landmarks), example, tuple(self._sizes(landmarks)), target, self.several)

    def _sizes(self, landmarks: Path) -> dict[str, tuple[int, ...]]:
        return whole_sizes(self.features.network.config.extractor.features, _is_guided(landmarks))


def _is_guided(landmarks: Path) -> bool:
    """Whether the maps are not those of the landmark network in this file."""
    return landmarks != landmark_network_file()
