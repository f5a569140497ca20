"""The world's frame on people whose floor, gravity and footsteps are known: they walk, wait and squat."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
import pytest

from tracker.body import load_body
from tracker.body.person_builder import PersonBuilder
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.core.person import FrameRecord, Person, Pose
from tracker.synth.gait import FootPlan, GaitConfig
from tracker.synth.gesture import SQUATTING, STANDING, Key
from tracker.synth.legs import LegGeometry
from tracker.synth.motion import Choreography, perform
from tracker.world.body_track import BodyTrack, contact_body
from tracker.world.camera_path import CameraPath
from tracker.world.camera_watch import CameraWatch
from tracker.world.contacts import Contact, contact_mask, contacts_of, point_speeds, settled_contacts
from tracker.world.estimate import estimate_world
from tracker.world.foot_lock import locked
from tracker.world.gravity import Gravity, Plane, UprightAxes, pitched
from tracker.world.leg_bend import Stretch, on_tiptoe
from tracker.world.turning import as_seen_first, as_seen_then
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

    def test_a_foot_that_is_hidden_for_a_while_and_seen_in_the_same_place_has_stayed(self):
        low, hidden, floor = walker()[0].rows(slice(0, 60)), slice(20, 40), Plane(UP, HEIGHT)
        points, unseen = np.repeat(low.points[:1], 60, axis=0), low.confidence.copy()
        points[hidden, :4] += 0.3 * np.sin(np.arange(1, 21))[:, None, None]
        unseen[hidden] = 0.2

        def told(points: Array, confidence: Array) -> Array:
            return contact_mask(contacts_of(replace(low, points=points, confidence=confidence), floor), 60)[:, 1:4]

        assert told(points, unseen)[hidden].all()
        assert not told(points, low.confidence)[hidden].any(axis=1).all()
        aside = points.copy()
        aside[40:, :4, 0] += 0.2
        assert told(aside, unseen)[:15].all() and told(aside, unseen)[45:].all()
        assert not told(aside, unseen)[25:35].any(), "it has stepped aside"

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
        speeds = point_speeds(replace(track, times=times, points=path), UP)
        np.testing.assert_allclose(speeds, 0.7, atol=0.06)

    def test_a_heel_that_rises_slowly_has_left_the_floor(self):
        track = walker()[0].rows(slice(0, 1))
        rows = {
            name: np.repeat(getattr(track, name), 60, axis=0) for name in ("theta", "transl", "joints", "confidence")
        }
        points = np.repeat(track.points, 60, axis=0)
        points[:, :4] -= (points[:, :4] @ UP + HEIGHT)[..., None] * UP
        times, floor = np.arange(60) / RATE, Plane(UP, HEIGHT)
        points[40:, 0] += 0.15 * (times[40:] - times[40])[:, None] * UP
        risen = replace(track, times=times, points=points, **rows)
        heel, settled = (contact_mask(contacts(risen, floor), 60)[:, 0] for contacts in (contacts_of, settled_contacts))
        assert heel[:50].all() and settled[:44].all() and not settled[47:].any()

    @pytest.mark.parametrize("height", [0.1, 0.5, 1.4, 3.0])
    def test_a_swinging_foot_is_told_from_a_planted_one_whose_distance_drifts(self, height):
        """However high the camera is: from near the floor only its distance tells that a foot comes nearer."""
        track = walker()[0].rows(slice(0, 30))
        start = np.array([0.0, height, 5.0])
        times = track.times[:, None, None]
        level = np.array([0.0, -1.0, 0.0])
        swinging = np.broadcast_to(start + [0.0, 0.0, -2.2] * times, track.points.shape)
        assert point_speeds(replace(track, points=swinging), level).min() > 0.4
        drifting = np.broadcast_to(start * (1 + 0.2 * times), track.points.shape)  # a metre a second
        assert height < 1.0 or point_speeds(replace(track, points=drifting), level).max() < 0.22

    def test_gravity_is_told_from_people_seen_from_the_side(self):
        """Whoever faces the camera leans towards it in the fit by more than anybody who is seen from the side."""
        track = walker()[0]
        upright = track.rows(slice(0, 1))
        turned = [0.0, 90.0]
        leaning = [matrix_from_axis_angle(np.radians(np.array([lean, 0.0, 0.0]))) for lean in (6.0, 0.0)]
        axes = []
        for degrees, lean in zip(turned, leaning, strict=True):
            spin = matrix_from_axis_angle(np.radians(degrees) * UP) @ lean
            pelvis = upright.joints[:, :1]
            axes.append(UprightAxes.of(replace(upright, joints=pelvis + (upright.joints - pelvis) @ spin.T)))
        gravity, plain = Gravity.of_axes(axes), Gravity.of_axes(axes[:1])
        assert gravity is not None and plain is not None
        side = Gravity.of_axes(axes[1:])
        assert side is not None and side.sigma < gravity.sigma < plain.sigma
        assert angle(gravity.up, side.up) < 0.4 * angle(plain.up, side.up)


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

    def test_a_foot_that_has_left_its_place_is_not_held_back(self):
        truth, _ = walker()
        floor = Plane(UP, HEIGHT)
        steps = [contact for contact in contacts_of(truth, floor) if contact.part == 0]
        step = max(steps, key=lambda each: each.end - each.start if each.end < len(truth.times) - 20 else 0)
        longer = Contact(0, step.start, step.end + 20)
        held = locked(truth, [longer], floor, BODY)
        rows = slice(longer.start, longer.end)
        away = np.linalg.norm(truth.points[rows, 0] - truth.points[step.start, 0], axis=1)
        error = np.linalg.norm(held.joints[rows, 7] - truth.joints[rows, 7], axis=1)
        assert away.max() > 0.3 and error[away > 0.25].max() < 0.06

    def test_a_heel_rises_where_the_leg_is_too_short_for_a_flat_foot(self):
        """The toes of a foot that stays behind are still where they were."""
        hip, toe = np.array([[0.0, -0.9, 0.0]] * 2), np.array([[0.45, 0.0, 0.0], [0.15, 0.0, 0.0]])
        ankle = toe + np.array([0.12, -0.08, 0.0])
        leg = Stretch(hip, np.full(2, 0.95))
        flat = np.broadcast_to(np.eye(3), (2, 3, 3))
        assert np.linalg.norm(ankle[0] - hip[0]) > 0.95 > np.linalg.norm(ankle[1] - hip[1])
        turn, raised = on_tiptoe(leg, toe, ankle, flat, np.ones(2))
        assert np.linalg.norm(raised[0] - hip[0]) == pytest.approx(0.999 * 0.95), "within reach"
        np.testing.assert_allclose(turn[0] @ (ankle[0] - toe[0]), raised[0] - toe[0], atol=1e-12)
        assert raised[0, 1] < ankle[0, 1], "y is down"
        np.testing.assert_allclose(turn[1], np.eye(3), atol=1e-9)
        np.testing.assert_allclose(raised[1], ankle[1], atol=1e-9)
        np.testing.assert_allclose(on_tiptoe(leg, toe, ankle, flat, np.zeros(2))[1], ankle, atol=1e-9)

    def test_somebody_who_is_no_longer_seen_does_not_run_away(self):
        truth, _ = walker()
        count, last = len(truth.times), len(truth.times) // 3
        growing = 0.3 * np.clip(np.arange(count) / last, 0.0, 1.0)[:, None]
        drifting = truth.moved(growing * truth.joints[:, 0] / np.linalg.norm(truth.joints[:, 0], axis=1)[:, None])
        confidence = np.where(np.arange(count)[:, None] < last, drifting.confidence, 0.02)
        track, floor = replace(drifting, confidence=confidence), Plane(UP, HEIGHT)
        feet = [each for each in contacts_of(truth, floor) if each.end <= last]
        held = locked(track, feet, floor, BODY)
        moved = np.linalg.norm(held.transl - track.transl, axis=1)
        assert moved[:last].max() > 0.1, "the floor corrects the distance while feet are seen"
        assert moved[last:].max() < 0.5 and moved[-1] < 0.05

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


CAMERA = Camera.default(640, 480)


def natural(height: int, width: int) -> Array:
    """Grey levels with structure of every size, as rooms have it."""
    rng, total = np.random.default_rng(3), np.zeros((height, width))
    for size in (1, 2, 4, 8, 16, 32):
        noise = rng.normal(size=(height // size + 2, width // size + 2))
        total += size**0.5 * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 25 * total, 0, 255).astype(np.uint8)


TEXTURE = natural(640, 1920)


def panned(index: int, yaw: float, zoom: float = 1.0) -> Frame:
    """What a camera in the middle of a round wall sees that looks to the right by yaw (rad)."""
    pixels = np.stack(np.meshgrid(np.arange(640) + 0.5, np.arange(480) + 0.5), axis=-1)
    lens = Camera.from_focal(CAMERA.fx * zoom, 640, 480)
    rays = lens.rays(pixels) @ matrix_from_axis_angle(np.array([0.0, yaw, 0.0])).T
    angle, height = np.arctan2(rays[..., 0], rays[..., 2]), rays[..., 1] / np.hypot(rays[..., 0], rays[..., 2])
    columns, rows = (960 + 640 * angle).astype(np.float32), (320 + 640 * height).astype(np.float32)
    grey = cv2.remap(TEXTURE, columns, rows, cv2.INTER_LINEAR)
    return Frame(index, index / 15, np.repeat(grey[..., None], 3, axis=2))


class TestCameraWatch:
    def test_a_still_camera_with_somebody_passing(self):
        watch = CameraWatch(CAMERA)
        for index in range(40):
            frame = picture(index, 0)
            frame.image[50:480, 10 * index : 10 * index + 200] = 7 * index % 255
            watch.show(frame, [walking_box(index)])
        assert watch.motion.moved_at is None and watch.motion.path is None and watch.motion.refused_at is None

    @pytest.mark.parametrize("zoomed", [1.0, 1.25])
    def test_a_pan_is_followed_and_so_is_zoom(self, zoomed):
        watch = CameraWatch(CAMERA)
        share = np.clip((np.arange(40) - 8) / 28, 0, 1)
        yaws, zooms = np.radians(25) * share, 1 + (zoomed - 1) * share
        for index in range(40):
            frame = panned(index, yaws[index], zooms[index])
            frame.image[100:480, 8 * index : 8 * index + 160] = 60  # somebody walks through
            watch.show(frame, [])
        motion = watch.motion
        assert motion.moved_at is not None and 0.4 <= motion.moved_at <= 1.2 and motion.refused_at is None
        assert motion.path is not None
        times = np.arange(40) / 15
        turned = axis_angle_from_matrix(motion.path.turns_at(times))
        np.testing.assert_allclose(np.degrees(turned), np.degrees(np.outer(yaws, [0, 1, 0])), atol=0.8)
        np.testing.assert_allclose(motion.path.zoom_at(times), zooms, atol=0.015)

    def test_a_camera_that_travels_is_refused(self):
        """Stripes of wall at different distances move by different amounts."""
        watch = CameraWatch(CAMERA)
        texture = natural(480, 2000)
        for index in range(40):
            grey = np.zeros((480, 640), np.uint8)
            for stripe in range(8):
                x = 500 + round(index * (1.5 + 1.5 * (stripe * 5 % 8)))
                grey[60 * stripe : 60 * stripe + 60] = texture[60 * stripe : 60 * stripe + 60, x : x + 640]
            watch.show(Frame(index, index / 15, np.repeat(grey[..., None], 3, axis=2)), [])
        assert watch.motion.moved_at is not None and watch.motion.refused_at == watch.motion.moved_at

    def test_a_plain_wall_says_nothing(self):
        watch = CameraWatch(CAMERA)
        for index in range(10):
            watch.show(Frame(index, index / 4, np.full((240, 320, 3), 90, np.uint8)), [])
        assert watch.motion.moved_at is None


class TestTurning:
    def test_somebody_who_stands_does_not_walk_before_a_camera_that_turns_and_zooms(self):
        """The people as networks see them, which know of neither turn nor zoom."""
        persons = PersonBuilder(load_body(None))
        times, zooms = np.arange(20) / 10, np.linspace(1, 1.3, 20)
        turns = matrix_from_axis_angle(np.outer(np.linspace(0, 0.4, 20), [0.1, 1.0, 0.0]))
        path = CameraPath(times, turns, zooms)
        standing = Pose(np.array([np.pi - 0.1, 0.0, 0.0]), np.zeros(69), np.zeros(10), np.array([0.3, 0.2, 4.0]))
        first = persons.person(0, standing, CAMERA, np.ones(24), 0.0)
        records = []
        for number in range(20):
            seen = turns[number].T @ first.joints3d[0] / [1, 1, zooms[number]]
            orient = axis_angle_from_matrix(turns[number].T @ matrix_from_axis_angle(standing.global_orient))
            pose = replace(standing, global_orient=orient, transl=seen - (first.joints3d[0] - standing.transl))
            records.append(FrameRecord(number, times[number], [persons.person(0, pose, CAMERA, np.ones(24), 0.0)]))
        still = list(as_seen_first(records, path, persons, CAMERA))
        places = np.stack([record.people[0].joints3d[0] for record in still])
        np.testing.assert_allclose(places, np.tile(first.joints3d[0], (20, 1)), atol=1e-5)
        again = list(as_seen_then(still, path, persons, CAMERA))
        pelvis = [record.people[0].joints2d[0] for record in again]
        np.testing.assert_allclose(pelvis, [record.people[0].joints2d[0] for record in records], atol=0.01)

    def test_small_zooms_are_errors_of_measurement(self):
        path = CameraPath(np.arange(3.0), np.tile(np.eye(3), (3, 1, 1)), np.array([1, 1.02, 0.995]))
        assert (path.settled.zoom == 1).all()
        zoomed = replace(path, zoom=np.array([1, 1.1, 1.2]))
        assert zoomed.settled is zoomed
