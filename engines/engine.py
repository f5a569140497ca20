"""The contract of all engines: named arrays in, named arrays out, whatever runs the network underneath.

Any thread may use an engine; those for which it has no buffers wait.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

Precision = Literal["auto", "float32", "float16", "bfloat16", "mixed"]
Arrays = Mapping[str, NDArray[Any]]


class ModelError(ValueError):
    """A model file cannot be used: missing, damaged, of the wrong kind, or built for another machine.

    The message names the file and says how to mend it.
    """


class BackendError(RuntimeError):
    """A runtime is missing, cannot do what was asked, or failed; the message says what to do about it."""


@dataclass(frozen=True)
class TensorSpec:
    """What one input or output looks like."""

    name: str
    shape: tuple[int | None, ...]
    """None where the size is free, as a dynamic batch is."""
    dtype: np.dtype[Any]

    def check(self, array: NDArray[Any]) -> None:
        """Raises ValueError unless the array has this shape and type."""
        if array.shape != self.shape and not self._fits(array.shape):
            wanted = "(" + ", ".join("*" if size is None else str(size) for size in self.shape) + ")"
            raise ValueError(f"{self.name}: expected {wanted}, got {array.shape}")
        if array.dtype != self.dtype:
            raise ValueError(f"{self.name}: expected {self.dtype}, got {array.dtype}")

    def _fits(self, shape: tuple[int, ...]) -> bool:
        return len(shape) == len(self.shape) and all(
            size is None or size == given for size, given in zip(self.shape, shape, strict=True)
        )


@dataclass(frozen=True)
class EngineOptions:
    """How a network is to be run. Raises ValueError for values that no engine takes."""

    threads: int | None = None
    """Threads on the CPU; None leaves it to the runtime, which takes all cores."""
    precision: Precision = "float32"
    """What the network computes in. Where OpenVINO's processor computes in bfloat16 by itself, auto is that, and mixed
    is that in wide convolutions and float32 in all else; elsewhere both are float32. Inputs and outputs keep the types
    that the model file gives them."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N. auto is the GPU for runtimes that have one here, else the CPU."""
    outputs: tuple[str, ...] | None = None
    """The outputs wanted; what only the others need is not computed. None: all of them."""
    max_batch: int = 4
    """The largest batch that a network with a free batch size is prepared for, where a runtime has to know."""
    streams: int = 1
    """Inputs that `run_each` takes at a time: OpenVINO runs so many beside each other, each on `threads` threads; torch
    and TensorRT make a batch of them, where the network's batch is free."""
    compiled: bool = False
    """Has torch compile the network: quicker, after a minute at the first run of each batch size."""

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads: expected at least 1, got {self.threads}")
        if self.precision not in get_args(Precision):
            raise ValueError(f"precision: expected one of {', '.join(get_args(Precision))}, got {self.precision}")
        if self.max_batch < 1:
            raise ValueError(f"max_batch: expected at least 1, got {self.max_batch}")
        if self.streams < 1:
            raise ValueError(f"streams: expected at least 1, got {self.streams}")
        if self.streams > 1 and self.threads is None:
            raise ValueError(f"streams: {self.streams} of them need threads, which says how many each has")


@dataclass(frozen=True)
class Network:
    """A network that exists in torch: every engine can run it, each from the form that it reads."""

    name: str
    module: Callable[[], nn.Module]
    """Makes it, in evaluation mode: takes the inputs in their order, returns a tuple, one tensor for each output."""
    onnx: Callable[[], Path]
    """Its ONNX file, made when it does not exist yet."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class Engine(ABC):
    """A network ready to run. Close it, or use it as a context manager."""

    def __init__(
        self, inputs: list[TensorSpec], outputs: list[TensorSpec], metadata: Mapping[str, str], streams: int = 1
    ) -> None:
        """streams: how many inputs `run_each` takes at a time."""
        self.streams = streams
        self.inputs: Mapping[str, TensorSpec] = MappingProxyType({spec.name: spec for spec in inputs})
        self.outputs: Mapping[str, TensorSpec] = MappingProxyType({spec.name: spec for spec in outputs})
        self.metadata: Mapping[str, str] = MappingProxyType(dict(metadata))
        """At least `backend`, `version`, `device` and `precision`."""

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """The outputs by name. The arrays are the caller's: a later run leaves them alone.

        Raises ValueError for a missing or unknown name, a wrong shape or type; BackendError when the runtime fails.
        """
        self._check(inputs)
        return self._run(inputs)

    def run_each(self, inputs: Sequence[Arrays]) -> list[dict[str, NDArray[Any]]]:
        """`run` for each of several, some of them at a time where the runtime can; in the same order."""
        return [self.run(each) for each in inputs]

    def _check(self, inputs: Arrays) -> None:
        if inputs.keys() != self.inputs.keys():
            raise ValueError(f"inputs: expected {', '.join(self.inputs)}, got {', '.join(inputs) or 'none'}")
        for name, spec in self.inputs.items():
            spec.check(inputs[name])

    @abstractmethod
    def _run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """`run`, on inputs that were checked; of several threads at a time."""

    def close(self) -> None:  # noqa: B027 - most runtimes free everything with their objects
        """Frees what the garbage collector does not."""

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class BatchEngine(Engine):
    """An engine that sees several inputs in one batch, and one batch at a time."""

    def run_each(self, inputs: Sequence[Arrays]) -> list[dict[str, NDArray[Any]]]:
        """`run` for each of several, in batches where the network's batch is free; in the same order."""
        if any(spec.shape[0] is not None for spec in self.inputs.values()):
            return super().run_each(inputs)
        for each in inputs:
            self._check(each)
        outputs = []
        for first in range(0, len(inputs), self.streams):
            outputs += self._together(inputs[first : first + self.streams])
        return outputs

    def _together(self, inputs: Sequence[Arrays]) -> list[dict[str, NDArray[Any]]]:
        sizes = [len(next(iter(each.values()))) for each in inputs]
        joined = self.run({name: np.concatenate([each[name] for each in inputs]) for name in self.inputs})
        parts = {name: np.split(value, np.cumsum(sizes)[:-1]) for name, value in joined.items()}
        return [{name: each[number] for name, each in parts.items()} for number in range(len(inputs))]


def wanted_outputs(model: str, available: list[str], options: EngineOptions) -> list[str]:
    """The outputs that the options ask for. Raises ValueError for one that the model does not have."""
    if options.outputs is None:
        return available
    unknown = [name for name in options.outputs if name not in available]
    if unknown or not options.outputs:
        raise ValueError(f"{model}: no output '{', '.join(unknown)}'; it has {', '.join(available)}")
    return list(options.outputs)


def first_line(error: Exception) -> str:
    """The part of a runtime's message that says something: they come with source locations and stacks."""
    noise = ("Exception from", "Check '", "FrontEnd API failed")
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(noise)]
    return (telling or lines or [type(error).__name__])[0]
