"""torch: the engine for NVIDIA GPUs without TensorRT, and the reference that the others are compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engines.cuda_graph import GraphReplay, Tensors
from engines.engine import Arrays, BackendError, BatchEngine, EngineOptions, Network, first_line, wanted_outputs


class TorchEngine(BatchEngine):
    """A network in torch: channels last, in the precision asked for, on the GPU replayed as a CUDA graph."""

    def __init__(self, network: Network, options: EngineOptions) -> None:
        """Raises BackendError for a device that torch does not find."""
        self._device = cuda_or_cpu(options.device)
        self._dtype = getattr(torch, options.precision)
        self._threads = options.threads
        specs = {spec.name: spec for spec in network.outputs}
        self._all_outputs = list(specs)
        names = wanted_outputs(network.name, self._all_outputs, options)
        module = network.module().to(self._device, self._dtype)
        module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._module: nn.Module = torch.compile(module, dynamic=False) if options.compiled else module  # type: ignore[assignment]
        super().__init__(
            list(network.inputs),
            [specs[name] for name in names],
            {
                "backend": "torch",
                "version": torch.__version__,
                "device": device_name(self._device),
                "precision": options.precision,
            },
            options.streams,
        )
        self._turn = Lock()
        on_gpu = self._device.type == "cuda"
        self._evaluate = GraphReplay(self._compute) if on_gpu else self._compute

    def run_tensors(self, inputs: Mapping[str, Tensor]) -> Tensors:
        """`run` for tensors, without leaving the GPU: the outputs are written over by the next call.

        inputs: as `inputs` says, on this engine's device.
        """
        with torch.inference_mode(), self._own_threads(), torch.cuda.device(self._index()):
            return self._evaluate(dict(inputs))

    def _run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        try:
            tensors = {name: torch.from_numpy(inputs[name]) for name in self.inputs}
            with self._turn:
                return {name: tensor.cpu().numpy() for name, tensor in self.run_tensors(tensors).items()}
        except RuntimeError as error:
            raise BackendError(f"torch failed on {self._device}: {first_line(error)}") from error

    def _compute(self, inputs: Tensors) -> Tensors:
        given = [self._prepared(inputs[name]) for name in self.inputs]
        # cuDNN's default takes ten bits of a float32's mantissa; here float32 means all of it.
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
            results = dict(zip(self._all_outputs, self._module(*given), strict=True))
        return {
            name: results[name].to(getattr(torch, spec.dtype.name)).contiguous() for name, spec in self.outputs.items()
        }

    def _prepared(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._device, self._dtype if tensor.is_floating_point() else tensor.dtype)

    def _index(self) -> int:
        """The GPU's number; -1, which torch takes for none, on the CPU."""
        return -1 if self._device.type == "cpu" else self._device.index or 0

    @contextmanager
    def _own_threads(self) -> Iterator[None]:
        """torch's number of threads belongs to the process: set for the run, and put back."""
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads or before)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def cuda_or_cpu(name: str) -> torch.device:
    """The device that a name means. Raises BackendError for a GPU that is not here."""
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise BackendError(f"torch finds no CUDA device for {name}; use --device cpu")
    index = int(name.partition(":")[2] or 0)
    if index >= torch.cuda.device_count():
        raise BackendError(f"{name}: there are {torch.cuda.device_count()} GPUs; count from cuda:0")
    return torch.device("cuda", index)


def device_name(device: torch.device) -> str:
    return "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)
