"""Networks from one form into another: torch to ONNX, ONNX to half precision, ONNX with fewer outputs."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from engines.engine import BackendError, ModelError, first_line

OPSET = 17


def export_onnx(
    network: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], path: Path, dynamic_batch: bool
) -> None:
    """Writes `network`, as it runs on the example `inputs`, to an ONNX file that any engine opens.

    `network` takes the inputs in their order and returns a tuple of tensors, one for each name in `outputs`.
    With a dynamic batch the first size of everything is free; without it, it is that of the example.
    """
    import torch

    axes = {name: {0: "batch"} for name in (*inputs, *outputs)} if dynamic_batch else None

    def write(target: Path) -> None:
        with warnings.catch_warnings():
            # The exporter that these warnings recommend needs packages that nothing else here needs.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                tuple(inputs.values()),
                str(target),
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )

    write_whole(path, write)


def read_onnx(path: Path) -> Any:
    """The file as an `onnx.ModelProto`. Raises ModelError for one that is no ONNX network or is damaged."""
    onnx = _onnx()
    try:
        network = onnx.load(path)
        onnx.checker.check_model(network)
    except Exception as error:  # protobuf's and the checker's own kinds
        raise ModelError(f"{path}: not a whole ONNX network ({first_line(error)}); make the file anew") from error
    return network


def keep_outputs(network: Any, names: Sequence[str]) -> Any:
    """The network with only these outputs, in this order, and without the operators that only others need."""
    declared = {output.name: output for output in network.graph.output}
    needed, nodes = set(names), []
    for node in reversed(network.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            nodes.append(node)
    smaller = _onnx().ModelProto()
    smaller.CopyFrom(network)
    del smaller.graph.node[:], smaller.graph.output[:], smaller.graph.initializer[:]
    smaller.graph.node.extend(reversed(nodes))
    smaller.graph.output.extend(declared[name] for name in names)
    smaller.graph.initializer.extend(each for each in network.graph.initializer if each.name in needed)
    return smaller


def half_precision(network: Any) -> Any:
    """The network with weights and operators in half precision; inputs and outputs keep their type."""
    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
        from onnxruntime.transformers.onnx_model import OnnxModel
    except ImportError as error:
        raise BackendError(
            f"half precision needs onnxruntime ({error}); install it with: pip install onnxruntime"
        ) from None
    copy = _onnx().ModelProto()
    copy.CopyFrom(network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # weights below half's smallest number become that number
        converted = convert_float_to_float16(copy, keep_io_types=True)
    OnnxModel.graph_topological_sort(converted.graph)  # it appends the casts of the inputs at the end
    return converted


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise BackendError(f"onnx cannot be imported ({error}); install it with: pip install onnx") from None
    return onnx


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Has `write` make a file beside `path` and renames it, so that nobody ever reads half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
    os.close(handle)
    try:
        write(Path(name))
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
