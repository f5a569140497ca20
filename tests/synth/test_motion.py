"""The synthetic person's motion: feet that stand where they are planted, joints that stay inside what joints can do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tracker.body.free_body import load_free_body
from tracker.body.joint_limits import JointPrior
from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import Array
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.core.person import Pose
from tracker.synth.demo_clip import ClipConfig, write_script
from tracker.synth.figure import Figure, FigureConfig
from tracker.synth.gait import FootPlan, GaitConfig
from tracker.synth.gesture import ARMS_UP, STANDING, Key, upper_body
from tracker.synth.legs import SIDES, FootTrack, LegGeometry, about, knee_bend, solve_leg
from tracker.synth.motion import Motion, perform

SECONDS, RATE, SEED = 16.0, 30.0, 5


@pytest.fixture(scope="module")
def figure() -> Figure:
    return Figure(load_free_body(), np.array(ClipConfig().betas), FigureConfig(texture_size=16), SEED)


@pytest.fixture(scope="module")
def legs(figure: Figure) -> tuple[LegGeometry, LegGeometry]:
    left, right = (LegGeometry.of(figure.shaped, side, figure.floor) for side in SIDES)
    return left, right


@pytest.fixture(scope="module")
def motion(legs: tuple[LegGeometry, LegGeometry]) -> Motion:
    """The demo's whole round: walking, waving, squatting, raised arms, reaching, turning."""
    return perform(write_script(SECONDS, SEED).choreography, legs, np.arange(SECONDS * RATE) / RATE)


def world_transl(figure: Figure, motion: Motion) -> Array:
    """(T, 3) m: SMPL's transl when the camera's frame is the world's."""
    return motion.pelvis - figure.shaped.rest_joints[0].numpy()


@pytest.fixture(scope="module")
def soles(figure: Figure, motion: Motion) -> Array:
    """(T, 2, V, 3) m: the vertices of both shoes, in every third frame."""
    transl = world_transl(figure, motion)
    frames = range(0, len(motion.times), 3)
    poses = (Pose(motion.theta[i, 0], motion.theta[i, 1:].ravel(), figure.betas, transl[i]) for i in frames)
    return np.array([figure.posed(pose)[-2:] for pose in poses])


def test_soles_never_go_through_the_floor_nor_leave_it_both(soles: Array) -> None:
    lowest = soles[..., 1].min(axis=2)
    assert lowest.min() > -0.004
    assert lowest.min(axis=1).max() < 0.004


def test_what_stands_on_the_floor_does_not_slide(soles: Array) -> None:
    """At every moment some point of a sole that touches the floor is still there a tenth of a second later."""
    touching = (soles[:-1, ..., 1] < 0.006) & (soles[1:, ..., 1] < 0.006)
    slid = np.linalg.norm(soles[1:, ..., [0, 2]] - soles[:-1, ..., [0, 2]], axis=-1)
    assert np.where(touching, slid, np.inf).min(axis=(1, 2)).max() < 0.005


def test_joints_stay_inside_the_prior_s_limits(motion: Motion) -> None:
    prior = JointPrior.anatomical()
    assert (motion.theta[:, 1:] - prior.lower).min() > -1e-6
    assert (prior.upper - motion.theta[:, 1:]).min() > -1e-6


def test_nothing_jerks(motion: Motion) -> None:
    rotations = matrix_from_axis_angle(motion.theta)
    turned = axis_angle_from_matrix(np.swapaxes(rotations[:-1], -1, -2) @ rotations[1:])
    assert np.linalg.norm(turned, axis=-1).max() * RATE < 12.0  # rad/s; a running man's knee does 15
    assert np.linalg.norm(np.diff(motion.pelvis, axis=0), axis=1).max() * RATE < 1.8  # m/s


def test_arms_swing_with_the_other_leg(figure: Figure, motion: Motion) -> None:
    joints = figure.joints(motion.theta, world_transl(figure, motion))
    walking = (motion.times > 0.6) & (motion.times < 1.7)
    to_world = matrix_from_axis_angle(motion.theta[walking, 0])
    forwards = ((joints[walking] - joints[walking, :1]) @ to_world)[..., 2]
    for side, other in (("left", "right"), ("right", "left")):
        wrist = forwards[:, smpl_index(f"{side}_wrist")]
        assert np.corrcoef(wrist, forwards[:, smpl_index(f"{other}_ankle")])[0, 1] > 0.5
        assert np.corrcoef(wrist, forwards[:, smpl_index(f"{side}_ankle")])[0, 1] < -0.5


def test_the_round_has_all_that_it_promises(figure: Figure, motion: Motion) -> None:
    joints = figure.joints(motion.theta, world_transl(figure, motion))
    facing = (matrix_from_axis_angle(motion.theta[:, 0]) @ [0.0, 0.0, 1.0])[:, 2]
    assert facing.max() > 0.99  # towards the camera
    assert facing.min() < -0.9  # the back is seen
    assert np.ptp(motion.pelvis[:, 0]) > 1.2  # walks
    assert np.ptp(motion.pelvis[:, 1]) > 0.35  # squats
    wrists, head = joints[:, [smpl_index("left_wrist"), smpl_index("right_wrist")], 1], joints[:, smpl_index("head"), 1]
    assert ((wrists - head[:, None]) > 0.2).all(axis=1).any()  # both arms up
    assert ((wrists[:, 1] > head) & (wrists[:, 0] < head - 0.5)).any()  # waves with the right


def test_the_same_seed_moves_in_the_same_way(legs: tuple[LegGeometry, LegGeometry]) -> None:
    times = np.arange(30) / 30
    first, again, other = (perform(write_script(1.0, seed).choreography, legs, times) for seed in (1, 1, 2))
    assert np.array_equal(first.theta, again.theta)
    assert not np.array_equal(first.theta, other.theta)


