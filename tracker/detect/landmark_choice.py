"""Which landmark network follows people: the one asked for, or the most accurate one that this machine is fast enough
for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from statistics import median
from time import perf_counter

import numpy as np

from tracker.detect.detect_config import DetectConfig
from tracker.detect.follow import NetworkFollower, Region
from tracker.networks.crop_network import CropNetworks
from tracker.networks.landmark_files import installed_landmarks, landmark_network_file
from tracker.networks.landmark_network import SIDE
from tracker.runtime.engine_config import EngineConfig

_log = logging.getLogger("tracker")
AUTO = "auto"
_SHARE = 0.25
"""Of a frame's time, for one person's landmarks: the other stages are at work at the same time, on the same cores, and
besides a larger network the one whose maps the features are made of runs, too."""
_RUNS = 7


def open_follower(config: DetectConfig, engine: EngineConfig, networks: CropNetworks) -> NetworkFollower:
    """Raises InputError without the network asked for, RunError when no engine runs it."""
    if config.landmarks != AUTO:
        return NetworkFollower(engine, networks(landmark_network_file(config.landmarks)))
    names = installed_landmarks()
    if config.punctual or len(names) < 2:
        return NetworkFollower(engine, networks(landmark_network_file(*names[:1])))
    return _fast_enough(names, config, engine, networks)


def _fast_enough(
    names: Sequence[str], config: DetectConfig, engine: EngineConfig, networks: CropNetworks
) -> NetworkFollower:
    """The first of the named networks that keeps the pace; the last one where none does."""
    limit = _SHARE / config.pace
    for name in names:
        follower = NetworkFollower(engine, networks(landmark_network_file(name)))
        seconds = _seconds(follower)
        if seconds <= limit or name == names[-1]:
            break
        follower.close()
    _log.info(
        "landmark network: %s chosen, %.1f ms a person for %g frames a second; another with --set detect.landmarks=%s",
        name, 1e3 * seconds, config.pace, "|".join(names),
    )  # fmt: skip
    return follower


def _seconds(follower: NetworkFollower) -> float:
    """What one person takes; the median of a few runs, after one that warms up."""
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    region = Region(np.full(2, SIDE / 2), SIDE, 0.0)
    follower.follow(image, [region])
    spent = []
    for _ in range(_RUNS):
        before = perf_counter()
        follower.follow(image, [region])
        spent.append(perf_counter() - before)
    return median(spent)
