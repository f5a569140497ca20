"""What the upper body does: named poses, and smooth ways from one to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from tracker.body.model import JOINT_NAMES
from tracker.core.arrays import NUM_JOINTS, Array

Turns = tuple[tuple[str, float], ...]
"""Rotations about coordinate axes, in radians; the first is applied last, as matrices are written."""


def _rotation(turns: Turns) -> Rotation:
    result = Rotation.identity()
    for axis, angle in turns:
        result = result * Rotation.from_rotvec(angle * np.eye(3)["xyz".index(axis)])
    return result


def _mirrored(turns: Turns) -> Turns:
    return tuple((axis, angle if axis == "x" else -angle) for axis, angle in turns)


@dataclass(frozen=True)
class Posture:
    """A pose of the upper body, and how the pelvis stands."""

    left: dict[str, Turns] = field(default_factory=dict)
    """By joint without its side; what is not named hangs."""
    right: dict[str, Turns] = field(default_factory=dict)
    """As written for the left side; it is mirrored."""
    trunk: dict[str, Turns] = field(default_factory=dict)
    """spine1, spine2, spine3, neck, head."""
    crouch: float = 0.0
    """m that the pelvis is lower than upright."""
    lean: float = 0.0
    """rad that the pelvis tips forwards."""
    back: float = 0.0
    """m that the pelvis is behind the feet."""

    def rotations(self) -> Rotation:
        """Of all 24 joints relative to their parents; the legs and the root are not turned."""
        turns: dict[str, Turns] = {}
        for name, given in (_HANGING | self.left).items():
            turns[f"left_{name}"] = given
        for name, given in (_HANGING | self.right).items():
            turns[f"right_{name}"] = _mirrored(given)
        turns |= _UPRIGHT | self.trunk
        return Rotation.concatenate([_rotation(turns.get(name, ())) for name in JOINT_NAMES])


_HANGING: dict[str, Turns] = {
    "collar": (("z", -0.04),),
    "shoulder": (("y", -0.10), ("z", -1.24), ("x", 0.25)),
    "elbow": (("y", -0.30),),
    "wrist": (("x", -0.15),),
    "hand": (("z", -0.18),),
}
_UPRIGHT: dict[str, Turns] = {"spine1": (("x", 0.03),), "neck": (("x", 0.05),)}

STANDING = Posture()
WAVE_OUT = Posture(
    right={
        "collar": (("z", 0.12),),
        "shoulder": (("z", 0.10), ("y", -0.35), ("x", -1.30)),
        "elbow": (("y", -1.15),),
        "wrist": (("z", 0.10),),
    },
    trunk={"spine3": (("z", 0.05),), "head": (("z", 0.06),)},
)
WAVE_IN = Posture(
    right={
        "collar": (("z", 0.14),),
        "shoulder": (("z", 0.14), ("y", -0.35), ("x", -1.30)),
        "elbow": (("y", -1.95),),
        "wrist": (("z", -0.15),),
    },
    trunk={"spine3": (("z", 0.03),), "head": (("z", 0.08),)},
)
SQUATTING = Posture(
    left={"collar": (("y", -0.10),), "shoulder": (("x", -0.65), ("y", -1.35)), "elbow": (("y", -0.20),)},
    right={"collar": (("y", -0.10),), "shoulder": (("x", -0.65), ("y", -1.35)), "elbow": (("y", -0.20),)},
    trunk={"spine1": (("x", 0.20),), "spine2": (("x", 0.15),), "neck": (("x", -0.25),), "head": (("x", -0.25),)},
    crouch=0.42,
    lean=0.45,
    back=0.14,
)
ARMS_UP = Posture(
    left={"collar": (("z", 0.35),), "shoulder": (("y", -0.15), ("z", 1.05)), "elbow": (("y", -0.25),)},
    right={"collar": (("z", 0.35),), "shoulder": (("y", -0.15), ("z", 1.05)), "elbow": (("y", -0.25),)},
    trunk={"head": (("x", -0.15),)},
)
REACHING = Posture(
    left={"collar": (("y", -0.20), ("z", 0.10)), "shoulder": (("y", -1.15), ("z", 0.25)), "elbow": (("y", -0.25),)},
    right={"shoulder": (("y", 0.25), ("z", -1.15), ("x", 0.25))},
    trunk={
        "spine1": (("x", 0.12), ("y", -0.12)),
        "spine2": (("x", 0.10), ("y", -0.15)),
        "spine3": (("x", 0.06), ("y", -0.15)),
        "head": (("y", 0.15),),
    },
    crouch=0.06,
    lean=0.15,
    back=0.04,
)


@dataclass(frozen=True)
class Key:
    """A posture that is reached at a time."""

    time: float
    """s."""
    posture: Posture


_SETTLE = 0.05
"""s over which the way from key to key is rounded."""


def upper_body(keys: Sequence[Key], times: Array) -> tuple[Array, Array]:
    """(T, 24, 3, 3) rotations relative to the parents, and (T, 3) crouch, lean and back, at evenly spaced times (T,) s.

    keys: in the order of time. Between two keys every joint turns about one axis, starting and ending gently.
    """
    known = np.array([key.time for key in keys])
    index = np.clip(np.searchsorted(known, times, side="right") - 1, 0, len(keys) - 2)
    share = np.clip((times - known[index]) / (known[index + 1] - known[index]), 0.0, 1.0)
    eased = share**3 * (10 - 15 * share + 6 * share**2)
    rotations = [key.posture.rotations() for key in keys]
    between = [(a.inv() * b).as_rotvec() for a, b in pairwise(rotations)]
    starts = np.stack([r.as_matrix() for r in rotations])[index]
    moved = Rotation.from_rotvec((np.stack(between)[index] * eased[:, None, None]).reshape(-1, 3))
    stance = np.array([[key.posture.crouch, key.posture.lean, key.posture.back] for key in keys])
    stances = stance[index] + (stance[index + 1] - stance[index]) * eased[:, None]
    return starts @ moved.as_matrix().reshape(-1, NUM_JOINTS, 3, 3), rounded(stances, times, _SETTLE)


def rounded(values: Array, times: Array, seconds: float) -> Array:
    """(T, ...) values smoothed over about so many seconds; times (T,) are evenly spaced."""
    if len(times) < 2:
        return values
    return gaussian_filter1d(values, seconds / float(times[1] - times[0]), axis=0, mode="nearest", truncate=3.0)
