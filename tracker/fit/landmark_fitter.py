"""Fitting the body to what was seen in one frame: Levenberg–Marquardt over pose, shape and position.

The unknowns are the 24 joint rotations, β and transl. They explain, in the full picture's perspective and all at once,

- the landmarks in pixels, by confidence;
- the landmarks in metres, up to scale and position (the detector's axes are those of a camera that looks straight at
  the person, so they are turned by the angle at which this camera sees the person);
- what joints can do (`body/joint_limits.py`), what poses people take (`fit/pose_prior.py`), what the track knows of the
  shape, and where the motion was heading;
- how the palms are turned, where hands are seen by themselves (`fit/palm_evidence.py`);
- for joints that are not seen, what the trained inverse kinematics makes of the others
  (`initialise/inverse_kinematics.py`).

Rotations are updated as R ← R exp(δ), so there is no gimbal and no wrapped angle. The derivatives are analytic.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kernels import gaussian, landmark_fit
from kernels.landmark_fit_values import Gaussian, LinearPull, Patience, PoseFit, PoseProblem
from kernels.landmarks_values import BodyPlace, LandmarkView, RotationPull
from tracker.body.body_state import BodyState
from tracker.body.joint_limits import JointPrior
from tracker.body.kinematics import LandmarkRig, PosedPoints
from tracker.body.landmark_set import MEDIAPIPE
from tracker.body.smpl_joints import SMPL_JOINTS
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array
from tracker.core.camera import NEAREST_Z
from tracker.core.errors import InputError, require_between
from tracker.core.landmark_observation import LandmarkObservation
from tracker.fit.palm_evidence import PalmEvidence
from tracker.fit.pose_prior import PosePrior
from tracker.initialise.inverse_kinematics import PoseGuess

_BETAS = slice(3 * NUM_JOINTS, 3 * NUM_JOINTS + NUM_BETAS)
_RIDGE = 1e-9 * np.eye(_BETAS.stop + 3)
"""Keeps a matrix positive definite in what nothing is known of."""

_HABIT_LASTS = 7
"""Iterations after which the priors are linearised anew: a warm start's few need it once."""

_SPREADS = (
    "pixel_spread", "lateral_spread", "depth_spread", "outlier", "regressed_outlier", "shape_outlier",
    "regressed_spread", "regressed_closely", "palm_spread", "turn_rate", "move_rate", "guess_seconds",
)  # fmt: skip
_WEIGHTS = ("hidden_weight", "guess_weight", "regressed_weight", "prior_weight", "latent_weight")
_SHARES = ("guess_seen", "tolerance")
_COUNTS = ("first_iterations", "iterations", "guessed_iterations")
_NARROWEST, _WIDEST, _HEAVIEST = 1e-4, 1e6, 1e4
"""Spreads and weights beyond these leave the fit's matrix with numbers that cannot be added."""
_MOST_ITERATIONS = 1000


