"""What the tracker asks of whatever finds people in frames; any class that does this fits `Tracker.open`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tracker.core.arrays import Array
from tracker.core.detection import Detection
from tracker.core.frame import Frame


class Detector(Protocol):
    """Finds people's landmarks, frame after frame.

    Where its landmarks are others than MediaPipe's, `LandmarkSet.detection` arranges them.
    """

    @property
    def engine(self) -> str:
        """What runs its network, with the version; for the record."""
        ...

    @property
    def device(self) -> str:
        """What that runs on."""
        ...

    def detect(self, frame: Frame, predicted: Sequence[Array] = ()) -> list[Detection]:
        """The people in the frame, each once, in any order. Frames come in the order of their time.

        predicted: (4,) xyxy px boxes where the people who are tracked should be.
        """
        ...

    def forget(self) -> None:
        """The frames that come have nothing to do with those before."""

    def close(self) -> None:
        """Frees what it holds; it is not used afterwards."""
