"""What is known beforehand of the world around the camera, and which frame files are in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tracker.core.errors import InputError

FileFrame = Literal["world", "camera"]


@dataclass(frozen=True)
class WorldConfig:
    """What is known beforehand of the world around the camera, and which frame files are in."""

    frame: FileFrame = "world"
    """Of the files: world (y up, floor at 0) or camera (x right, y down, z forward)."""
    pitch: float | None = None
    """Degrees by which the camera looks down; the camera is then taken to be level from left to right. null: told from
    the people."""
    camera_height: float | None = None
    """m over the floor. null: told from the people's feet."""
    lock_feet: bool = True
    """Files that are smoothed both ways in time: planted feet neither slide nor leave the floor."""

    def __post_init__(self) -> None:
        if self.frame not in ("world", "camera"):
            raise InputError(f"--frame {self.frame}: expected world or camera")
        if self.pitch is not None and not (math.isfinite(self.pitch) and -90 <= self.pitch <= 90):
            raise InputError(f"--pitch {self.pitch}: expected degrees between -90 and 90, such as 10 for a bit down")
        if self.camera_height is not None and not (math.isfinite(self.camera_height) and 0 < self.camera_height < 100):
            raise InputError(f"--camera-height {self.camera_height}: expected metres over the floor, such as 1.5")
