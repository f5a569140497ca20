"""Replaying a computation on the GPU: one launch instead of one for every operator.

A CUDA graph has fixed addresses and sizes. So there is one graph for each batch size, captured when it first comes up,
with its own input and output tensors; the inputs are copied in, the outputs are valid until the next call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Tensors = dict[str, Tensor]
_WARM_UPS = 3
"""Runs before a capture: libraries choose their algorithms and allocate their workspaces in them."""


@dataclass(frozen=True)
class _Captured:
    graph: torch.cuda.CUDAGraph
    inputs: Tensors
    outputs: Tensors


class GraphReplay:
    """Calls `compute` through CUDA graphs. It must do all its work on torch's current stream."""

    def __init__(self, compute: Callable[[Tensors], Tensors]) -> None:
        self._compute = compute
        self._captured: dict[Any, _Captured] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, inputs: Mapping[str, Tensor]) -> Tensors:
        """The outputs, on the GPU; the next call writes over them. Inputs may lie anywhere."""
        key = tuple(tensor.shape for tensor in inputs.values())
        if key not in self._captured:
            self._captured[key] = self._capture(inputs)
        captured = self._captured[key]
        for name, tensor in inputs.items():
            captured.inputs[name].copy_(tensor, non_blocking=True)
        captured.graph.replay()
        return captured.outputs

    def _capture(self, inputs: Mapping[str, Tensor]) -> _Captured:
        static = {name: tensor.to("cuda", copy=True) for name, tensor in inputs.items()}
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):  # where the capture itself will run: not on the default stream
            for _ in range(_WARM_UPS):
                self._compute(static)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            outputs = self._compute(static)
        return _Captured(graph, static, outputs)
