"""Somebody else's skeleton in motion: what motion files hold before it is retargeted to SMPL."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.core.arrays import Array


@dataclass(frozen=True)
class SourceSkeleton:
    """Joints in an order in which parents come first. Ends of bones count as joints; their names are empty."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Array
    """(J, 3) from the parent, in the file's unit, along the file's axes."""

    def rest(self) -> Array:
        """(J, 3): where the joints are when nothing is turned, the root at the origin."""
        places = np.zeros_like(self.offsets)
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                places[joint] = places[parent] + self.offsets[joint]
        return places

    def path(self, joint: int) -> list[int]:
        """From the root down to the joint, both included."""
        chain = [joint]
        while self.parents[chain[-1]] >= 0:
            chain.append(self.parents[chain[-1]])
        return chain[::-1]

    def fork(self, a: int, b: int) -> int:
        """The lowest joint that carries both."""
        return [x for x, y in zip(self.path(a), self.path(b), strict=False) if x == y][-1]

    def children(self, joint: int) -> list[int]:
        return [child for child, parent in enumerate(self.parents) if parent == joint]


@dataclass(frozen=True)
class SourceMotion:
    """A skeleton's motion, world frame as in the file."""

    name: str
    skeleton: SourceSkeleton
    rotations: Array
    """(T, J, 3, 3) of each joint relative to its parent, at rest the identity."""
    root: Array
    """(T, 3) the root joint, in the file's unit."""
    rate: float

    def world(self) -> tuple[Array, Array]:
        """World rotations (T, J, 3, 3) and places (T, J, 3)."""
        world, places = np.empty_like(self.rotations), np.empty(self.rotations.shape[:-1])
        for joint, parent in enumerate(self.skeleton.parents):
            if parent < 0:
                world[:, joint], places[:, joint] = self.rotations[:, joint], self.root
                continue
            world[:, joint] = world[:, parent] @ self.rotations[:, joint]
            places[:, joint] = places[:, parent] + world[:, parent] @ self.skeleton.offsets[joint]
        return world, places
