"""TensorRT: the engine preferred on NVIDIA GPUs, where it is installed. Written to what versions 10 and 11 share.

Networks are strongly typed: an ONNX file that is already in half precision says what runs in half, because version 11
has no builder flag for it any more. Execution is on torch's stream with torch's tensors as buffers, in a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.convert import half_precision, keep_outputs, read_onnx, write_whole
from engines.cuda_graph import GraphReplay, Tensors
from engines.engine import (
    Arrays,
    BackendError,
    BatchEngine,
    EngineOptions,
    ModelError,
    TensorSpec,
    first_line,
    wanted_outputs,
)
from engines.plan import PlanNote, digest_of, plan_path, read_plan, write_plan
from engines.torch_engine import cuda_or_cpu

BUILD = "body-tracker engine build"
_WORKSPACE = 1 << 30
"""Bytes that a layer may use while it computes."""


class TensorrtEngine(BatchEngine):
    """A plan that was built for this machine, and for each batch size an execution context and a CUDA graph."""

    def __init__(self, model: Path, options: EngineOptions, name: str) -> None:
        """name: the network's, for `engine build`. Raises ModelError for a plan that is missing, damaged or built for
        something else, with the command that rebuilds it."""
        rebuild = _rebuild(name, options)
        tensorrt = _tensorrt()
        self._device = _gpu(options)
        note = plan_note(tensorrt, model, options)
        content = read_plan(plan_path(model, options), note, rebuild)
        with torch.cuda.device(self._device):
            # Kept, because the engine does not outlive its runtime.
            self._runtime: Any = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.WARNING))
            self._engine: Any = self._runtime.deserialize_cuda_engine(content)
        if self._engine is None:
            raise ModelError(f"{plan_path(model, options)}: TensorRT refuses it; build it anew with: {rebuild}")
        specs = [self._spec(tensorrt, self._engine.get_tensor_name(i)) for i in range(self._engine.num_io_tensors)]
        is_input = {s.name: self._engine.get_tensor_mode(s.name) == tensorrt.TensorIOMode.INPUT for s in specs}
        super().__init__(
            [spec for spec in specs if is_input[spec.name]],
            [spec for spec in specs if not is_input[spec.name]],
            {"backend": "tensorrt", "version": note.tensorrt, "device": note.gpu, "precision": note.precision},
            min(options.streams, options.max_batch),
        )
        self._turn = Lock()
        self._max_batch = options.max_batch
        # A captured graph holds its context's state: another shape on the same context would change it underneath.
        self._contexts: dict[tuple[torch.Size, ...], Any] = {}
        self._evaluate = GraphReplay(self._compute)

    def run_tensors(self, inputs: Mapping[str, Tensor]) -> Tensors:
        """`run` for tensors, without leaving the GPU: the outputs are written over by the next call.

        inputs: as `inputs` says, on this engine's device.
        """
        with torch.inference_mode(), torch.cuda.device(self._device):
            return self._evaluate(inputs)

    def _run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        for name, spec in self.inputs.items():
            if spec.shape[0] is None and len(inputs[name]) > self._max_batch:
                raise ValueError(
                    f"{name}: this engine was built for a batch of at most {self._max_batch}, got {len(inputs[name])}"
                )
        try:
            tensors = {name: torch.from_numpy(inputs[name]) for name in self.inputs}
            with self._turn:
                return {name: tensor.cpu().numpy() for name, tensor in self.run_tensors(tensors).items()}
        except RuntimeError as error:
            raise BackendError(f"tensorrt failed on {self._device}: {first_line(error)}") from error

    def _compute(self, inputs: Tensors) -> Tensors:
        context = self._context_for(tuple(tensor.shape for tensor in inputs.values()))
        for name, tensor in inputs.items():
            context.set_input_shape(name, tuple(tensor.shape))
            context.set_tensor_address(name, tensor.data_ptr())
        outputs = {}
        for name, spec in self.outputs.items():
            shape = tuple(context.get_tensor_shape(name))
            outputs[name] = torch.empty(shape, dtype=getattr(torch, spec.dtype.name), device=self._device)
            context.set_tensor_address(name, outputs[name].data_ptr())
        if not context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
            raise RuntimeError("TensorRT could not start the network")
        return outputs

    def _context_for(self, shapes: tuple[torch.Size, ...]) -> Any:
        if shapes not in self._contexts:
            context = self._engine.create_execution_context()
            if context is None:
                raise RuntimeError("TensorRT could not make an execution context; is the GPU's memory full?")
            self._contexts[shapes] = context
        return self._contexts[shapes]

    def _spec(self, tensorrt: Any, name: str) -> TensorSpec:
        shape = tuple(None if size < 0 else size for size in self._engine.get_tensor_shape(name))
        return TensorSpec(name, shape, np.dtype(tensorrt.nptype(self._engine.get_tensor_dtype(name))))

    def close(self) -> None:
        self._contexts.clear()
        self._engine = self._runtime = None


def build_plan(model: Path, options: EngineOptions) -> Path:
    """Builds a model's plan for the GPU of this machine, which takes minutes, and returns its file.

    What TensorRT measured is kept beside it, so that the next build of a like network is quicker.
    Raises ModelError for a network that TensorRT does not take, BackendError where it is not installed or fails.
    """
    tensorrt = _tensorrt()
    device = _gpu(options)
    network = _network(model, options)
    with torch.cuda.device(device):
        plan, timings = _built(tensorrt, model, network, options)
    write_whole(_timings_path(model), lambda target: _write(target, timings))
    path = plan_path(model, options)
    write_plan(path, plan, plan_note(tensorrt, model, options))
    return path


def plan_note(tensorrt: Any, model: Path, options: EngineOptions) -> PlanNote:
    """What a plan has to say to fit this machine, this network and these options."""
    gpu = torch.cuda.get_device_name(_gpu(options))
    return PlanNote(tensorrt.__version__, gpu, options.precision, options.max_batch, digest_of(model.read_bytes()))


def _network(model: Path, options: EngineOptions) -> Any:
    """The ONNX network that TensorRT gets: the wanted outputs, in the precision asked for."""
    if options.precision == "bfloat16":
        raise BackendError("tensorrt computes in float32 or float16 here, not in bfloat16; use torch")
    network = read_onnx(model)
    network = keep_outputs(network, wanted_outputs(str(model), [each.name for each in network.graph.output], options))
    return half_precision(network) if options.precision == "float16" else network


def _built(tensorrt: Any, model: Path, network: Any, options: EngineOptions) -> tuple[bytes, bytes]:
    """The plan, and the timing cache."""
    logger = tensorrt.Logger(tensorrt.Logger.WARNING)
    builder = tensorrt.Builder(logger)
    definition = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(definition, logger)
    if not parser.parse(network.SerializeToString()):
        raise ModelError(f"{model}: TensorRT cannot take it: {parser.get_error(0).desc()}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE, _WORKSPACE)
    config.clear_flag(tensorrt.BuilderFlag.TF32)  # which would take ten bits of a float32's mantissa
    known = _timings_path(model)
    # Timings of another GPU are of no use: TensorRT refuses them, and measures anew.
    if not config.set_timing_cache(config.create_timing_cache(known.read_bytes() if known.is_file() else b""), False):
        config.set_timing_cache(config.create_timing_cache(b""), False)
    profile = builder.create_optimization_profile()
    for index in range(definition.num_inputs):
        value = definition.get_input(index)
        profile.set_shape(value.name, *_profile(tuple(value.shape), options.max_batch))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(definition, config)
    if plan is None:
        raise BackendError(f"{model}: TensorRT could not build it; what it says of that stands above")
    return bytes(plan), bytes(config.get_timing_cache().serialize())


def _profile(shape: tuple[int, ...], max_batch: int) -> tuple[tuple[int, ...], ...]:
    """The least, usual and largest shape of an input: a free batch goes from 1 to `max_batch`, mostly 1."""
    return tuple(tuple(batch if size < 0 else size for size in shape) for batch in (1, 1, max_batch))


def _tensorrt() -> Any:
    try:
        import tensorrt
    except ImportError as error:
        raise BackendError(f"tensorrt cannot be imported ({error}); install it with: pip install tensorrt") from None
    return tensorrt


def _gpu(options: EngineOptions) -> torch.device:
    device = cuda_or_cpu(options.device)
    if device.type != "cuda":
        raise BackendError("tensorrt needs an NVIDIA GPU, and torch finds none here; use the backend openvino")
    return device


def _rebuild(name: str, options: EngineOptions) -> str:
    outputs = "" if options.outputs is None else f" --outputs {','.join(options.outputs)}"
    return f"{BUILD} {name} --backend tensorrt --precision {options.precision} --max-batch {options.max_batch}{outputs}"


def _timings_path(model: Path) -> Path:
    return model.with_name("tensorrt.timings")


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
