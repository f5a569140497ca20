"""How a camera that stays in its place turned and zoomed over a run, told from its background."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from tracker.core.arrays import Array, require_shape

_ZOOMS = 0.03
"""Largest relative change of the focal length that is taken for an error of its measurement."""


@dataclass(frozen=True, eq=False)
class CameraPath:
    """Where a camera looked at K moments. Between them it turned evenly; before and after them it stood still."""

    times: Array
    """(K,) s, ascending."""
    R_first_camera: Array
    """(K, 3, 3): from the camera's axes at that moment to those of the first picture."""
    zoom: Array
    """(K,): focal length over the first picture's."""

    def __post_init__(self) -> None:
        require_shape("CameraPath.R_first_camera", self.R_first_camera, (len(self.times), 3, 3))
        require_shape("CameraPath.zoom", self.zoom, (len(self.times),))

    @property
    def settled(self) -> CameraPath:
        """The same without zoom, where that is no more than an error of its measurement."""
        return replace(self, zoom=np.ones_like(self.zoom)) if np.ptp(np.log(self.zoom)) < _ZOOMS else self

    def turns_at(self, times: Array) -> Array:
        """(T,) s → (T, 3, 3): R_first_camera."""
        if len(self.times) == 1:
            return np.repeat(self.R_first_camera, len(times), axis=0)
        between = Slerp(self.times, Rotation.from_matrix(self.R_first_camera))
        return between(np.clip(times, self.times[0], self.times[-1])).as_matrix()

    def zoom_at(self, times: Array) -> Array:
        """(T,) s → (T,)"""
        return np.interp(times, self.times, self.zoom)

    def later(self, seconds: float) -> CameraPath:
        """On a clock that shows so much more."""
        return replace(self, times=self.times + seconds)


@dataclass(frozen=True)
class CameraMotion:
    """What a camera did over a run."""

    moved_at: float | None = None
    """s: when it was first found to have left its view; None where it stands still."""
    path: CameraPath | None = None
    """Where it turned and zoomed only; None where it stands still, and where it did anything else."""
    followed: bool = True
    """False where nobody looked at how it moved."""

    @property
    def refused_at(self) -> float | None:
        """s: from where on nothing is known of the world around it."""
        return None if self.path is not None else self.moved_at
