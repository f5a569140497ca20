"""Follows people from frame to frame with a landmark network alone, each in the region where they were last.

MediaPipe's own tracking does the same inside its graph; here the network runs through an engine, several times faster,
and the crop is known exactly. Finding people is left to the detector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import BackendError, ModelError, open_engine
from tracker.core.affine import apply_affine
from tracker.core.arrays import Array
from tracker.core.crop import crop_transform, warp_crop
from tracker.core.detection import LandmarkCrop
from tracker.core.errors import RunError
from tracker.core.mask import PlacedMask
from tracker.detect.crop_landmarks import FULL, HEAVY, CropLandmarks
from tracker.detect.erase import erased
from tracker.detect.pose_reading import HIPS, SHOULDERS, PoseReading
from tracker.networks.crop_network import CropNetwork, landmarks_alone
from tracker.networks.landmark_files import landmark_network_file
from tracker.networks.landmark_network import SIDE, is_heavy
from tracker.networks.landmark_onnx import INPUT
from tracker.runtime.engine_config import EngineConfig

_REGION_SIDE = 2.6
"""Side of a region over the distance from mid-hips to the farthest landmark (median over real clips; 2.2 to 3.4)."""
_SAME_CENTRE, _SAME_SIDE = 0.12, 1.25
"""Two regions are of one person: distance of their centres over the larger side, and ratio of their sides, at most."""
_CENTRE, _RIM = 33, 34
"""Two of the network's further points: the hips' middle, and one on the circle around it that holds the whole body,
straight above."""
_RIM_MARGIN = 1.25
"""Side of the next region over that circle's diameter, as MediaPipe takes it."""
_SMALLEST_SIDE = 16.0
OUTPUTS = ("landmarks", "presence", "mask", "small_mask", "heatmaps", "metric")
"""Of the network's outputs, those that following needs."""


@dataclass(frozen=True)
class Region:
    """A square piece of a picture, turned so that the person in it stands upright."""

    centre: Array
    """(2,) px."""
    side: float
    """px"""
    turn: float
    """rad, clockwise on the screen."""

    @classmethod
    def around(cls, landmarks: Array) -> Region:
        """Where a person with these (33, 2) px landmarks should be looked for."""
        hips = landmarks[HIPS].mean(axis=0)
        up = landmarks[SHOULDERS].mean(axis=0) - hips
        farthest = float(np.linalg.norm(landmarks - hips, axis=1).max())
        return cls(hips, max(_REGION_SIDE * farthest, _SMALLEST_SIDE), float(np.arctan2(up[0], -up[1])))

    @classmethod
    def on_rim(cls, centre: Array, rim: Array) -> Region:
        """The region whose circle is given by its centre and its highest point (2,) px."""
        up = rim - centre
        side = 2 * _RIM_MARGIN * float(np.linalg.norm(up))
        return cls(centre, max(side, _SMALLEST_SIDE), float(np.arctan2(up[0], -up[1])))

    @classmethod
    def after(cls, crop: LandmarkCrop) -> Region:
        """Where the network that saw this crop says that the person is."""
        points = crop.maps["landmarks"][[_CENTRE, _RIM], :2].astype(float)
        return cls.on_rim(*apply_affine(crop.T_frame_crop, points))

    def is_about(self, other: Region) -> bool:
        """Whether both are of one person, who is turned in any way."""
        small, large = sorted((self.side, other.side))
        apart = float(np.linalg.norm(self.centre - other.centre))
        return apart <= _SAME_CENTRE * large and large <= _SAME_SIDE * small

    @property
    def box(self) -> Array:
        """(4,) xyxy px of the square before it is turned."""
        return np.concatenate([self.centre - self.side / 2, self.centre + self.side / 2])

    @property
    def transform(self) -> Array:
        """T_frame_crop (2, 3) of the network's crop."""
        return crop_transform(self.box, SIDE, SIDE, self.turn)


