"""The landmark network as an ONNX file in the user's cache, for every engine; made at first use from the wheel."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from engines import Engine, EngineOptions, Network, TensorSpec, open_engine
from engines.convert import export_onnx
from tracker.errors import InputError
from tracker.networks.landmark_network import (
    FEATURES,
    LANDMARKS,
    OUTPUTS,
    SIDE,
    LandmarkNetwork,
    landmark_network_file,
    read_landmark_network,
)
from tracker.paths import cache_folder

INPUT = "crops"
_FORMAT = 1
"""Goes up when the exported file changes for the same network, so that old files in caches are left alone."""


def open_landmark_engine(
    backend: str = "auto", options: EngineOptions | None = None, dynamic_batch: bool = False
) -> Engine:
    """An engine from `crops`, (B, 3, 256, 256) RGB in 0..1, to LandmarkMaps' fields by name, and to FEATURES by name.

    B is 1 without `dynamic_batch`, which makes it a sixth slower. `options.outputs` says what is wanted: on the CPU the
    mask takes about a third of the time, the heatmaps a tenth, all features a sixth.
    """
    return open_engine(landmark_model(dynamic_batch), backend, options)


def landmark_model(dynamic_batch: bool = False) -> Network:
    """The network in the installed mediapipe, for every engine. Raises InputError where there is none."""
    source, batch = landmark_network_file(), None if dynamic_batch else 1
    sizes = {
        "landmarks": (LANDMARKS, 5),
        "presence": (1,),
        "mask": (1, SIDE, SIDE),
        "heatmaps": (LANDMARKS, 64, 64),
        "metric": (LANDMARKS, 3),
        **{name: (channels, side, side) for name, (channels, side) in FEATURES.items()},
    }
    single = np.dtype(np.float32)
    return Network(
        name="landmarks-batch" if dynamic_batch else "landmarks",
        module=lambda: FlatLandmarkNetwork(read_landmark_network(source)).eval(),
        onnx=lambda: landmark_onnx(dynamic_batch, source),
        inputs=(TensorSpec(INPUT, (batch, 3, SIDE, SIDE), single),),
        outputs=tuple(TensorSpec(name, (batch, *size), single) for name, size in sizes.items()),
    )


def landmark_onnx(dynamic_batch: bool = False, source: Path | None = None) -> Path:
    """The ONNX file of the network in `source`, or in the installed mediapipe; made unless the cache has it.

    Raises InputError without a network, or without a place to keep the file.
    """
    path = source or landmark_network_file()
    target = landmark_onnx_place(dynamic_batch, path)
    if not target.is_file():
        try:
            export_landmark_network(read_landmark_network(path), target, dynamic_batch)
        except OSError as error:
            raise InputError(f"{target}: cannot be written ({error.strerror}); set XDG_CACHE_HOME") from None
    return target


def landmark_onnx_place(dynamic_batch: bool, source: Path) -> Path:
    """Where `landmark_onnx` keeps its file. Raises InputError when `source` cannot be read."""
    try:
        digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror})") from None
    kind = "batch_n" if dynamic_batch else "batch_1"
    return cache_folder() / "networks" / f"pose_landmark_full-{digest}-v{_FORMAT}-{kind}.onnx"


def export_landmark_network(network: LandmarkNetwork, target: Path, dynamic_batch: bool) -> None:
    """Writes the network with all outputs and features to an ONNX file. Raises OSError when it cannot be written."""
    # A batch of two: sizes of one in the example would be taken for sizes that always are one.
    example = {INPUT: torch.zeros(2 if dynamic_batch else 1, 3, SIDE, SIDE)}
    export_onnx(FlatLandmarkNetwork(network).eval(), example, (*OUTPUTS, *FEATURES), target, dynamic_batch)


class FlatLandmarkNetwork(nn.Module):
    """The network with a tuple as its result, as ONNX has it."""

    def __init__(self, network: LandmarkNetwork) -> None:
        super().__init__()
        self._network = network

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        maps = self._network(crops)
        return (*(getattr(maps, name) for name in OUTPUTS), *maps.features.values())
