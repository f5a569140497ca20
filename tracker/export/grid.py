"""A person's rows on the run's uniform grid, which animation formats, motion tools and filters assume.

Where the source's frames lie on the grid, as those of a constant rate do, their values are kept; elsewhere rotations
are blended spherically, and the rest linearly, between the frames before and after, but for joints: they are those of
the blended pose, so that no bone is shorter on the way. Rows in which the person was not tracked have confidence 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from tracker.body.model import BodyModel
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.export.scratch import MEMORY, Scratch
from tracker.export.sequence import PersonSequence, increasing, joined, joints_of, row_blocks, zoomed_pixels

_EXACT = 0.03
"""Of a step: frames that are so close to the grid lie on it."""
LONGEST_BRIDGE = 0.1
"""s: two frames so close to each other have no gap between them."""
_LONGEST_PAUSE = 1.0
"""s: nor have those with no other frame of the source between them."""


def on_grid(
    person: PersonSequence,
    body: BodyModel,
    run_times: Sequence[float],
    run_indices: Sequence[int],
    scratch: Scratch = MEMORY,
) -> PersonSequence:
    """The person from their first to their last frame at the run's nominal rate, counted from its first frame.

    run_times: (F,) s, run_indices: (F,) of every frame of the run.
    """
    kept = _increasing(person, scratch)
    grid = _grid(kept)
    indices = _indices(grid, run_times, run_indices, kept.timeline.frame_rate)
    of_run = np.sort(np.asarray(run_times, np.float64))
    tracked = _tracked(kept.timestamps, grid, kept.timeline.frame_rate, of_run)
    blocks = (_on_grid(kept, body, grid[rows], indices[rows], tracked[rows]) for rows in row_blocks(len(grid)))
    return joined(blocks, len(grid), scratch)


def _increasing(person: PersonSequence, scratch: Scratch) -> PersonSequence:
    chosen = np.flatnonzero(increasing(person.timestamps))
    if len(chosen) == len(person.timestamps):
        return person
    return joined((person.rows(chosen[rows]) for rows in row_blocks(len(chosen))), len(chosen), scratch)


def _on_grid(
    kept: PersonSequence, body: BodyModel, grid: Array, indices: NDArray[np.int64], tracked: NDArray[np.bool_]
) -> PersonSequence:
    """At these (K,) times of the grid."""
    before, share = _between(kept.timestamps, grid, kept.timeline.frame_rate)
    poses = _blended_poses(kept, before, share)
    linear: dict[str, Any] = {
        name: _blended(getattr(kept, name), before, share)
        for name in ("trans", "joints3d", "joints2d", "joint_confidence", "bbox", "nll")
    }
    mixed = (share > 0) & (share < 1)
    if mixed.any():
        joints = joints_of(body, kept.betas, poses[mixed]) + linear["trans"][mixed, None]
        linear["joints3d"][mixed] = joints
        linear["joints2d"][mixed] = zoomed_pixels(kept.camera, kept.path, grid[mixed], joints)
    linear["joint_confidence"][~tracked] = 0
    linear["nll"][~tracked] = np.nan
    nearest = np.where(share < 0.5, before, np.minimum(before + 1, len(kept.timestamps) - 1))
    return replace(
        kept,
        timestamps=grid,
        poses=poses,
        frame_index=indices,
        tracked=tracked,
        contacts=kept.contacts[nearest] & tracked[:, None],
        **linear,
    )


def gaps(person: PersonSequence) -> list[tuple[float, float]]:
    """(first, last) s, from the run's start, of the stretches of rows in which the person was not tracked."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~person.tracked, [False]]).astype(int)))
    times = person.seconds
    return [(float(times[a]), float(times[b - 1])) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _grid(person: PersonSequence) -> Array:
    rate, start = person.timeline.frame_rate, person.timeline.start
    first, last = (round((time - start) * rate) for time in person.timestamps[[0, -1]])
    return start + np.arange(first, last + 1) / rate


def _between(times: Array, grid: Array, rate: float) -> tuple[NDArray[np.intp], Array]:
    """(K,) row before each time of the grid, and how far (0..1) it is on the way to the next; 0 or 1 near a frame."""
    before = np.clip(np.searchsorted(times, grid, side="right") - 1, 0, max(len(times) - 2, 0))
    if len(times) == 1:
        return before, np.zeros(len(grid))
    length = times[before + 1] - times[before]
    share = np.clip((grid - times[before]) / length, 0.0, 1.0)
    near_before = np.abs(grid - times[before]) <= _EXACT / rate
    near_after = np.abs(grid - times[before + 1]) <= _EXACT / rate
    return before, np.where(near_before, 0.0, np.where(near_after, 1.0, share))


def _blended(values: Array, before: NDArray[np.intp], share: Array) -> Array:
    """(K, …); a value that is not finite does not spread to rows that lie on its neighbour."""
    after = np.minimum(before + 1, len(values) - 1)
    weight = share.reshape(-1, *[1] * (values.ndim - 1))
    with np.errstate(invalid="ignore"):
        mixed = values[before] * (1 - weight) + values[after] * weight
    chosen = np.where(weight == 0, values[before], np.where(weight == 1, values[after], mixed))
    return chosen.astype(values.dtype)


def _blended_poses(person: PersonSequence, before: NDArray[np.intp], share: Array) -> Array:
    """(K, 72) rad; frames that lie on the grid keep their numbers."""
    after = np.minimum(before + 1, len(person.poses) - 1)
    poses = np.where((share == 1)[:, None], person.poses[after], person.poses[before])
    mixed = np.flatnonzero((share > 0) & (share < 1))
    if len(mixed):
        first = before[0]
        theta, rows = person.theta[first : after[-1] + 1].astype(float), before[mixed] + share[mixed]
        for joint in range(NUM_JOINTS):
            turns = Slerp(first + np.arange(len(theta)), Rotation.from_rotvec(theta[:, joint]))
            poses[mixed, 3 * joint : 3 * joint + 3] = turns(rows).as_rotvec()
    return poses.astype(person.poses.dtype)


def _tracked(times: Array, grid: Array, rate: float, run_times: Array) -> NDArray[np.bool_]:
    """(K,) True where a time of the grid falls on a frame or between two that are close enough to bridge: the source
    itself may have had no picture for a while, as cameras do in the dark.

    run_times: (F,) s of all frames, ascending.
    """
    after = np.clip(np.searchsorted(times, grid), 1, max(len(times) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(times) - 1)
    near = np.minimum(np.abs(grid - times[before]), np.abs(grid - times[after])) <= 0.5 / rate
    length = times[after] - times[before]
    # of the run's frames, those that are neither the person's one before nor the one after
    between = np.searchsorted(run_times, times[after]) - np.searchsorted(run_times, times[before], side="right")
    bridged = (length <= max(LONGEST_BRIDGE, 1.5 / rate)) | ((between <= 0) & (length <= _LONGEST_PAUSE))
    return near | bridged


def _indices(grid: Array, run_times: Sequence[float], run_indices: Sequence[int], rate: float) -> NDArray[np.int64]:
    """(K,): of the run's frame nearest to each row, each frame once; −1 in rows that have none."""
    times, indices = np.asarray(run_times, np.float64), np.asarray(run_indices, np.int64)
    row = np.round((times - grid[0]) * rate).astype(int)
    inside = (row >= 0) & (row < len(grid))
    times, indices, row = times[inside], indices[inside], row[inside]
    distance = np.abs(times - grid[row])
    chosen = np.full(len(grid), -1, np.int64)
    for each in np.argsort(-distance, kind="stable"):
        chosen[row[each]] = indices[each]
    return chosen
