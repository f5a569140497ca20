"""What the picture says of a person beyond the landmarks: the networks read a crop, the volume is fitted to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from engines import BackendError, EngineOptions, ModelError
from tracker.body import BodyModel
from tracker.body_network import BodyNetwork
from tracker.camera import Camera
from tracker.crop import warp_crop
from tracker.detect.follow import Region, refined
from tracker.errors import RunError
from tracker.fit import BodyState, FitResult, Observation
from tracker.kinematics import LandmarkRig
from tracker.networks.landmark_network import SIDE
from tracker.picture_network import PictureModel
from tracker.types import NUM_BETAS, NUM_JOINTS, NUM_LANDMARKS, Array
from tracker.volume_fit import PoseBelief, VolumeFitConfig, VolumeFitter

WEIGHTS = Path(__file__).parent / "weights" / "live.safetensors"
_MAP_SCALE = 0.25
"""Pixels of the feature map in a pixel of the crop."""


@dataclass(frozen=True)
class PictureConfig:
    """Whether and how the picture is asked."""

    enabled: bool = False
    """Fit the volume to the picture after the landmark fit."""
    weights: Path = WEIGHTS
    threads: int = 2
    """For the networks."""
    fit: VolumeFitConfig = field(default_factory=VolumeFitConfig)


@dataclass(frozen=True)
class CropReading:
    """What the networks see in one crop; places in the crop's pixels, poses in the frame of its camera."""

    seen: Observation
    """The landmarks."""
    features: Tensor
    """(1, D, 64, 64)."""
    first: BodyState
    """The regressed pose."""
    map_camera: Array
    """(4,) fx, fy, cx, cy in pixels of the feature map."""


class CropReader:
    """Runs landmark network, extractor and head on crops."""

    def __init__(self, model: PictureModel, rig: LandmarkRig, options: EngineOptions) -> None:
        """Raises InputError without mediapipe, RunError when no engine runs the networks."""
        try:
            self._engine = model.open(options=options)
        except (ModelError, BackendError) as error:
            raise RunError(f"the picture's networks do not start: {error}") from error
        self._rig = rig

    @property
    def engine(self) -> str:
        """What runs the networks, for the record."""
        told = self._engine.metadata
        return f"{told['backend']} {told['version']}"

    def close(self) -> None:
        """Frees the engine."""
        self._engine.close()

    def read(self, image: NDArray[np.uint8], camera: Camera) -> CropReading:
        """image: (256, 256, 3) RGB with its camera. Raises RunError when the engine fails."""
        four = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
        cameras = four[None].astype(np.float32)
        crop = np.multiply(image.transpose(2, 0, 1)[None], 1 / 255, dtype=np.float32)
        try:
            found = self._engine.run({"crops": np.ascontiguousarray(crop), "cameras": cameras})
        except BackendError as error:
            raise RunError(f"the picture's networks failed: {error}") from error
        points = found["landmarks"][0].astype(float)
        flat = refined(points[:, :2], found["heatmaps"][0].transpose(1, 2, 0))[:NUM_LANDMARKS]
        metric = found["metric"][0, :NUM_LANDMARKS].astype(float)
        seen = Observation(camera, flat, metric, expit(points[:NUM_LANDMARKS, 3]))
        betas = found["betas"][0].astype(float)
        first = BodyState(found["rotations"][0].astype(float), betas, found["root"][0] - self._rig.root_at_rest(betas))
        return CropReading(seen, torch.from_numpy(found["features"]), first, _MAP_SCALE * four)


class Pictures:
    """Looks at people in frames. One thread at a time."""

    def __init__(self, body: BodyModel, rig: LandmarkRig, config: PictureConfig) -> None:
        """Raises InputError for unusable weights or without mediapipe, RunError when no engine runs the networks."""
        network = BodyNetwork.load(config.weights, body)
        self._rig = rig
        self._reader = CropReader(PictureModel(network, config.weights), rig, EngineOptions(threads=config.threads))
        self._fitter = VolumeFitter(network, config.fit)

    @property
    def engine(self) -> str:
        """What runs the networks, for the record."""
        return self._reader.engine

    def close(self) -> None:
        """Frees the engine."""
        self._reader.close()

    def view(self, image: NDArray[np.uint8], camera: Camera, landmarks: Array) -> PictureView:
        """One person in one frame. image: (h, w, 3) RGB; landmarks: (33, 2) px. Raises RunError."""
        T_frame_crop = Region.around(landmarks).transform
        crop_camera, roll = camera.turned_crop(T_frame_crop, SIDE)
        reading = self._reader.read(warp_crop(image, T_frame_crop, SIDE, SIDE), crop_camera)
        return PictureView(self._rig, self._fitter, reading, roll)


class PictureView:
    """One person in one frame, read by the networks. All poses are in the frame's camera."""

    def __init__(self, rig: LandmarkRig, fitter: VolumeFitter, reading: CropReading, R_crop_camera: Array) -> None:
        self._rig, self._fitter, self._reading, self._roll = rig, fitter, reading, R_crop_camera
        self._observed = fitter.observe(reading.features)

    def proposal(self) -> BodyState:
        """The pose that the networks regress, without any fitting."""
        first = self._reading.first
        return first.turned(self._roll.T, self._rig.root_at_rest(first.betas))

    def cost(self, state: BodyState) -> float:
        """What the picture adds to the cost of a landmark fit."""
        turned = state.turned(self._roll, self._rig.root_at_rest(state.betas))
        nll = self._fitter.score(self._observed, self._reading.map_camera, [turned])[0]
        return self._fitter.config.likelihood_weight * float(nll)

    def refine(self, found: FitResult) -> FitResult:
        """The pose that landmarks and picture agree on, with how far the picture supports each joint."""
        belief = self.turned_belief(self._rig, PoseBelief(found.state, found.precision), self._roll)
        fit = self._fitter.fit(self._observed, self._reading.map_camera, belief)
        state = fit.state.turned(self._roll.T, self._rig.root_at_rest(fit.state.betas))
        return replace(found, state=state, posed=self._rig.pose(state.rotations, state.betas), support=fit.support)

    @staticmethod
    def turned_belief(rig: LandmarkRig, belief: PoseBelief, turn: Array) -> PoseBelief:
        """The belief in a camera frame turned by R = `turn`: t ↦ R (t + r) − r, where the pelvis's rest place r moves
        with β."""
        betas = slice(3 * NUM_JOINTS, 3 * NUM_JOINTS + NUM_BETAS)
        place = slice(betas.stop, betas.stop + 3)
        back = np.eye(len(belief.precision))
        back[place, place] = turn.T
        back[place, betas] = (turn.T - np.eye(3)) @ rig.root_slope
        state = belief.state.turned(turn, rig.root_at_rest(belief.state.betas))
        return PoseBelief(state, back.T @ belief.precision @ back)
