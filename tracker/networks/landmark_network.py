"""MediaPipe's landmark networks in torch and ONNX, read at run time from their makers' files and never copied.

It has seen very many real people. Its outputs start the fit, and its inner maps, which are computed anyway, let a small
network that was trained on synthetic people work on real ones. In torch it can be trained upon and run on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from tracker.core.errors import InputError
from tracker.core.input_file import reading
from tracker.networks.landmark_files import landmark_content, landmark_network_file
from tracker.networks.tflite import Graph, read_tflite
from tracker.networks.tflite_modules import TfliteModules

SIDE = 256
"""px: side of the square crop."""
LANDMARKS = 39
FEATURES = {
    "decoder_64": (48, 64),
    "encoder_64": (24, 64),
    "decoder_32": (48, 32),
    "encoder_32": (32, 32),
    "decoder_16": (48, 16),
    "encoder_16": (88, 16),
    "decoder_8": (48, 8),
    "embedding": (288, 2),
}
"""Name → channels and side of the inner maps of the full network, which is the guide of the picture's networks; the
others have the same maps of other widths.

The network is a U-Net. `encoder_S` are the sums after the last residual block at S×S, before they are narrowed for the
skip; `decoder_S` the sums of skip and upsampled map that the heatmaps (S = 64) and then the mask are read from;
`decoder_8` the narrowed bottom; `embedding` what all landmarks and metres are read from.
"""
_SHAPES = ((1, 195), (1, 1), (1, SIDE, SIDE, 1), (1, 64, 64, LANDMARKS), (1, 3 * LANDMARKS))


@dataclass(frozen=True)
class LandmarkMaps:
    """What the network says of a batch of crops."""

    landmarks: Tensor
    """(B, 39, 5): x, y, z in crop pixels, logits of visibility and presence."""
    presence: Tensor
    """(B, 1): probability that there is a person."""
    mask: Tensor
    """(B, 1, 256, 256): logits of the person's silhouette."""
    heatmaps: Tensor
    """(B, 39, 64, 64): logits."""
    metric: Tensor
    """(B, 39, 3): metres, the hips' midpoint at the origin."""
    features: dict[str, Tensor]
    """The inner maps, by the names of FEATURES, (B, channels, side, side) each."""


def read_landmark_network(path: Path | None = None) -> LandmarkNetwork:
    """The network with its weights, from `path` (.tflite or .task) or the full one; in evaluation mode, frozen.

    Raises InputError for a file that is damaged or another network.
    """
    source = path or landmark_network_file()
    graph = _landmark_graph(source)
    with reading(source, "expected a pose landmark network, this is one of another make"):
        network = LandmarkNetwork(graph)
    network.requires_grad_(False)
    return network.eval()


def feature_sizes(path: Path) -> dict[str, tuple[int, int]]:
    """Name → channels and side of the inner maps of a network. Raises InputError as `read_landmark_network`."""
    graph = _landmark_graph(path)
    with reading(path, "expected a pose landmark network, this is one of another make"):
        return {name: _size(graph.shapes[each]) for name, each in _feature_tensors(graph).items()}


def is_heavy(path: Path) -> bool:
    """Whether a network is of the heavy one's make: its inner maps are wider. Raises InputError as
    `read_landmark_network`."""
    return feature_sizes(path)["encoder_16"][0] > FEATURES["encoder_16"][0]


def _landmark_graph(path: Path) -> Graph:
    graph = read_tflite(landmark_content(path), path)
    shapes = tuple(graph.shapes[output] for output in graph.outputs if 0 <= output < len(graph.shapes))
    if shapes != _SHAPES:
        raise InputError(f"{path}: not a pose landmark network; expected pose_landmark_full.tflite or its like")
    return graph


class LandmarkNetwork(nn.Module):
    """The network's operators, channels first."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._graph = TfliteModules(graph)
        self._outputs = graph.outputs
        self._features = _feature_tensors(graph)

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return next(self.parameters()).dtype

    def forward(self, crops: Tensor) -> LandmarkMaps:
        """crops: (B, 3, 256, 256) RGB in 0..1."""
        values = self._graph(crops)
        landmarks, presence, mask, heatmaps, metric = (values[each] for each in self._outputs)
        return LandmarkMaps(
            landmarks=landmarks.reshape(-1, LANDMARKS, 5),
            presence=presence,
            mask=mask,
            heatmaps=heatmaps,
            metric=metric.reshape(-1, LANDMARKS, 3),
            features={name: values[each] for name, each in self._features.items()},
        )


def _feature_tensors(graph: Graph) -> dict[str, int]:
    """FEATURES → tensor numbers, found by walking back from the heatmaps through the U-Net."""
    maker = {operator.outputs[0]: operator for operator in graph.operators}
    _, _, _, heatmaps, metric = graph.outputs
    tensors = {"embedding": maker[maker[metric].inputs[0]].inputs[0]}
    node = maker[heatmaps].inputs[0]
    for side in (64, 32, 16):
        tensors[f"decoder_{side}"] = node
        upsampled, skip = maker[node].inputs
        tensors[f"encoder_{side}"] = maker[maker[skip].inputs[0]].inputs[0]
        node = maker[upsampled].inputs[0]
    tensors["decoder_8"] = node
    return {name: tensors[name] for name in FEATURES}


def _size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Channels and side of a (1, side, side, channels) map."""
    return shape[3], shape[1]
