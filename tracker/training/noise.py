"""How the detector's landmarks err, as measured on rendered people by `benchmarks/landmark_noise.py`.

What a landmark is off by depends on how visible the detector says that it is, and on where it is: a limb that is not
seen is drawn towards where it usually hangs. In the axes of a camera that looks straight at the person, with the
truth's hips as origin,

    metric_k  = s · (p_k + slope_k(v) p_k + g σ_k(v) z_k)         metres, s the detector's idea of how large people are
    picture_k = u_k + g σ'_k(v) z'_k                              in parts of the person's size in the picture
    logit v_k = mean_k(h) + std_k(h) z''_k                        h: whether something stands in front of it

All z of a person, 33 × (visibility, x, y, z, picture x, y), are correlated normal numbers (errors run along limbs, and
depth errors through the body); g, one number a person, makes some detections much worse than others.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracker.body.landmark_set import MEDIAPIPE
from tracker.core.arrays import Array
from tracker.core.errors import InputError

TABLES = Path(__file__).with_name("landmark_noise.npz")
EDGES = np.array([0.03, 0.12, 0.35, 0.65, 0.9, 0.98])
"""Of visibility: between them the errors are measured, and drawn, as one kind."""
COLUMNS = 6
"""Numbers a landmark: visibility, metric x, y, z, picture x, y."""
TAIL = 2.2
SIDES = {
    "all": np.arange(len(MEDIAPIPE.names)),
    "arms": np.array([k for k, n in enumerate(MEDIAPIPE.names) if 11 <= k < 23 and "shoulder" not in n]),
    "legs": np.array([k for k, n in enumerate(MEDIAPIPE.names) if k >= 23 and "hip" not in n]),
}
"""What the detector mistakes left for right of."""


@dataclass(frozen=True)
class Reading:
    """What a detector says of n people, in the axes of cameras that look straight at them."""

    metric: Array
    """(n, 33, 3) m."""
    offset: Array
    """(n, 33, 2): off in the picture, in parts of the person's size there (longer side of the landmarks' box)."""
    visibility: Array
    """(n, 33) 0..1."""
    order: NDArray[np.int64]
    """(n, 33): whose truth each landmark shows; not its own where left and right are mistaken."""


@dataclass(frozen=True)
class LandmarkNoise:
    """The tables; V visibility classes, 33 landmarks, R common factors."""

    spread: Array
    """(V, 33, 5): σ of metric x, y, z (m) and picture x, y."""
    slope: Array
    """(V, 33, 3)."""
    visible: Array
    """(2, 33, 2): mean and standard deviation of the visibility's logit where nothing, or something, hides it."""
    factors: Array
    """(198, R): z = factors · common + own · alone, each normal."""
    own: Array
    """(198,)."""
    tails: Array
    """(Q,): g at normal numbers evenly spaced over ±TAIL."""
    scale: Array
    """(2,): mean and standard deviation of log s."""
    swapped: Array
    """(3,): how often all landmarks, the arms', the legs' are left for right."""
    memory: Array
    """(2,): share of z's variance that lasts, and for how long (s) it does."""
    missing: Array
    """(1,): how often nobody is found where somebody is."""

    @classmethod
    def load(cls, path: Path | None = None) -> LandmarkNoise:
        """The tables that come with the project. Raises InputError that names the file."""
        path = TABLES if path is None else path
        try:
            with np.load(path, allow_pickle=False) as stored:
                return cls(**{f.name: stored[f.name].astype(np.float64) for f in fields(cls)})
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{path}: expected tables of `benchmarks/landmark_noise.py`: {error}") from error

    def save(self, path: Path) -> None:
        np.savez_compressed(path, **{f.name: np.float32(getattr(self, f.name)) for f in fields(self)})

    def numbers(self, rng: np.random.Generator, count: int) -> Array:
        """(count, 200) float32 normal numbers: z, then those that g and s are made of."""
        common = rng.standard_normal((count, self.factors.shape[1]), np.float32)
        alone = rng.standard_normal((count, len(self.own)), np.float32)
        z = common @ self.factors.T.astype(np.float32) + alone * self.own.astype(np.float32)
        return np.concatenate([z, rng.standard_normal((count, 2), np.float32)], axis=1)

    def numbers_over_time(self, rng: np.random.Generator, times: Array) -> Array:
        """(len(times), 200): the same of one person, whose errors last as long as they were measured to."""
        share, seconds = self.memory
        fresh = self.numbers(rng, 2 * len(times)).reshape(2, len(times), -1)
        lasting = fresh[0].copy()
        for k in range(1, len(times)):
            kept = np.exp(-(times[k] - times[k - 1]) / seconds)
            lasting[k] = kept * lasting[k - 1] + np.sqrt(1 - kept**2) * fresh[0, k]
        z = np.sqrt(share) * lasting + np.sqrt(1 - share) * fresh[1]
        z[:, -2:] = lasting[:1, -2:]
        return z

    def read(self, numbers: Array, truth: Array, hidden: NDArray[np.bool_], swaps: Array) -> Reading:
        """numbers: of n people. truth: (n, 33, 3) m, axes of the camera that looks straight at them. hidden: (n, 33).

        swaps: (n,) in 0..1, evenly drawn: decides whether, and which, sides are mistaken.
        """
        order = self._order(swaps)
        rows = np.arange(len(truth))[:, None]
        hips = truth[:, [_HIP, _HIP + 1]].mean(axis=1, keepdims=True)
        shown = truth[rows, order] - hips
        z = numbers[:, :-2].reshape(len(numbers), -1, COLUMNS)
        logit = self.visible[hidden[rows, order].astype(int), np.arange(truth.shape[1])]
        visibility = 1 / (1 + np.exp(-(logit[..., 0] + logit[..., 1] * z[..., 0])))
        kind, which = np.digitize(visibility, EDGES), np.arange(truth.shape[1])
        place = np.linspace(-TAIL, TAIL, len(self.tails))
        tail = np.interp(numbers[:, -2], place, self.tails)[:, None, None]
        off = tail * self.spread[kind, which] * z[..., 1:]
        scale = np.exp(self.scale[0] + self.scale[1] * numbers[:, -1])[:, None, None]
        metric = scale * (shown * (1 + self.slope[kind, which]) + off[..., :3])
        return Reading(metric, off[..., 3:], visibility, order)

    def _order(self, swaps: Array) -> NDArray[np.int64]:
        order = np.tile(SIDES["all"], (len(swaps), 1))
        edges = np.concatenate([[0.0], np.cumsum(self.swapped)])
        for part, low, high in zip(SIDES.values(), edges[:-1], edges[1:], strict=True):
            order[np.ix_((swaps >= low) & (swaps < high), part)] = MEDIAPIPE.mirror[part]
        return order


_HIP = MEDIAPIPE.names.index("left_hip")
