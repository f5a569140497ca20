"""Hands are looked at where it is worth it, believed where the network is sure, and told in the camera's frame."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engines import Engine, TensorSpec
from tracker.body.landmark_set import MEDIAPIPE
from tracker.core.affine import apply_affine
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.detection import Detection, TrackedDetection
from tracker.core.frame import Frame
from tracker.core.geometry import axis_angle_from_matrix, matrix_from_axis_angle, rotation_between
from tracker.core.palms import Palms, palm_axes
from tracker.extract.hands import HandReader, _views
from tracker.networks.hand_network import INDEX, INPUT, OUTPUTS, PINKY, POINTS, SIDE, WRIST

CAMERA = Camera.from_focal(900.0, 1280, 720)
IMAGE = np.zeros((720, 1280, 3), np.uint8)
PALM = {WRIST: np.zeros(3), INDEX: np.array([0.02, -0.09, 0.01]), PINKY: np.array([-0.03, -0.08, -0.01])}
LEFT_HAND, RIGHT_HAND = (
    [MEDIAPIPE.index(f"{side}_{name}") for name in ("wrist", "pinky", "index")] for side in ("left", "right")
)


class ToldHands(Engine):
    """Tells the same of every crop."""

    def __init__(self, **told: float) -> None:
        single = np.dtype(np.float32)
        specs = [TensorSpec(name, (1, *size), single) for name, size in OUTPUTS.items()]
        super().__init__([TensorSpec(INPUT, (1, SIDE, SIDE, 3), np.dtype(np.uint8))], specs, {})
        self._told = {"presence": 0.9, "right": 0.05} | told
        self.crops = 0

    def _run(self, inputs: Any) -> dict[str, Any]:
        self.crops += 1
        metric = np.zeros((1, POINTS, 3), np.float32)
        for number, place in PALM.items():
            metric[0, number] = place
        numbers = {name: np.full((1, 1), value, np.float32) for name, value in self._told.items()}
        return {"points": np.zeros((1, POINTS, 3), np.float32), "metric": metric, **numbers}


def detection(wrist: tuple[float, float], length: float = 60.0, turn: float = 0.0) -> Detection:
    """Somebody whose left hand points up from its wrist, turned clockwise; the right one is not visible."""
    pixels, visibility = np.full((33, 2), 300.0), np.ones(33)
    visibility[RIGHT_HAND] = 0.0
    up = length * np.array([np.sin(turn), -np.cos(turn)])
    pixels[LEFT_HAND] = np.array(wrist) + np.array([[0.0, 0.0], up, up])
    return Detection(pixels, np.zeros((33, 3)), visibility)


def read(engine: ToldHands, *people: Detection) -> list[Detection]:
    return read_at(HandReader(engine), 0.0, *people)


def read_at(reader: HandReader, time: float, *people: Detection) -> list[Detection]:
    tracked = [TrackedDetection(number, each) for number, each in enumerate(people)]
    return [each.detection for each in reader.read(Frame(0, time, IMAGE), tracked, CAMERA)]


def crop_of(person: Detection) -> Array:
    """T_frame_crop of the one hand that is looked at."""
    (view,) = _views(TrackedDetection(0, person))
    return view.T_frame_crop


def expected_palm(person: Detection, turn: float) -> Array:
    """PALM in the camera's frame, where the hand points up, turned clockwise."""
    middle = apply_affine(crop_of(person), np.full(2, SIDE / 2))
    towards = rotation_between(np.array([0.0, 0, 1]), CAMERA.rays(middle[None])[0])
    clockwise = matrix_from_axis_angle(np.array([0.0, 0, turn]))
    return towards @ clockwise @ palm_axes(PALM[WRIST], PALM[INDEX], PALM[PINKY])


def apart(first: Array | None, second: Array) -> float:
    """rad"""
    assert first is not None
    return float(np.linalg.norm(axis_angle_from_matrix(first.T @ second)))


def test_a_plain_hand_is_told_in_the_cameras_frame() -> None:
    (seen,) = read(ToldHands(), detection((200.0, 500.0), turn=0.7))
    assert seen.palms.left is not None and seen.palms.right is None
    assert apart(seen.palms.left, expected_palm(detection((200.0, 500.0), turn=0.7), 0.7)) < 1e-5


