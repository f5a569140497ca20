"""How people are looked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tracker.core.errors import InputError


@dataclass(frozen=True)
class DetectConfig:
    """How people are looked for. Confidences are in 0..1."""

    max_people: int = 4
    """People tracked at once at most."""
    landmarks: str = "full"
    """The landmark network: heavy, full, lite, or a .tflite or .task file. auto is the largest one here (`models
    list`); where frames are not waited for, as live, the largest one that keeps the pace, which is measured."""
    pace: float = 30.0
    """Frames a second that auto's network has to keep up with."""
    task_file: Path | None = None
    """A MediaPipe pose landmarker bundle to find people with; null is made of MediaPipe's person detector and the
    landmark network."""
    min_detection: float = 0.5
    """MediaPipe's confidence below which its person detector has found nobody."""
    min_presence: float = 0.5
    """MediaPipe's confidence below which its landmarks are nobody's."""
    min_tracking: float = 0.5
    """The landmark network's confidence below which somebody who is followed is lost."""
    second_looks: int = 2
    """At most so many closer looks a time for tracked people whom the look at the whole frame did not find. What one
    sees beside other people is confirmed by one more."""
    look_seconds: float = 0.5
    """The whole frame is looked at so often while all whom we know are followed; 0: every frame."""
    look_delay: float = 0.2
    """s of the video after which what was found takes effect, so that looking goes on beside the following; 0: at once,
    and the following waits. Nobody waits for the search for somebody lost for more than a twentieth of a second."""
    punctual: bool = True
    """What was found takes effect exactly look_delay later, and is waited for: a file always gives the same result.
    False: as soon as it is there, and no more than a quarter of the time is spent looking, as cameras need it."""
    search_seconds: float = 0.5
    """One piece of the frame is searched for people not known yet so often; infinity: never."""

    def __post_init__(self) -> None:
        if self.max_people < 1:
            raise InputError(f"max_people: expected 1 or more, got {self.max_people}")
        for name in ("min_detection", "min_presence", "min_tracking"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name}: expected a confidence in 0..1, got {getattr(self, name)}")
        if not self.pace > 0:
            raise InputError(f"pace: expected frames a second, more than 0, got {self.pace}")
        if self.second_looks < 0:
            raise InputError(f"second_looks: expected 0 or more, got {self.second_looks}")
        for name in ("look_seconds", "look_delay"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name}: expected 0 or more seconds, got {getattr(self, name)}")
        if not self.search_seconds > 0:
            raise InputError(f"search_seconds: expected a positive number of seconds, got {self.search_seconds}")
