"""A few small pictures of a run, evenly over its time, for its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.body.smpl_joints import SKELETON_EDGES
from tracker.core.frame import Frame
from tracker.core.person import Person

_MOST = 24
"""Pictures kept; when there are more, every second one goes."""
_SECONDS = 0.5
"""Between the first pictures."""
_WIDTH = 320
"""px"""
_QUALITY = 80
_COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233))


@dataclass(frozen=True)
class Snapshot:
    """One small picture."""

    time: float
    """s"""
    jpeg: bytes


class ContactSheet:
    """Is shown the frames of a run in order and keeps a few of them, with the people's skeletons drawn."""

    def __init__(self) -> None:
        self._kept: list[Snapshot] = []
        self._interval = _SECONDS
        self._next = -np.inf

    def show(self, frame: Frame, people: Sequence[Person]) -> None:
        """people: those of this frame, in its pixels."""
        if frame.time < self._next:
            return
        self._next = frame.time + self._interval
        self._kept.append(Snapshot(frame.time, _drawn(frame, people)))
        if len(self._kept) > _MOST:
            self._kept = self._kept[::2]
            self._interval *= 2

    def pictures(self) -> list[Snapshot]:
        """Evenly over what was shown."""
        return list(self._kept)


def _drawn(frame: Frame, people: Sequence[Person]) -> bytes:
    width, height = frame.size
    scale = min(1.0, _WIDTH / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = np.array(cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA), np.uint8)
    for person in people:
        _draw_skeleton(picture, scale * np.asarray(person.joints2d, float), _COLOURS[person.person_id % len(_COLOURS)])
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert done, "OpenCV encodes any picture as JPEG"
    return data.tobytes()


def _draw_skeleton(picture: NDArray[np.uint8], joints: NDArray[np.floating], colour: tuple[int, int, int]) -> None:
    places = np.clip(np.nan_to_num(joints), -4 * _WIDTH, 8 * _WIDTH)
    for parent, joint in SKELETON_EDGES:
        ends = [(round(float(x)), round(float(y))) for x, y in (places[parent], places[joint])]
        cv2.line(picture, ends[0], ends[1], colour, 2, cv2.LINE_AA)
