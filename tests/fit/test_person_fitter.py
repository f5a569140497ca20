"""One person over time: carried through hidden frames, swapped sides and detector failures; one shape for the track."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.fit.test_landmark_fitter import CAMERA, Truth, mpjpe, observe, upright
from tracker.body import load_body
from tracker.body.body_state import BodyState
from tracker.body.joint_limits import JointPrior
from tracker.body.kinematics import LandmarkRig
from tracker.body.smpl_joints import smpl_index
from tracker.body.stature import Stature
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from tracker.core.landmark_observation import LandmarkObservation
from tracker.fit.landmark_fitter import Belief, FitConfig, LandmarkFit, LandmarkFitter
from tracker.fit.person_fitter import PersonFitter, PoseMotion, ShapeMemory, TrackConfig
from tracker.initialise.landmark_start import mirrored
from tracker.initialise.motion_predictor import MotionPredictor

PREDICTOR = MotionPredictor.load()


@pytest.fixture(scope="module")
def fitter() -> LandmarkFitter:
    return LandmarkFitter(LandmarkRig.from_body(load_body(None)), JointPrior.anatomical(), FitConfig())


def waving(fitter: LandmarkFitter, time: float, noise: float = 0.004) -> Truth:
    """Somebody who waves with the right arm and shifts a little."""
    theta = np.zeros((24, 3))
    theta[smpl_index("left_shoulder"), 2] = -1.2
    theta[smpl_index("right_shoulder"), 2] = -0.6
    theta[smpl_index("right_elbow"), 1] = 1.2 + 0.5 * np.sin(4 * time)
    betas = np.zeros(10)
    betas[0] = 1.0
    transl = np.array([0.3 * np.sin(time), 0.0, 3.5 + 0.2 * np.sin(0.7 * time)])
    return observe(fitter, upright(theta, 0.2), betas, transl, noise)


def run(track: PersonFitter, fitter: LandmarkFitter, times: np.ndarray) -> list[float]:
    errors = []
    for time in times:
        truth = waving(fitter, float(time))
        result = track.update(float(time), truth.seen)
        track.learn_shape(float(time), result, 1.0)
        errors.append(mpjpe(result.posed.joints, truth.joints))
    return errors


@pytest.mark.parametrize("rate", [5.0, 30.0])
def test_follows_a_motion_at_any_frame_rate(fitter: LandmarkFitter, rate: float) -> None:
    errors = run(PersonFitter(fitter, TrackConfig(), PREDICTOR), fitter, np.arange(0, 2, 1 / rate))
    assert max(errors) < 60.0
    assert np.median(errors[len(errors) // 2 :]) < 35.0


def test_swapped_sides_for_a_moment_are_swapped_back(fitter: LandmarkFitter) -> None:
    track = PersonFitter(fitter, TrackConfig(), PREDICTOR)
    run(track, fitter, np.arange(0, 1, 1 / 30))
    for time in np.arange(1.0, 1.3, 1 / 30):
        truth = waving(fitter, float(time))
        result = track.update(float(time), mirrored(truth.seen))
        assert mpjpe(result.posed.joints, truth.joints) < 60.0


def test_sides_that_stay_exchanged_are_believed_in_the_end(fitter: LandmarkFitter) -> None:
    track = PersonFitter(fitter, TrackConfig(), PREDICTOR)
    run(track, fitter, np.arange(0, 0.5, 1 / 30))
    for time in np.arange(0.5, 2.0, 1 / 30):
        result = track.update(float(time), mirrored(waving(fitter, float(time)).seen))
    left, right = (result.posed.joints[smpl_index(f"{side}_shoulder"), 0] for side in ("left", "right"))
    assert left < right, "the landmarks have said so for longer than any slip lasts"


def test_who_was_taken_for_the_back_at_first_is_the_right_way_round_in_half_a_second(fitter: LandmarkFitter) -> None:
    track = PersonFitter(fitter, TrackConfig(), PREDICTOR)
    for time in np.arange(0, 1, 1 / 15):
        track.update(float(time), mirrored(waving(fitter, float(time)).seen))
    for time in np.arange(1.0, 1.5, 1 / 15):
        result = track.update(float(time), waving(fitter, float(time)).seen)
    assert mpjpe(result.posed.joints, waving(fitter, float(time)).joints) < 60.0


def test_recovers_after_a_jump(fitter: LandmarkFitter) -> None:
    """A cut in the film: the same person elsewhere, facing the other way."""
    track = PersonFitter(fitter, TrackConfig(), PREDICTOR)
    run(track, fitter, np.arange(0, 1, 1 / 30))
    after = observe(fitter, upright(np.zeros((24, 3)), 3.0), np.zeros(10), np.array([-0.8, 0.0, 5.0]), 0.004)
    for i in range(3):
        result = track.update(1.0 + i / 30, after.seen)
    assert mpjpe(result.posed.joints, after.joints) < 60.0
    assert result.state.transl[2] == pytest.approx(5.0, abs=0.5)


def test_a_limb_that_comes_out_of_hiding_in_a_wrong_pose_is_freed(fitter: LandmarkFitter) -> None:
    """Behind something the arm was guessed to be where no step downhill leads back from."""

    def wrist_after(config: TrackConfig) -> float:
        track = PersonFitter(fitter, config, PREDICTOR)
        run(track, fitter, np.arange(0, 1, 1 / 30))
        assert track.motion is not None
        wrong = track.motion.state.rotations.copy()
        wrong[smpl_index("right_shoulder")] = matrix_from_axis_angle(np.array([0.4, -2.6, 1.4]))
        wrong[smpl_index("right_elbow")] = matrix_from_axis_angle(np.array([0.0, 2.4, 0.0]))
        track.motion = PoseMotion.begin(1.0, replace(track.motion.state, rotations=wrong), PREDICTOR)
        for time in (31 / 30, 32 / 30):
            truth = waving(fitter, time)
            found = track.update(time, truth.seen).posed.joints
        wrist, pelvis = smpl_index("right_wrist"), 0
        return float(np.linalg.norm((found - found[pelvis] - truth.joints + truth.joints[pelvis])[wrist]))

    never_surprised = TrackConfig(surprise=1e9)
    assert wrist_after(replace(never_surprised, missed=1e9)) > 0.15, "two frames do not lead out"
    assert wrist_after(never_surprised) < 0.1


def test_a_limb_that_is_plainly_missed_is_freed_whatever_the_picture_chooses(fitter: LandmarkFitter) -> None:
    track = PersonFitter(fitter, TrackConfig(surprise=1e9), PREDICTOR)
    run(track, fitter, np.arange(0, 1, 1 / 30))
    assert track.motion is not None
    shoulder, wrist = smpl_index("right_shoulder"), smpl_index("right_wrist")
    wrong = track.motion.state.rotations.copy()
    wrong[shoulder] = matrix_from_axis_angle(np.array([0.4, -2.6, 1.4]))
    wrong[smpl_index("right_elbow")] = matrix_from_axis_angle(np.array([0.0, 2.4, 0.0]))
    state = replace(track.motion.state, rotations=wrong)
    track.motion = PoseMotion.begin(1.0, state, PREDICTOR)
    for time in (31 / 30, 32 / 30):
        truth = waving(fitter, time)
        found = track.update(time, truth.seen, Picture(state, state)).posed.joints
    assert np.linalg.norm((found - found[0] - truth.joints + truth.joints[0])[wrist]) < 0.1


def test_a_hidden_lower_body_is_carried(fitter: LandmarkFitter) -> None:
    track = PersonFitter(fitter, TrackConfig(), PREDICTOR)
    run(track, fitter, np.arange(0, 1, 1 / 30))
    rng = np.random.default_rng(0)
    for time in np.arange(1.0, 2.0, 1 / 30):
        truth = waving(fitter, float(time))
        pixels, visibility = truth.seen.pixels.copy(), np.ones(33)
        pixels[25:] += rng.normal(size=(8, 2)) * 60
        visibility[25:] = 0.05
        seen = LandmarkObservation(CAMERA, pixels, truth.seen.metric, visibility)
        result = track.update(float(time), seen)
        assert mpjpe(result.posed.joints, truth.joints) < 60.0


def test_guessed_landmarks_do_not_stretch_somebody_for_good(fitter: LandmarkFitter) -> None:
    """Behind something the legs are guessed to reach farther down than they do."""
    legs = slice(25, 33)

    def shape_error(config: FitConfig) -> float:
        own = LandmarkFitter(fitter.rig, JointPrior.anatomical(), config)
        track = PersonFitter(own, TrackConfig(), PREDICTOR)
        for time in np.arange(0, 3, 1 / 10):
            truth = waving(fitter, float(time))
            pixels = truth.seen.pixels.copy()
            pixels[legs, 1] += 0.12 * truth.seen.size
            track.learn_shape(float(time), track.update(float(time), replace(truth.seen, pixels=pixels)), 1.0)
        return float(np.linalg.norm(track.betas - truth.betas))

    as_far_as_the_pose = replace(fitter.config, shape_outlier=fitter.config.outlier)
    assert shape_error(fitter.config) < 0.7 * shape_error(as_far_as_the_pose)


def test_betas_settle_and_depth_does_not_drift(fitter: LandmarkFitter) -> None:
    track = PersonFitter(fitter, TrackConfig(), PREDICTOR)
    depths, betas = [], []
    for time in np.arange(0, 6, 1 / 10):
        truth = waving(fitter, float(time))
        result = track.update(float(time), truth.seen)
        track.learn_shape(float(time), result, 1.0)
        depths.append(result.state.transl[2] / truth.transl[2])
        betas.append(result.state.betas)
    assert np.ptp(depths[30:]) < 0.06, "the ratio to the true depth stays what it is"
    assert np.abs(betas[-1] - betas[-11]).max() < 0.15


def test_shapes_are_learned_as_far_as_fits_are_believed(fitter: LandmarkFitter) -> None:
    """And frames count by the time between them, the first one as a whole second."""

    def information(trust: float, times: Sequence[float]) -> float:
        track = PersonFitter(fitter, TrackConfig(), PREDICTOR)
        for time in times:
            track.learn_shape(time, track.update(time, waving(fitter, time).seen), trust)
        return float(np.trace(track._shape.precision)) - 10

    once = information(1.0, [0.0])
    assert once > 1
    assert information(0.0, [0.0, 0.1, 0.2]) == 0
    assert information(0.5, [0.0]) == pytest.approx(0.5 * once)
    assert information(1.0, [0.0, 0.1]) == pytest.approx(1.1 * once, rel=0.05)


def test_shape_memory_is_the_sum_of_what_frames_say() -> None:
    """Two frames that each measure β₀ = 2 with precision 4, on top of a prior of precision 1 at 0: 16 / 9."""
    memory = ShapeMemory()
    information = np.zeros((10, 10))
    information[0, 0] = 4.0
    for _ in range(2):
        fitted = np.linalg.solve(memory.precision + information, memory.weighted + information @ np.full(10, 2.0))
        memory.learn(fitted, information, share=1.0)
    assert memory.betas[0] == pytest.approx(16 / 9)
    np.testing.assert_allclose(memory.betas[1:], 0.0, atol=1e-12)


def test_a_motion_goes_on_for_a_while(fitter: LandmarkFitter) -> None:
    """Somebody who walks to the side is a little farther on after a moment, and not out of the room after a minute."""
    track = PersonFitter(fitter, TrackConfig(), PREDICTOR)
    for time in np.arange(0, 1, 1 / 30):
        truth = observe(fitter, upright(np.zeros((24, 3)), 0.2), np.zeros(10), np.array([0.8 * time, 0, 3.5]), 0.002)
        track.update(float(time), truth.seen)
    assert track.motion is not None
    last = track.motion.state.transl
    assert 0.02 < (track.coast(track.motion.time + 0.1).transl - last)[0] < 0.16
    assert np.linalg.norm(track.coast(track.motion.time + 60.0).transl - last) < 4.0
    np.testing.assert_allclose(track.coast(track.motion.time).rotations, track.motion.state.rotations, atol=1e-12)


def test_coasting_before_any_pose_is_our_own_bug(fitter: LandmarkFitter) -> None:
    with pytest.raises(RuntimeError, match="no pose yet"):
        PersonFitter(fitter, TrackConfig(), PREDICTOR).coast(0.0)


@dataclass
class Picture:
    """A picture that shows somebody in a pose: costs grow with the angle to it."""

    shown: BodyState
    regressed: BodyState

    def proposal(self) -> BodyState:
        return self.regressed

    def nll(self, states: Sequence[BodyState]) -> np.ndarray:
        turns = [axis_angle_from_matrix(np.swapaxes(self.shown.rotations, 1, 2) @ s.rotations) for s in states]
        return np.array([np.linalg.norm(turn) for turn in turns])

    def refine(self, fit: LandmarkFit) -> LandmarkFit:
        return fit


def test_a_track_starts_where_the_picture_says(fitter: LandmarkFitter) -> None:
    """Landmarks that are guessed wrongly lose against a regressed pose that the picture shows, and the reverse."""
    person = waving(fitter, 0.0)
    state = BodyState(matrix_from_axis_angle(person.theta), person.betas, person.transl)
    arms = [smpl_index("left_shoulder"), smpl_index("left_elbow")]
    wrong = state.rotations.copy()
    wrong[arms] = matrix_from_axis_angle(np.array([[0.0, 0.0, 1.0], [0.0, -1.5, 0.0]]))
    regressed = replace(state, rotations=wrong)
    landmarks = fitter.fit(person.seen, Belief.stranger(), state, 30).state
    for shown, kept in ((regressed, True), (landmarks, False)):
        result = PersonFitter(fitter, TrackConfig(), PREDICTOR).update(0.0, person.seen, Picture(shown, regressed))
        turn = axis_angle_from_matrix(np.swapaxes(regressed.rotations, 1, 2) @ result.state.rotations)
        assert (np.abs(turn[arms]).max() < 0.05) == kept


def test_only_the_beginning_of_a_track_is_judged_by_what_the_landmarks_cost(fitter: LandmarkFitter) -> None:
    """A pose that the picture has chosen against them costs more."""
    person = waving(fitter, 0.0)
    state = BodyState(matrix_from_axis_angle(person.theta), person.betas, person.transl)
    wrong = state.rotations.copy()
    wrong[smpl_index("left_shoulder")] = matrix_from_axis_angle(np.array([0.0, 0.0, 1.0]))
    regressed = replace(state, rotations=wrong)
    track = PersonFitter(fitter, TrackConfig(), PREDICTOR)
    first = track.update(0.0, person.seen, Picture(regressed, regressed))
    assert first.cost_of_landmarks is not None and first.cost > 2 * first.cost_of_landmarks
    track.forget_pose()
    assert track.update(0.1, person.seen, Picture(regressed, regressed)).cost_of_landmarks is None


def test_landmarks_alone_are_not_overruled_by_a_picture_that_nobody_believes(fitter: LandmarkFitter) -> None:
    person = waving(fitter, 0.0)
    state = BodyState(matrix_from_axis_angle(person.theta), person.betas, person.transl)
    sitting = state.rotations.copy()
    sitting[[smpl_index("left_hip"), smpl_index("right_hip")]] = matrix_from_axis_angle(np.array([-1.5, 0.0, 0.0]))
    picture = Picture(*[replace(state, rotations=sitting)] * 2)
    track = PersonFitter(fitter, TrackConfig(), PREDICTOR)
    overruled = track.update(0.0, person.seen, picture)
    for before in (overruled.state, state):
        alone = track.update_alone(0.0, person.seen, picture, before)
        assert alone.cost < 0.5 * overruled.cost
        assert mpjpe(alone.posed.joints, person.joints) < 50
        assert track.motion is not None
        np.testing.assert_allclose(track.motion.state.rotations, alone.state.rotations)


def test_a_pose_that_is_not_believed_is_not_gone_on_from(fitter: LandmarkFitter) -> None:
    """But what was before it for a moment, and after that nothing."""
    config = TrackConfig(hold_seconds=0.25)
    track = PersonFitter(fitter, config, PREDICTOR)
    for time in (0.0, 0.1, 0.2):
        track.update(time, waving(fitter, time).seen)
    believed = track.motion
    for time in (0.3, 0.4):
        seen = waving(fitter, time).seen
        track.update(time, replace(seen, pixels=seen.pixels[::-1].copy()))
        assert track.motion is not believed
        track.disbelieve(time)
        assert track.motion is believed
    track.update(0.5, waving(fitter, 0.5).seen)
    track.disbelieve(0.5)
    assert track.motion is None


@pytest.mark.parametrize("height", [None, 1.6])
def test_frames_of_an_hour_tell_the_proportions_and_not_the_height(height: float | None) -> None:
    """Each of them says that somebody is 15 cm taller, give or take 6 cm, and that β₁ is 1.5."""
    stature = Stature.of(load_body(None))
    memory, tall = ShapeMemory.of_height(stature, height), stature.mean if height is None else height
    information = np.outer(stature.slope, stature.slope) / 0.06**2
    information[1, 1] += 4.0
    frame = 0.15 * stature.slope / (stature.slope @ stature.slope) + 1.5 * np.eye(10)[1]
    for _ in range(3600):
        together = memory.precision + information
        memory.learn(np.linalg.solve(together, memory.weighted + information @ frame), information, share=1.0)
    assert stature.of_shape(memory.betas) == pytest.approx(tall, abs=0.003)
    assert memory.betas[1] == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize("height", [1.2, 1.78])
def test_a_height_that_is_given_stays(fitter: LandmarkFitter, height: float) -> None:
    """However many frames say that somebody is larger."""
    stature = Stature.of(load_body(None))
    memory = ShapeMemory.of_height(stature, height)
    assert stature.of_shape(memory.betas) == pytest.approx(height, abs=2e-3)
    track = PersonFitter(fitter, TrackConfig(), PREDICTOR, shape=memory)
    run(track, fitter, np.arange(0, 2, 1 / 15))
    assert stature.of_shape(track.betas) == pytest.approx(height, abs=5e-3)
