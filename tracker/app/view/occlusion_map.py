"""The occlusion map of a clip's picture: where something else than the body explains what the picture shows.

It is the likelihood that the tracker fits with (3DNBF §3.2), asked once more of poses that are known by now. Importing
this takes torch and the networks' engine, so it is done when the map is first wanted.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.body import load_body
from tracker.body.body_state import BodyState
from tracker.body.kinematics import LandmarkRig
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.crop import paste_crop, warp_crop
from tracker.core.detection import LandmarkCrop
from tracker.detect.follow import Region
from tracker.extract.feature_extractor import WEIGHTS, FeatureExtractor
from tracker.extract.feature_network import FeatureModel
from tracker.fit.volume_fitter import VolumeFitConfig, VolumeFitter
from tracker.networks.body_network import BodyNetwork
from tracker.networks.landmark_network import SIDE
from tracker.runtime.engine_config import EngineConfig

BODY_COLOUR, OCCLUDER_COLOUR = (60, 200, 90), (230, 60, 50)
"""RGB of what shows the body, and of what is in front of it."""
_STRENGTH = 0.55
"""Of the colours over the picture."""

Picture = NDArray[np.uint8]


class OcclusionMaps:
    """Compares the built-in body with pictures that people were tracked in."""

    def __init__(self) -> None:
        """Raises InputError without the detector's package, RunError when no engine runs the networks."""
        body = load_body()
        network = BodyNetwork.load(WEIGHTS, body)
        self._rig = LandmarkRig.from_body(body)
        self._extractor = FeatureExtractor(FeatureModel(network, WEIGHTS), self._rig, EngineConfig())
        self._fitter = VolumeFitter(network, VolumeFitConfig(stride=1, steps=0))

    def close(self) -> None:
        """Frees the engines."""
        self._extractor.close()

    def painted(self, image: Picture, camera: Camera, people: Iterable[BodyState]) -> Picture:
        """(h, w, 3) RGB: the picture with bodies in green and what hides them in red. people: in the camera's frame."""
        painted = image
        for state in people:
            body, occluder = self.maps(image, camera, state)
            painted = _tinted(painted, body, BODY_COLOUR)
            painted = _tinted(painted, occluder, OCCLUDER_COLOUR)
        return painted

    def maps(self, image: Picture, camera: Camera, state: BodyState) -> tuple[Picture, Picture]:
        """(h, w) 0..255 each: how surely a pixel shows the body, and how surely something in front of it."""
        posed = self._rig.pose(state.rotations, state.betas)
        T_frame_crop = Region.around(camera.project_clamped(posed.points + state.transl)).transform
        crop = LandmarkCrop(warp_crop(image, T_frame_crop, SIDE, SIDE), T_frame_crop, {})
        (features,) = self._extractor.extract([crop], camera)
        turned = state.turned(features.R_crop_camera, self._rig.root_at_rest(state.betas))
        observation = self._fitter.observed(features.features)
        occlusion = self._fitter.look(observation, features.map_camera, turned).occlusion
        covered = self._fitter.coverage(features.map_camera, turned)
        size = (image.shape[1], image.shape[0])
        body, occluder = (
            paste_crop(_as_crop(share * covered), T_frame_crop, size) for share in (1 - occlusion, occlusion)
        )
        return body, occluder


def _as_crop(share: Array) -> Picture:
    """(64, 64) 0..1 → (256, 256) 0..255."""
    crop = cv2.resize((255 * share).astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(crop, np.uint8)


def _tinted(image: Picture, share: Picture, colour: tuple[int, int, int]) -> Picture:
    alpha = _STRENGTH * share[..., None].astype(np.float32) / 255
    return (image + alpha * (np.array(colour, np.float32) - image)).astype(np.uint8)
