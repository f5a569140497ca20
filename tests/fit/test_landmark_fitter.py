"""The landmark fit on people whose truth is known, and its normal equations against finite differences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kernels import landmark_fit
from kernels.landmark_fit_values import Patience, PoseProblem
from kernels.landmarks_values import BodyPlace, LandmarkSystem
from tracker.body import load_body
from tracker.body.body_state import BodyState
from tracker.body.joint_limits import JointPrior
from tracker.body.kinematics import LandmarkRig
from tracker.body.smpl_joints import smpl_index
from tracker.core.camera import Camera
from tracker.core.errors import InputError
from tracker.core.geometry import matrix_from_axis_angle, rotation_between
from tracker.core.landmark_observation import LandmarkObservation
from tracker.core.person import Pose
from tracker.fit.landmark_fitter import Belief, FitConfig, LandmarkFitter, Regressed
from tracker.fit.pose_prior import PosePrior
from tracker.initialise.landmark_start import initial_state, mirrored, place

CAMERA = Camera.default(1280, 720)


@dataclass(frozen=True)
class Truth:
    """What the fitter is not shown."""

    theta: np.ndarray
    betas: np.ndarray
    transl: np.ndarray
    joints: np.ndarray
    seen: LandmarkObservation


@pytest.fixture(scope="module")
def fitter() -> LandmarkFitter:
    return LandmarkFitter(LandmarkRig.from_body(load_body(None)), JointPrior.anatomical(), FitConfig())


def upright(theta: np.ndarray, heading: float) -> np.ndarray:
    """θ with a root that stands on its feet in the camera's frame (y down) and is turned about the vertical."""
    root = Rotation.from_rotvec([np.pi, 0, 0]) * Rotation.from_rotvec([0, heading, 0])
    return np.concatenate([root.as_rotvec()[None], theta[1:]])


def observe(fitter: LandmarkFitter, theta: np.ndarray, betas: np.ndarray, transl: np.ndarray, noise: float) -> Truth:
    """Landmarks as a detector would give them; noise: standard deviation in m, the same across the picture."""
    rng = np.random.default_rng(11)
    posed = fitter.rig.pose_from_theta(theta, betas)
    points = posed.points + transl
    pixels = CAMERA.project(points) + rng.normal(size=(33, 2)) * noise * CAMERA.fx / transl[2]
    straight = rotation_between(np.array([0.0, 0.0, 1.0]), posed.joints[0] + transl)
    metric = (posed.points - posed.points.mean(axis=0)) @ straight + rng.normal(size=(33, 3)) * 2 * noise
    seen = LandmarkObservation(CAMERA, pixels, 0.9 * metric, np.ones(33))
    return Truth(theta, betas, transl, posed.joints + transl, seen)


def fitted_joints(fitter: LandmarkFitter, truth: Truth) -> np.ndarray:
    belief = Belief.stranger()
    result = fitter.fit(truth.seen, belief, initial_state(fitter.rig, truth.seen, belief.betas), 30)
    return result.posed.joints + result.state.transl


def mpjpe(a: np.ndarray, b: np.ndarray) -> float:
    return float(1e3 * np.linalg.norm((a - a[0]) - (b - b[0]), axis=1).mean())


def system_at(problem: PoseProblem, state: BodyState) -> LandmarkSystem:
    """Cost and slopes of a state, the priors as they were linearised for the problem."""
    return landmark_fit.fit(problem, BodyPlace(state.rotations, state.betas, state.transl), Patience(0, 0.0)).system


@pytest.mark.parametrize("heading", [0.0, 1.6, 3.1, -2.0])
@pytest.mark.parametrize("seed", range(4))
def test_finds_natural_poses_from_any_side(fitter: LandmarkFitter, heading: float, seed: int) -> None:
    """Exact landmarks of poses drawn from the joint ranges; measured on 60 such poses: mean 20 mm, worst 52 mm."""
    rng = np.random.default_rng(seed)
    theta = upright(JointPrior.anatomical().sample(rng), heading)
    truth = observe(fitter, theta, rng.normal(size=10) * 0.5, np.array([0.4, -0.2, 3.5]), noise=0.0)
    found = fitted_joints(fitter, truth)
    assert mpjpe(found, truth.joints) < 70.0
    pixels, expected = CAMERA.project(found), CAMERA.project(truth.joints)
    assert np.median(np.linalg.norm(pixels - expected, axis=1)) < 8.0


