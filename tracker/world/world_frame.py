"""The world's frame: y up, metres, the floor at y = 0, and how it lies to the camera that watches it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.core.arrays import Array, require_shape
from tracker.core.transforms import is_rigid

WORLD_SYSTEM = "world: y up, floor at y = 0; metres"
CAMERA_SYSTEM = "camera: x right, y down, z forward (OpenCV); metres"
T_YUP_CAMERA = np.diag([1.0, -1.0, -1.0, 1.0])
"""Half a turn about x: from the camera's frame to x right, y up, z towards the viewer, the same origin."""


@dataclass(frozen=True, eq=False)
class WorldFrame:
    """A camera that stands still over a floor."""

    T_world_camera: Array
    """(4, 4): from the camera's frame (x right, y down, z forward) to the world's."""

    def __post_init__(self) -> None:
        require_shape("WorldFrame.T_world_camera", self.T_world_camera, (4, 4))
        if not is_rigid(self.T_world_camera):
            raise ValueError(f"T_world_camera is no rigid motion: {self.T_world_camera.round(3).tolist()!s:.100}")

    @classmethod
    def of_floor(cls, up: Array, camera_height: float, first: Array) -> WorldFrame:
        """up: (3,) unit, against gravity, in the camera's frame; camera_height: m over the floor.

        The origin lies on the floor under `first` (3,) m, camera frame. z is level, against the line of sight; under a
        camera that looks straight down, downwards in the picture.
        """
        forward = np.array([0.0, 0.0, 1.0])
        level = forward - (forward @ up) * up
        if np.linalg.norm(level) < 1e-3:
            level = np.array([0.0, -1.0, 0.0]) - (-up[1]) * up
        z = -level / np.linalg.norm(level)
        rotation = np.stack([np.cross(up, z), up, z])
        transform = np.eye(4)
        transform[:3, :3] = rotation
        under = rotation @ first
        transform[:3, 3] = [-under[0], camera_height, -under[2]]
        return cls(transform)

    def turned(self, R_here_there: Array) -> WorldFrame:
        """The same world around a camera at the same place that is held in another way."""
        transform = self.T_world_camera.copy()
        transform[:3, :3] = transform[:3, :3] @ R_here_there
        return WorldFrame(transform)

    @property
    def up(self) -> Array:
        """(3,) unit, in the camera's frame."""
        return self.T_world_camera[1, :3]

    @property
    def camera_height(self) -> float:
        """m over the floor."""
        return float(self.T_world_camera[1, 3])

    @property
    def pitch(self) -> float:
        """rad by which the camera looks down."""
        return float(np.arcsin(np.clip(-self.up[2], -1.0, 1.0)))

    def heights(self, points: Array) -> Array:
        """(..., 3) m, camera frame → (...) m over the floor."""
        return points @ self.up + self.camera_height

    def to_world(self, points: Array) -> Array:
        """(..., 3) m: camera frame → world frame."""
        return points @ self.T_world_camera[:3, :3].T + self.T_world_camera[:3, 3]

    def to_camera(self, points: Array) -> Array:
        """(..., 3) m: world frame → camera frame."""
        return (points - self.T_world_camera[:3, 3]) @ self.T_world_camera[:3, :3]
