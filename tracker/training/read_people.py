"""What the tracker's networks make of synthetic people, beside the truth: material for what judges them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracker.body import load_body
from tracker.body.kinematics import LandmarkRig
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.geometry import matrix_from_axis_angle
from tracker.detect.follow import NetworkFollower, Region
from tracker.extract.feature_extractor import CropFeatures, FeatureExtractor
from tracker.extract.feature_network import FeatureModel
from tracker.networks.body_network import BodyNetwork
from tracker.networks.landmark_network import FEATURES, SIDE
from tracker.runtime.engine_config import EngineConfig
from tracker.synth.samples import Sample, SampleFactory

_WHOLE = Region(np.full(2, SIDE / 2), float(SIDE), 0.0)


@dataclass(frozen=True)
class ReadPerson:
    """One crop as it was read, and as it is. Crop pixels; metres in the crop camera's frame."""

    pixels: Array
    """(33, 2): the landmarks."""
    metric: Array
    """(33, 3): the same in metres, as `LandmarkObservation` has them."""
    visibility: Array
    """(33,)"""
    regressed: Array
    """(24, 3, 3): the head's rotations."""
    regressed_betas: Array
    regressed_transl: Array
    camera: Array
    """(4,) fx, fy, cx, cy."""
    true_rotations: Array
    """(24, 3, 3)"""
    true_betas: Array
    true_transl: Array


class ReadPeople:
    """Reads a factory's samples with landmark network, extractor and head, in the process that asks for them."""

    def __init__(self, factory: SampleFactory, weights: Path) -> None:
        self._factory, self._weights = factory, weights
        self._networks: tuple[NetworkFollower, FeatureExtractor] | None = None

    def __reduce__(self) -> tuple[type[ReadPeople], tuple[SampleFactory, Path]]:
        return type(self), (self._factory, self._weights)

    def sample(self, seed: int) -> ReadPerson:
        """The person of this number."""
        return self.read(self._factory.sample(seed))[0]

    def read(self, sample: Sample) -> tuple[ReadPerson, CropFeatures]:
        """What is made of one sample."""
        follower, extractor = self._opened()
        k = sample.camera_matrix
        camera = Camera(k[0, 0], k[1, 1], k[0, 2], k[1, 2], SIDE, SIDE)
        (followed,) = follower.follow(sample.image, [_WHOLE])
        features, reading = extractor.extract(followed.crop, camera), followed.reading
        first = features.regressed
        read = ReadPerson(
            reading.landmarks2d,
            reading.landmarks3d,
            reading.visibility,
            first.rotations,
            first.betas,
            first.transl,
            np.array([camera.fx, camera.fy, camera.cx, camera.cy]),
            matrix_from_axis_angle(np.asarray(sample.theta, float).reshape(-1, 3)),
            np.asarray(sample.betas, float),
            np.asarray(sample.transl, float),
        )
        return read, features

    def _opened(self) -> tuple[NetworkFollower, FeatureExtractor]:
        if self._networks is None:
            body = load_body(None)
            network = BodyNetwork.load(self._weights, body)
            follower = NetworkFollower(EngineConfig(threads=1), tuple(FEATURES))
            model = FeatureModel(network, self._weights)
            self._networks = follower, FeatureExtractor(model, LandmarkRig.from_body(body), EngineConfig(threads=1))
        return self._networks


def stacked(people: list[ReadPerson]) -> dict[str, NDArray[np.float32]]:
    """The fields over all people, (N, ...) each."""
    return {f.name: np.stack([getattr(p, f.name) for p in people]).astype(np.float32) for f in fields(ReadPerson)}