def test_knees_bend_the_right_way_and_sides_are_kept(fitter: LandmarkFitter) -> None:
    """A squat seen from the front, where depth alone tells a knee from a backward one."""
    theta = np.zeros((24, 3))
    for side in ("left", "right"):
        theta[smpl_index(f"{side}_hip"), 0] = -1.6
        theta[smpl_index(f"{side}_knee"), 0] = 2.0
    truth = observe(fitter, upright(theta, 0.0), np.zeros(10), np.array([0.0, 0.0, 3.0]), noise=0.01)
    result = fitter.fit(truth.seen, Belief.stranger(), initial_state(fitter.rig, truth.seen, np.zeros(10)), 30)
    pose = result.state.to_pose()
    for side in ("left", "right"):
        assert pose.theta[smpl_index(f"{side}_knee"), 0] == pytest.approx(2.0, abs=0.35)
        assert pose.theta[smpl_index(f"{side}_hip"), 0] == pytest.approx(-1.6, abs=0.35)
    joints = result.posed.joints
    assert joints[smpl_index("left_hip"), 0] > joints[smpl_index("right_hip"), 0], "faces the camera: left is at +x"


def test_a_single_gross_outlier_does_not_bend_the_pose(fitter: LandmarkFitter) -> None:
    truth = observe(fitter, upright(np.zeros((24, 3)), 0.3), np.zeros(10), np.array([0.0, 0.0, 3.0]), noise=0.003)
    pixels = truth.seen.pixels.copy()
    pixels[15] += np.array([300.0, 200.0])
    spoiled = replace(truth, seen=replace(truth.seen, pixels=pixels))
    clean = mpjpe(fitted_joints(fitter, truth), truth.joints)
    assert mpjpe(fitted_joints(fitter, spoiled), truth.joints) < clean + 25.0


@pytest.mark.parametrize("degrees", [15.0, 30.0])
def test_a_plainly_seen_arm_is_followed_however_fast_it_moves(fitter: LandmarkFitter, degrees: float) -> None:
    """Until the next frame it has turned; neither the motion nor the landmarks in metres know of it."""
    still, lifted = np.zeros((24, 3)), np.zeros((24, 3))
    lifted[smpl_index("right_shoulder"), 2] = np.radians(degrees)
    before, now = (
        observe(fitter, upright(theta, 0.3), np.zeros(10), np.array([0.0, 0.0, 3.0]), noise=0.003)
        for theta in (still, lifted)
    )
    start = BodyState.from_pose(Pose(before.theta[0], before.theta[1:].reshape(-1), before.betas, before.transl))
    seen = replace(before.seen, pixels=now.seen.pixels)

    fit = fitter.fit(seen, Belief(np.zeros(10), 100 * np.eye(10), start, 1 / 30), start, fitter.config.iterations)

    drawn = CAMERA.project(fit.posed.points + fit.state.transl)
    arm = [12, 14, 16, 20]
    assert np.linalg.norm((drawn - seen.pixels)[arm], axis=1).max() < 0.015 * seen.size


@pytest.mark.parametrize("name", ["outlier", "shape_outlier", "pixel_spread", "turn_rate"])
def test_a_spread_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=rf"fit\.{name}: expected 0.0001 to 1e\+06, got 0"):
        replace(FitConfig(), **{name: 0.0})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_weight", 1e300),
        ("latent_weight", 1e300),
        ("latent_weight", -1.0),
        ("move_rate", (1.0, 1e300, 1.0)),
        ("tolerance", 2.0),
        ("iterations", 10**9),
        ("first_iterations", 0),
        ("little_seen", (0.6, 0.6)),
        ("outlier", "a"),
    ],
)
def test_what_no_fit_can_be_made_with_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"^fit\.{name}: expected "):
        replace(FitConfig(), **{name: value})


@pytest.mark.parametrize(
    "changes",
    [
        dict.fromkeys(("hidden_weight", "guess_weight", "regressed_weight", "prior_weight", "latent_weight"), 1e4),
        dict.fromkeys(("hidden_weight", "guess_weight", "regressed_weight", "prior_weight", "latent_weight"), 0.0),
        dict.fromkeys(("pixel_spread", "lateral_spread", "depth_spread", "outlier"), 1e6),
        dict.fromkeys(("pixel_spread", "lateral_spread", "depth_spread", "turn_rate"), 1e-4),
    ],
)
def test_a_fit_can_be_made_with_whatever_is_let_through(changes: dict[str, float]) -> None:
    prior = JointPrior.anatomical()
    extreme = LandmarkFitter(LandmarkRig.from_body(load_body(None)), prior, FitConfig(**changes), PosePrior.load())
    truth = observe(extreme, upright(np.zeros((24, 3)), 0.0), np.zeros(10), np.array([0.0, 0.0, 3.0]), noise=0.05)
    seen = replace(truth.seen, visibility=np.linspace(0.0, 1.0, 33))
    start = initial_state(extreme.rig, seen, np.zeros(10))
    fits = [extreme.fit(seen, Belief.stranger(), start, 30)]
    going_on = replace(Belief.stranger(), state=fits[0].state, seconds=1e-3)
    fits.append(extreme.fit(seen, going_on, fits[0].state, 6))
    for fit in fits:
        assert np.isfinite(fit.posed.points).all()
        np.linalg.cholesky(fit.precision)


