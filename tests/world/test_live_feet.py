"""Feet that are held while people come: they stand where they are planted, and nothing jumps or stays behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from tests.world.test_live_world import PERSONS
from tests.world.test_world import BODY, CAMERA, HEIGHT, PITCH, RATE, UP, noisy, relative, slide, walker
from tracker.body.kinematics import PosedPoints
from tracker.core.arrays import Array
from tracker.core.geometry import axis_angle_from_matrix
from tracker.core.person import Person, Pose
from tracker.world.body_track import FOOT_PARTS, BodyTrack, contact_rig
from tracker.world.leg_bend import Legs, bent
from tracker.world.live_feet import LiveFeet
from tracker.world.live_world import LiveWorld
from tracker.world.world_config import WorldConfig

KNOWN = WorldConfig(pitch=PITCH, camera_height=HEIGHT)
RIG = contact_rig(PERSONS.body)


def people_of(track: BodyTrack) -> list[Person]:
    poses = (
        Pose(theta[0], theta[1:].reshape(-1), track.betas, transl)
        for theta, transl in zip(track.theta, track.transl, strict=True)
    )
    return [PERSONS.person(0, pose, CAMERA, sure, 0.0) for pose, sure in zip(poses, track.confidence, strict=True)]


def track_of(people: Sequence[Person], times: Array) -> BodyTrack:
    poses = [person.pose for person in people]
    theta, transl = np.stack([pose.theta for pose in poses]), np.stack([pose.transl for pose in poses])
    return RIG.track(times, theta, poses[0].betas, transl, np.stack([each.joint_confidence for each in people]))


def held(track: BodyTrack, config: WorldConfig = KNOWN, moving_from: float = np.inf) -> BodyTrack:
    """As live shows them, frame by frame."""
    feet = LiveFeet(PERSONS, LiveWorld(config, PERSONS.body))
    done = [
        feet.held(float(time), [person], CAMERA, still=time < moving_from)[0]
        for time, person in zip(track.times, people_of(track), strict=True)
    ]
    return track_of(done, track.times)


def fitted(track: BodyTrack) -> BodyTrack:
    """The same without holding: soles by the same rig."""
    return RIG.track(track.times, track.theta, track.betas, track.transl, track.confidence)


@lru_cache
def shaky() -> BodyTrack:
    return fitted(noisy(walker()[0], 1))


def change(track: BodyTrack, other: BodyTrack) -> Array:
    """(T, 4) m that soles are apart in the picture, across the line of sight."""
    step, rays = other.points - track.points, track.points / np.linalg.norm(track.points, axis=-1, keepdims=True)
    return np.linalg.norm(step - (step * rays).sum(axis=-1, keepdims=True) * rays, axis=-1)[:, :FOOT_PARTS]


def standing_person(seconds: float = 3.0) -> BodyTrack:
    """Somebody who stands still, as a tracker would have them."""
    still = walker()[0].rows(slice(0, 1))
    count = round(RATE * seconds)
    rows = {name: np.repeat(getattr(still, name), count, axis=0) for name in ("theta", "transl", "confidence")}
    return fitted(noisy(RIG.track(np.arange(count) / RATE, betas=still.betas, **rows), 2))


class TestLiveFeet:
    @pytest.mark.parametrize("config", [WorldConfig(), KNOWN], ids=["floor learned", "floor known"])
    def test_planted_feet_stay_and_poses_do_not_get_worse(self, config: WorldConfig) -> None:
        truth, standing = walker()
        after = held(shaky(), config)
        assert slide(after, standing) < 0.6 * slide(shaky(), standing)
        errors = [np.linalg.norm(relative(track) - relative(truth), axis=-1).mean() for track in (shaky(), after)]
        assert errors[1] < errors[0] + 0.002
        assert np.abs(after.theta[:, 12:] - shaky().theta[:, 12:]).max() == 0, "only legs are bent"

    def test_swinging_feet_are_left_alone(self) -> None:
        _, standing = walker()
        swinging = ~(standing[:, :2] | standing[:, 2:])
        later = swinging & np.roll(swinging, 3, axis=0)  # what was held before has faded
        moved = np.linalg.norm(held(shaky()).joints[:, 7:9] - shaky().joints[:, 7:9], axis=-1)
        assert later.sum() > 20 and np.median(moved[later]) < 0.03

    def test_nothing_jumps_where_contacts_begin_and_end(self) -> None:
        after = held(shaky())
        steps = [np.linalg.norm(np.diff(track.joints, axis=0), axis=-1) for track in (shaky(), after)]
        assert steps[0].max() > 0.1 and (steps[1] - steps[0]).max() < 0.055, "m in a frame, where knees catch up"
        assert (steps[1] - steps[0])[:, [0, 7, 8, 10, 11]].max() < 0.045

    def test_a_jump_lets_go(self) -> None:
        still = standing_person()
        height = 0.35 * np.clip(1 - ((still.times - 1.8) / 0.25) ** 2, 0, None)
        jumping = fitted(still.moved(height[:, None] * UP))
        moved = change(jumping, held(jumping))
        assert moved[np.abs(still.times - 1.8) < 0.1].max() < 0.02
        landed = np.repeat(still.times[:, None] > 2.3, FOOT_PARTS, axis=1)
        assert slide(held(jumping), landed) < 0.6 * slide(jumping, landed), "and lands"

    def test_hidden_feet_are_let_go(self) -> None:
        still = standing_person()
        confidence = still.confidence.copy()
        confidence[still.times > 1.5] = 0.05
        moved = change(still, held(replace(still, confidence=confidence)))
        assert moved[(still.times > 1) & (still.times < 1.5)].max() > 0.005
        assert moved[still.times > 2.5].max() < 0.003

    def test_a_foot_that_the_picture_shows_elsewhere_is_let_go_however_slow_it_was(self) -> None:
        still = standing_person(5.0)
        pushed = fitted(still.moved(np.outer(0.2 * np.clip(still.times - 1.5, 0, 2), [1.0, 0.0, 0.0])))
        assert change(pushed, held(pushed)).max() < 0.07, "0.4 m to the side, at 0.2 m/s"

    def test_under_a_camera_that_moves_nothing_is_held(self) -> None:
        still = standing_person()
        after = held(still, moving_from=1.5)
        assert change(still, after)[still.times < 1.5].max() > 0.005
        assert change(still, after)[still.times > 2.5].max() < 0.003
        steps = [np.linalg.norm(np.diff(track.joints, axis=0), axis=-1) for track in (still, after)]
        assert (steps[1] - steps[0]).max() < 0.03

    def test_people_who_are_not_held_come_as_they_were(self) -> None:
        person = people_of(shaky().rows(slice(0, 1)))[0]
        feet = LiveFeet(PERSONS, LiveWorld(KNOWN, PERSONS.body))
        assert feet.held(0.0, [person], CAMERA)[0] is person
        assert not feet.planted(0).any() and feet.held(0.03, [], CAMERA) == []

    def test_nobody_is_held_where_they_were_before_a_gap_or_a_cut(self) -> None:
        still = standing_person()
        elsewhere = np.where(still.times > 1.5, 1.0, 0.0)[:, None] * np.array([0.6, 0.0, 0.8])
        cut = fitted(still.moved(elsewhere))
        assert change(cut, held(cut))[still.times > 1.5].max() < 0.12
        late = replace(cut, times=cut.times + np.where(still.times > 1.5, 1.0, 0.0))
        assert change(late, held(late))[still.times > 1.5][0].max() == 0


def test_the_rig_has_the_soles_of_the_mesh() -> None:
    track = walker()[0].rows(slice(0, 200, 20))
    quick = RIG.track(track.times, track.theta, track.betas, track.transl, track.confidence)
    exact = BODY.track(track.times, track.theta, track.betas, track.transl, track.confidence)
    assert np.abs(quick.joints - exact.joints).max() < 1e-5
    assert np.linalg.norm(quick.points - exact.points, axis=-1).max() < 0.012


class TestLegs:
    def test_an_ankle_gets_where_it_is_wanted_unless_the_leg_is_too_short(self) -> None:
        posed = RIG.posed(shaky().theta[10], shaky().betas)
        legs = legs_of(posed)
        wanted = legs.ankle + np.array([0.02, -0.05, 0.03])
        assert np.linalg.norm(ankles(posed, bent(legs, wanted, UNTURNED)) - wanted, axis=-1).max() < 1e-6
        below = legs.hip + 3 * (legs.ankle - legs.hip)
        reached = np.linalg.norm(ankles(posed, bent(legs, below, UNTURNED)) - legs.hip, axis=-1)
        whole = np.linalg.norm(legs.knee - legs.hip, axis=-1) + np.linalg.norm(legs.ankle - legs.knee, axis=-1)
        np.testing.assert_allclose(reached, 0.999 * whole, rtol=1e-6)

    def test_a_soft_leg_keeps_what_it_is_not_asked_to_change_and_its_knee_does_not_snap(self) -> None:
        posed = RIG.posed(shaky().theta[10], shaky().betas)
        legs = legs_of(posed)
        np.testing.assert_allclose(ankles(posed, bent(legs, legs.ankle, UNTURNED, 0.04)), legs.ankle, atol=1e-6)
        ways = np.linspace(0.0, 0.15, 61)[:, None, None] * (legs.ankle - legs.hip)
        bends = [
            np.linalg.norm(axis_angle_from_matrix(bent(legs, legs.ankle + way, UNTURNED, softness)[:, 1]), axis=-1)
            for softness in (0.0, 0.04)
            for way in ways
        ]
        snap, soft = np.abs(np.diff(np.reshape(bends, (2, len(ways), 2)), axis=1)).max(axis=(1, 2))
        assert soft < 0.6 * snap


UNTURNED = np.tile(np.eye(3), (2, 1, 1))
CHAINS = np.array([[0, 1, 4, 7], [0, 2, 5, 8]])


def legs_of(posed: PosedPoints) -> Legs:
    hip, knee, ankle = (posed.joints[CHAINS[:, joint]] for joint in (1, 2, 3))
    return Legs(hip, knee, ankle, posed.world_rotations[CHAINS])


def ankles(posed: PosedPoints, local: Array) -> Array:
    """(2, 3) m: after hips and knees have been turned."""
    rest, pelvis = posed.rest_joints[CHAINS], posed.world_rotations[0]
    hips = pelvis @ local[:, 0]
    thighs = hips @ (rest[:, 2] - rest[:, 1])[..., None]
    shins = hips @ local[:, 1] @ (rest[:, 3] - rest[:, 2])[..., None]
    return posed.joints[CHAINS[:, 1]] + (thighs + shins)[..., 0]
