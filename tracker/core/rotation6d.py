"""Rotations as six numbers, the first two columns of the matrix (Zhou et al. 2019), in torch and in numpy."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tracker.core.arrays import Array


def six_from_rotations(rotations: Tensor) -> Tensor:
    """(..., 3, 3) → (..., 6): the first column, then the second."""
    return rotations[..., :2].transpose(-1, -2).flatten(start_dim=-2)


def rotations_from_6d(six: Tensor) -> Tensor:
    """(..., 6) → (..., 3, 3): the two columns made orthonormal by Gram–Schmidt; any six numbers give a rotation."""
    first, second = six[..., :3], six[..., 3:]
    x = functional.normalize(first, dim=-1)
    y = functional.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)


def rotations_from_6d_numpy(six: Array) -> Array:
    """The same in numpy, where neither column is 0 and they are not parallel."""
    first, second = six[..., :3], six[..., 3:]
    x = first / np.linalg.norm(first, axis=-1, keepdims=True)
    y = second - (x * second).sum(axis=-1, keepdims=True) * x
    y = y / np.linalg.norm(y, axis=-1, keepdims=True)
    return np.stack([x, y, np.cross(x, y)], axis=-1)
