"""One person over time: prediction, warm-started fit, recovery, and the shape that all frames share."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from statistics import median
from typing import Protocol

import numpy as np

from tracker.body.body_state import BodyState
from tracker.body.stature import Stature
from tracker.core.arrays import NUM_BETAS, Array
from tracker.core.camera import NEAREST_Z
from tracker.core.errors import require_between, require_positive
from tracker.core.landmark_observation import LandmarkObservation
from tracker.fit.landmark_fitter import Belief, LandmarkFit, LandmarkFitter, Regressed
from tracker.initialise.inverse_kinematics import InverseKinematics
from tracker.initialise.landmark_start import guessed_state, initial_state, mirrored, sight
from tracker.initialise.motion_predictor import Course, MotionPredictor, Past, carried

_UP = np.array([0.0, -1.0, 0.0])
"""Away from the ground in a camera that is held level."""
_PLAIN, _CAUGHT_LANDMARKS = 0.8, 3
"""Visibility of what is plainly seen; an elbow, a wrist and a finger, or a knee, an ankle and a heel."""
_HEIGHT_SPREAD = 1e-4
"""m: what a height leaves open, given or not; hours of frames would change it by less. Landmarks say how a body is
proportioned, and next to nothing of how tall it is: over rendered adults heights that are fitted to them correlate with
the true ones by less than 0.1, and are farther off than the mean of all people is."""
_PLACE_SECONDS = 0.25
"""How long a movement through the room is believed: longer ones are mostly what the depth was off by."""


class ImageEvidence(Protocol):
    """What can be asked of the picture of a person in one frame; poses in the camera's frame."""

    def proposal(self) -> BodyState:
        """A pose to start from."""
        ...

    def nll(self, states: Sequence[BodyState]) -> Array:
        """(n,) negative log-likelihood of the picture in each pose."""
        ...

    def refine(self, fit: LandmarkFit) -> LandmarkFit:
        """The pose that the picture, too, agrees with."""
        ...


@dataclass(frozen=True)
class TrackConfig:
    """When a track is given up, and when a fit is not believed."""

    forget_seconds: float = 1.5
    """After so long an absence the pose starts anew; the shape is kept."""
    hold_seconds: float = 0.3
    """So long the last pose that was believed is gone on from where none is."""
    surprise: float = 1.5
    """A fit whose cost is this many times the track's median is repeated without the previous pose."""
    missed: float = 5.0
    """Standard deviations between landmarks and a limb above which the limb is fitted anew."""
    retry_seconds: float = 0.2
    """s until a limb that was fitted anew in vain is tried again."""
    better: float = 0.8
    """A fit from scratch must cost less than this part of the present one to be taken."""
    swap_surprise: float = 2.5
    """Left and right may be exchanged where the predicted pose costs this many times the track's median."""
    swap_better: float = 0.5
    """Sides exchanged back must cost less than this part of what they cost as they are said to be."""
    swap_seconds: float = 0.4
    """How long the detector may have left and right exchanged before it is believed."""
    hidden: float = 0.25
    """Where no joint is hidden more than this, the landmarks need no guess."""
    shape_seconds: float = 1.0
    """Frames closer in time than this tell the same about the shape, so they count as one."""

    def __post_init__(self) -> None:
        require_between(self, (each.name for each in fields(self)), 0, math.inf, "track.")
        require_positive(self, ("shape_seconds",), "track.")


