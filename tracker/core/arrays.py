"""Arrays and the sizes that the whole project shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

NUM_JOINTS = 24
NUM_BETAS = 10
NUM_LANDMARKS = 33


def require_shape(name: str, value: NDArray, shape: tuple[int, ...]) -> None:
    """Raises ValueError, naming the value, unless it has this shape; -1 stands for any size."""
    matches = value.ndim == len(shape) and all(
        want in (-1, have) for want, have in zip(shape, value.shape, strict=True)
    )
    if not matches:
        raise ValueError(f"{name}: expected shape {shape}, got {value.shape}")
