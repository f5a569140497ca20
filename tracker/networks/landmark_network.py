"""MediaPipe's landmark networks in torch and ONNX, read at run time from their makers' files and never copied.

It has seen very many real people. Its outputs start the fit, and its inner maps, which are computed anyway, let a small
network that was trained on synthetic people work on real ones. In torch it can be trained upon and run on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tracker.core.errors import InputError
from tracker.core.input_file import reading
from tracker.networks.landmark_files import landmark_content, landmark_network_file
from tracker.networks.tflite import Graph, Operator, read_tflite

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
_LANES = 16
"""Single precision numbers in a vector of a CPU."""


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
        steps = _Steps(graph)
        self._steps = nn.ModuleList(steps.modules)
        self._wiring = steps.wiring
        self._input = graph.inputs[0]
        self._outputs = graph.outputs
        self._features = _feature_tensors(graph)

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return next(self.parameters()).dtype

    def forward(self, crops: Tensor) -> LandmarkMaps:
        """crops: (B, 3, 256, 256) RGB in 0..1."""
        values = {self._input: crops}
        for step, (inputs, output) in zip(self._steps, self._wiring, strict=True):
            values[output] = step(*(values[each] for each in inputs))
        landmarks, presence, mask, heatmaps, metric = (values[each] for each in self._outputs)
        return LandmarkMaps(
            landmarks=landmarks.reshape(-1, LANDMARKS, 5),
            presence=presence,
            mask=mask,
            heatmaps=heatmaps,
            metric=metric.reshape(-1, LANDMARKS, 3),
            features={name: values[each] for name, each in self._features.items()},
        )


class _Steps:
    """A graph's operators as torch modules, and which tensors each one takes and gives.

    A PAD that sets a margin goes into the convolution that follows it; one that adds channels is a step of its own.
    Raises ValueError for operators that the networks read here do not have.
    """

    def __init__(self, graph: Graph) -> None:
        self.modules: list[nn.Module] = []
        self.wiring: list[tuple[tuple[int, ...], int]] = []
        self._graph = graph
        pads: dict[int, tuple[int, int]] = {}
        for operator in graph.operators:
            source, output = operator.inputs[0], operator.outputs[0]
            if operator.kind == "PAD":
                margin, channels = self._padding(operator)
                if channels:
                    self.modules.append(_Widened(channels))
                    self.wiring.append(((source,), output))
                else:
                    pads[output] = (source, margin)
                continue
            source, margin = pads.get(source, (source, 0))
            others = operator.inputs[1:] if operator.kind == "ADD" else ()
            self.modules.append(self._module(operator, margin))
            self.wiring.append(((source, *others), output))

    def _padding(self, operator: Operator) -> tuple[int, int]:
        """The margin on all four sides, and the channels added behind; one of the two is 0."""
        (batch, top, left, channels) = self._graph.constants[operator.inputs[1]].tolist()
        margin, added = top[0], channels[1]
        even = batch == [0, 0] and top == left == [margin, margin] and channels == [0, added]
        takers = {each.kind for each in self._graph.operators if operator.outputs[0] in each.inputs}
        if not even or (margin and (added or not takers <= {"CONV_2D", "DEPTHWISE_CONV_2D"})):
            raise ValueError(f"a PAD by {[batch, top, left, channels]} before {', '.join(sorted(takers))}")
        return margin, added

    def _module(self, operator: Operator, margin: int) -> nn.Module:
        if operator.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            return self._convolution(operator, margin)
        if operator.kind == "ADD":
            return _Sum(operator.options["activation"])
        if operator.kind == "MAX_POOL_2D":
            return nn.MaxPool2d(operator.options["size"], operator.options["stride"])
        if operator.kind == "RESIZE_BILINEAR":
            _, height, _, channels = self._graph.shapes[operator.outputs[0]]
            few = channels < _LANES
            return _Doubled(channels) if few else nn.Upsample(size=(height, height), mode="bilinear")
        if operator.kind == "LOGISTIC":
            return nn.Sigmoid()
        if operator.kind == "RESHAPE" and self._graph.shapes[operator.inputs[0]][1:3] == (1, 1):
            return nn.Flatten()
        raise ValueError(f"the operator {operator.kind} of {self._graph.shapes[operator.inputs[0]]}")

    def _convolution(self, operator: Operator, margin: int) -> nn.Module:
        weights, bias = (
            torch.from_numpy(self._graph.constants[each].astype(np.float32)) for each in operator.inputs[1:3]
        )
        depthwise = operator.kind == "DEPTHWISE_CONV_2D"
        # TFLite: (out, h, w, in), and (1, h, w, channel) for depthwise. torch: (out, in, h, w), (channel, 1, h, w).
        weights = weights.permute(3, 0, 1, 2) if depthwise else weights.permute(0, 3, 1, 2)
        stride, size = operator.options["stride"], weights.shape[-1]
        side = self._graph.shapes[operator.inputs[0]][1]
        same = operator.options["padding"] == 0
        total = max((-(-side // stride) - 1) * stride + size - side, 0) if same else 2 * margin
        if not depthwise and (len(weights), stride, size, total) == (1, 1, 3, 2):
            return _four_by_four(weights, bias)
        convolution = nn.Conv2d(
            weights.shape[1] * (len(weights) if depthwise else 1),
            len(weights),
            size,
            stride,
            padding=total // 2,
            groups=len(weights) if depthwise else 1,
        )
        convolution.weight.data, convolution.bias.data = weights.contiguous(), bias  # type: ignore[union-attr]
        steps: list[nn.Module] = [convolution]
        if total % 2:  # "same" with an even stride has one more row and column at the far end
            convolution.padding = (0, 0)
            steps.insert(0, nn.ZeroPad2d((total // 2, total - total // 2) * 2))
        return nn.Sequential(*steps, *_activation(operator.options["activation"]))


class _Widened(nn.Module):
    """The same map with further channels of zeros."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self._channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x, (0, 0, 0, 0, 0, self._channels))


