"""Networks from one form into another: torch to ONNX, ONNX to half precision, ONNX with fewer outputs."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from torch import Tensor, nn

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
