"""From a person's crop to features and a first pose: the compiled extractor and regression head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines import BackendError, Engine, ModelError
from tracker.body.body_state import BodyState
from tracker.body.kinematics import LandmarkRig
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.detection import LandmarkCrop
from tracker.core.errors import InputError, RunError
from tracker.extract.feature_network import FeatureModel
from tracker.networks.landmark_network import SIDE
from tracker.networks.landmark_onnx import INPUT, open_landmark_engine
from tracker.runtime.engine_config import EngineConfig
from tracker.weights import weights_file

WEIGHTS = weights_file("live")
OUTPUTS = ("features", "rotations", "betas", "root")
"""Of the network's outputs, those that the tracker uses."""
_CROPS = ("crops", "cameras")
"""Of the network's inputs, those that are no maps of the landmark network."""
_MAP_SCALE = 0.25
"""Pixels of the feature map in a pixel of the crop."""


@dataclass(frozen=True)
class ExtractConfig:
    """Whether features are extracted for the fit, and by which networks."""

    enabled: bool = True
    """Extract features of everybody who is followed, and fit the volume to them; false fits to landmarks alone."""
    weights: Path = WEIGHTS
    """Of extractor, head and volume: what `train` has made, or 3DNBF's released checkpoint (`.pth`; needs `body`)."""
    vertices: Path | None = None
    """Of the released checkpoint: the authors' list of its kernels' vertices. Null looks for `sample_data_8-*.npz`
    beside the checkpoint, and in `sample_params/uniform/` beside its folder, where the authors' archive has it."""


def kernel_vertices_file(config: ExtractConfig) -> Path:
    """The released checkpoint's list of vertices. Raises InputError that says where it was looked for."""
    if config.vertices is not None:
        return config.vertices
    folder = config.weights.parent
    places = (folder, folder.parent / "sample_params" / "uniform")
    for place in places:
        for file in sorted(place.glob("sample_data_8-*.npz")):
            return file
    raise InputError(
        f"{config.weights}: the list of its kernels' vertices, sample_data_8-….npz, is neither in {places[0]} nor in "
        f"{places[1]}; give it with --set extract.vertices=FILE"
    )


@dataclass(frozen=True)
class CropFeatures:
    """What the networks make of one crop."""

    features: Tensor
    """(1, 64, 64, D), unit length along D: eq. 1's feature map F."""
    regressed: BodyState
    """The regressed pose, in the frame of the crop's camera."""
    map_camera: Array
    """(4,) fx, fy, cx, cy of the crop's camera, in pixels of the feature map."""
    R_crop_camera: Array
    """(3, 3): the frame's camera to the crop's, which looks the same way and is rolled."""


class FeatureExtractor:
    """Runs extractor and head on the crops of the landmark network."""

    def __init__(self, model: FeatureModel, rig: LandmarkRig, engine: EngineConfig) -> None:
        """Raises RunError when no engine runs the networks."""
        try:
            self._engine = model.open(engine.backend, engine.options_for_people(OUTPUTS, engine.precision))
        except (ModelError, BackendError) as error:
            raise RunError(f"the extractor does not start: {error}") from error
        self._rig, self._config = rig, engine
        self._maps = tuple(name for name in self._engine.inputs if name not in _CROPS)

    def close(self) -> None:
        """Frees the engines."""
        self._engine.close()
        if "_guide" in self.__dict__:
            self._guide.close()

    @cached_property
    def _guide(self) -> Engine:
        """The full landmark network, whose maps these networks have learned; opened when another one gave the crops."""
        try:
            return open_landmark_engine(self._config.backend, self._config.options_for_people(self._maps))
        except (ModelError, BackendError) as error:
            raise RunError(f"the full landmark network, the extractor's guide, does not start: {error}") from error

    def extract(self, crops: Sequence[LandmarkCrop], camera: Camera) -> list[CropFeatures]:
        """What there is of each crop, in the same order. camera: the frame's. Raises RunError when the engine fails."""
        cameras = [_crop_camera(crop, camera) for crop in crops]
        try:
            maps = self._maps_of(crops)
            outputs = self._engine.run_each(list(map(_inputs, crops, cameras, maps)))
        except BackendError as error:
            raise RunError(f"the extractor failed: {error}") from error
        return [self._features(each, found) for each, found in zip(cameras, outputs, strict=True)]

    def _features(self, camera: _CropCamera, outputs: Mapping[str, NDArray[Any]]) -> CropFeatures:
        betas = outputs["betas"][0].astype(float)
        transl = outputs["root"][0] - self._rig.root_at_rest(betas)
        regressed = BodyState(outputs["rotations"][0].astype(float), betas, transl)
        features = torch.from_numpy(outputs["features"])
        return CropFeatures(features, regressed, _MAP_SCALE * camera.four, camera.R_crop_camera)

    def _maps_of(self, crops: Sequence[LandmarkCrop]) -> list[Mapping[str, NDArray[Any]]]:
        """The full landmark network's maps that the networks read, (1, side, side, channels) each."""
        unguided = [crop for crop in crops if not self._is_guided(crop)]
        made = iter(self._guide.run_each([{INPUT: crop.image[None]} for crop in unguided]) if unguided else [])
        return [
            {name: crop.maps[name][None] for name in self._maps} if self._is_guided(crop) else next(made)
            for crop in crops
        ]

    def _is_guided(self, crop: LandmarkCrop) -> bool:
        return all(name in crop.maps for name in self._maps)


@dataclass(frozen=True)
class _CropCamera:
    four: Array
    """(4,) fx, fy, cx, cy px of the crop."""
    R_crop_camera: Array
    """As `CropFeatures`."""


def _inputs(crop: LandmarkCrop, camera: _CropCamera, maps: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {"crops": crop.image[None], "cameras": camera.four[None].astype(np.float32), **maps}


def _crop_camera(crop: LandmarkCrop, camera: Camera) -> _CropCamera:
    own, R_crop_camera = camera.turned_crop(crop.T_frame_crop, SIDE)
    return _CropCamera(np.array([own.fx, own.fy, own.cx, own.cy]), R_crop_camera)
