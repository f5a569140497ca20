"""What is known beforehand of the world around the camera, and which frame files are in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tracker.core.errors import InputError
from tracker.world.camera_pose import read_camera_pose
from tracker.world.world_frame import WorldFrame

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
    calibration: Path | None = None
    """A file with the camera's pose in the world, which the files are in then; --intrinsics sets it where its file has
    one. null: told from the people."""
    lock_feet: bool = True
    """Planted feet do not slide, live and in files; in files that are smoothed both ways in time they do not leave the
    floor either."""

    def __post_init__(self) -> None:
        if self.frame not in ("world", "camera"):
            raise InputError(f"--frame {self.frame}: expected world or camera")
        if self.pitch is not None and not (math.isfinite(self.pitch) and -90 <= self.pitch <= 90):
            raise InputError(f"--pitch {self.pitch}: expected degrees between -90 and 90, such as 10 for a bit down")
        if self.camera_height is not None and not (math.isfinite(self.camera_height) and 0 < self.camera_height < 100):
            raise InputError(f"--camera-height {self.camera_height}: expected metres over the floor, such as 1.5")
        if self.calibration is not None and (self.pitch is not None or self.camera_height is not None):
            raise InputError(
                f"--intrinsics {self.calibration}: has the camera's pose; leave out --pitch and --camera-height, or "
                "the pose in the file"
            )

    @property
    def calibrated(self) -> WorldFrame | None:
        """The world of the calibration. Raises InputError where its file says nothing of it."""
        return None if self.calibration is None else read_camera_pose(self.calibration)
