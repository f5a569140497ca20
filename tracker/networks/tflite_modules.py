"""A TFLite network's operators as torch modules, so that it can be trained upon, and exported for every engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tracker.core.errors import InputError
from tracker.core.input_file import reading
from tracker.networks.tflite import Graph, Operator, read_tflite

_OF_SEVERAL = ("ADD", "CONCATENATION")
"""Operators whose inputs are all maps, not weights."""
_LANES = 16
"""Single precision numbers in a vector of a CPU."""


def modules_of(path: Path, content: bytes, shapes: Sequence[tuple[int, ...]], what: str) -> TfliteModules:
    """A file's network whose outputs have these shapes. what: that it should be, with its usual name, for errors.

    Raises InputError for a file that is damaged or another network.
    """
    graph = read_tflite(content, path)
    if tuple(graph.shapes[each] for each in graph.outputs if 0 <= each < len(graph.shapes)) != tuple(shapes):
        raise InputError(f"{path}: not {what} or its like")
    with reading(path, f"expected {what}, this is one of another make"):
        return TfliteModules(graph)


class TfliteModules(nn.Module):
    """A graph as one module, channels first."""

    def __init__(self, graph: Graph) -> None:
        """Raises ValueError for operators that are not known here."""
        super().__init__()
        steps = _Steps(graph)
        self._steps = nn.ModuleList(steps.modules)
        self._wiring = steps.wiring
        self._input = graph.inputs[0]
        self.outputs = graph.outputs
        """The numbers of the tensors that the network is for."""

    def forward(self, picture: Tensor) -> dict[int, Tensor]:
        """picture: (B, C, h, w). Every tensor by its number in the graph."""
        values = {self._input: picture}
        for step, (inputs, output) in zip(self._steps, self._wiring, strict=True):
            values[output] = step(*(values[each] for each in inputs))
        return values


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
            others = operator.inputs[1:] if operator.kind in _OF_SEVERAL else ()
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
        if operator.kind == "MEAN" and self._graph.constants[operator.inputs[1]].tolist() == [1, 2]:
            return _Mean()
        if operator.kind == "FULLY_CONNECTED":
            return self._linear(operator)
        if operator.kind == "LOGISTIC":
            return nn.Sigmoid()
        if operator.kind == "DEPTH_TO_SPACE":
            return _Spread(operator.options["block_size"])
        if operator.kind == "CONCATENATION" and len(self._graph.shapes[operator.outputs[0]]) == 3:
            return _Concatenated(operator.options["axis"])
        if operator.kind == "RESHAPE":
            before, after = (self._graph.shapes[each[0]] for each in (operator.inputs, operator.outputs))
            if before[1:3] == (1, 1):
                return nn.Flatten()
            if len(before) == 4 and len(after) == 3:
                return _Rows(after[2])
        raise ValueError(f"the operator {operator.kind} of {self._graph.shapes[operator.inputs[0]]}")

    def _linear(self, operator: Operator) -> nn.Module:
        weights, bias = self._weights(operator)
        linear = nn.Linear(weights.shape[1], len(weights))
        linear.weight.data, linear.bias.data = weights, bias
        return nn.Sequential(linear, *_activation(operator.options["activation"]))

    def _weights(self, operator: Operator) -> list[Tensor]:
        """Those of an operator, and its bias."""
        return [torch.from_numpy(self._graph.constants[each].astype(np.float32)) for each in operator.inputs[1:3]]

    def _convolution(self, operator: Operator, margin: int) -> nn.Module:
        weights, bias = self._weights(operator)
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


class _Mean(nn.Module):
    """Of all pixels."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


class _Spread(nn.Module):
    """Blocks of size × size pixels from channels, of which the block's places come first and what they hold last."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def forward(self, x: Tensor) -> Tensor:
        size, (height, width) = self._size, x.shape[2:]
        places = x.unflatten(1, (size, size, -1)).permute(0, 3, 4, 1, 5, 2)
        return places.reshape(len(x), -1, height * size, width * size)


class _Rows(nn.Module):
    """A map's values (B, rows, channels), channels of a pixel beside each other, pixel after pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self._channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).reshape(len(x), -1, self._channels)


class _Concatenated(nn.Module):
    """Tables of rows, one after the other."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self._axis = axis

    def forward(self, *tables: Tensor) -> Tensor:
        return torch.cat(tables, dim=self._axis)


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