@dataclass(frozen=True)
class PoseMotion:
    """The last poses of a track, and where they lead."""

    state: BodyState
    past: Past
    predictor: MotionPredictor

    @classmethod
    def begin(cls, time: float, state: BodyState, predictor: MotionPredictor) -> PoseMotion:
        return cls(state, Past((time,), (state.rotations,), (state.transl,)), predictor)

    @property
    def time(self) -> float:
        """s, of the last pose."""
        return self.past.times[-1]

    def at(self, time: float) -> BodyState:
        """The state carried forward to `time`."""
        seconds = max(time - self.time, 0.0)
        turns, _ = self._course.after(seconds)
        _, move = self._course.after(min(seconds, _PLACE_SECONDS))
        return BodyState(carried(self.state.rotations, turns), self.state.betas, self.state.transl + move)

    def then(self, time: float, state: BodyState) -> PoseMotion:
        """The motion after the next fitted state."""
        return PoseMotion(state, self.past.then(time, state.rotations, state.transl), self.predictor)

    @cached_property
    def _course(self) -> Course:
        """A single camera hardly sees how far away somebody is, so speed towards it is not believed: the past is looked
        at as if all of it had happened at the present depth."""
        depth = max(float(self.state.transl[2]), NEAREST_Z)
        level = tuple(place * depth / max(float(place[2]), NEAREST_Z) for place in self.past.places)
        return self.predictor.course(replace(self.past, places=level).glimpse, _UP)


@dataclass
class ShapeMemory:
    """β over the whole track: information summed frame by frame, on top of β ~ N(0, I)."""

    precision: Array = field(default_factory=lambda: np.eye(NUM_BETAS))
    weighted: Array = field(default_factory=lambda: np.zeros(NUM_BETAS))

    @classmethod
    def of_height(cls, stature: Stature, height: float | None) -> ShapeMemory:
        """Of somebody who is this tall, m; None: as tall as people are in the mean."""
        memory, taller = cls(), 0.0 if height is None else height - stature.mean
        memory.precision += np.outer(stature.slope, stature.slope) / _HEIGHT_SPREAD**2
        memory.weighted += stature.slope * taller / _HEIGHT_SPREAD**2
        return memory

    @property
    def betas(self) -> Array:
        return np.linalg.solve(self.precision, self.weighted)

    def learn(self, betas: Array, information: Array, share: float) -> None:
        """betas: fitted under this memory as the prior; information: (10, 10) of the frame alone.

        share: how much of a whole independent observation this frame is, 0..1.
        """
        values, vectors = np.linalg.eigh(0.5 * (information + information.T))
        positive = (vectors * np.maximum(values, 0.0)) @ vectors.T
        # the fitted β is a compromise with the memory; what the frame said by itself is what the memory did not say
        alone = (positive + self.precision) @ betas - self.weighted
        self.precision = self.precision + share * positive
        self.weighted = self.weighted + share * alone


