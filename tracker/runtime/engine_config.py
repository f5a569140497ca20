"""What runs the networks, and where: one setting for all of them."""

from __future__ import annotations

from dataclasses import dataclass

from engines import BACKENDS, EngineOptions
from tracker.core.errors import InputError


@dataclass(frozen=True)
class EngineConfig:
    """What runs the networks: landmarks, extractor and head."""

    backend: str = "auto"
    """auto, openvino, onnxruntime, torch or tensorrt; auto is the fastest that this machine has."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N; auto is the GPU where there is one."""
    threads: int | None = 1
    """Of each network's engine on a CPU, where several stages are at work at once; null leaves it to the engine, which
    takes all cores."""

    def __post_init__(self) -> None:
        if self.backend != "auto" and self.backend not in BACKENDS:
            raise InputError(f"engine.backend: expected auto, {', '.join(BACKENDS)}, got {self.backend}")
        if self.threads is not None and self.threads < 1:
            raise InputError(f"engine.threads: expected 1 or more, got {self.threads}")

    @property
    def kernels_device(self) -> str:
        """Where `kernels` fit and draw: the GPU that was asked for; left to itself, the CPU, where a fit takes a
        millisecond or two."""
        return "cpu" if self.device == "auto" else self.device

    def options(self, outputs: tuple[str, ...]) -> EngineOptions:
        """For one network, of which these outputs are wanted."""
        return EngineOptions(threads=self.threads, device=self.device, outputs=outputs)
