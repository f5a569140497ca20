"""What the feature map of one person in one frame says of their pose, in the frame's camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tracker.body.body_state import BodyState
from tracker.body.kinematics import LandmarkRig
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array
from tracker.extract.feature_extractor import CropFeatures
from tracker.fit.landmark_fitter import LandmarkFit
from tracker.fit.volume_fitter import PoseBelief, VolumeFitter


class VolumeEvidence:
    """One person's features with the volume that is fitted to them. All poses are in the frame's camera."""

    def __init__(self, rig: LandmarkRig, fitter: VolumeFitter, features: CropFeatures) -> None:
        self._rig, self._fitter, self._features = rig, fitter, features
        self._R_crop_camera = features.R_crop_camera
        self._observation = fitter.observed(features.features)

    def proposal(self) -> BodyState:
        """The pose that the networks regress, without any fitting."""
        regressed = self._features.regressed
        return regressed.turned(self._R_crop_camera.T, self._rig.root_at_rest(regressed.betas))

    def nll(self, states: Sequence[BodyState]) -> Array:
        """(n,) negative log-likelihood of the features in each pose."""
        turned = [state.turned(self._R_crop_camera, self._rig.root_at_rest(state.betas)) for state in states]
        return self._fitter.score(self._observation, self._features.map_camera, turned)

    def refine(self, fit: LandmarkFit) -> LandmarkFit:
        """The pose that landmarks and features agree on, with how far the picture supports each joint."""
        belief = PoseBelief(fit.state, fit.precision).holding_size(self._fitter.config.size_hold)
        belief = turned_belief(self._rig, belief, self._R_crop_camera)
        refined = self._fitter.fit(self._observation, self._features.map_camera, belief)
        state = refined.state.turned(self._R_crop_camera.T, self._rig.root_at_rest(refined.state.betas))
        posed = self._rig.pose(state.rotations, state.betas)
        return replace(fit, state=state, posed=posed, support=refined.support)


def turned_belief(rig: LandmarkRig, belief: PoseBelief, turn: Array) -> PoseBelief:
    """The belief in a camera frame turned by R = `turn`: t ↦ R (t + r) − r, where the pelvis's rest place r moves
    with β."""
    betas = slice(3 * NUM_JOINTS, 3 * NUM_JOINTS + NUM_BETAS)
    place = slice(betas.stop, betas.stop + 3)
    back, shift = turn.T, (turn.T - np.eye(3)) @ rig.root_slope
    precision = belief.precision.copy()
    for _ in range(2):  # of the columns, and, as it is symmetric, of the rows
        precision[:, betas] += precision[:, place] @ shift
        precision[:, place] = precision[:, place] @ back
        precision = precision.T
    state = belief.state.turned(turn, rig.root_at_rest(belief.state.betas))
    return PoseBelief(state, np.ascontiguousarray(precision))