class PersonFitter:
    """Fits one person frame after frame. kinematics: guesses at what is not seen; without it only time bridges it."""

    def __init__(
        self,
        fitter: LandmarkFitter,
        config: TrackConfig,
        predictor: MotionPredictor,
        kinematics: InverseKinematics | None = None,
        shape: ShapeMemory | None = None,
    ) -> None:
        """shape: what is known of it beforehand; None for nothing."""
        self.fitter, self.config, self._predictor, self._kinematics = fitter, config, predictor, kinematics
        self.motion: PoseMotion | None = None
        self._shape = shape or ShapeMemory()
        self._costs: deque[float] = deque(maxlen=60)
        self._before: PoseMotion | None = None
        self._swapped_since: float | None = None
        self._retry_at = self._learned_at = -math.inf

    def update(
        self, time: float, observation: LandmarkObservation, evidence: ImageEvidence | None = None
    ) -> LandmarkFit:
        """time: s, later than the call before. evidence: asks the picture, too."""
        belief, self._before = self._belief(time), self.motion
        if belief.state is None:
            result = self._fit_anew(observation, self._guessing(observation, belief), evidence)
        else:
            result = self._fit_on(time, observation, belief, belief.state, evidence)
        fitted = result if evidence is None else evidence.refine(result)
        self._remember(time, fitted)
        return fitted

    def update_alone(
        self, time: float, observation: LandmarkObservation, evidence: ImageEvidence | None, before: BodyState
    ) -> LandmarkFit:
        """What the landmarks alone say, instead of what `update` has made of them at this time.

        Where a pose is sought anew, it is the picture that chooses, and often what nobody could believe: of somebody
        who lies on the floor, say, whom the networks regress as sitting. before: the last pose that was believed.
        """
        belief = Belief(self._shape.betas, self._shape.precision)
        starts = (
            self._landmark_start(observation, self._guessing(observation, belief)),
            before.with_betas(belief.betas, self.fitter.rig.root_slope),
        )
        fresh, near = (self.fitter.fit(observation, belief, s, self.fitter.config.first_iterations) for s in starts)
        # nobody turns round in a moment: from scratch it has to cost less
        result = fresh if fresh.cost < self.config.better * near.cost else near
        fitted = result if evidence is None else evidence.refine(result)
        self._costs.pop()
        self.motion = None
        self._remember(time, fitted)
        return fitted

    def disbelieve(self, time: float) -> None:
        """What `update` made of this time is not gone on from: what was before it is, for a moment, and after that
        nothing."""
        recent = self._before is not None and time - self._before.time <= self.config.hold_seconds
        self.motion = self._before if recent else None

    def learn_shape(self, time: float, fit: LandmarkFit, trust: float) -> None:
        """Takes what a fit says of the shape into account, as far as it is believed, 0..1. time: s, the fit's.

        A wrong pose asks for a shape that no one has, under which the next pose would be wrong, too.
        """
        share = min((time - self._learned_at) / self.config.shape_seconds, 1.0)
        # β's information is that of the landmarks, so it is their β that is learned
        self._shape.learn(fit.agreed_betas, fit.betas_information, trust * share)
        self._learned_at = time

    def _guessing(self, observation: LandmarkObservation, belief: Belief) -> Belief:
        """The belief with what the trained inverse kinematics makes of the landmarks."""
        return belief if self._kinematics is None else replace(belief, guess=self._kinematics(sight(observation)))

    def _fit_on(
        self,
        time: float,
        observation: LandmarkObservation,
        belief: Belief,
        start: BodyState,
        evidence: ImageEvidence | None,
    ) -> LandmarkFit:
        """From where the motion was heading."""
        if self.fitter.hidden(observation).max() > self.config.hidden:
            belief = self._guessing(observation, belief)
        result = self.fitter.fit(observation, belief, start, self.fitter.config.iterations)
        unswapped = self._unswapped(time, observation, belief, result.start_cost)
        if unswapped is not observation:
            observation = unswapped
            result = self.fitter.fit(observation, belief, start, self.fitter.config.iterations)
        caught = time >= self._retry_at and self._caught(observation, result)
        if not caught and not self._surprising(result.cost, self.config.surprise):
            return result
        free = replace(self._guessing(observation, belief), state=None)
        anew = [self._fit_anew(observation, free, evidence)]
        if caught:  # the picture's choice may follow the networks where the landmarks are plain
            anew.append(self._fit_to_landmarks(observation, free))
        fresh = self._recover(observation, free, anew, result)
        if fresh is result:
            self._retry_at = time + self.config.retry_seconds
        else:
            # from a pose that was wrong to one that is right nobody has moved
            self.motion = PoseMotion.begin(time - belief.seconds, fresh.state, self._predictor)
        return fresh

    def _caught(self, observation: LandmarkObservation, result: LandmarkFit) -> bool:
        """Whether a limb that came out of hiding is where steps downhill do not lead out: several landmarks are plainly
        seen, and plainly missed."""
        plain = observation.visibility > _PLAIN
        return int((plain & (result.residual > self.config.missed)).sum()) >= _CAUGHT_LANDMARKS

    def _surprising(self, cost: float, times: float) -> bool:
        return bool(self._costs) and cost > times * median(self._costs)

    @property
    def betas(self) -> Array:
        """(10,): the shape that all frames so far agree on; each frame's own is noisier."""
        return self._shape.betas

    @property
    def has_pose(self) -> bool:
        """Whether there is a pose to start from."""
        return self.motion is not None

    def forget_pose(self) -> None:
        """The next fit starts from scratch; the shape is kept."""
        self.motion = None

    def exchange_pose(self, other: PersonFitter) -> None:
        """Each goes on from the other one's pose; the shapes are kept."""
        self.motion, other.motion = other.motion, self.motion

    def coast(self, time: float) -> BodyState:
        """Where the motion was heading, for a frame in which nobody was found."""
        if self.motion is None:
            raise RuntimeError("PersonTrack.coast: the track has no pose yet; call update first")
        return self.motion.at(time)

    def _belief(self, time: float) -> Belief:
        betas, precision = self._shape.betas, self._shape.precision
        if self.motion is None or time - self.motion.time > self.config.forget_seconds:
            return Belief(betas, precision)
        state = self.motion.at(time)
        state = BodyState(state.rotations, betas, state.transl)
        return Belief(betas, precision, state, time - self.motion.time)

    def _fit_anew(
        self, observation: LandmarkObservation, belief: Belief, evidence: ImageEvidence | None
    ) -> LandmarkFit:
        """From the landmarks; or, where the picture can be asked, between them and what the networks regress, once
        nearer to these and once as near to those as it takes to be where the person is: whichever the picture shows.

        It alone decides: landmarks that are guessed behind something agree with each other as well as any. The shape
        is that of the landmarks: regressed rotations foreshorten limbs that are not.
        """
        landmarks = self._fit_to_landmarks(observation, belief)
        if evidence is None:
            return landmarks
        betas, proposal = landmarks.agreed_betas, evidence.proposal()
        start = proposal.with_betas(betas, self.fitter.rig.root_slope)
        shaped = replace(belief, betas=betas, betas_precision=belief.betas_precision + landmarks.betas_information)
        config = self.fitter.config
        beliefs = [
            replace(shaped, regressed=Regressed(proposal.rotations, spread))
            for spread in (config.regressed_spread, config.regressed_closely)
        ]
        fits = [self.fitter.fit(observation, each, start, config.first_iterations) for each in beliefs]
        shown = fits[int(np.argmin(evidence.nll([each.state for each in fits])))]
        state = shown.state.with_betas(betas, self.fitter.rig.root_slope)
        alone = None if self._costs else landmarks.cost
        information = landmarks.betas_information
        return replace(shown, state=state, agreed_betas=betas, betas_information=information, cost_of_landmarks=alone)

    def _fit_to_landmarks(self, observation: LandmarkObservation, belief: Belief) -> LandmarkFit:
        config = self.fitter.config
        iterations = config.first_iterations if belief.guess is None else config.guessed_iterations
        return self.fitter.fit(observation, belief, self._landmark_start(observation, belief), iterations)

    def _landmark_start(self, observation: LandmarkObservation, belief: Belief) -> BodyState:
        if belief.guess is None:
            return initial_state(self.fitter.rig, observation, belief.betas)
        return guessed_state(self.fitter.rig, observation, belief.betas, belief.guess)

    def _recover(
        self, observation: LandmarkObservation, free: Belief, anew: Sequence[LandmarkFit], result: LandmarkFit
    ) -> LandmarkFit:
        """The best of those from scratch, or the warm fit; all judged by a belief that is free of the motion."""
        *costs, cost = (self.fitter.score(observation, free, each.state) for each in (*anew, result))
        return anew[int(np.argmin(costs))] if min(costs) < self.config.better * cost else result

    def _unswapped(
        self, time: float, observation: LandmarkObservation, belief: Belief, cost: float
    ) -> LandmarkObservation:
        """The observation, its sides exchanged back if for a moment the detector has mistaken left for right.

        cost: what the predicted pose costs under the observation as it is.
        """
        if belief.state is None or not self._surprising(cost, self.config.swap_surprise):
            self._swapped_since = None
            return observation
        other = mirrored(observation)
        if self.fitter.score(other, belief, belief.state) > self.config.swap_better * cost:
            self._swapped_since = None
            return observation
        self._swapped_since = time if self._swapped_since is None else self._swapped_since
        return other if time - self._swapped_since < self.config.swap_seconds else observation

    def _remember(self, time: float, result: LandmarkFit) -> None:
        self._costs.append(result.cost)
        if self.motion is None:
            self.motion = PoseMotion.begin(time, result.state, self._predictor)
        else:
            self.motion = self.motion.then(time, result.state)
