"""Actors whose skeleton never straightens a leg are straightened; people who really bend their knees are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.body.model import JOINT_NAMES
from tracker.core.arrays import Array
from tracker.motion.motion_clip import MotionClip, joint_positions
from tracker.motion.straight_knees import with_straight_knees

LEFT, RIGHT = (
    [JOINT_NAMES.index(f"{side}_{name}") for name in ("hip", "knee", "ankle", "foot")] for side in ("left", "right")
)


def walk(bent: float, name: str = "folder/actor/walk.bvh") -> MotionClip:
    """2 s of a walk on the spot: legs take turns in swinging to 60°, and stand bent by that, degrees."""
    phase = np.arange(60) / 30 * 2 * np.pi
    theta = np.zeros((60, 24, 3))
    for (hip, knee, ankle, _), shift in ((LEFT, 0.0), (RIGHT, np.pi)):
        bend = np.radians(bent) + np.radians(60.0 - bent) * np.maximum(np.sin(phase + shift), 0.0) ** 2
        theta[:, hip, 0], theta[:, knee, 0], theta[:, ankle, 0] = -bend / 2, bend, -bend / 2
    return MotionClip(name, theta.astype(np.float32), np.zeros((60, 3), np.float32), 30.0)


def straighter(clip: MotionClip) -> Array:
    """(T,) degrees: bend of the straighter leg."""
    return np.degrees(clip.theta[:, [LEFT[1], RIGHT[1]], 0].min(axis=1))


def places(clip: MotionClip) -> Array:
    """(T, 24, 3) m in the world."""
    return joint_positions(clip.rotations().astype(float)) + clip.transl[:, None]


def test_an_actor_who_always_stands_bent_is_straightened() -> None:
    (clip,) = with_straight_knees([walk(24.0)])
    assert np.percentile(straighter(clip), 25) == pytest.approx(10.0, abs=2.5)
    assert straighter(clip).min() > -3.1
    swinging = np.degrees(clip.theta[:, LEFT[1], 0].max())
    assert swinging == pytest.approx(60.0 - 16.0 * (110 - 60) / (110 - 16), abs=0.5), "less is taken off a bent knee"


def test_feet_stay_where_they_are_and_the_body_rises() -> None:
    bent = walk(24.0)
    (clip,) = with_straight_knees([bent])
    before, after = places(bent), places(clip)
    standing = np.where(before[:, LEFT[2], 1] < before[:, RIGHT[2], 1], 0, 1)
    ankles = np.array([LEFT[2], RIGHT[2]])[standing]
    rows = np.arange(len(ankles))
    assert np.abs(after[rows, ankles, 1] - before[rows, ankles, 1]).max() < 1e-3
    assert np.abs(after[rows, ankles] - before[rows, ankles]).max() < 0.01, "hip, ankle keep their direction"
    feet = np.array([LEFT[3], RIGHT[3]])[standing]
    pointing = (after - before)[rows, feet] - (after - before)[rows, ankles]
    assert np.abs(pointing).max() < 1e-3, "so does the foot"
    risen = after[:, 0, 1] - before[:, 0, 1]
    assert 0.005 < risen.mean() < 0.03


def test_who_straightens_a_leg_is_left_alone() -> None:
    clip = walk(5.0)
    assert with_straight_knees([clip])[0] is clip


def test_an_actor_is_known_by_all_clips_of_a_folder() -> None:
    """Somebody who squats in one clip and walks upright in the others squats."""
    squat = walk(40.0, "folder/actor/squat.bvh")
    clips = with_straight_knees([squat, *(walk(5.0, f"folder/actor/walk{i}.bvh") for i in range(3))])
    assert clips[0] is squat
    alone = with_straight_knees([squat, walk(5.0, "folder/somebody/walk.bvh")])
    assert np.median(straighter(alone[0])) < np.median(straighter(squat)) - 15


def test_nobody_is_straightened_by_more_than_skeletons_err() -> None:
    crouching = walk(58.0)
    (clip,) = with_straight_knees([crouching])
    taken = straighter(crouching) - straighter(clip)
    assert 5 < taken.max() < 25