def test_a_guessed_leg_loses_to_the_networks_pose(fitter: LandmarkFitter) -> None:
    """Its landmarks lie aside in the picture, together, as where they are guessed at the edge of something."""
    truth = observe(fitter, upright(np.zeros((24, 3)), 0.0), np.zeros(10), np.array([0.0, 0.0, 3.0]), noise=0.0)
    pixels = truth.seen.pixels.copy()
    pixels[[25, 27, 29, 31]] += np.array([0.15 * truth.seen.size, 0.0])
    seen = replace(truth.seen, pixels=pixels)
    start = BodyState.from_pose(Pose(truth.theta[0], truth.theta[1:].reshape(-1), truth.betas, truth.transl))
    regressed = Regressed(start.rotations, fitter.config.regressed_closely)

    def off(config: FitConfig) -> float:
        own = LandmarkFitter(fitter.rig, JointPrior.anatomical(), config)
        fit = own.fit(seen, Belief(np.zeros(10), 100 * np.eye(10), regressed=regressed), start, 30)
        return mpjpe(fit.posed.joints, truth.joints)

    as_strong = replace(fitter.config, regressed_outlier=fitter.config.outlier)
    assert off(fitter.config) < min(20.0, 0.5 * off(as_strong))


@pytest.mark.parametrize(
    ("visibility_of_leg", "shift", "most"), [(0.02, (150.0, -100.0), 25.0), (0.2, (20.0, -60.0), 15.0)]
)
def test_hidden_landmarks_do_not_pull(
    fitter: LandmarkFitter, visibility_of_leg: float, shift: tuple[float, float], most: float
) -> None:
    """A leg that the detector guesses wrongly and calls hidden, or half hidden, stays where the belief has it."""
    truth = observe(fitter, upright(np.zeros((24, 3)), 0.0), np.zeros(10), np.array([0.0, 0.0, 3.0]), noise=0.0)
    leg = [25, 27, 29, 31]
    pixels, visibility = truth.seen.pixels.copy(), np.ones(33)
    pixels[leg] += np.array(shift)
    visibility[leg] = visibility_of_leg
    seen = replace(truth.seen, pixels=pixels, visibility=visibility)
    start = BodyState.from_pose(Pose(truth.theta[0], truth.theta[1:].reshape(-1), truth.betas, truth.transl))
    belief = Belief(np.zeros(10), np.eye(10), start, 1 / 30)
    found = fitter.fit(seen, belief, start, 10)
    assert mpjpe(found.posed.joints, truth.joints) < most


def test_the_more_of_somebody_is_hidden_the_more_the_picture_counts(fitter: LandmarkFitter) -> None:
    """Legs and one arm are hidden; landmarks have the other, visible arm too low, the networks have it right."""
    truth = observe(fitter, upright(np.zeros((24, 3)), 0.0), np.zeros(10), np.array([0.0, 0.0, 3.0]), noise=0.0)
    low = np.array(truth.theta)
    low[smpl_index("left_shoulder"), 2] -= 0.5
    visibility = np.ones(33)
    visibility[[14, 16, *range(25, 33)]] = 0.1
    start = BodyState.from_pose(Pose(low[0], low[1:].reshape(-1), truth.betas, truth.transl))
    belief = replace(Belief.stranger(), regressed=Regressed(matrix_from_axis_angle(truth.theta), 0.15))
    shown = observe(fitter, low, truth.betas, truth.transl, noise=0.0).seen

    def raised(fitter: LandmarkFitter, visibility: np.ndarray) -> float:
        """rad by which the arm is not as the landmarks have it."""
        found = fitter.fit(replace(shown, visibility=visibility), belief, start, 30).state.rotations
        turned = Rotation.from_matrix(
            start.rotations[smpl_index("left_shoulder")].T @ found[smpl_index("left_shoulder")]
        )
        return float(turned.magnitude())

    as_ever = LandmarkFitter(fitter.rig, JointPrior.anatomical(), replace(fitter.config, little_seen=(0.0, -1.0)))
    assert raised(fitter, visibility) > 1.2 * raised(as_ever, visibility)
    assert raised(fitter, np.ones(33)) == pytest.approx(raised(as_ever, np.ones(33)))


