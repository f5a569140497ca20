"""How poses are smoothed over time: one setting, for live pictures and for files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tracker.smooth.filters import OneEuroConfig, SavitzkyConfig

Smoothing = Literal["none", "causal", "offline"]


@dataclass(frozen=True)
class SmoothConfig:
    """How poses are smoothed over time."""

    mode: Smoothing = "causal"
    """none gives out each frame's fit; causal looks back in time only, as live must; offline looks both ways, without
    lag, so that a frame is given out a second later than it came."""
    causal: OneEuroConfig = field(default_factory=OneEuroConfig)
    """The causal filter."""
    offline: SavitzkyConfig = field(default_factory=SavitzkyConfig)
    """The filter that looks both ways."""
