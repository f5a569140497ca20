"""What the benchmark of real clips counts."""

from __future__ import annotations

import numpy as np

from benchmarks.clips import flips
from tracker.body.smpl_joints import smpl_index


def facing(yaw: float) -> np.ndarray:
    """(24, 3) m: a trunk that looks there."""
    joints = np.zeros((24, 3))
    for name, up, half in (("hip", 0.0, 0.1), ("shoulder", 0.5, 0.2)):
        for side, sign in (("left", 1.0), ("right", -1.0)):
            joints[smpl_index(f"{side}_{name}")] = [sign * half * np.cos(yaw), -up, sign * half * np.sin(yaw)]
    return joints


def test_turning_round_within_a_frame_is_a_flip_and_turning_slowly_is_not() -> None:
    turning = np.stack([facing(yaw) for yaw in np.linspace(0.0, np.pi, 20)])
    assert flips(turning, np.arange(20)) == 0
    slipped = turning.copy()
    slipped[5:8] = np.stack([facing(np.pi + yaw) for yaw in np.linspace(0.0, np.pi, 20)[5:8]])
    assert flips(slipped, np.arange(20)) == 2
    unseen = np.array([*range(5), *range(50, 65)])
    assert flips(slipped, unseen) == 1, "what happened in a gap is not known"