@dataclass(frozen=True)
class FitConfig:
    """Standard deviations of the observations, and how long to iterate."""

    pixel_spread: float = 0.011
    """2D landmarks, as a fraction of the person's size in the picture."""
    lateral_spread: float = 0.12
    """m, 3D landmarks after alignment, across the line of sight; the pixels say the same more exactly."""
    depth_spread: float = 0.14
    """m, along the line of sight, at the hips; `LandmarkSet.depth_factors` has it grow towards hands and feet."""
    outlier: float = 6.0
    """Standard deviations beyond which an observation loses its pull (Geman–McClure)."""
    regressed_outlier: float = 3.7
    """The same where the networks' pose counts, too: a landmark that is guessed behind something must be able to lose
    to it."""
    shape_outlier: float = 2.5
    """The same for what a frame tells of the shape, which lasts: guessed landmarks, which a pose may follow for a
    while, must not stretch somebody for good."""
    hidden_weight: float = 0.1
    """What the detector's 3D guess at a hidden landmark counts, against 1 for a visible one."""
    guess_weight: float = 1.0
    """What the guessed rotation of a joint that is not seen at all counts, against its own standard deviation."""
    guess_seen: float = 0.3
    """Share of that for a visible joint, whose landmarks are fitted anyway."""
    little_seen: tuple[float, float] = (0.8, 0.6)
    """Mean visibility of the limbs' joints below which what the networks regress from the picture counts as for hidden
    joints everywhere: the beginning of that, and where it is complete."""
    regressed_weight: float = 8.0
    """What that counts where so much is hidden, against 1 where somebody is plainly seen."""
    guess_seconds: float = 0.3
    """Guesses closer in time than this are wrong in the same way, so that together they count as one."""
    prior_weight: float = 1.5
    """Of the joints' ranges."""
    regressed_spread: float = 0.15
    """rad: how far off the rotations are that the networks regress from the picture."""
    regressed_closely: float = 0.03
    """The same, for a fit that follows them rather than the landmarks wherever it can."""
    palm_spread: float = 0.2
    """rad: how far off a palm is taken to be that is seen by itself."""
    latent_weight: float = 0.3
    """Of the trained pose prior: what ½ ‖μ‖² of a pose's code counts."""
    turn_rate: float = 0.8
    """rad/√s: how far a joint wanders from its predicted rotation."""
    move_rate: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """m/√s: how far the body wanders from its predicted position, x, y, z of the camera."""
    first_iterations: int = 30
    """At most so many where there is no pose to start from."""
    iterations: int = 6
    """At most so many from the pose that the motion predicts."""
    guessed_iterations: int = 4
    """From a guess of the trained inverse kinematics: more only follow the landmarks' errors."""
    tolerance: float = 1e-3
    """Relative fall of the cost below which iterating stops."""

    def __post_init__(self) -> None:
        require_between(self, _SPREADS, _NARROWEST, _WIDEST, "fit.")
        require_between(self, _WEIGHTS, 0, _HEAVIEST, "fit.")
        require_between(self, _SHARES, 0, 1, "fit.")
        require_between(self, _COUNTS, 1, _MOST_ITERATIONS, "fit.")
        require_between(self, ("little_seen",), -1, 1, "fit.")
        if not self.little_seen[0] > self.little_seen[1]:
            raise InputError(f"fit.little_seen: expected two decreasing values, got {self.little_seen}")


@dataclass(frozen=True)
class Regressed:
    """What the networks regress from the picture."""

    rotations: Array
    """(24, 3, 3) of each joint relative to its parent."""
    spread: float
    """rad: how far off they are taken to be."""


@dataclass(frozen=True)
class Belief:
    """What is known before looking: the shape, and (while a track lasts) where the motion was heading."""

    betas: Array
    betas_precision: Array
    """(10, 10)."""
    state: BodyState | None = None
    """The predicted pose; None at the beginning of a track."""
    seconds: float = 0.0
    """Since the pose that the prediction starts from."""
    guess: PoseGuess | None = None
    """What the trained inverse kinematics makes of the landmarks."""
    regressed: Regressed | None = None
    """None when the picture was not asked."""

    @classmethod
    def stranger(cls) -> Belief:
        """Nothing but that shapes are spread as the body model says: β ~ N(0, I)."""
        return cls(np.zeros(NUM_BETAS), np.eye(NUM_BETAS))


@dataclass(frozen=True)
class LandmarkFit:
    state: BodyState
    cost: float
    """½ Σ of the robust squared residuals."""
    start_cost: float
    """The cost that the fit started from."""
    posed: PosedPoints
    residual: Array
    """(33,) distance of each landmark in the picture, in standard deviations."""
    agreed_betas: Array
    """(10,): the shape that those landmarks show which agree with each other."""
    betas_information: Array
    """(10, 10): what this frame alone says of β, the other unknowns marginalised."""
    precision: Array
    """(85, 85) Gauss–Newton matrix of everything that was known: rotations in each joint's own frame, β, transl."""
    support: Array | None = None
    """(24,) 0..1: how far the picture itself shows each joint's part of the body; None when it was not asked."""
    cost_of_landmarks: float | None = None
    """What the landmarks cost by themselves, where a track begins with a pose that the picture has chosen."""


