"""Which landmark network follows people: the one asked for, or the most accurate one that this machine is fast enough
for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from statistics import median
from time import perf_counter

import numpy as np

from tracker.detect.detect_config import DetectConfig
from tracker.detect.follow import Follower, NetworkFollower, Region
from tracker.networks.crop_network import CropNetworks, landmarks_and_maps
from tracker.networks.landmark_files import FULL, installed_landmarks, landmark_network_file
from tracker.networks.landmark_network import SIDE
from tracker.runtime.engine_config import EngineConfig

_log = logging.getLogger("tracker")
AUTO = "auto"
_SHARE = 0.25
"""Of a frame's time, for one person's landmarks: the other stages are at work at the same time, on the same cores, and
besides a larger network the one whose maps the features are made of runs, too."""
_TIMES = {"heavy": 2.8, FULL: 1.0, "lite": 0.6}
"""What each takes, in parts of full's time; about the same on any machine."""
_RUNS = 7


def open_follower(config: DetectConfig, engine: EngineConfig, networks: CropNetworks) -> NetworkFollower:
    """Raises InputError without the network asked for, RunError when no engine runs it."""
    if config.landmarks != AUTO:
        return NetworkFollower(engine, networks(landmark_network_file(config.landmarks)))
    names = installed_landmarks()
    if config.punctual or len(names) < 2:
        return NetworkFollower(engine, networks(landmark_network_file(*names[:1])))
    return _fast_enough(names, config, engine, networks)


def open_finder(follower: NetworkFollower, engine: EngineConfig) -> Follower:
    """What looks where nobody is known yet, beside a follower. The rules that tell people from what is taken for them
    were measured with the full network; the heavy one takes more for people, and finds them with that one's help. Where
    it is the one that sees somebody, its maps are what the picture's networks read.

    Raises as `open_follower`.
    """
    if not follower.is_heavy:
        return follower
    return NetworkFollower(engine, landmarks_and_maps(landmark_network_file()))


def _fast_enough(
    names: Sequence[str], config: DetectConfig, engine: EngineConfig, networks: CropNetworks
) -> NetworkFollower:
    """The largest of the named networks that keeps the pace, the smallest where none does. Larger ones are not even
    opened where they will hardly do."""
    limit = _SHARE / config.pace
    name, *larger = reversed(names)
    follower = NetworkFollower(engine, networks(landmark_network_file(name)))
    seconds = _seconds(follower)
    for next_name in larger:
        if seconds * _TIMES[next_name] / _TIMES[name] > limit:
            break
        next_one = NetworkFollower(engine, networks(landmark_network_file(next_name)))
        if (next_seconds := _seconds(next_one)) > limit:
            next_one.close()
            break
        follower.close()
        name, follower, seconds = next_name, next_one, next_seconds
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
