"""What runs the networks, and where: one setting for all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

from engines import BACKENDS, EngineOptions
from engines.choose import runs_on_gpu
from engines.engine import Precision
from tracker.core.errors import InputError, require_between
from tracker.runtime.cores import available_cores, core_share

_MOST_STREAMS = 4
_MOST_THREADS = 1024
"""More than any machine has a use for."""
_CORES_FOR_TWO = 4
"""From so many on the heavy landmark network has two threads: 21 ms a person instead of 34, at a fifth more work."""


@dataclass(frozen=True)
class EngineConfig:
    """What runs the networks: landmarks, extractor and head."""

    backend: str = "auto"
    """auto, openvino, onnxruntime, torch or tensorrt; auto is the fastest that this machine has."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N; auto is the GPU where there is one."""
    threads: int | None = None
    """Of each network's engine on a CPU, where several stages are at work at once; null is one, but two of the heavy
    landmark network, which all else waits for, on four cores or more."""
    streams: int | None = None
    """People whom a network sees at a time, each on `threads` threads of a CPU; null is half as many as there are
    cores, of which the other stages need the rest, and four at most; half of that where each has two threads."""
    precision: Precision = "auto"
    """Of the picture's networks: auto, float32, float16, bfloat16 or mixed; auto is bfloat16 where the processor
    computes in it, mixed is that in wide convolutions alone. The landmark networks compute in mixed precision there
    unless this is float32 or float16; the person detector stays in float32."""

    one_graph: bool | None = None
    """Landmark network, extractor and head as one network, in float32 or float16, whose inner maps need not leave the
    engine. Null is so on a GPU; on a CPU two are quicker, of which the second computes in bfloat16."""

    def __post_init__(self) -> None:
        if self.backend != "auto" and self.backend not in BACKENDS:
            raise InputError(f"engine.backend: expected auto, {', '.join(BACKENDS)}, got {self.backend}")
        given = [name for name in ("threads", "streams") if getattr(self, name) is not None]
        require_between(self, given, 1, _MOST_THREADS, "engine.")
        if self.precision not in get_args(Precision):
            raise InputError(f"engine.precision: expected {', '.join(get_args(Precision))}, got {self.precision}")
        if self.one_graph and not self._may_be_one_graph:
            raise InputError(
                "engine.one_graph: landmarks need more than bfloat16; leave engine.precision out, or take float16"
            )

    @property
    def _may_be_one_graph(self) -> bool:
        return self.precision != "bfloat16"

    @property
    def landmark_precision(self) -> Precision:
        """Of the landmark networks, which bfloat16 throughout would move by four pixels of the crop."""
        return "float32" if self.precision in ("float32", "float16") else "mixed"

    @property
    def on_gpu(self) -> bool:
        """Whether the networks run on a GPU."""
        return runs_on_gpu(self.backend, self.options(()))

    @property
    def is_one_graph(self) -> bool:
        """What `one_graph` means here."""
        return self.one_graph if self.one_graph is not None else self._may_be_one_graph and self.on_gpu

    @property
    def kernels_device(self) -> str:
        """Where `kernels` fit and draw: the GPU that was asked for; left to itself, the CPU, where a fit takes a
        millisecond or two."""
        return "cpu" if self.device == "auto" else self.device

    def options(self, outputs: tuple[str, ...], precision: Precision = "float32") -> EngineOptions:
        """For one network that sees one picture at a time, and of which these outputs are wanted."""
        return EngineOptions(threads=self.threads or 1, device=self.device, outputs=outputs, precision=precision)

    def options_for_people(self, outputs: tuple[str, ...], precision: Precision = "float32") -> EngineOptions:
        """For one network that sees several people at a time."""
        alone = self.options(outputs, precision)
        if self.on_gpu:
            return replace(alone, streams=self.streams or alone.max_batch)
        return replace(alone, streams=self.streams or max(1, min(_cores() // 2, _MOST_STREAMS)))

    def options_for_heavy(self, outputs: tuple[str, ...], precision: Precision = "float32") -> EngineOptions:
        """As `options_for_people`, for a network that takes as long as all other stages together."""
        several = self.options_for_people(outputs, precision)
        if self.threads is not None or self.on_gpu or _cores() < _CORES_FOR_TWO:
            return several
        return replace(several, threads=2, streams=self.streams or max(1, several.streams // 2))


def _cores() -> int:
    return core_share() or available_cores()
