"""A world that is told while it comes: it gets to where the whole clip's would be, and takes its time."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.world.test_camera_pose import POSED, calibration_file
from tests.world.test_world import CAMERA, HEIGHT, PITCH, UP, angle, noisy, walker
from tracker.body import load_body
from tracker.body.person_builder import PersonBuilder
from tracker.core.person import Person, Pose
from tracker.world.body_track import BodyTrack
from tracker.world.gravity import pitched
from tracker.world.live_world import LiveWorld
from tracker.world.world_config import WorldConfig

PERSONS = PersonBuilder(load_body(None))


def person(track: BodyTrack, row: int) -> Person:
    theta = track.theta[row]
    pose = Pose(theta[0], theta[1:].reshape(-1), track.betas, track.transl[row])
    return PERSONS.person(0, pose, CAMERA, np.ones(24), 0.0)


def test_it_converges_and_never_jumps() -> None:
    track = noisy(walker()[0])
    live = LiveWorld(WorldConfig(), PERSONS.body)
    worlds = [live.watch(time, [person(track, row)]) for row, time in enumerate(track.times)]
    assert angle(worlds[0].up, UP) == pytest.approx(PITCH, abs=0.1), "level before anything is known"
    assert angle(worlds[-1].up, UP) < 1.5 and worlds[-1].camera_height == pytest.approx(HEIGHT, abs=0.08)
    for row, (one, other) in enumerate(pairwise(worlds)):
        moved = other.to_world(track.points[row]) - one.to_world(track.points[row])
        assert np.linalg.norm(moved, axis=-1).max() < 0.005
    lowest = [world.heights(points[:4]).min() for world, points in zip(worlds, track.points, strict=True)]
    assert np.abs(lowest[:30]).max() < 0.15, "whoever is first seen stands on the floor"


def test_what_the_user_knows_is_kept_from_the_start() -> None:
    track = walker()[0]
    live = LiveWorld(WorldConfig(pitch=5.0, camera_height=1.5), PERSONS.body)
    for row in range(0, 60, 3):
        world = live.watch(track.times[row], [person(track, row)])
        np.testing.assert_allclose(world.up, pitched(5.0), atol=1e-12)
        assert world.camera_height == 1.5


def test_a_calibration_is_the_world_from_the_start(tmp_path: Path) -> None:
    track = walker()[0]
    live = LiveWorld(WorldConfig(calibration=calibration_file(tmp_path)), PERSONS.body)
    for row in range(0, 60, 20):
        world = live.watch(track.times[row], [person(track, row)])
        np.testing.assert_allclose(world.T_world_camera, POSED.T_world_camera, atol=1e-5)


def test_the_same_frame_has_one_answer_and_nobody_leaves_it_as_it_is() -> None:
    track = walker()[0]
    live = LiveWorld(WorldConfig(), PERSONS.body)
    empty = live.watch(0.0, [])
    assert empty.camera_height == 1.0
    first = live.watch(0.1, [person(track, 0)])
    assert live.watch(0.1, [person(track, 90)]) is first
    later = [live.watch(0.2 + 0.1 * i, []) for i in range(40)]
    np.testing.assert_allclose(later[-1].T_world_camera, first.T_world_camera)
