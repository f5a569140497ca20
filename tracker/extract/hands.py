"""How hands are turned, which a crop of the whole person hardly shows: MediaPipe's hand network sees each in its own.

It is believed where it is sure that the crop shows a hand, and the left or the right one as it should: elsewhere it
tells anything. Where fingers begin in the picture the landmark network tells as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines import BackendError, Engine, ModelError, open_engine
from tracker.body.landmark_set import MEDIAPIPE
from tracker.core.affine import affine_scale, apply_affine
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.crop import crop_transform, warp_crop
from tracker.core.detection import Detection
from tracker.core.errors import RunError
from tracker.core.geometry import rotation_between
from tracker.core.palms import palm_axes
from tracker.networks.hand_network import (
    INDEX,
    INPUT,
    OUTPUTS,
    PINKY,
    SIDE,
    WRIST,
    hand_model,
    hand_network_file,
)
from tracker.runtime.engine_config import EngineConfig

_REGION_SIDE = 4.2
"""Side of a hand's crop over the way from its wrist to where its middle finger begins; 3.2 to 5.4 do as well."""
_REGION_AHEAD = 0.08
"""Of that side, by which the crop's middle lies beyond where the middle finger begins."""
_SMALLEST = 12.0
"""px from the wrist to where the middle finger begins, in the frame."""
_VISIBLE = 0.5
_SURE = 0.85
"""How likely the network must take it for a hand, and for a left or right one as it is. On the demo's clip palms face
30° elsewhere from 0.7, every tenth by more than 60°; from here 20°, every hundredth."""
_STRAIGHT = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class _Hand:
    """A hand of a detection."""

    side: str
    wrist: int
    pinky: int
    index: int
    """Landmarks' numbers."""

    @classmethod
    def of(cls, side: str) -> _Hand:
        return cls(side, *(MEDIAPIPE.index(f"{side}_{name}") for name in ("wrist", "pinky", "index")))


_HANDS = (_Hand.of("left"), _Hand.of("right"))


@dataclass(frozen=True)
class _Look:
    """At one hand of one of several detections."""

    person: int
    hand: _Hand
    T_frame_crop: Array


class HandReader:
    """The hand network in an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open_if_here(cls, config: EngineConfig) -> HandReader | None:
        """None without mediapipe's file. Raises InputError for another network, RunError when no engine runs it."""
        file = hand_network_file()
        if file is None:
            return None
        options = config.options_for_people(tuple(OUTPUTS), config.precision)
        try:
            return cls(open_engine(hand_model(file), config.backend, options))
        except (ModelError, BackendError) as error:
            raise RunError(f"the hand network does not start: {error}") from error

    def close(self) -> None:
        """Frees the engine."""
        self._engine.close()

    def read(self, image: NDArray[np.uint8], detections: Sequence[Detection], camera: Camera) -> list[Detection]:
        """The people of an (h, w, 3) RGB frame with their `palms` in the camera's frame, of hands that are large,
        visible and plain. Raises RunError when the engine fails."""
        looks = [look for person, each in enumerate(detections) for look in _looks(person, each)]
        crops = [warp_crop(image, look.T_frame_crop, SIDE, SIDE) for look in looks]
        try:
            answers = self._engine.run_each([{INPUT: crop[None]} for crop in crops])
        except BackendError as error:
            raise RunError(f"the hand network failed: {error}") from error
        people = list(detections)
        for look, answer in zip(looks, answers, strict=True):
            outputs = {name: value[0] for name, value in answer.items()}
            if _is_sure(look.hand, outputs):
                people[look.person] = _with_hand(people[look.person], look, outputs, camera)
        return people


def _looks(person: int, detection: Detection) -> list[_Look]:
    """At the hands of a detection that are worth it, and of which the detector has not said how they are turned."""
    looks = []
    for hand in _HANDS:
        points = [hand.wrist, hand.pinky, hand.index]
        if detection.visibility[points].min() < _VISIBLE or getattr(detection.palms, hand.side) is not None:
            continue
        wrist, pinky, index = detection.landmarks2d[points]
        ahead = (2 * index + pinky) / 3 - wrist
        length = float(np.linalg.norm(ahead))
        if length < _SMALLEST:
            continue
        half = _REGION_SIDE * length / 2
        middle = wrist + (1 + _REGION_AHEAD * _REGION_SIDE) * ahead
        box = np.concatenate([middle - half, middle + half])
        looks.append(_Look(person, hand, crop_transform(box, SIDE, SIDE, math.atan2(ahead[0], -ahead[1]))))
    return looks


def _is_sure(hand: _Hand, outputs: dict[str, NDArray[Any]]) -> bool:
    right = float(outputs["right"].item())
    as_said = right if hand.side == "right" else 1 - right
    return float(outputs["presence"].item()) >= _SURE and as_said >= _SURE


def _with_hand(detection: Detection, look: _Look, outputs: dict[str, NDArray[Any]], camera: Camera) -> Detection:
    R_frame_crop = np.eye(3)
    R_frame_crop[:2, :2] = look.T_frame_crop[:, :2] / affine_scale(look.T_frame_crop)
    # the network tells what a camera would see that looks straight at the crop
    middle = apply_affine(look.T_frame_crop, np.full(2, SIDE / 2))
    R_camera_frame = rotation_between(_STRAIGHT, camera.rays(middle[None])[0])
    axes = palm_axes(*outputs["metric"][[WRIST, INDEX, PINKY]].astype(float))
    palms = replace(detection.palms, **{look.hand.side: R_camera_frame @ R_frame_crop @ axes})
    return replace(detection, palms=palms)
