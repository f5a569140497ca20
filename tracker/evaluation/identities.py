"""Who is who over time: IDF1, HOTA and identity switches, as the `trackeval` package computes them.

The package is an extra (`pip install 'body-tracker[eval]'`); without it these figures are left out of a report.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array
from tracker.core.errors import RunError

MISSING = "IDF1, HOTA and identity switches need trackeval: pip install 'body-tracker[eval]' (Python 3.10 or 3.11)"


@dataclass(frozen=True)
class Boxes:
    """The people of one frame."""

    ids: NDArray[np.int64]
    """(n,) identities, unique within the frame."""
    boxes: Array
    """(n, 4) xyxy px."""


@dataclass(frozen=True)
class IdentityScores:
    """Of one sequence, or of several taken together."""

    idf1: float
    """0..1."""
    hota: float
    """0..1, the mean over its localisation thresholds."""
    switches: int
    """Times that a true person changes identity, at half overlap."""


def available() -> bool:
    """Whether the package is installed."""
    return find_spec("trackeval") is not None


def identity_scores(truth: Sequence[Boxes], predicted: Sequence[Boxes]) -> IdentityScores:
    """Scores of one sequence, frame by frame in both. Raises RunError when trackeval is not installed."""
    if not available():
        raise RunError(MISSING)
    # it prints how long it took, and makes its metrics' settings known
    with contextlib.redirect_stdout(io.StringIO()):
        from trackeval.metrics import CLEAR, HOTA, Identity

        data = _as_trackeval(truth, predicted)
        identity = Identity({"PRINT_CONFIG": False}).eval_sequence(data)
        hota, clear = HOTA().eval_sequence(data), CLEAR({"PRINT_CONFIG": False}).eval_sequence(data)
    return IdentityScores(float(identity["IDF1"]), float(np.mean(hota["HOTA"])), int(clear["IDSW"]))


def overlaps(first: Array, second: Array) -> Array:
    """(n, m) intersection over union of xyxy boxes (n, 4) and (m, 4)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=-1)
    areas = [np.prod(each[:, 2:] - each[:, :2], axis=-1) for each in (first, second)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)


def _as_trackeval(truth: Sequence[Boxes], predicted: Sequence[Boxes]) -> dict[str, Any]:
    """Its own form of a sequence, with identities counted from 0."""
    true_ids, tracked_ids = _renumbered(truth), _renumbered(predicted)
    pairs = zip(truth, predicted, strict=True)
    return {
        "num_timesteps": len(truth),
        "num_gt_ids": _count(true_ids),
        "num_tracker_ids": _count(tracked_ids),
        "num_gt_dets": sum(map(len, true_ids)),
        "num_tracker_dets": sum(map(len, tracked_ids)),
        "gt_ids": true_ids,
        "tracker_ids": tracked_ids,
        "similarity_scores": [overlaps(true.boxes, tracked.boxes) for true, tracked in pairs],
    }


def _renumbered(frames: Sequence[Boxes]) -> list[NDArray[np.int64]]:
    known = sorted({int(i) for frame in frames for i in frame.ids})
    return [np.array([known.index(int(i)) for i in frame.ids], np.int64) for frame in frames]


def _count(frames: list[NDArray[np.int64]]) -> int:
    return len({int(i) for frame in frames for i in frame})
