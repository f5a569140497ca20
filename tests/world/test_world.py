"""The world's frame on people whose floor, gravity and footsteps are known: they walk, wait and squat."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from tracker.body import load_body
from tracker.core.arrays import Array
from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.core.person import Person, Pose
from tracker.synth.gait import FootPlan, GaitConfig
from tracker.synth.gesture import SQUATTING, STANDING, Key
from tracker.synth.legs import LegGeometry
from tracker.synth.motion import Choreography, perform
from tracker.world.body_track import BodyTrack, contact_body
from tracker.world.camera_watch import CameraWatch
from tracker.world.contacts import contact_mask, contacts_of, point_speeds
from tracker.world.estimate import estimate_world
from tracker.world.foot_lock import locked
from tracker.world.gravity import Plane, pitched
from tracker.world.world_config import WorldConfig
from tracker.world.world_frame import WorldFrame

RATE, HEIGHT, PITCH = 30, 1.6, 8.0
BODY = contact_body(load_body(None))
UP = pitched(PITCH)


def camera_frame() -> WorldFrame:
    return WorldFrame.of_floor(UP, HEIGHT, np.array([0.0, 0.0, 4.0]))


@lru_cache
def walker() -> tuple[BodyTrack, Array]:
    """Somebody who walks towards the camera, squats and walks away to the side; and (T, 4) which soles stand."""
    feet = FootPlan(GaitConfig(), np.array([-0.8, -1.2]), 0.6)
    feet.walk(np.array([0.1, 0.3]), 0.0)
    keys = [Key(0.0, STANDING), Key(feet.time, STANDING), Key(feet.time + 0.8, SQUATTING),
            Key(feet.time + 1.0, SQUATTING), Key(feet.time + 1.8, STANDING)]  # fmt: skip
    feet.wait(2.2)
    feet.walk(np.array([1.0, -0.3]), 1.9)
    times = np.arange(0, feet.time, 1 / RATE)
    shaped = load_body(None).with_shape(load_body(None).v_template.new_zeros(10))
    floor = float(shaped.rest_vertices[:, 1].min())
    legs = tuple(LegGeometry.of(shaped, side, floor) for side in ("left", "right"))
    motion = perform(Choreography(feet, keys, 3), (legs[0], legs[1]), times)
    world, theta = camera_frame(), motion.theta.copy()
    rotation = world.T_world_camera[:3, :3]
    theta[:, 0] = axis_angle_from_matrix(rotation.T @ matrix_from_axis_angle(theta[:, 0]))
    transl = world.to_camera(motion.pelvis) - BODY.rest_joints(np.zeros(10))[0]
    track = BODY.track(times, theta, np.zeros(10), transl, np.ones((len(times), 24)))
    still = np.linalg.norm(np.gradient(track.points[:, :4], 1 / RATE, axis=0), axis=-1) < 0.2
    return track, still & (world.heights(track.points[:, :4]) < 0.035)


def noisy(track: BodyTrack, seed: int = 0) -> BodyTrack:
    """As a tracker would have it: joints off by a few degrees, distances by a few per cent, squats by more."""
    rng, count = np.random.default_rng(seed), len(track.times)
    kernel = np.hanning(21) / np.sqrt((np.hanning(21) ** 2).sum())

    def slow(*shape: int) -> Array:
        white = rng.normal(size=(count + 20, int(np.prod(shape))))
        return np.stack([np.convolve(column, kernel, "valid") for column in white.T], axis=1).reshape(count, *shape)

    theta = track.theta + 0.03 * slow(24, 3)
    folded = np.clip((0.85 - track.joints[:, 0] @ UP - HEIGHT) / 0.4, 0, 1)
    transl = (track.transl + 0.01 * slow(3)) * (1 + 0.01 * slow(1) + 0.12 * folded[:, None])
    return BODY.track(track.times, theta, track.betas, transl, track.confidence)


def angle(a: Array, b: Array) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


def slide(track: BodyTrack, standing: Array) -> float:
    """mm a frame that standing soles move."""
    moved = np.linalg.norm(np.diff(track.points[:, :4], axis=0), axis=-1)
    return float(1e3 * moved[standing[1:] & standing[:-1]].mean())


def f1(one: Array, other: Array) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def relative(track: BodyTrack) -> Array:
    return track.joints - track.joints[:, :1]


class TestWorldFrame:
    def test_y_is_up_from_the_floor_and_the_origin_lies_under_the_first_place(self):
        world = WorldFrame.of_floor(UP, HEIGHT, np.array([0.5, 0.2, 4.0]))
        rotation = world.T_world_camera[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1)
        np.testing.assert_allclose(world.to_world(np.array([0.5, 0.2, 4.0]))[[0, 2]], 0, atol=1e-12)
        camera = world.to_world(np.zeros(3))
        assert camera[1] == pytest.approx(HEIGHT) and camera[2] > 3, "z points to the camera's side"
        assert world.to_world(np.array([1.0, 0, 4]))[0] > world.to_world(np.array([0.0, 0, 4]))[0], "x stays right"
        points = np.random.default_rng(0).normal(size=(5, 3))
        np.testing.assert_allclose(world.to_camera(world.to_world(points)), points, atol=1e-12)
        np.testing.assert_allclose(world.heights(points), world.to_world(points)[:, 1], atol=1e-12)
        assert np.degrees(world.pitch) == pytest.approx(PITCH)

    @pytest.mark.parametrize("up", [[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]])
    def test_a_camera_that_looks_straight_down_or_up_has_one_too(self, up):
        rotation = WorldFrame.of_floor(np.array(up), 3.0, np.array([0.0, 0, 3])).T_world_camera[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1)

    @pytest.mark.parametrize(
        ("given", "words"),
        [({"pitch": 120.0}, "--pitch 120"), ({"camera_height": -1.0}, "--camera-height -1"), ({"frame": "sky"}, "sky")],
    )
    def test_what_cannot_be_is_refused_by_name(self, given, words):
        with pytest.raises(InputError, match=words):
            WorldConfig(**given)


class TestEstimate:
    @pytest.mark.parametrize("seed", range(3))
    def test_gravity_and_floor_of_a_walker(self, seed):
        track, _ = walker()
        exact = estimate_world([track], WorldConfig()).floor
        assert angle(exact.up, UP) < 1 and exact.height == pytest.approx(HEIGHT, abs=0.03)
        floor = estimate_world([noisy(track, seed)], WorldConfig()).floor
        assert angle(floor.up, UP) < 2 and floor.height == pytest.approx(HEIGHT, abs=0.1)

    def test_what_the_user_knows_is_kept(self):
        track = noisy(walker()[0])
        estimate = estimate_world([track], WorldConfig(pitch=5.0, camera_height=1.5))
        np.testing.assert_allclose(estimate.floor.up, pitched(5.0))
        assert estimate.world.camera_height == 1.5
        tilted = estimate_world([track], WorldConfig(pitch=PITCH)).floor
        np.testing.assert_allclose(tilted.up, UP)
        assert tilted.height == pytest.approx(HEIGHT, abs=0.06)

    def test_hidden_feet_leave_a_guess_and_a_warning(self):
        track = walker()[0]
        blind = track.confidence.copy()
        blind[:, [1, 2, 4, 5, 7, 8, 10, 11]] = 0.05
        estimate = estimate_world([replace(track, confidence=blind)], WorldConfig())
        assert estimate.stands == 0 and "--camera-height" in estimate.warnings[0]
        assert estimate.floor.height == pytest.approx(HEIGHT, abs=0.3)
        assert estimate_world([track], WorldConfig()).warnings == []

    def test_one_frame(self):
        track = walker()[0].rows(slice(0, 1))
        assert np.isfinite(estimate_world([track], WorldConfig()).world.T_world_camera).all()


class TestContacts:
    def test_of_a_walker(self):
        track, standing = walker()
        mask = contact_mask(contacts_of(track, Plane(UP, HEIGHT)), len(track.times))
        assert f1(mask[:, :4], standing) > 0.9
        assert not mask[:, 4:].any(), "neither hand, knee nor seat came near the floor"
        blurred = noisy(track)
        floor = estimate_world([blurred], WorldConfig()).floor
        assert f1(contact_mask(contacts_of(blurred, floor), len(track.times))[:, :4], standing) > 0.8

    def test_hidden_feet_and_jumps_have_none(self):
        track, _ = walker()
        floor = Plane(UP, HEIGHT)
        blind = replace(track, confidence=np.zeros_like(track.confidence))
        assert contacts_of(blind, floor) == []
        air = np.clip(1 - ((track.times - 5.4) / 0.25) ** 2, 0, None)[:, None] * 0.35 * UP
        mask = contact_mask(contacts_of(track.moved(air), floor), len(track.times))
        assert not mask[np.abs(track.times - 5.4) < 0.15].any()

    def test_knees_and_hands_of_somebody_on_all_fours(self):
        track, _ = walker()
        low = track.rows(slice(0, 60))
        points = np.repeat(low.points[:1], 60, axis=0)
        for part in (4, 5, 6, 7):
            points[:, part] -= (points[:, part] @ UP + HEIGHT - 0.05)[:, None] * UP
        mask = contact_mask(contacts_of(replace(low, points=points), Plane(UP, HEIGHT)), 60)
        assert mask[:, 4:8].all() and not mask[:, 8].any()

    def test_speed_is_metres_a_second_at_uneven_times(self):
        track = walker()[0].rows(slice(0, 30))
        times = np.cumsum(np.random.default_rng(1).uniform(0.02, 0.05, 30))
        path = track.points[:1] + np.array([0.7, 0, 0]) * times[:, None, None]
        speeds = point_speeds(replace(track, times=times, points=path))
        np.testing.assert_allclose(speeds, 0.7, atol=0.06)


class TestFootLock:
    @pytest.mark.parametrize("seed", range(2))
    def test_planted_feet_stay_and_nothing_else_gets_worse(self, seed):
        truth, standing = walker()
        track = noisy(truth, seed)
        floor = estimate_world([track], WorldConfig()).floor
        held = locked(track, contacts_of(track, floor), floor, BODY)
        assert slide(held, standing) < min(6.0, 0.5 * slide(track, standing))
        before, after = (np.linalg.norm(relative(t) - relative(truth), axis=-1).mean() for t in (track, held))
        assert after < before + 0.003
        planted = contact_mask(contacts_of(track, floor), len(track.times))[:, :4]
        assert np.abs(floor.heights(held.points[:, :4])[planted]).mean() < 0.01

    def test_the_squat_gets_its_distance_from_the_floor(self):
        truth, _ = walker()
        track = noisy(truth)
        low = truth.joints[:, 0] @ UP + HEIGHT < 0.65
        floor = estimate_world([track], WorldConfig()).floor
        held = locked(track, contacts_of(track, floor), floor, BODY)
        error = [np.abs(t.joints[low, 0, 2] / truth.joints[low, 0, 2] - 1).max() for t in (track, held)]
        assert error[0] > 0.08 and error[1] < 0.04

    def test_exact_feet_are_hardly_moved(self):
        truth, _ = walker()
        floor = Plane(UP, HEIGHT)
        held = locked(truth, contacts_of(truth, floor), floor, BODY)
        assert np.linalg.norm(held.joints - truth.joints, axis=-1).mean() < 0.02
        assert np.abs(held.theta[:, 12:] - truth.theta[:, 12:]).max() == 0, "only legs are bent"

    def test_without_contacts_everything_stays(self):
        truth, _ = walker()
        assert locked(truth, [], Plane(UP, HEIGHT), BODY) is truth


def picture(index: int, shift: float) -> Frame:
    rng = np.random.default_rng(5)
    texture = np.kron(rng.integers(0, 255, (60, 120)), np.ones((8, 8))).astype(np.uint8)
    x = 40 + round(shift)
    return Frame(index, index / 10, np.repeat(texture[:480, x : x + 640, None], 3, axis=2))


def walking_box(index: int) -> Person:
    box = np.array([10.0 * index, 50, 10.0 * index + 200, 480])
    zeros = np.zeros((24, 3))
    return Person(
        0, Pose(np.zeros(3), np.zeros(69), np.zeros(10), np.zeros(3)), zeros, zeros[:, :2], zeros[:, 0], box, 0
    )


class TestCameraWatch:
    def test_a_still_camera_with_somebody_passing(self):
        watch = CameraWatch()
        for index in range(40):
            frame = picture(index, 0)
            frame.image[50:480, 10 * index : 10 * index + 200] = 7 * index % 255
            watch.show(frame, [walking_box(index)])
        assert watch.moved_at is None

    def test_a_pan_is_found_with_its_time(self):
        watch = CameraWatch()
        for index in range(40):
            watch.show(picture(index, max(0, 3 * (index - 15))), [])
        assert watch.moved_at is not None and 1.5 <= watch.moved_at <= 2.8

    def test_a_plain_wall_says_nothing(self):
        watch = CameraWatch()
        for index in range(10):
            watch.show(Frame(index, index / 4, np.full((240, 320, 3), 90, np.uint8)), [])
        assert watch.moved_at is None
