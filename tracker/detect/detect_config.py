"""How people are looked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tracker.core.errors import InputError, require_between

_MOST_PEOPLE, _MOST_LOOKS = 1000, 1000
"""More would take minutes a frame."""


@dataclass(frozen=True)
class DetectConfig:
    """How people are looked for. Confidences are in 0..1."""

    max_people: int = 4
    """People tracked at once at most."""
    landmarks: str = "auto"
    """The landmark network: heavy, full, lite, or a .tflite or .task file. auto is the largest one here (`models
    list`); where frames are not waited for, as live, the largest one that keeps the pace, which is measured."""
    pace: float = 30.0
    """Frames a second that auto's network has to keep up with."""
    task_file: Path | None = None
    """A MediaPipe pose landmarker bundle (.task) whose person detector finds people; null is the one in MediaPipe's
    wheel."""
    min_detection: float = 0.5
    """Detections of MediaPipe's person detector with less confidence are dropped."""
    min_presence: float = 0.5
    """Landmarks of MediaPipe's landmark network with less confidence are dropped."""
    min_tracking: float = 0.5
    """The landmark network's confidence below which somebody who is followed is lost."""
    second_looks: int = 2
    """At most so many crops around tracked people in which the person detector is run when it has missed them in the
    whole frame. A person found in one beside other people is confirmed by one more run."""
    look_seconds: float = 0.25
    """s between two runs of the person detector over the whole frame while everybody is tracked; 0: every frame."""
    look_delay: float = 0.2
    """s of the video after which the person detector's result is used, so that it can run beside tracking; 0: at once,
    and tracking waits for it. For somebody who was lost tracking waits for at most 50 ms."""
    punctual: bool = True
    """The person detector's result is used exactly look_delay later, and waited for: a file always gives the same
    result. False: as soon as it is there, and the detector runs a quarter of the time at most, as cameras need
    it, and a seventh while everybody is there."""
    search_seconds: float = 0.5
    """s between two runs of the person detector over one part of the frame, for new people; infinity: never."""

    def __post_init__(self) -> None:
        require_between(self, ("max_people",), 1, _MOST_PEOPLE, "detect.")
        require_between(self, ("second_looks",), 0, _MOST_LOOKS, "detect.")
        for name in ("min_detection", "min_presence", "min_tracking"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name}: expected a confidence in 0..1, got {getattr(self, name)}")
        if not self.pace > 0:
            raise InputError(f"pace: expected frames a second, more than 0, got {self.pace}")
        for name in ("look_seconds", "look_delay"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name}: expected 0 or more seconds, got {getattr(self, name)}")
        if not self.search_seconds > 0:
            raise InputError(f"search_seconds: expected a positive number of seconds, got {self.search_seconds}")
