"""Fitting the body to what was seen in one frame: Levenberg–Marquardt over pose, shape and position.

The unknowns are the 24 joint rotations, β and transl. They explain, in the full picture's perspective and all at once,

- the landmarks in pixels, by confidence;
- the landmarks in metres, up to scale and position (the detector's axes are those of a camera that looks straight at
the
  person, so they are turned by the angle at which this camera sees the person);
- what joints can do (`prior.py`), what the track knows of the shape, and where the motion was heading.

Rotations are updated as R ← R exp(δ), so there is no gimbal and no wrapped angle. The derivatives are analytic.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tracker.camera import Camera
from tracker.geometry import axis_angle_from_matrix, log_derivative, matrix_from_axis_angle, rotation_between
from tracker.keypoints import MEDIAPIPE_LANDMARKS, SMPL_JOINTS, landmark_depth_factors
from tracker.kinematics import LandmarkRig, PosedPoints
from tracker.prior import JointPrior
from tracker.types import NUM_BETAS, NUM_JOINTS, Array, Pose

_ROTATION = slice(0, 3 * NUM_JOINTS)
_BETAS = slice(_ROTATION.stop, _ROTATION.stop + NUM_BETAS)
_TRANSL = slice(_BETAS.stop, _BETAS.stop + 3)
_SIZE = _TRANSL.stop

_NEAREST_Z = 0.1
"""m: a point closer to the camera's plane than this has no usable projection."""


@dataclass(frozen=True)
class FitConfig:
    """Standard deviations of the observations, and how long to iterate."""

    pixel_spread: float = 0.009
    """2D landmarks, as a fraction of the person's size in the picture."""
    lateral_spread: float = 0.12
    """m, 3D landmarks after alignment, across the line of sight; the pixels say the same more exactly."""
    depth_spread: float = 0.14
    """m, along the line of sight, at the hips; `landmark_depth_factors` has it grow towards hands and feet."""
    outlier: float = 3.0
    """Standard deviations beyond which an observation loses its pull (Geman–McClure)."""
    hidden_weight: float = 0.1
    """What the detector's 3D guess at a hidden landmark counts, against 1 for a visible one."""
    prior_weight: float = 1.5
    turn_rate: float = 1.0
    """rad/√s: how far a joint wanders from its predicted rotation."""
    move_rate: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """m/√s: how far the body wanders from its predicted position, x, y, z of the camera."""
    first_iterations: int = 30
    iterations: int = 6
    tolerance: float = 1e-3
    """Relative fall of the cost below which iterating stops."""


@dataclass(frozen=True)
class BodyState:
    """A pose while it is being fitted."""

    rotations: Array
    """(24, 3, 3) of each joint relative to its parent; the first from body to camera."""
    betas: Array
    transl: Array

    @classmethod
    def from_pose(cls, pose: Pose) -> BodyState:
        return cls(matrix_from_axis_angle(pose.theta), np.asarray(pose.betas, float), np.asarray(pose.transl, float))

    def to_pose(self) -> Pose:
        theta = axis_angle_from_matrix(self.rotations)
        return Pose(theta[0], theta[1:].reshape(-1), self.betas, self.transl)

    def moved(self, step: Array) -> BodyState:
        """step: (85,) in the solver's order: rotations in each joint's own frame, β, transl."""
        turn = matrix_from_axis_angle(step[_ROTATION].reshape(NUM_JOINTS, 3))
        return BodyState(self.rotations @ turn, self.betas + step[_BETAS], self.transl + step[_TRANSL])


@dataclass(frozen=True)
class Observation:
    """One person's landmarks in one frame, ready for the fit."""

    camera: Camera
    pixels: Array
    """(33, 2) px."""
    metric: Array
    """(33, 3) m, axes of a camera that looks straight at the person."""
    visibility: Array
    """(33,) 0..1."""

    @property
    def size(self) -> float:
        """px: the larger side of the visible landmarks' box, at least 8."""
        seen = self.pixels[self.visibility > 0.3]
        points = seen if len(seen) >= 4 else self.pixels
        return float(max(np.ptp(points, axis=0).max(), 8.0))


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

    @classmethod
    def stranger(cls) -> Belief:
        """Nothing but that shapes are spread as the body model says: β ~ N(0, I)."""
        return cls(np.zeros(NUM_BETAS), np.eye(NUM_BETAS))


@dataclass(frozen=True)
class FitResult:
    state: BodyState
    cost: float
    """½ Σ of the robust squared residuals."""
    posed: PosedPoints
    residual: Array
    """(33,) distance of each landmark in the picture, in standard deviations."""
    betas_information: Array
    """(10, 10): what this frame alone says of β, the other unknowns marginalised."""