def test_the_gradient_of_the_whole_cost_matches_finite_differences(fitter: LandmarkFitter) -> None:
    """At a state that is off on purpose, so that every term has a slope. The metric term's alignment is held per step
    by Gauss–Newton; the pixel, prior and belief terms are exact, which is what is compared here."""
    rng = np.random.default_rng(5)
    quiet = LandmarkFitter(
        fitter.rig, JointPrior.anatomical(), replace(fitter.config, lateral_spread=1e6, depth_spread=1e6)
    )
    theta = upright(JointPrior.anatomical().sample(rng), 0.5)
    truth = observe(quiet, theta, np.zeros(10), np.array([0.2, 0.0, 3.0]), noise=0.02)
    there = BodyState.from_pose(Pose(theta[0], theta[1:].reshape(-1), truth.betas, truth.transl))
    state = there.moved(rng.normal(size=85) * 0.05)
    belief = Belief(np.full(10, 0.1), 2 * np.eye(10), there, 0.04)
    problem = quiet._problem(truth.seen, belief, state)
    h = 1e-6
    slopes = [
        (system_at(problem, state.moved(h * e)).cost - system_at(problem, state.moved(-h * e)).cost) / (2 * h)
        for e in np.eye(85)
    ]
    np.testing.assert_allclose(system_at(problem, state).gradient, slopes, rtol=1e-4, atol=1e-3)


def test_the_trained_prior_pulls_as_its_penalty_says(fitter: LandmarkFitter) -> None:
    """What a fit with it costs more than one without it, where it was linearised and a little beside."""
    rng, prior, weight = np.random.default_rng(2), PosePrior.load(), 0.7
    config = replace(fitter.config, latent_weight=weight)
    plain, trained = (
        LandmarkFitter(fitter.rig, JointPrior.anatomical(), config, poses) for poses in (None, PosePrior.load())
    )
    theta = upright(JointPrior.anatomical().sample(rng), 0.0)
    seen = observe(fitter, theta, np.zeros(10), np.array([0.0, 0.0, 3.0]), noise=0.0).seen
    there = BodyState(matrix_from_axis_angle(theta), np.zeros(10), np.array([0.0, 0.0, 3.0]))
    belief = Belief.stranger()
    more = trained.score(seen, belief, there) - plain.score(seen, belief, there)
    assert more == pytest.approx(0.5 * weight * float((prior.encode(there.rotations) ** 2).sum()), rel=1e-5)
    step = np.concatenate([0.03 * rng.normal(size=72), np.zeros(13)])
    turned = there.moved(step)
    far, without = (system_at(each._problem(seen, belief, there), turned).cost for each in (trained, plain))
    far -= without
    assert far == pytest.approx(0.5 * weight * float((prior.encode(turned.rotations) ** 2).sum()), rel=0.05)


def test_the_cost_never_rises(fitter: LandmarkFitter) -> None:
    rng = np.random.default_rng(8)
    truth = observe(
        fitter, upright(JointPrior.anatomical().sample(rng), 1.0), np.zeros(10), np.array([0, 0, 4.0]), 0.05
    )
    start = BodyState(np.tile(np.eye(3), (24, 1, 1)), np.zeros(10), np.array([0.0, 0.0, 2.0]))
    belief = Belief.stranger()
    costs = [fitter.fit(truth.seen, belief, start, n).cost for n in (0, 1, 3, 10, 30)]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < 0.8 * costs[0], "even from upside down"


def test_a_person_behind_the_camera_plane_is_brought_back(fitter: LandmarkFitter) -> None:
    truth = observe(fitter, upright(np.zeros((24, 3)), 0.0), np.zeros(10), np.array([0.0, 0.0, 3.0]), noise=0.0)
    behind = BodyState.from_pose(Pose(truth.theta[0], truth.theta[1:].reshape(-1), truth.betas, np.array([0, 0, -3.0])))
    result = fitter.fit(truth.seen, Belief.stranger(), behind, 5)
    assert np.isfinite(result.cost)
    assert np.isfinite(result.state.transl).all()


def test_placing_is_exact_for_exact_pixels() -> None:
    points = np.random.default_rng(2).normal(size=(10, 3)) * 0.5
    transl = np.array([0.3, -0.2, 4.0])
    np.testing.assert_allclose(place(CAMERA, points, CAMERA.project(points + transl), np.ones(10)), transl, atol=1e-9)


def test_mirroring_exchanges_sides(fitter: LandmarkFitter) -> None:
    truth = observe(fitter, upright(np.zeros((24, 3)), 0.4), np.zeros(10), np.array([0.0, 0.0, 3.0]), noise=0.0)
    other = mirrored(truth.seen)
    np.testing.assert_array_equal(other.pixels[11], truth.seen.pixels[12])
    np.testing.assert_array_equal(mirrored(other).pixels, truth.seen.pixels)
