"""Extractor and head as one network for the engines: from a crop and the landmark network's maps of it to features and
a first pose."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from engines import Engine, EngineOptions, Network, TensorSpec, open_engine
from engines.convert import export_onnx
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array
from tracker.networks.body_network import BodyNetwork
from tracker.networks.extractor import Extracted, LiveExtractor
from tracker.networks.folded import FoldedExtractor
from tracker.networks.guide import MAP, SEEN, guide_name, guide_of
from tracker.networks.head import NUM_PARTS, crop_rays, root_from_place, turn_to_ray
from tracker.networks.landmark_network import SIDE
from tracker.networks.landmark_onnx import OUTPUTS, planes
from tracker.networks.local_extractor import LocalExtractor
from tracker.networks.onnx_file import kept_onnx, onnx_place

_CROPS = "crops"
_STRAIGHT = (SIDE / 2, SIDE / 2, SIDE / 2, SIDE / 2)
"""fx, fy, cx, cy px of the camera in which everybody is straight ahead, a quarter turn wide."""
_FORMAT = 4
"""Goes up when the exported file changes for the same networks, so that old files in caches are left alone."""


def input_sizes(network: BodyNetwork) -> dict[str, tuple[int, ...]]:
    """Name → size for one crop: the crop, and what the network reads of the landmark network's outputs."""
    reads = {*network.extractor.reads, *network.head.reads}
    return {_CROPS: (SIDE, SIDE, 3), **{name: OUTPUTS[name] for name in SEEN if guide_name(name) in reads}}


def output_sizes(features: int) -> dict[str, tuple[int, ...]]:
    """Name → size for one crop; features: D."""
    return {
        "features": (MAP, MAP, features),
        "rotations": (NUM_JOINTS, 3, 3),
        "betas": (NUM_BETAS,),
        "root": (3,),
        "parts": (MAP, MAP, NUM_PARTS),
    }


class FeatureNetwork(nn.Module):
    """A network with a tuple as its result, as ONNX has it; pictures and maps have their channels last.

    It sees everybody straight ahead: what the crop's own camera changes is worked out behind it (`seen_by`), so that
    it can run before that camera is known.
    """

    _straight: Tensor

    def __init__(self, network: BodyNetwork) -> None:
        super().__init__()
        extractor = network.extractor
        self._extractor = _for_running(extractor)
        self._head = network.head
        self.maps = tuple(name for name in input_sizes(network) if name != _CROPS)
        self.register_buffer("_straight", torch.tensor([_STRAIGHT]), persistent=False)

    def forward(self, crops: Tensor, *maps: Tensor) -> tuple[Tensor, ...]:
        """crops: (B, 256, 256, 3) RGB bytes; maps: those of `input_sizes`. Gives `output_sizes`."""
        guide = guide_of(dict(zip(self.maps, maps, strict=True)))
        extracted = self._extractor(planes(crops, self._straight.dtype), guide)
        first = self._head(extracted.trunk, guide, self._straight)
        features, parts = (maps.permute(0, 2, 3, 1) for maps in (extracted.features, first.parts))
        return features, first.rotations, first.betas, first.root, parts


def seen_by(camera: Array, rotation: Array, root: Array) -> tuple[Array, Array]:
    """What somebody's pelvis is in the frame of the crop's camera, (4,) fx, fy, cx, cy px: rotation (3, 3) and place
    (3,) m, from what they are straight ahead."""
    cameras = torch.from_numpy(camera[None])
    turn = turn_to_ray(crop_rays(cameras))[0].numpy()
    place = torch.from_numpy(np.array([[root[0] / root[2], root[1] / root[2], np.log(root[2])]]))
    return turn @ rotation, root_from_place(place, cameras)[0].numpy()


class _FoldedLocalExtractor(nn.Module):
    """`LocalExtractor` in evaluation mode, its context folded."""

    def __init__(self, extractor: LocalExtractor) -> None:
        super().__init__()
        self._local, self._context = extractor.local, FoldedExtractor(extractor.context)

    def forward(self, image: Tensor, guide: Mapping[str, Tensor]) -> Extracted:
        return Extracted(self._local(image, guide), self._context(image, guide).trunk)


def _for_running(extractor: nn.Module) -> nn.Module:
    """The same function in cheaper operators, where there are some."""
    if isinstance(extractor, LocalExtractor):
        return _FoldedLocalExtractor(extractor)
    return FoldedExtractor(extractor) if isinstance(extractor, LiveExtractor) else extractor


@dataclass(frozen=True)
class FeatureModel:
    """The networks of one weights file."""

    network: BodyNetwork
    weights: Path

    def described(self, dynamic_batch: bool = False) -> Network:
        """For the engines."""
        batch = None if dynamic_batch else 1
        sizes = output_sizes(self.network.config.extractor.features)
        return Network(
            name="features-batch" if dynamic_batch else "features",
            module=lambda: FeatureNetwork(self.network).eval(),
            onnx=lambda: self._onnx(dynamic_batch),
            inputs=tuple(
                TensorSpec(name, (batch, *size), np.dtype(np.uint8 if name == _CROPS else np.float32))
                for name, size in input_sizes(self.network).items()
            ),
            outputs=tuple(TensorSpec(name, (batch, *size), np.dtype(np.float32)) for name, size in sizes.items()),
        )

    def open(self, backend: str = "auto", options: EngineOptions | None = None) -> Engine:
        """An engine for one crop at a time; `options.outputs` says what is wanted of `output_sizes`."""
        return open_engine(self.described(), backend, options)

    def onnx_place(self, dynamic_batch: bool) -> Path:
        """Where its ONNX file is kept, made or not."""
        digest = hashlib.sha256(self.weights.read_bytes()).hexdigest()[:16]
        kind = "batch_n" if dynamic_batch else "batch_1"
        return onnx_place(f"features-{digest}-v{_FORMAT}-{kind}.onnx")

    def _onnx(self, dynamic_batch: bool) -> Path:
        """The ONNX file in the user's cache; made unless it is there. Raises InputError when it cannot be."""
        return kept_onnx(self.onnx_place(dynamic_batch).name, lambda path: self.export(path, dynamic_batch))

    def export(self, target: Path, dynamic_batch: bool) -> None:
        """Writes the network to an ONNX file. Raises OSError when it cannot be written."""
        count = 2 if dynamic_batch else 1  # sizes of one in the example would be taken for sizes that always are one
        sizes = input_sizes(self.network)
        example = {name: torch.ones(count, *size) for name, size in sizes.items()}
        example[_CROPS] = example[_CROPS].byte()
        names = tuple(output_sizes(self.network.config.extractor.features))
        export_onnx(FeatureNetwork(self.network).eval(), example, names, target, dynamic_batch)