@dataclass
class _System:
    """Normal equations being summed up: ½ cost, gradient, Gauss–Newton matrix."""

    cost: float = 0.0
    gradient: Array = field(default_factory=lambda: np.zeros(_SIZE))
    matrix: Array = field(default_factory=lambda: np.zeros((_SIZE, _SIZE)))

    def add(self, residual: Array, jacobian: Array) -> None:
        """residual: (m,), jacobian: (m, 85)."""
        self.cost += 0.5 * float(residual @ residual)
        self.gradient += jacobian.T @ residual
        self.matrix += jacobian.T @ jacobian

    def add_robust(self, residual: Array, jacobian: Array, scale: float) -> None:
        """residual: (n, c), jacobian: (n, c, 85); each of the n observations is pulled in by Geman–McClure."""
        squared = (residual**2).sum(axis=1)
        shrink = 1 / (1 + squared / scale**2)
        self.cost += 0.5 * float((squared * shrink).sum())
        scaled = (jacobian * shrink[:, None, None]).reshape(-1, _SIZE)
        self.gradient += scaled.T @ (residual * shrink[:, None]).reshape(-1)
        self.matrix += scaled.T @ scaled

    def add_joints(self, residual: Array, slope: Array, log_slope: Array, first: int) -> None:
        """Residuals of single joints' rotation vectors: residual, slope (j, 3); log_slope (j, 3, 3); from joint
        `first`."""
        jacobian = slope[:, :, None] * log_slope
        self.cost += 0.5 * float((residual**2).sum())
        count = len(residual)
        columns = 3 * first + np.arange(3 * count).reshape(count, 3)
        self.gradient[columns] += np.einsum("jab,ja->jb", jacobian, residual)
        self.matrix[columns[:, :, None], columns[:, None, :]] += np.einsum("jab,jac->jbc", jacobian, jacobian)


def turn_spread_of_joints() -> Array:
    """(24,) how freely each joint moves against the freest: the trunk is slower than hands and feet."""
    slow = {"pelvis": 0.6, "spine1": 0.3, "spine2": 0.3, "spine3": 0.3, "neck": 0.6, "head": 0.6}
    slow |= {f"{side}_collar": 0.4 for side in ("left", "right")}
    slow |= {f"{side}_{name}": 0.3 for side in ("left", "right") for name in ("foot", "hand")}
    return np.array([slow.get(name, 1.0) for name in SMPL_JOINTS])