def turn_spread_of_joints() -> Array:
    """(24,) how freely each joint moves against the freest: the trunk is slower than hands and feet."""
    slow = {"pelvis": 0.6, "spine1": 0.3, "spine2": 0.3, "spine3": 0.3, "neck": 0.6, "head": 0.6}
    slow |= {f"{side}_collar": 0.4 for side in ("left", "right")}
    slow |= {f"{side}_{name}": 0.3 for side in ("left", "right") for name in ("foot", "hand")}
    return np.array([slow.get(name, 1.0) for name in SMPL_JOINTS])


class LandmarkFitter:
    """Fits one body model to landmarks. poses: the trained prior; without it only the joints' ranges hold."""

    def __init__(self, rig: LandmarkRig, prior: JointPrior, config: FitConfig, poses: PosePrior | None = None) -> None:
        self.rig, self.config, self._poses = rig, config, poses
        self._last_habit: LinearPull | None = None
        self._prior, self._limits = prior, prior.limits(config.prior_weight)
        self._palms = PalmEvidence(rig, config.palm_spread)
        self._turn_spread, self._turn_evidence = turn_spread_of_joints(), MEDIAPIPE.turn_evidence
        lateral = np.full(len(MEDIAPIPE.names), config.lateral_spread)
        self._metric_spread = np.stack([lateral, lateral, config.depth_spread * MEDIAPIPE.depth_factors], axis=1)

    def fit(self, observation: LandmarkObservation, belief: Belief, start: BodyState, iterations: int) -> LandmarkFit:
        """Levenberg–Marquardt from `start`; the cost only falls while the priors keep their linearisation."""
        problem, left = self._problem(observation, belief, start), iterations
        result = landmark_fit.fit(problem, _place(start), Patience(min(left, _HABIT_LASTS - 1), self.config.tolerance))
        cost_at_start = result.cost_at_start
        left -= _HABIT_LASTS - 1
        while left > 0 and not result.settled:
            problem = self._problem(observation, belief, _state(result.place))
            patience = Patience(min(left, _HABIT_LASTS), self.config.tolerance, result.damping)
            result = landmark_fit.fit(problem, result.place, patience)
            left -= _HABIT_LASTS
        return self._result(problem, result, cost_at_start)

    def hidden(self, observation: LandmarkObservation) -> Array:
        """(24,) 0..1: how little is seen of how each joint is turned."""
        share: Array = 1.0 - self._turn_evidence @ observation.visibility
        return share

    def score(self, observation: LandmarkObservation, belief: Belief, state: BodyState) -> float:
        """The cost of a state as it is."""
        return landmark_fit.fit(self._problem(observation, belief, state), _place(state), Patience(0, 0.0)).system.cost

    def _habit(self, rotations: Array) -> LinearPull | None:
        """The trained prior, √w μ, linear in how far the joints have turned from (24, 3, 3)."""
        if self._poses is None:
            return None
        if self._last_habit is not None and self._last_habit.rotations is rotations:
            return self._last_habit  # one prediction is often asked twice
        code, by_turn = self._poses.latent_residuals(rotations)
        root = np.sqrt(self.config.latent_weight)
        habit = LinearPull(np.ascontiguousarray(rotations), root * code, root * by_turn.reshape(len(code), -1))
        self._last_habit = habit
        return habit

    def _problem(self, observation: LandmarkObservation, belief: Belief, start: BodyState) -> PoseProblem:
        usual = self._prior.usual(self.config.prior_weight, start.rotations)
        pulls: tuple[RotationPull, ...] = (usual, self._limits)
        if belief.guess is not None:
            hidden = self.hidden(observation)
            pulls = (*pulls, self._guess_pull(hidden, belief, belief.guess.rotations, belief.guess.spread))
        if belief.regressed is not None:
            much_hidden = self._much_hidden(observation)
            hidden = np.maximum(self.hidden(observation), much_hidden)
            weight = 1 + (self.config.regressed_weight - 1) * much_hidden
            spread = np.full(NUM_JOINTS, belief.regressed.spread / np.sqrt(weight))
            pulls = (*pulls, self._guess_pull(hidden, belief, belief.regressed.rotations, spread))
        palms = self._palms.pull(observation.palms, start)
        if palms is not None:
            pulls = (*pulls, palms)
        place = Gaussian(np.zeros(3), np.zeros((3, 3)))
        if belief.state is not None:
            spread = np.sqrt(max(belief.seconds, 1e-3))
            motion = _drawn_to(belief.state.rotations, 1 / (self.config.turn_rate * spread * self._turn_spread))
            rate = spread * np.array(self.config.move_rate)
            pulls, place = (*pulls, motion), Gaussian(belief.state.transl.copy(), np.diag(1 / rate**2))
        betas = Gaussian(np.ascontiguousarray(belief.betas), np.ascontiguousarray(belief.betas_precision))
        return PoseProblem(
            self.rig.carried, self._view(observation, belief), pulls, self._habit(start.rotations), betas, place
        )

    def _much_hidden(self, observation: LandmarkObservation) -> float:
        """0..1: how much of the person is hidden. The landmarks that are left are less right, too."""
        begins, complete = self.config.little_seen
        visibility = float(observation.visibility[MEDIAPIPE.limbs].mean())
        return min(max((begins - visibility) / (begins - complete), 0.0), 1.0)

    def _guess_pull(self, hidden: Array, belief: Belief, rotations: Array, spread: Array) -> RotationPull:
        """The less a joint is seen, the more it follows the guess. hidden: (24,) 0..1, rotations: (24, 3, 3), spread:
        (24,) rad."""
        config = self.config
        weight = config.guess_weight * (config.guess_seen + (1 - config.guess_seen) * hidden)
        if belief.state is not None:
            weight *= min(belief.seconds / config.guess_seconds, 1.0)
        return _drawn_to(rotations, np.sqrt(weight) / spread)

    def _view(self, observation: LandmarkObservation, belief: Belief) -> LandmarkView:
        """The observation with its standard deviations.

        In the picture a landmark counts by the square of its visibility: the network guesses hidden ones into what it
        sees of the person, at the edge of whatever is in front of them.
        """
        config, camera = self.config, observation.camera
        floor = config.hidden_weight
        return LandmarkView(
            (camera.fx, camera.fy, camera.cx, camera.cy),
            np.ascontiguousarray(observation.pixels, np.float64),
            np.ascontiguousarray(observation.metric, np.float64),
            observation.visibility**2 / (config.pixel_spread * observation.size),
            np.where(observation.visibility > 0, floor + (1 - floor) * observation.visibility, 0.0),
            self._metric_spread,
            config.outlier if belief.regressed is None else config.regressed_outlier,
            NEAREST_Z,
        )

    def _result(self, problem: PoseProblem, result: PoseFit, cost_at_start: float) -> LandmarkFit:
        system, place = result.system, result.place
        posed = PosedPoints(system.points, system.joints, system.rest_joints, system.world_rotations)
        residual = np.linalg.norm(system.pixel_residual, axis=1)
        betas, information = self._shown_shape(problem, place)
        matrix = system.matrix + _RIDGE
        return LandmarkFit(_state(place), system.cost, cost_at_start, posed, residual, betas, information, matrix)

    def _shown_shape(self, problem: PoseProblem, place: BodyPlace) -> tuple[Array, Array]:
        """β (10,), and what these landmarks alone say of it (10, 10), where only those count that agree with the fit:
        a Gauss–Newton step away from it."""
        agreeing = replace(problem, view=replace(problem.view, outlier=self.config.shape_outlier))
        system = landmark_fit.fit(agreeing, place, Patience(0, 0.0)).system
        matrix = system.matrix + _RIDGE
        step = -np.linalg.solve(matrix, system.gradient)
        return place.betas + step[_BETAS], gaussian.marginal(matrix, _BETAS) - problem.betas.precision


def _place(state: BodyState) -> BodyPlace:
    return BodyPlace(*(np.ascontiguousarray(value) for value in (state.rotations, state.betas, state.transl)))


def _state(place: BodyPlace) -> BodyState:
    return BodyState(place.rotations, place.betas, place.transl)


def _drawn_to(rotations: Array, slope: Array) -> RotationPull:
    """Gaussians around rotations (24, 3, 3). slope: (24,) 1/rad."""
    still = np.zeros((NUM_JOINTS, 3))
    return RotationPull(np.ascontiguousarray(rotations), still, still, np.repeat(slope[:, None], 3, axis=1))
