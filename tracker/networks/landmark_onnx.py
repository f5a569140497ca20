"""A landmark network as an ONNX file in the user's cache, for every engine; made at first use from its makers' file.

It takes pictures as they are, bytes with the channels last, and gives its maps with the channels last too, which is how
CPUs compute them: nothing has to be turned around before the network, behind it, or before the next one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engines import Engine, EngineOptions, Network, TensorSpec, open_engine
from engines.convert import export_onnx
from tracker.core.errors import InputError
from tracker.networks.landmark_files import landmark_network_file
from tracker.networks.landmark_network import (
    FEATURES,
    LANDMARKS,
    SIDE,
    LandmarkNetwork,
    feature_sizes,
    read_landmark_network,
)
from tracker.networks.onnx_file import kept_onnx, onnx_place

INPUT = "crops"
SCALE = 4
"""Crop pixels that one pixel of the heatmaps, and of the small mask, covers along a side."""


def output_sizes(features: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, ...]]:
    """Name → size for one crop. features: name → channels and side of the inner maps."""
    return {
        "landmarks": (LANDMARKS, 5),
        "presence": (1,),
        "mask": (SIDE, SIDE),
        "small_mask": (SIDE // SCALE, SIDE // SCALE),
        "heatmaps": (SIDE // SCALE, SIDE // SCALE, LANDMARKS),
        "metric": (LANDMARKS, 3),
        **{name: (side, side, channels) for name, (channels, side) in features.items()},
    }


OUTPUTS = output_sizes(FEATURES)
"""Of the full network. As `LandmarkMaps` and its features, but channels last, masks and heatmaps as probabilities."""
_FARTHEST = 3e4
"""Beyond what the inner maps hold (some hundreds), within half precision's range."""
_FORMAT = 3
"""Goes up when the exported file changes for the same network, so that old files in caches are left alone."""


def open_landmark_engine(
    backend: str = "auto",
    options: EngineOptions | None = None,
    dynamic_batch: bool = False,
    source: Path | None = None,
) -> Engine:
    """An engine from `crops`, (B, 256, 256, 3) RGB in 0..255, to the network's outputs.

    B is 1 without `dynamic_batch`, which makes it a sixth slower. `options.outputs` says what is wanted; source: the
    network's file, by default the full one's.
    """
    return open_engine(landmark_model(dynamic_batch, source), backend, options)


def landmark_model(dynamic_batch: bool = False, source: Path | None = None) -> Network:
    """The network in `source`, by default the full one, for every engine. Raises InputError where there is none."""
    path, batch = source or landmark_network_file(), None if dynamic_batch else 1
    sizes, single = output_sizes(feature_sizes(path)), np.dtype(np.float32)
    name = "landmarks" if path == landmark_network_file() else f"landmarks-{path.stem.removeprefix('pose_landmark_')}"
    return Network(
        name=f"{name}-batch" if dynamic_batch else name,
        module=lambda: FlatLandmarkNetwork(read_landmark_network(path)).eval(),
        onnx=lambda: landmark_onnx(dynamic_batch, path),
        inputs=(TensorSpec(INPUT, (batch, SIDE, SIDE, 3), np.dtype(np.uint8)),),
        outputs=tuple(TensorSpec(each, (batch, *size), single) for each, size in sizes.items()),
    )


def landmark_onnx(dynamic_batch: bool = False, source: Path | None = None) -> Path:
    """The ONNX file of the network in `source`, by default the full one; made unless the cache has it.

    Raises InputError without a network, or without a place to keep the file.
    """
    path = source or landmark_network_file()
    return kept_onnx(
        landmark_onnx_place(dynamic_batch, path).name,
        lambda place: export_landmark_network(read_landmark_network(path), place, dynamic_batch),
    )


def landmark_onnx_place(dynamic_batch: bool, source: Path) -> Path:
    """Where `landmark_onnx` keeps its file. Raises InputError when `source` cannot be read."""
    try:
        digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror})") from None
    kind = "batch_n" if dynamic_batch else "batch_1"
    return onnx_place(f"{source.stem}-{digest}-v{_FORMAT}-{kind}.onnx")


def export_landmark_network(network: LandmarkNetwork, target: Path, dynamic_batch: bool) -> None:
    """Writes the network with all outputs and features to an ONNX file. Raises OSError when it cannot be written."""
    # A batch of two: sizes of one in the example would be taken for sizes that always are one.
    example = {INPUT: torch.zeros(2 if dynamic_batch else 1, SIDE, SIDE, 3, dtype=torch.uint8)}
    export_onnx(FlatLandmarkNetwork(network).eval(), example, tuple(OUTPUTS), target, dynamic_batch)


class FlatLandmarkNetwork(nn.Module):
    """The network as ONNX has it: from bytes to a tuple, OUTPUTS."""

    def __init__(self, network: LandmarkNetwork) -> None:
        super().__init__()
        self._network = network

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        maps = self._network(planes(crops, self._network.dtype))
        mask = torch.sigmoid(maps.mask)
        outputs = {
            "landmarks": maps.landmarks,
            "presence": maps.presence,
            "mask": mask[:, 0],
            "small_mask": functional.avg_pool2d(mask, SCALE)[:, 0],
            "heatmaps": _last(torch.sigmoid(maps.heatmaps)),
            "metric": maps.metric,
            **{name: _last(_handed_on(name, feature)) for name, feature in maps.features.items()},
        }
        return tuple(outputs[name] for name in OUTPUTS)


def planes(crops: Tensor, dtype: torch.dtype) -> Tensor:
    """(B, h, w, 3) RGB bytes as (B, 3, h, w) in 0..1."""
    return (crops.to(dtype) * (1 / 255)).permute(0, 3, 1, 2)


def _handed_on(name: str, feature: Tensor) -> Tensor:
    """The same. The encoder's are convolutions' own results: OpenVINO would turn them around and back again to give
    them out; what a clamp leaves of them it does not."""
    return feature.clamp(-_FARTHEST, _FARTHEST) if name.startswith("encoder") else feature


def _last(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 1)