class LandmarkFitter:
    """Fits one body model to landmarks."""

    def __init__(self, rig: LandmarkRig, prior: JointPrior, config: FitConfig) -> None:
        self.rig, self.prior, self.config = rig, prior, config
        self._turn_spread = turn_spread_of_joints()
        lateral = np.full(len(MEDIAPIPE_LANDMARKS), config.lateral_spread)
        self._metric_spread = np.stack([lateral, lateral, config.depth_spread * landmark_depth_factors()], axis=1)

    def fit(self, seen: Observation, belief: Belief, start: BodyState, iterations: int) -> FitResult:
        """Levenberg–Marquardt from `start`; the result's cost is never above the start's."""
        state, damping = start, 1e-3
        system, posed = self._linearise(seen, belief, state)
        for _ in range(iterations):
            scaled = damping * (np.diag(system.matrix) + 1.0)
            step = np.linalg.solve(system.matrix + np.diag(scaled), -system.gradient)
            trial = state.moved(step)
            trial_system, trial_posed = self._linearise(seen, belief, trial)
            if trial_system.cost >= system.cost:
                damping *= 8.0
                continue
            fall = (system.cost - trial_system.cost) / system.cost
            state, system, posed = trial, trial_system, trial_posed
            damping = max(damping / 4.0, 1e-6)
            if fall < self.config.tolerance:
                break
        return self._result(seen, belief, state, system, posed)

    def score(self, seen: Observation, belief: Belief, state: BodyState) -> float:
        """The cost of a state as it is."""
        return self._linearise(seen, belief, state)[0].cost

    def _linearise(self, seen: Observation, belief: Belief, state: BodyState) -> tuple[_System, PosedPoints]:
        posed = self.rig.pose(state.rotations, state.betas)
        system = _System()
        self._add_pixels(system, seen, state, posed)
        self._add_metric(system, seen, state, posed)
        self._add_prior(system, state)
        self._add_belief(system, belief, state)
        return system, posed

    def _point_jacobian(self, posed: PosedPoints) -> Array:
        """(33, 3, 85): the landmarks in the camera frame by the unknowns."""
        count = len(posed.points)
        position = np.broadcast_to(np.eye(3), (count, 3, 3))
        return np.concatenate([posed.d_rotation.reshape(count, 3, -1), posed.d_betas, position], axis=2)

    def _add_pixels(self, system: _System, seen: Observation, state: BodyState, posed: PosedPoints) -> None:
        residual, in_front = self._pixel_residual(seen, state, posed)
        points = posed.points + state.transl
        z = np.maximum(points[:, 2], _NEAREST_Z)
        focal = np.array([seen.camera.fx, seen.camera.fy])
        projection = np.zeros((len(points), 2, 3))
        projection[:, 0, 0], projection[:, 1, 1] = focal[0] / z, focal[1] / z
        projection[:, :, 2] = -focal * points[:, :2] / z[:, None] ** 2
        jacobian = projection @ self._point_jacobian(posed)
        weight = seen.visibility * in_front / (self.config.pixel_spread * seen.size)
        system.add_robust(residual, jacobian * weight[:, None, None], self.config.outlier)

    def _pixel_residual(
        self, seen: Observation, state: BodyState, posed: PosedPoints
    ) -> tuple[Array, NDArray[np.bool_]]:
        """(33, 2) in standard deviations, weighted by visibility; (33,) whether the point is before the camera."""
        points = posed.points + state.transl
        in_front = points[:, 2] > _NEAREST_Z
        safe = np.where(in_front[:, None], points, np.array([0.0, 0.0, 1.0]))
        error = seen.camera.project(safe) - seen.pixels
        weight = seen.visibility * in_front / (self.config.pixel_spread * seen.size)
        return error * weight[:, None], in_front

    def _add_metric(self, system: _System, seen: Observation, state: BodyState, posed: PosedPoints) -> None:
        floor = self.config.hidden_weight
        weight = floor + (1 - floor) * seen.visibility
        turn = rotation_between(np.array([0.0, 0.0, 1.0]), posed.joints[0] + state.transl)
        target = seen.metric @ turn.T
        target = _rescaled(target, posed.points, weight)
        # in the axes of a camera that looks straight at the person, where depth is the uncertain one
        factor = (weight[:, None] / self._metric_spread)[:, :, None] * turn.T
        residual = (factor @ (posed.points - target)[:, :, None])[:, :, 0]
        jacobian = self._point_jacobian(posed)
        jacobian[:, :, _TRANSL] = 0.0
        jacobian = jacobian - np.tensordot(weight / weight.sum(), jacobian, axes=1)
        system.add_robust(residual, factor @ jacobian, self.config.outlier)

    def _add_prior(self, system: _System, state: BodyState) -> None:
        rotvec = axis_angle_from_matrix(state.rotations[1:])
        log_slope = log_derivative(rotvec)
        values, slopes = self.prior.residuals(rotvec)
        root = np.sqrt(self.config.prior_weight)
        for value, slope in zip(values, slopes, strict=True):
            system.add_joints(root * value, root * slope, log_slope, first=1)

    def _add_belief(self, system: _System, belief: Belief, state: BodyState) -> None:
        off = state.betas - belief.betas
        pull = belief.betas_precision @ off
        system.cost += 0.5 * float(off @ pull)
        system.gradient[_BETAS] += pull
        system.matrix[_BETAS, _BETAS] += belief.betas_precision
        if belief.state is None:
            return
        spread = np.sqrt(max(belief.seconds, 1e-3))
        turned = axis_angle_from_matrix(np.swapaxes(belief.state.rotations, 1, 2) @ state.rotations)
        slope = np.repeat(1 / (self.config.turn_rate * spread * self._turn_spread)[:, None], 3, axis=1)
        system.add_joints(turned * slope, slope, log_derivative(turned), first=0)
        rate = spread * np.array(self.config.move_rate)
        jacobian = np.zeros((3, _SIZE))
        jacobian[:, _TRANSL] = np.diag(1 / rate)
        system.add((state.transl - belief.state.transl) / rate, jacobian)

    def _result(
        self, seen: Observation, belief: Belief, state: BodyState, system: _System, posed: PosedPoints
    ) -> FitResult:
        residual, _ = self._pixel_residual(seen, state, posed)
        others = np.r_[_ROTATION, _TRANSL]
        matrix = system.matrix + 1e-9 * np.eye(_SIZE)
        cross = matrix[np.ix_(others, np.arange(_BETAS.start, _BETAS.stop))]
        schur = matrix[_BETAS, _BETAS] - cross.T @ np.linalg.solve(matrix[np.ix_(others, others)], cross)
        information = schur - belief.betas_precision
        return FitResult(state, system.cost, posed, np.linalg.norm(residual, axis=1), information)


def _rescaled(target: Array, points: Array, weight: Array) -> Array:
    """`target` (n, 3) moved and scaled, not turned, to lie on `points` as well as weights allow."""
    w = weight / weight.sum()
    middle_target, middle_points = w @ target, w @ points
    centred, goal = target - middle_target, points - middle_points
    scale = float((w[:, None] * centred * goal).sum() / max((w[:, None] * centred**2).sum(), 1e-9))
    return middle_points + max(scale, 0.1) * centred