@dataclass(frozen=True)
class Followed:
    """A person in their region, one frame later."""

    reading: PoseReading
    """In the crop's pixels and axes."""
    crop: LandmarkCrop
    presence: float
    """0..1: how sure the network is that there is a person."""
    region: Region
    """Where to look in the next frame."""


class Follower(Protocol):
    """Looks for people in the regions where they were."""

    network: Path
    """The file of the landmark network that it runs."""

    @property
    def engine(self) -> str: ...

    @property
    def device(self) -> str: ...

    def follow(
        self, image: NDArray[np.uint8], regions: Sequence[Region], painted: Sequence[PlacedMask] = ()
    ) -> list[Followed]: ...

    def close(self) -> None: ...


class NetworkFollower:
    """One of MediaPipe's landmark networks in an engine, for any thread."""

    def __init__(self, engine: EngineConfig, network: CropNetwork | None = None) -> None:
        """network: by default the full landmark network, alone.

        Raises InputError without mediapipe, RunError when no engine runs the network.
        """
        network = network or landmarks_alone(landmark_network_file())
        self.network = network.landmarks
        self.is_heavy = is_heavy(network.landmarks)
        self._calibration = HEAVY if self.is_heavy else FULL
        try:
            options_for = engine.options_for_heavy if self.is_heavy else engine.options_for_people
            options = options_for((*OUTPUTS, *network.beyond), network.precision or engine.landmark_precision)
            self._engine = open_engine(network.describe(), engine.backend, options)
        except (ModelError, BackendError) as error:
            raise RunError(f"the landmark network does not start: {error}") from error

    @property
    def engine(self) -> str:
        """What runs the network, for the record."""
        metadata = self._engine.metadata
        return f"{metadata['backend']} {metadata['version']}, {metadata['precision']}, {self.network.stem}"

    @property
    def device(self) -> str:
        """What it runs on."""
        return self._engine.metadata["device"]

    def close(self) -> None:
        """Frees the engine."""
        self._engine.close()

    def follow(
        self, image: NDArray[np.uint8], regions: Sequence[Region], painted: Sequence[PlacedMask] = ()
    ) -> list[Followed]:
        """image: (h, w, 3) RGB; painted: people who are painted out of all the regions. One answer a region, in the
        same order. Raises RunError when the engine fails."""
        answers: list[Followed] = []
        for first in range(0, len(regions), self._engine.streams):
            transforms = [region.transform for region in regions[first : first + self._engine.streams]]
            crops = [_cropped(image, T_frame_crop, painted) for T_frame_crop in transforms]
            try:
                outputs = self._engine.run_each([{INPUT: crop[None]} for crop in crops])
            except BackendError as error:
                raise RunError(f"the landmark network failed: {error}") from error
            answers += [self._answer(*each) for each in zip(crops, transforms, outputs, strict=True)]
        return answers

    def _answer(self, crop: NDArray[np.uint8], T_frame_crop: Array, outputs: Mapping[str, NDArray]) -> Followed:
        """What the network's outputs say of a crop."""
        maps = {name: values[0] for name, values in outputs.items()}
        landmarks = CropLandmarks.read(maps, self._calibration)
        mask = PlacedMask.whole(np.asarray(cv2.convertScaleAbs(maps["mask"], alpha=255.0), np.uint8))
        reading = PoseReading(**vars(landmarks), mask=mask)
        del maps["mask"]  # it is in the reading, and its numbers are a tenth of what waits with a frame of a recording
        answered = LandmarkCrop(crop, T_frame_crop, maps)
        presence = self._calibration.presence(float(maps["presence"].item()))
        return Followed(reading, answered, presence, Region.after(answered))


def _cropped(image: NDArray[np.uint8], T_frame_crop: Array, painted: Sequence[PlacedMask]) -> NDArray[np.uint8]:
    """The network's crop, in which these people are painted out."""
    crop = warp_crop(image, T_frame_crop, SIDE, SIDE)
    if not painted:
        return crop
    return erased(crop, np.maximum.reduce([mask.cropped(T_frame_crop, SIDE, SIDE) for mask in painted]))
