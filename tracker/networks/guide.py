"""What the landmark network knows of a crop besides its landmarks.

MediaPipe's landmark network has seen very many real people. Its inner maps, heatmaps and person mask are computed for
the landmarks anyway; handed on, they let a network that is trained on synthetic people work on real ones, and keep it
small.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracker.networks.landmark_network import FEATURES, LANDMARKS, SIDE

if TYPE_CHECKING:
    from engines import Engine

MAP = 64
"""px: side of the feature maps."""
GUIDE_CHANNELS = {**FEATURES, "heatmaps": (LANDMARKS, MAP), "mask": (1, MAP)}
"""Name → channels and side of each map: the U-Net's two halves, what the landmarks are read from, and its outputs."""

Guide = dict[str, NDArray[np.float32]]
"""GUIDE_CHANNELS' maps, (channels, side, side) each, and `landmarks` (39, 5), `metric` (39, 3)."""


SEEN = ("landmarks", "metric", "small_mask", "heatmaps", *FEATURES)
"""What the guide is made of, of the landmark network's `landmark_onnx.OUTPUTS`."""


def guide_of(maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The guide to B crops, channels first, from SEEN or a part of it."""
    whole = {name: each[..., None] if name == "small_mask" else each for name, each in maps.items()}
    return {guide_name(n): each.permute(0, 3, 1, 2) if each.dim() == 4 else each for n, each in whole.items()}


def guide_name(name: str) -> str:
    """What the guide calls one of SEEN."""
    return "mask" if name == "small_mask" else name


class LandmarkGuide:
    """Runs the landmark network on crops, one at a time, and gives out its maps."""

    def __init__(self, threads: int = 1) -> None:
        """Raises InputError without mediapipe, and the engines' errors."""
        from engines import EngineOptions
        from tracker.networks.landmark_onnx import open_landmark_engine

        self._engine: Engine = open_landmark_engine(options=EngineOptions(threads=threads, outputs=SEEN))
        (self._input,) = self._engine.inputs

    def __call__(self, image: NDArray[np.uint8]) -> Guide:
        """image: (256, 256, 3) RGB."""
        if image.shape != (SIDE, SIDE, 3):
            raise ValueError(f"guide: expected a crop of shape {(SIDE, SIDE, 3)}, got {image.shape}")
        crop = np.ascontiguousarray(image)[None]
        maps = {name: torch.from_numpy(value) for name, value in self._engine.run({self._input: crop}).items()}
        return {name: value[0].contiguous().numpy() for name, value in guide_of(maps).items()}


class BatchGuide:
    """The same of whole batches, in torch: on a GPU, where a training makes it itself instead of being sent it."""

    def __init__(self, device: str) -> None:
        """Raises InputError without mediapipe."""
        from tracker.networks.landmark_network import read_landmark_network
        from tracker.networks.landmark_onnx import OUTPUTS, FlatLandmarkNetwork

        self._names = tuple(OUTPUTS)
        self._network = FlatLandmarkNetwork(read_landmark_network()).to(device).eval()

    @torch.no_grad()
    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """images: (B, 256, 256, 3) RGB bytes on the device."""
        maps = dict(zip(self._names, self._network(images), strict=True))
        return {name: each.contiguous() for name, each in guide_of({name: maps[name] for name in SEEN}).items()}
