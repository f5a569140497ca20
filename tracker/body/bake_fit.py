"""Points inside the body as combinations of the vertices around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from tracker.core.arrays import Array

_PER_OCTANT = 25
"""Vertices used at most in each of the eight octants around a point: near, and on all sides in a wide trunk too."""
_SUM_WEIGHT = 100.0
"""How hard the sum of the weights is held at 1, against residuals in metres."""


def fit_point(vertices: Array, target: Array, visible: NDArray[np.int64]) -> Array:
    """(M,) weights, not negative with sum 1, that find the point (S, 3) from the vertices (S, M, 3) of every sample.

    Only `visible` vertices near the point are used. Fitted over all samples, so that it follows the shape.
    """
    offset = vertices.mean(axis=0)[visible] - target.mean(axis=0)
    order = np.argsort(np.linalg.norm(offset, axis=1), kind="stable")
    octant = (offset[order] > 0) @ np.array([1, 2, 4])
    near = visible[np.concatenate([order[octant == which][:_PER_OCTANT] for which in range(8)])]
    rows = vertices[:, near].transpose(0, 2, 1).reshape(-1, len(near))
    sum_row = np.full((1, len(near)), _SUM_WEIGHT)
    solution, _ = nnls(np.concatenate([rows, sum_row]), np.append(target.ravel(), _SUM_WEIGHT))
    weights = np.zeros(vertices.shape[1])
    weights[near] = solution / solution.sum()
    return weights
