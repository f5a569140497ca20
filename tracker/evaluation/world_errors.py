"""How far a world is off: feet that slide while the true ones stand, the floor's tilt and height, contacts missed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import Array, require_shape
from tracker.evaluation.metrics import MM, mean
from tracker.world.body_track import FOOT_PARTS
from tracker.world.world_frame import WorldFrame


@dataclass(frozen=True)
class TrueWorld:
    """What is known of the world of a made-up scene."""

    world: WorldFrame
    standing: NDArray[np.bool_]
    """(T, 4): which of both heels and both toes stand on the floor."""


@dataclass(frozen=True)
class WorldErrors:
    """Of one person, against the truth."""

    slide: float
    """mm that a sole moves from frame to frame while the true one stands; NaN where none does."""
    contact_f1: float
    """0..1, of soles and frames; NaN without any contact."""
    tilt: float
    """Degrees between the floors' normals."""
    height: float
    """mm by which the camera is higher over the floor than in truth."""


def world_errors(world: WorldFrame, soles: Array, contacts: NDArray[np.bool_], truth: TrueWorld) -> WorldErrors:
    """Of frames one after the other that are in the truth too.

    soles: (T, 4, 3) m, in the frame of one camera that stands still, NaN where the person was not found; contacts:
    (T, 4), what was told of them.
    """
    require_shape("soles", soles, (len(contacts), FOOT_PARTS, 3))
    require_shape("standing", truth.standing, contacts.shape)
    both = truth.standing[1:] & truth.standing[:-1]
    moved = MM * np.linalg.norm(np.diff(soles, axis=0), axis=-1)
    return WorldErrors(
        slide=mean(moved[both]),
        contact_f1=_f1(contacts, truth.standing),
        tilt=float(np.degrees(np.arccos(np.clip(world.up @ truth.world.up, -1.0, 1.0)))),
        height=MM * (world.camera_height - truth.world.camera_height),
    )


def _f1(estimated: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    total = estimated.sum() + true.sum()
    return float(2 * (estimated & true).sum() / total) if total else float("nan")
