"""What the picture says of a person beyond the landmarks: the networks read a crop, the volume is fitted to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engines import BackendError, EngineOptions, ModelError
from tracker.body import BodyModel
from tracker.body.body_state import BodyState
from tracker.body.kinematics import LandmarkRig
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array
from tracker.core.camera import Camera
from tracker.core.detection import LandmarkCrop
from tracker.core.errors import RunError
from tracker.extract.feature_network import FeatureModel
from tracker.fit.landmark_fitter import LandmarkFit
from tracker.fit.volume_fitter import PoseBelief, VolumeFitConfig, VolumeFitter
from tracker.networks.body_network import BodyNetwork
from tracker.networks.landmark_network import SIDE
from tracker.weights import weights_file

WEIGHTS = weights_file("live")
_WANTED = ("features", "rotations", "betas", "root")
_MAP_SCALE = 0.25
"""Pixels of the feature map in a pixel of the crop."""


@dataclass(frozen=True)
class PictureConfig:
    """Whether and how the picture is asked."""

    enabled: bool = True
    """Let the networks look at the picture of whoever is followed, and fit the volume to what they see."""
    weights: Path = WEIGHTS
    threads: int = 1
    """For the networks."""
    fit: VolumeFitConfig = field(default_factory=VolumeFitConfig)


@dataclass(frozen=True)
class CropReading:
    """What the networks see in one crop."""

    features: Tensor
    """(1, 64, 64, D), unit length along D."""
    first: BodyState
    """The regressed pose, in the frame of the crop's camera."""
    map_camera: Array
    """(4,) fx, fy, cx, cy in pixels of the feature map."""


class CropReader:
    """Runs extractor and head on crops that the landmark network has looked at."""

    def __init__(self, model: FeatureModel, rig: LandmarkRig, options: EngineOptions) -> None:
        """Raises RunError when no engine runs the networks."""
        try:
            self._engine = model.open(options=options)
        except (ModelError, BackendError) as error:
            raise RunError(f"the picture's networks do not start: {error}") from error
        self._rig = rig

    def close(self) -> None:
        """Frees the engine."""
        self._engine.close()

    def read(self, look: LandmarkCrop, camera: Camera) -> CropReading:
        """camera: of the crop. Raises RunError when the engine fails."""
        four = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
        maps = {name: look.maps[name][None] for name in self._engine.inputs if name in look.maps}
        try:
            found = self._engine.run({"crops": look.image[None], "cameras": four[None].astype(np.float32), **maps})
        except BackendError as error:
            raise RunError(f"the picture's networks failed: {error}") from error
        betas = found["betas"][0].astype(float)
        first = BodyState(found["rotations"][0].astype(float), betas, found["root"][0] - self._rig.root_at_rest(betas))
        return CropReading(torch.from_numpy(found["features"]), first, _MAP_SCALE * four)


class Pictures:
    """Looks at people in frames. One thread at a time."""

    def __init__(self, body: BodyModel, rig: LandmarkRig, config: PictureConfig) -> None:
        """Raises InputError for unusable weights, RunError when no engine runs the networks."""
        network = BodyNetwork.load(config.weights, body)
        self._rig = rig
        options = EngineOptions(threads=config.threads, outputs=_WANTED)
        self._reader = CropReader(FeatureModel(network, config.weights), rig, options)
        self._fitter = VolumeFitter(network, config.fit)

    def close(self) -> None:
        """Frees the engine."""
        self._reader.close()

    def view(self, look: LandmarkCrop, camera: Camera) -> PictureView:
        """One person in one frame. camera: the frame's. Raises RunError."""
        crop_camera, roll = camera.turned_crop(look.T_frame_crop, SIDE)
        return PictureView(self._rig, self._fitter, self._reader.read(look, crop_camera), roll)


class PictureView:
    """One person in one frame, read by the networks. All poses are in the frame's camera."""

    def __init__(self, rig: LandmarkRig, fitter: VolumeFitter, reading: CropReading, R_crop_camera: Array) -> None:
        self._rig, self._fitter, self._reading, self._roll = rig, fitter, reading, R_crop_camera
        self._observed = fitter.observed(reading.features)

    def proposal(self) -> BodyState:
        """The pose that the networks regress, without any fitting."""
        first = self._reading.first
        return first.turned(self._roll.T, self._rig.root_at_rest(first.betas))

    def cost(self, state: BodyState) -> float:
        """What the picture adds to the cost of a landmark fit."""
        turned = state.turned(self._roll, self._rig.root_at_rest(state.betas))
        nll = self._fitter.score(self._observed, self._reading.map_camera, [turned])[0]
        return self._fitter.config.pixel_weight * float(nll)

    def refine(self, found: LandmarkFit) -> LandmarkFit:
        """The pose that landmarks and picture agree on, with how far the picture supports each joint."""
        belief = PoseBelief(found.state, found.precision).holding_size(self._fitter.config.size_hold)
        belief = self.turned_belief(self._rig, belief, self._roll)
        fit = self._fitter.fit(self._observed, self._reading.map_camera, belief)
        state = fit.state.turned(self._roll.T, self._rig.root_at_rest(fit.state.betas))
        return replace(found, state=state, posed=self._rig.pose(state.rotations, state.betas), support=fit.support)

    @staticmethod
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
