"""Which landmark network is taken: files the best, live the best that is fast enough."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from tracker.detect import DetectConfig, landmark_choice
from tracker.networks import crop_network
from tracker.networks.crop_network import CropNetwork, landmarks_alone
from tracker.networks.landmark_network import FEATURES
from tracker.runtime.engine_config import EngineConfig

HERE = ["heavy", "full", "lite"]
SECONDS = {"heavy": 0.040, "full": 0.012, "lite": 0.004}


class TimedFollower:
    """A network of its name, which takes as long as SECONDS say."""

    opened: ClassVar[list[str]] = []

    def __init__(self, engine: EngineConfig, network: CropNetwork) -> None:
        self.network, self.beyond, self.closed = network.landmarks, network.beyond, False
        self.is_heavy = self.network.stem == "heavy"
        self.opened.append(self.network.stem)

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TimedFollower, "opened", [])
    monkeypatch.setattr(landmark_choice, "NetworkFollower", TimedFollower)
    monkeypatch.setattr(landmark_choice, "installed_landmarks", lambda: HERE)
    monkeypatch.setattr(landmark_choice, "landmark_network_file", lambda name="full": Path(f"{name}.tflite"))
    monkeypatch.setattr(landmark_choice, "_seconds", lambda follower: SECONDS[follower.network.stem])


def chosen(config: DetectConfig) -> str:
    follower = landmark_choice.open_follower(config, EngineConfig(), landmarks_alone)
    assert isinstance(follower, TimedFollower) and not follower.closed
    return follower.network.stem


def test_files_take_the_best_without_measuring() -> None:
    assert chosen(DetectConfig()) == "heavy"
    assert TimedFollower.opened == ["heavy"]


@pytest.mark.parametrize(("pace", "expected"), [(5.0, "heavy"), (20.0, "full"), (60.0, "lite"), (500.0, "lite")])
def test_live_takes_the_best_that_keeps_the_pace(pace: float, expected: str) -> None:
    assert chosen(DetectConfig(punctual=False, pace=pace)) == expected


def test_live_does_not_wait_for_a_network_that_will_hardly_do() -> None:
    assert chosen(DetectConfig(punctual=False, pace=20.0)) == "full"
    assert TimedFollower.opened == ["lite", "full"]


def test_what_is_asked_for_is_taken() -> None:
    assert chosen(DetectConfig(punctual=False, landmarks="heavy")) == "heavy"
    assert TimedFollower.opened == ["heavy"]


@pytest.mark.parametrize(("following", "finding"), [("heavy", "full"), ("full", "full"), ("lite", "lite")])
def test_the_full_network_finds_whom_the_heavy_one_follows(following: str, finding: str) -> None:
    follower = landmark_choice.open_follower(DetectConfig(landmarks=following), EngineConfig(), landmarks_alone)
    finder = landmark_choice.open_finder(follower, EngineConfig())
    assert finder.network.stem == finding
    assert (finder is follower) == (finding == following)


def test_the_finder_tells_what_the_pictures_networks_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crop_network, "landmark_network_file", landmark_choice.landmark_network_file)
    follower = landmark_choice.open_follower(DetectConfig(), EngineConfig(), landmarks_alone)
    finder = landmark_choice.open_finder(follower, EngineConfig())
    assert isinstance(finder, TimedFollower) and set(FEATURES) <= set(finder.beyond)
