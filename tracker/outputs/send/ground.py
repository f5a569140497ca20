"""The world of a live run: y up, metres, the floor at y = 0, the origin on it under somebody's first place.

What is sent to other programs has to stand on their floor. Unless the settings say how the camera is held, it is taken
to be level; how high it is over the floor is told, causally, from the lower foot of everybody in view.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import Array
from tracker.core.person import Person
from tracker.world.gravity import pitched
from tracker.world.world_config import WorldConfig
from tracker.world.world_frame import WorldFrame

_FEET = [smpl_index("left_foot"), smpl_index("right_foot")]
SOLE = 0.027
"""m from the foot's joint down to the sole of the built-in body at rest."""
_SECONDS = 5.0
"""Over which the lower foot's typical height is taken: jumps and steps are shorter."""
_FIRST_HEIGHT = 1.0
"""m of the camera over the floor before anybody has been in view."""


class Ground:
    """Where the floor lies, as it is believed at the moment."""

    def __init__(self, config: WorldConfig) -> None:
        self._known_height, self._up = config.camera_height, pitched(config.pitch or 0.0)
        self._depths: deque[tuple[float, float]] = deque()
        self._origin: Array | None = None
        self.world = WorldFrame.of_floor(self._up, config.camera_height or _FIRST_HEIGHT, np.zeros(3))

    def watch(self, time: float, people: Sequence[Person]) -> WorldFrame:
        """The world with the people of a frame taken into account; frames come in the order of time, s."""
        for person in people:
            self._depths.append((time, SOLE - float((person.joints3d[_FEET] @ self._up).min())))
            if self._origin is None:
                self._origin = person.joints3d[0]
        while self._depths and self._depths[0][0] < time - _SECONDS:
            self._depths.popleft()
        if self._origin is not None and self._depths:
            height = self._known_height or float(np.median([depth for _, depth in self._depths]))
            self.world = WorldFrame.of_floor(self._up, height, self._origin)
        return self.world
