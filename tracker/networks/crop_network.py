"""Which network sees people's crops, and what it tells of each: the landmarks, and whatever later stages read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engines import Network
from engines.engine import Precision
from tracker.networks.landmark_files import landmark_network_file
from tracker.networks.landmark_network import FEATURES
from tracker.networks.landmark_onnx import landmark_model


@dataclass(frozen=True)
class CropNetwork:
    """A network that has a landmark network in it."""

    landmarks: Path
    """The landmark network's own file."""
    describe: Callable[[], Network]
    beyond: tuple[str, ...] = ()
    """Outputs that are wanted besides those that following needs."""
    precision: Precision | None = None
    """What it computes in, where that is not for `EngineConfig.landmark_precision` to say."""


CropNetworks = Callable[[Path], CropNetwork]
"""From the landmark network's file, which is chosen later."""


def landmarks_alone(file: Path) -> CropNetwork:
    """Nothing else."""
    return CropNetwork(file, lambda: landmark_model(source=file))


def landmarks_and_maps(file: Path) -> CropNetwork:
    """With the full network's inner maps. Those who read them have learned these: another's are not given out."""
    maps = tuple(FEATURES) if file == landmark_network_file() else ()
    return CropNetwork(file, lambda: landmark_model(source=file), maps)