@pytest.fixture
def track() -> FootTrack:
    rng = np.random.default_rng(2)
    ground = rng.uniform([-0.1, 0.0, -0.3], [0.3, 0.2, 0.4], (20, 3))
    return FootTrack(ground, rng.uniform(-0.5, 0.5, 20), rng.uniform(-0.3, 0.5, 20))


def test_solved_legs_bring_the_foot_to_its_track(legs: tuple[LegGeometry, LegGeometry], track: FootTrack) -> None:
    leg, pelvis = legs[0], np.tile([0.0, 0.85, 0.0], (20, 1))
    turned = Rotation.from_euler("yx", np.random.default_rng(3).uniform(-0.3, 0.3, (20, 2))).as_matrix()
    angles = solve_leg(leg, pelvis, turned, track)
    hip = pelvis + turned @ leg.hip
    thigh = turned @ angles.hip
    ankle = hip + thigh @ leg.thigh + (thigh @ angles.knee) @ leg.shin
    assert ankle == pytest.approx(track.ankle(leg), abs=1e-9)
    assert thigh @ angles.knee @ angles.ankle == pytest.approx(track.rotations(), abs=1e-9)


def test_a_leg_out_of_reach_points_at_its_foot(legs: tuple[LegGeometry, LegGeometry]) -> None:
    far = FootTrack(np.array([[0.0, 0.0, 2.0]]), np.zeros(1), np.zeros(1))
    upright = np.eye(3)[None]
    angles = solve_leg(legs[0], np.array([[0.0, 0.9, 0.0]]), upright, far)
    assert np.isfinite(angles.hip).all()
    assert axis_angle_from_matrix(angles.knee)[0, 0] < 0.2


def test_knees_bend_by_the_law_of_cosines() -> None:
    """Equal bones, straight at rest: a right angle at the knee puts hip and ankle √2 bones apart."""
    down = np.array([0.0, -0.4, 0.0])
    leg = LegGeometry(np.zeros(3), down, down, np.zeros(3), np.zeros(3), np.zeros(3))
    distance = 0.4 * np.sqrt([2.0, 4.0, 1.0])
    assert knee_bend(leg, distance) == pytest.approx([np.pi / 2, 0.0, 2 * np.pi / 3])


def test_feet_roll_about_ball_and_heel(legs: tuple[LegGeometry, LegGeometry]) -> None:
    leg = legs[1]
    still = FootTrack(np.zeros((3, 3)), np.zeros(3), np.array([0.0, 0.4, -0.3]))
    flat, on_toes, on_heel = still.ankle(leg)
    assert flat == pytest.approx(leg.ankle)
    assert np.linalg.norm(on_toes - leg.ball) == pytest.approx(np.linalg.norm(flat - leg.ball))
    assert np.linalg.norm(on_heel - leg.heel) == pytest.approx(np.linalg.norm(flat - leg.heel))
    assert on_toes[1] > flat[1]


def test_walking_ends_where_it_should() -> None:
    plan = FootPlan(GaitConfig(), np.array([-1.0, 0.0]), 1.5)
    plan.walk(np.array([0.4, 0.6]), 0.2)
    plan.turn(-2.0, 3)
    end = np.array([plan.time + 1.0])
    feet = [plan.track(foot, end) for foot in (0, 1)]
    assert np.mean([foot.ground[0] for foot in feet], axis=0) == pytest.approx([0.4, 0.0, 0.6])
    assert np.mean([foot.yaw[0] for foot in feet]) == pytest.approx(-2.0)
    feet_apart = feet[0].ground[0] - feet[1].ground[0]
    assert np.linalg.norm(feet_apart) == pytest.approx(2 * plan.config.half_width)
    assert (about("y", np.array([-2.0]))[0].T @ feet_apart)[0] > 0  # the left foot is on the left


def test_steps_take_turns() -> None:
    plan = FootPlan(GaitConfig(), np.zeros(2), 0.0)
    plan.walk(np.array([0.0, 2.0]), 0.0)
    assert [step.foot for step in plan.steps] == [i % 2 for i in range(len(plan.steps))]
    first = [step.target[1] for step in plan.steps if step.foot == 0]
    assert (np.diff(first) > 0).all()


def test_keys_are_met_and_the_way_between_is_short() -> None:
    times = np.linspace(0.0, 1.0, 21)
    local, stance = upper_body([Key(0.0, STANDING), Key(1.0, ARMS_UP)], times)
    assert local[0] == pytest.approx(STANDING.rotations().as_matrix(), abs=1e-9)
    assert local[-1] == pytest.approx(ARMS_UP.rotations().as_matrix(), abs=1e-9)
    shoulder = smpl_index("left_shoulder")
    whole = Rotation.from_matrix(local[0, shoulder].T @ local[-1, shoulder]).magnitude()
    steps = Rotation.from_matrix(np.swapaxes(local[:-1, shoulder], 1, 2) @ local[1:, shoulder]).magnitude()
    assert steps.sum() == pytest.approx(whole)
    assert steps[0] < 0.2 * steps.max()  # starts gently
    assert stance == pytest.approx(np.zeros((21, 3)))


def test_postures_are_mirrored() -> None:
    """Raised on both sides alike: the right arm is the left one's mirror image in the plane x = 0."""
    left, right = (ARMS_UP.rotations().as_matrix()[smpl_index(f"{side}_shoulder")] for side in SIDES)
    mirror = np.diag([-1.0, 1.0, 1.0])
    assert mirror @ left @ mirror == pytest.approx(right)
