"""Films of clothed people: what is found of them is counted right, and motion is cut to their length."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from benchmarks.avatar_clips import score
from benchmarks.avatar_films import FilmStudio, FilmTruth, there_and_back
from tracker.body import load_body
from tracker.body.kinematics import LandmarkRig
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array
from tracker.core.camera import Camera
from tracker.core.geometry import matrix_from_axis_angle
from tracker.export import PersonSequence
from tracker.motion.motion_clip import MotionClip
from tracker.motion.motion_library import MotionLibrary

CAMERA = Camera.from_focal(800.0, 640, 480)
FRAMES = 6
_LEFT, _RIGHT = -0.6, 0.6


@pytest.fixture(scope="module")
def standing() -> Array:
    """(24, 3) m of somebody who faces a camera 4 m away."""
    rig = LandmarkRig.from_body(load_body(None))
    rotations = np.tile(np.eye(3), (NUM_JOINTS, 1, 1))
    rotations[0] = np.diag([1.0, -1.0, -1.0])
    return rig.pose(rotations, np.zeros(NUM_BETAS)).joints + np.array([0.0, 0.0, 4.0])


def moved(joints: Array, x: float) -> Array:
    return joints + np.array([x, 0.0, 0.0])


def film(standing: Array, shown: Array) -> FilmTruth:
    """Two who stand beside each other."""
    joints = np.broadcast_to(np.stack([moved(standing, x) for x in (_LEFT, _RIGHT)]), (FRAMES, 2, NUM_JOINTS, 3))
    pixels = CAMERA.project(joints.reshape(-1, 3)).reshape(FRAMES, 2, NUM_JOINTS, 2)
    return FilmTruth(joints, pixels, shown)


def found(joints: Array, frames: list[int]) -> PersonSequence:
    joints3d = np.broadcast_to(joints, (len(frames), NUM_JOINTS, 3))
    pixels = CAMERA.project(joints3d.reshape(-1, 3)).reshape(len(frames), NUM_JOINTS, 2)
    return cast(PersonSequence, SimpleNamespace(frame_index=np.array(frames), joints3d=joints3d, joints2d=pixels))


def test_who_is_missing_too_many_another_and_turned_round_is_counted(standing: Array) -> None:
    shown = np.ones((FRAMES, 2))
    shown[5, 1] = 0.1
    middle = standing[[1, 2]].mean(axis=0)
    turned = (standing - middle) @ matrix_from_axis_angle(np.array([0.0, np.pi, 0.0])).T + middle
    people = {
        0: found(moved(standing, _LEFT), [0, 1, 2]),
        1: found(moved(turned, _LEFT), [3, 4, 5]),  # another identity of the first
        2: found(moved(standing, _RIGHT), [0, 1, 2, 3]),  # missed in 4; in 5 there is nothing to be seen
        3: found(moved(standing, 3.0), [2]),
    }
    result = score(film(standing, shown), people)
    assert (result.people, result.identities, result.frames) == (2, 4, 11)
    assert (result.missed, result.too_many, result.changes, result.turned) == (1, 1, 1, 3)
    assert np.min(result.mpjpe) == pytest.approx(0.0, abs=1e-6), "about the hips"
    assert np.max(result.mpjpe) > 100.0
    assert np.max(result.pa_mpjpe) < 60.0, "the reverse of somebody who stands is nearly themselves"


def test_a_film_of_nobody_misses_everybody(standing: Array) -> None:
    result = score(film(standing, np.ones((FRAMES, 2))), {})
    assert result.missed == result.frames == 2 * FRAMES
    assert "nan" in result.line("empty")


def test_motion_is_of_clips_that_have_any() -> None:
    """A collection may hold a pose of calibration alone, and somebody who walks does not keep to their place."""

    def clip(name: str, frames: int, metres: float) -> MotionClip:
        places = np.linspace(0, 1, frames)[:, None] * [metres, 0.0, 0.0]
        return MotionClip(name, np.zeros((frames, NUM_JOINTS, 3)), places, 30.0)

    stays, walks = clip("stays", 40, 0.2), clip("walks", 60, 5.0)
    studio = FilmStudio(MotionLibrary((clip("pose", 3, 0.0), stays, walks), 30.0), [], 50)
    for walking, most in ((False, 0.2), (True, 5.0)):
        for seed in range(10):
            rotations, places = studio.piece(np.random.default_rng(seed), walking)
            assert rotations.shape == (50, NUM_JOINTS, 3, 3)
            assert 0.5 * most < np.ptp(places[:, 0]) <= most
    with pytest.raises(ValueError, match="walks 2 m"):
        FilmStudio(MotionLibrary((stays,), 30.0), [], 50).piece(np.random.default_rng(0), True)


@pytest.mark.parametrize(("count", "first", "rows"), [(3, 1, [4, 5, 6]), (8, 0, [3, 4, 5, 6, 5, 4, 3, 4])])
def test_motion_that_is_too_short_goes_back_and_forth(count: int, first: int, rows: list[int]) -> None:
    assert there_and_back(np.arange(3, 7), count, first).tolist() == rows
