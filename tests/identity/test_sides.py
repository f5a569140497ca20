"""Left and right over time: slips of the detector are undone, people who turn round are left alone."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import pytest

from tests.people_scene import TEMPLATE
from tracker.body.landmark_set import MEDIAPIPE
from tracker.core.detection import Detection, TrackedDetection
from tracker.core.frame import Frame
from tracker.identity import LookBack, LookBackLimits, SeenFrame
from tracker.identity.identity import Reappearance
from tracker.identity.sides import SideKeeper, Sighting, turned_about

IMAGE = np.zeros((48, 64, 3), np.uint8)
HEIGHT = 1.7
FORWARD = {"nose": 0.12, "foot_index": 0.15, "wrist": 0.1, "index": 0.12, "knee": 0.04}
"""m, in front of the trunk."""
Yaw = Callable[[float], float]
"""s → rad: which way somebody looks; 0 is into the camera."""


class Blind:
    """Sees nobody new, and knows no one."""

    def detect_near(self, frame: Frame, near: Detection, others: Collection[Detection]) -> Detection | None:
        return None

    def rejoined(self, back: Reappearance, present: Collection[int]) -> int | None:
        return None


def somebody(yaw: float, noise: np.random.Generator) -> Detection:
    """Somebody who stands, seen as they are."""
    ahead = np.array([next((z for part, z in FORWARD.items() if part in name), 0.0) for name in MEDIAPIPE.names])
    points = np.column_stack([TEMPLATE * HEIGHT, -ahead]) - [0.0, 0.5 * HEIGHT, 0.0]
    cosine, sine = np.cos(yaw), np.sin(yaw)
    points = points @ np.array([[cosine, 0.0, -sine], [0.0, 1.0, 0.0], [sine, 0.0, cosine]])
    points += noise.normal(scale=0.02, size=points.shape)
    return Detection(200 * points[:, :2] + [320.0, 240.0], points, np.ones(len(points)))


def sequence(yaw: Yaw, rate: float, slips: Collection[int], seconds: float = 5.0) -> tuple[list[Detection], ...]:
    """What is true, and what a detector says that takes the front for the back in these frames."""
    noise = np.random.default_rng(0)
    true = [somebody(yaw(index / rate), noise) for index in range(round(seconds * rate))]
    return true, [turned_about(each) if index in slips else each for index, each in enumerate(true)]


def corrected(seen: list[Detection], rate: float) -> list[Detection]:
    """As recordings are."""
    frames = [SeenFrame(Frame(i, i / rate, IMAGE), [TrackedDetection(0, each)]) for i, each in enumerate(seen)]
    looking: LookBack[SeenFrame] = LookBack(Blind(), Blind(), LookBackLimits(3.0, 4, 0.4))
    return [frame.people[0].detection for frame in looking.through(frames)]


def wrong(found: list[Detection], true: list[Detection]) -> list[int]:
    """Frames in which somebody is the wrong way round."""
    return [i for i, (f, t) in enumerate(zip(found, true, strict=True)) if (f.landmarks2d != t.landmarks2d).any()]


@pytest.mark.parametrize("rate", [10.0, 30.0])
@pytest.mark.parametrize("side", [0.0, 0.6], ids=["from the front", "half from the side"])
@pytest.mark.parametrize(("first", "last"), [(0.0, 0.6), (2.0, 2.2), (1.5, 2.7)], ids=["first", "short", "long"])
def test_a_slip_is_undone(rate: float, side: float, first: float, last: float) -> None:
    slips = range(round(first * rate), round(last * rate))
    true, seen = sequence(lambda time: side + 0.3 * np.sin(time), rate, slips)
    assert wrong(seen, true) == list(slips)
    assert wrong(corrected(seen, rate), true) == []


@pytest.mark.parametrize("rate", [10.0, 30.0])
def test_who_turns_round_is_left_alone(rate: float) -> None:
    true, seen = sequence(lambda time: np.pi * np.clip((time - 2) / 0.8, 0, 1), rate, ())
    assert wrong(corrected(seen, rate), true) == []


def test_who_was_not_seen_to_turn_is_as_the_detector_says() -> None:
    """They have turned round behind something."""
    keeper, noise = SideKeeper(), np.random.default_rng(0)
    before, after = somebody(0.0, noise), somebody(np.pi, noise)
    assert keeper.settled(TrackedDetection(0, before), 0.0, [Sighting.of(1.0, after)]).detection is before
    assert keeper.settled(TrackedDetection(0, after), 1.0, []).detection is after


def test_a_detector_that_insists_is_believed() -> None:
    rate = 10.0
    true, seen = sequence(lambda time: 0.0, rate, range(30, 100), seconds=10.0)
    assert wrong(corrected(seen, rate), true) == list(range(30, 100))


def test_turning_about_twice_changes_nothing() -> None:
    seen = somebody(0.7, np.random.default_rng(0))
    again = turned_about(turned_about(seen))
    np.testing.assert_array_equal(again.landmarks2d, seen.landmarks2d)
    np.testing.assert_array_equal(again.landmarks3d, seen.landmarks3d)
    nose = MEDIAPIPE.index("nose")
    assert turned_about(seen).landmarks3d[nose, 2] == -seen.landmarks3d[nose, 2]
