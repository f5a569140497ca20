"""How hands are turned, which a crop of the whole person hardly shows: MediaPipe's hand network sees each in its own.

It is believed where it is sure that the crop shows a hand, and the left or the right one as it should: elsewhere it
tells anything. Where fingers begin in the picture the landmark network tells as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
from tracker.core.detection import TrackedDetection
from tracker.core.errors import RunError
from tracker.core.frame import Frame
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
class _View:
    """A hand of somebody in a frame, and the crop that it fills."""

    person_id: int
    hand: _Hand
    T_frame_crop: Array

    @property
    def key(self) -> tuple[int, str]:
        return self.person_id, self.hand.side


@dataclass(frozen=True)
class _Reading:
    """What the network has made of a hand."""

    time: float
    """s, of its frame."""
    axes: Array | None
    """`palm_axes` along the crop's axes; None where it was not sure. As the crop is turned with the hand, they hold for
    the frames that follow, too, but for what the hand turns about the way it points in, or towards the camera."""


class HandReader:
    """The hand network in an engine, for one frame after the other."""

    def __init__(self, engine: Engine, seconds: float = 0.0) -> None:
        """seconds: for which what was seen of a hand is kept before it is looked at again."""
        self._engine, self._seconds = engine, seconds
        self._readings: dict[tuple[int, str], _Reading] = {}

    @classmethod
    def open_if_here(cls, config: EngineConfig, seconds: float) -> HandReader | None:
        """None without mediapipe's file. Raises InputError for another network, RunError when no engine runs it."""
        file = hand_network_file()
        if file is None:
            return None
        options = config.options_for_people(tuple(OUTPUTS), config.precision)
        try:
            return cls(open_engine(hand_model(file), config.backend, options), seconds)
        except (ModelError, BackendError) as error:
            raise RunError(f"the hand network does not start: {error}") from error

    def close(self) -> None:
        """Frees the engine."""
        self._engine.close()

    def forget(self) -> None:
        """Every hand is looked at in the next frame."""
        self._readings = {}

    def read(self, frame: Frame, people: Sequence[TrackedDetection], camera: Camera) -> list[TrackedDetection]:
        """The people of a frame with their `palms` in the camera's frame, of hands that are large, visible and plain.
        Frames come in the order of their time. Raises RunError when the engine fails."""
        views = [view for each in people for view in _views(each)]
        fresh = {key: each for key, each in self._readings.items() if 0 <= frame.time - each.time < self._seconds}
        self._readings = fresh | self._looked_at(frame, [view for view in views if view.key not in fresh])
        readings = ((view, self._readings[view.key].axes) for view in views)
        palms = {view.key: _palm(axes, view, camera) for view, axes in readings if axes is not None}
        return [_with_palms(each, palms) for each in people]

    def _looked_at(self, frame: Frame, views: Sequence[_View]) -> dict[tuple[int, str], _Reading]:
        crops = [warp_crop(frame.image, view.T_frame_crop, SIDE, SIDE) for view in views]
        try:
            answers = self._engine.run_each([{INPUT: crop[None]} for crop in crops])
        except BackendError as error:
            raise RunError(f"the hand network failed: {error}") from error
        return {
            view.key: _Reading(frame.time, _axes(view.hand, {name: value[0] for name, value in answer.items()}))
            for view, answer in zip(views, answers, strict=True)
        }


def _views(person: TrackedDetection) -> list[_View]:
    """The hands of somebody that are worth a look, and of which the detector has not said how they are turned."""
    detection, views = person.detection, []
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
        T_frame_crop = crop_transform(box, SIDE, SIDE, math.atan2(ahead[0], -ahead[1]))
        views.append(_View(person.person_id, hand, T_frame_crop))
    return views


def _axes(hand: _Hand, outputs: dict[str, NDArray[Any]]) -> Array | None:
    """`palm_axes` along those of the crop, where the network is sure."""
    right = float(outputs["right"].item())
    as_expected = right if hand.side == "right" else 1 - right
    if float(outputs["presence"].item()) < _SURE or as_expected < _SURE:
        return None
    return palm_axes(*outputs["metric"][[WRIST, INDEX, PINKY]].astype(float))


def _palm(axes: Array, view: _View, camera: Camera) -> Array:
    """The axes (3, 3) in the camera's frame."""
    R_frame_crop = np.eye(3)
    R_frame_crop[:2, :2] = view.T_frame_crop[:, :2] / affine_scale(view.T_frame_crop)
    # the network tells what a camera would see that looks straight at the crop
    middle = apply_affine(view.T_frame_crop, np.full(2, SIDE / 2))
    R_camera_frame = rotation_between(_STRAIGHT, camera.rays(middle[None])[0])
    return R_camera_frame @ R_frame_crop @ axes


def _with_palms(person: TrackedDetection, palms: Mapping[tuple[int, str], Array]) -> TrackedDetection:
    """The person with those of these palms that are theirs."""
    own = {side: axes for (person_id, side), axes in palms.items() if person_id == person.person_id}
    if not own:
        return person
    detection = person.detection
    return replace(person, detection=replace(detection, palms=replace(detection.palms, **own)))
