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
from tracker.detect.crop_landmarks import READ, CropLandmarks
from tracker.extract.feature_network import FeatureModel, seen_by
from tracker.extract.second_opinion import SECOND, second_landmarks
from tracker.networks.landmark_network import SIDE
from tracker.networks.landmark_onnx import INPUT, open_landmark_engine
from tracker.runtime.engine_config import EngineConfig
from tracker.weights import weights_file

WEIGHTS = weights_file("live")
OUTPUTS = ("features", "rotations", "betas", "root")
"""Of the network's outputs, those that the tracker uses."""
_MAP_SCALE = 0.25
"""Pixels of the feature map in a pixel of the crop."""


@dataclass(frozen=True)
class ExtractConfig:
    """Whether features are extracted for the fit and hands are looked at, and by which networks."""

    enabled: bool = True
    """Extract features of everybody who is followed, and fit the volume to them; false fits to landmarks alone."""
    hands: bool | None = None
    """See how hands are turned that are visible and large enough, each in a crop of its own, which takes about as long
    as the features do; null does so in files."""
    hand_seconds: float = 0.045
    """s for which what was seen of a hand is kept, and turned with the hand's way in the picture, before it is looked
    at again; 0: in every frame."""
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
    second: CropLandmarks | None = None
    """What the full landmark network says, in the frame, where it was another one that saw the person."""


class FeatureExtractor:
    """Runs extractor and head on the crops of the landmark network, unless the network that saw them has both in it."""

    def __init__(self, model: FeatureModel, rig: LandmarkRig, engine: EngineConfig) -> None:
        self._model, self._rig, self._config = model, rig, engine

    def open(self) -> None:
        """Starts the networks, which the first crop that needs them does otherwise. Raises RunError when no engine runs
        them."""
        _ = self._engine

    def close(self) -> None:
        """Frees the engines."""
        for name in ("_engine", "_guide"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()

    @cached_property
    def _engine(self) -> Engine:
        config = self._config
        try:
            return self._model.open(config.backend, config.options_for_people(OUTPUTS, config.precision))
        except (ModelError, BackendError) as error:
            raise RunError(f"the extractor does not start: {error}") from error

    @cached_property
    def _guide(self) -> Engine:
        """The full landmark network, whose maps these networks have learned; opened when another one gave the crops."""
        outputs = tuple(dict.fromkeys((*self._maps, *READ)))
        try:
            return open_landmark_engine(
                self._config.backend, self._config.options_for_people(outputs, self._config.landmark_precision)
            )
        except (ModelError, BackendError) as error:
            raise RunError(f"the full landmark network, the extractor's guide, does not start: {error}") from error

    @cached_property
    def _maps(self) -> tuple[str, ...]:
        """What the networks read of the full landmark network."""
        return tuple(name for name in self._engine.inputs if name != INPUT)

    def extract(self, crops: Sequence[LandmarkCrop], camera: Camera) -> list[CropFeatures]:
        """What there is of each crop, in the same order. camera: the frame's. Raises RunError when the engine fails."""
        return [self._seen(crop, read, camera) for crop, read in zip(crops, self._read(crops), strict=True)]

    def _seen(self, crop: LandmarkCrop, read: Mapping[str, NDArray[Any]], camera: Camera) -> CropFeatures:
        own, R_crop_camera = camera.turned_crop(crop.T_frame_crop, SIDE)
        four = np.array([own.fx, own.fy, own.cx, own.cy])
        rotations, betas = read["rotations"].astype(float), read["betas"].astype(float)
        rotations[0], root = seen_by(four, rotations[0], read["root"].astype(float))
        regressed = BodyState(rotations, betas, root - self._rig.root_at_rest(betas))
        second = second_landmarks(read)
        if second is not None:
            second = second.in_frame(crop.T_frame_crop)
        features = torch.from_numpy(read["features"][None])
        return CropFeatures(features, regressed, _MAP_SCALE * four, R_crop_camera, second)

    def _read(self, crops: Sequence[LandmarkCrop]) -> list[Mapping[str, NDArray[Any]]]:
        """OUTPUTS of each crop, and the full landmark network's landmarks of those that another one has seen."""
        unread = iter(self._run([crop for crop in crops if not crop.has(OUTPUTS)]))
        return [crop.maps if crop.has(OUTPUTS) else next(unread) for crop in crops]

    def _run(self, crops: Sequence[LandmarkCrop]) -> list[Mapping[str, NDArray[Any]]]:
        if not crops:
            return []
        try:
            guides = self._guides(crops)
            inputs = [
                {INPUT: crop.image[None], **{name: maps[name] for name in self._maps}}
                for crop, maps in zip(crops, guides, strict=True)
            ]
            outputs = self._engine.run_each(inputs)
        except BackendError as error:
            raise RunError(f"the extractor failed: {error}") from error
        seconds = [
            {} if crop.has(self._maps) else {SECOND[name]: maps[name] for name in READ}
            for crop, maps in zip(crops, guides, strict=True)
        ]
        both = ({**read, **second} for read, second in zip(outputs, seconds, strict=True))
        return [{name: value[0] for name, value in each.items()} for each in both]

    def _guides(self, crops: Sequence[LandmarkCrop]) -> list[dict[str, NDArray[Any]]]:
        """The full landmark network's maps that the networks read, (1, side, side, channels) each; and its landmarks,
        where another one has seen the crop."""
        unguided = [crop for crop in crops if not crop.has(self._maps)]
        made = iter(self._guide.run_each([{INPUT: crop.image[None]} for crop in unguided]) if unguided else [])
        return [
            {name: crop.maps[name][None] for name in self._maps} if crop.has(self._maps) else next(made)
            for crop in crops
        ]