def test_the_crop_holds_the_hand_upright() -> None:
    back = np.linalg.inv(np.vstack([crop_of(detection((640.0, 360.0), 50.0, 2.1)), [0, 0, 1]]))
    wrist, knuckle = (back @ [*p, 1] for p in ((640.0, 360.0), (640 + 50 * np.sin(2.1), 360 - 50 * np.cos(2.1))))
    assert wrist[0] == pytest.approx(SIDE / 2) and knuckle[0] == pytest.approx(SIDE / 2)
    assert 0.5 * SIDE < knuckle[1] < wrist[1] < 0.9 * SIDE


@pytest.mark.parametrize("told", [{"presence": 0.5}, {"right": 0.6}])
def test_what_is_unsure_or_the_other_hand_is_not_believed(told: dict[str, float]) -> None:
    before = detection((200.0, 500.0))
    (seen,) = read(ToldHands(**told), before)
    assert seen is before


def test_small_and_hidden_hands_are_not_looked_at() -> None:
    plain = detection((640.0, 360.0))
    hidden = replace(plain, visibility=np.zeros(33))
    fingerless = replace(plain, visibility=np.where(np.arange(33) == LEFT_HAND[2], 0.0, plain.visibility))
    engine = ToldHands()
    seen = read(engine, detection((640.0, 360.0), length=8.0), hidden, fingerless, plain)
    assert engine.crops == 1
    assert [each.palms.left is not None for each in seen] == [False, False, False, True]
    np.testing.assert_array_equal(seen[3].landmarks2d, plain.landmarks2d)


def test_what_a_detector_says_of_a_hand_stays() -> None:
    engine = ToldHands()
    before = replace(detection((640.0, 360.0)), palms=Palms(left=np.eye(3)))
    (after,) = read(engine, before)
    assert after is before and engine.crops == 0


def test_nobody_has_no_hands() -> None:
    engine = ToldHands()
    assert read(engine) == [] and engine.crops == 0


def test_a_hand_is_looked_at_again_when_its_reading_is_old() -> None:
    engine = ToldHands()
    reader, person = HandReader(engine, seconds=0.045), detection((640.0, 360.0))
    looked_at = []
    for time in (0.0, 0.04, 0.08, 0.12, 0.5):
        read_at(reader, time, person)
        looked_at.append(engine.crops)
    assert looked_at == [1, 1, 2, 2, 3]


def test_what_is_kept_of_a_hand_turns_with_it() -> None:
    engine = ToldHands()
    reader, turned = HandReader(engine, seconds=0.1), detection((220.0, 480.0), turn=0.7)
    read_at(reader, 0.0, detection((200.0, 500.0)))
    (seen,) = read_at(reader, 0.04, turned)
    assert engine.crops == 1
    assert apart(seen.palms.left, expected_palm(turned, 0.7)) < 1e-5


def test_each_persons_hands_are_their_own() -> None:
    engine = ToldHands()
    reader = HandReader(engine, seconds=0.1)
    first, second = detection((200.0, 500.0)), detection((900.0, 500.0))
    read_at(reader, 0.0, first)
    seen = read_at(reader, 0.04, first, second)
    assert engine.crops == 2
    assert apart(seen[1].palms.left, expected_palm(second, 0.0)) < 1e-5


def test_a_hand_of_which_the_network_was_unsure_has_no_palm_until_it_is_looked_at_again() -> None:
    engine = ToldHands(presence=0.5)
    reader, person = HandReader(engine, seconds=0.1), detection((640.0, 360.0))
    for time in (0.0, 0.04):
        (seen,) = read_at(reader, time, person)
        assert seen.palms.left is None
    assert engine.crops == 1


def test_a_reader_that_forgets_looks_at_once() -> None:
    engine = ToldHands()
    reader, person = HandReader(engine, seconds=0.1), detection((640.0, 360.0))
    read_at(reader, 0.0, person)
    reader.forget()
    read_at(reader, 0.0, person)
    assert engine.crops == 2
