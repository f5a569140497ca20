"""What a task of a cluster asks for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskNeeds:
    """What a machine must have free for a task to be sent there."""

    cores: float = 1.0
    gpus: float = 0.0
    memory: int = 2_000_000_000
    """bytes; Ray kills the newest worker of a machine whose memory runs out."""
    retries: int = 3
    """On other machines, when the one that it was on is lost."""
