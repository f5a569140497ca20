"""The world of a live run: y up, metres, the floor at y = 0, the origin on it under somebody's first place.

What is sent to other programs has to stand on their floor. The camera is taken to be level; how high it is over the
floor is told, causally, from the lower foot of everybody in view.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import Array
from tracker.core.person import Person
from tracker.export.sequence import T_YUP_CAMERA

_FEET = [smpl_index("left_foot"), smpl_index("right_foot")]
_SOLE = 0.027
"""m from the foot's joint down to the sole of the built-in body at rest."""
_SECONDS = 5.0
"""Over which the lower foot's typical height is taken: jumps and steps are shorter."""


class Ground:
    """Where the floor lies, as it is believed at the moment."""

    def __init__(self) -> None:
        self._heights: deque[tuple[float, float]] = deque()
        self._origin: Array | None = None
        self.T_world_camera = np.eye(4)
        """(4, 4), m: from the camera's frame (x right, y down, z forward) to the world's (x right, y up, z to the
        camera's side)."""
        self.T_world_camera[:3, :3] = T_YUP_CAMERA[:3, :3]

    def watch(self, time: float, people: Sequence[Person]) -> None:
        """Takes the people of a frame into account; frames come in the order of time, s."""
        for person in people:
            joints = person.joints3d @ T_YUP_CAMERA[:3, :3].T
            self._heights.append((time, float(joints[_FEET, 1].min()) - _SOLE))
            if self._origin is None:
                self._origin = joints[0]
        while self._heights and self._heights[0][0] < time - _SECONDS:
            self._heights.popleft()
        if self._origin is not None and self._heights:
            floor = float(np.median([height for _, height in self._heights]))
            self.T_world_camera[:3, 3] = -self._origin[0], -floor, -self._origin[2]

    def points(self, camera: Array) -> Array:
        """(..., 3) m, camera frame → the world's."""
        return camera @ self.T_world_camera[:3, :3].T + self.T_world_camera[:3, 3]