class _Doubled(nn.Module):
    """Twice as large, bilinear: a transposed convolution with (1 3 3 1)/4 both ways of the map continued at its rim.
    OpenVINO does that in a fifth of the time that it takes to resize a large map of few channels, to the same sums."""

    _kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        line = torch.tensor([0.25, 0.75, 0.75, 0.25])
        self.register_buffer("_kernel", torch.outer(line, line).expand(channels, 1, 4, 4).contiguous())

    def forward(self, x: Tensor) -> Tensor:
        continued = functional.pad(x, (1, 1, 1, 1), mode="replicate")
        return functional.conv_transpose2d(continued, self._kernel, stride=2, padding=3, groups=len(self._kernel))


def _four_by_four(weights: Tensor, bias: Tensor) -> nn.Module:
    """A 3×3 convolution to one channel, for 4×4 pixels at once: one channel leaves most of a CPU's lanes empty."""
    convolution = nn.Conv2d(weights.shape[1], 16, 6, stride=4, padding=1)
    spread = torch.zeros_like(convolution.weight)
    for place in range(16):
        row, column = divmod(place, 4)
        spread[place, :, row : row + 3, column : column + 3] = weights[0]
    convolution.weight.data, convolution.bias.data = spread, bias.repeat(16)  # type: ignore[union-attr]
    return nn.Sequential(convolution, nn.PixelShuffle(4))


class _Sum(nn.Module):
    def __init__(self, activation: int) -> None:
        super().__init__()
        self._activation = nn.Sequential(*_activation(activation))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return self._activation(first + second)


def _activation(number: int) -> list[nn.Module]:
    """TFLite's fused activations: 0 none, 1 ReLU, 3 ReLU up to 6."""
    if number == 0:
        return []
    return [nn.ReLU() if number == 1 else nn.ReLU6()]


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
