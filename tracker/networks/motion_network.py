"""The motion predictor's network in torch, for training;
`tracker.initialise.motion_predictor` evaluates it in numpy."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class PredictorNetwork(nn.Module):
    """Features of the past → turns and movements at the horizons."""

    def __init__(self, features: int, outputs: int, width: int, dropout: float) -> None:
        super().__init__()
        last = nn.Linear(width, outputs)
        nn.init.normal_(last.weight, std=1e-3)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), last)
        self._dropout = nn.Dropout(dropout)

    def forward(self, features: Float[Tensor, "B F"]) -> Float[Tensor, "B O"]:
        first, silu, second, _, last = self.layers
        hidden = self._dropout(silu(first(features)))
        return last(self._dropout(silu(second(hidden))))
