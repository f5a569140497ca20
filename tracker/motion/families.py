"""Poses that motion capture of walking and dancing lacks: drawn around a few postures, inside the joints' limits.

Angles are in degrees, rotation vectors in SMPL's T-pose axes for the left side; the right side mirrors them. Each
side is drawn for itself, so that the two differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.body.joint_limits import JointPrior
from tracker.body.model import JOINT_NAMES
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.geometry import matrix_from_axis_angle

Degrees = tuple[float, float, float]


@dataclass(frozen=True)
class PostureFamily:
    """A family of poses: where the trunk may point, and joints that differ from hanging loosely."""

    name: str
    trunk: Degrees
    """Rotation vector of the pelvis before it is turned about the vertical."""
    lean: float
    """Spread of the pelvis' turn about any axis, degrees."""
    joints: dict[str, Degrees]
    spread: float = 14.0
    """Degrees, of the joints named; wide axes of the anatomical prior bound it."""


_ARMS_DOWN = {"shoulder": (0.0, 0.0, -70.0), "elbow": (0.0, -25.0, 0.0)}
_ARMS_FRONT = {"shoulder": (0.0, -60.0, -35.0), "elbow": (0.0, -40.0, 0.0)}
_ARMS_UP = {"collar": (0.0, 0.0, 20.0), "shoulder": (0.0, 0.0, 55.0), "elbow": (0.0, -35.0, 0.0)}

POSTURES = (
    PostureFamily("standing", (0, 0, 0), 8, {**_ARMS_DOWN, "hip": (-5, 0, 5), "knee": (8, 0, 0)}),
    PostureFamily("sitting", (-5, 0, 0), 12, {**_ARMS_DOWN, "hip": (-85, 0, 8), "knee": (85, 0, 0)}),
    PostureFamily("sitting at a desk", (5, 0, 0), 10, {**_ARMS_FRONT, "hip": (-90, 0, 8), "knee": (90, 0, 0)}),
    PostureFamily("sitting on the floor", (-15, 0, 0), 12, {**_ARMS_DOWN, "hip": (-95, 0, 15), "knee": (25, 0, 0)}, 22),
    PostureFamily("cross-legged", (0, 0, 0), 10, {**_ARMS_DOWN, "hip": (-98, 48, -13), "knee": (122, 0, 0)}),
    PostureFamily("kneeling", (0, 0, 0), 12,
            {**_ARMS_DOWN, "hip": (-25, 0, 8), "knee": (115, 0, 0), "ankle": (35, 0, 0)}, 25),
    PostureFamily("squatting", (25, 0, 0), 12,
            {**_ARMS_FRONT, "hip": (-110, 0, 18), "knee": (120, 0, 0), "ankle": (-25, 0, 0)}),
    PostureFamily("lunge", (8, 0, 0), 12, {**_ARMS_DOWN, "hip": (-45, 0, 5), "knee": (60, 0, 0)}, 35),
    PostureFamily("bending over", (50, 0, 0), 20,
            {**_ARMS_FRONT, "spine1": (25, 0, 0), "spine2": (15, 0, 0), "hip": (-45, 0, 5)}),
    PostureFamily("on all fours", (80, 0, 0), 15,
            {"shoulder": (0, -80, -10), "elbow": (0, -12, 0), "hip": (-80, 0, 8), "knee": (85, 0, 0)}, 20),
    PostureFamily("push-up", (82, 0, 0), 10,
            {"shoulder": (0, -75, -5), "elbow": (0, -35, 0), "hip": (0, 0, 5), "ankle": (-30, 0, 0)}),
    PostureFamily("lying on the back", (-90, 0, 0), 14, {**_ARMS_DOWN, "hip": (-15, 0, 10), "knee": (20, 0, 0)}, 28),
    PostureFamily("lying on the front", (90, 0, 0), 14,
            {**_ARMS_UP, "hip": (0, 0, 10), "knee": (12, 0, 0), "ankle": (30, 0, 0)}, 25),
    PostureFamily("lying on the side", (0, 0, 90), 14, {**_ARMS_FRONT, "hip": (-50, 0, 0), "knee": (60, 0, 0)}, 28),
    PostureFamily("lying on the other side", (0, 0, -90), 14,
            {**_ARMS_FRONT, "hip": (-50, 0, 0), "knee": (60, 0, 0)}, 28),
    PostureFamily("sit-up", (-50, 0, 0), 15,
            {**_ARMS_FRONT, "spine1": (20, 0, 0), "hip": (-70, 0, 5), "knee": (80, 0, 0)}, 20),
    PostureFamily("downward dog", (125, 0, 0), 10,
            {"shoulder": (0, -20, 60), "elbow": (0, -8, 0), "hip": (-80, 0, 8), "knee": (10, 0, 0)}),
    PostureFamily("tree", (0, 0, 0), 6, {**_ARMS_UP, "hip": (-25, 25, 25), "knee": (45, 0, 0)}, 35),
    PostureFamily("twist", (0, 0, 0), 12,
            {"spine1": (5, 15, 0), "spine2": (5, 18, 0),
             "shoulder": (0, -30, -30), "hip": (-60, 0, 10), "knee": (70, 0, 0)}, 25),
    PostureFamily("wheel", (-120, 0, 0), 20,
            {"spine1": (-15, 0, 0), "spine2": (-12, 0, 0),
             "shoulder": (0, 0, 70), "hip": (15, 0, 5), "knee": (70, 0, 0)}),
    PostureFamily("handstand", (175, 0, 0), 15, {**_ARMS_UP, "hip": (-10, 0, 10), "knee": (15, 0, 0)}, 22),
    PostureFamily("climbing", (0, 0, 0), 15,
            {**_ARMS_UP, "hip": (-60, 0, 30), "knee": (75, 0, 0), "ankle": (15, 0, 0)}, 32),
    PostureFamily("hanging", (0, 0, 0), 12,
            {"collar": (0, 0, 25), "shoulder": (0, 0, 70), "hip": (-25, 0, 5), "knee": (30, 0, 0)}, 22),
    PostureFamily("reaching up", (0, 0, 0), 12, {**_ARMS_UP, "hip": (-5, 0, 5), "knee": (10, 0, 0)}, 22),
)  # fmt: skip
_MIDDLE = ("spine1", "spine2", "spine3", "neck", "head")


class Postures:
    """Draws poses of all families, evenly."""

    def __init__(self, prior: JointPrior) -> None:
        self._prior = prior
        self._means = np.stack([_mean(posture, prior) for posture in POSTURES])
        named = np.stack([_named(posture) for posture in POSTURES])
        loose = np.minimum(prior.spread, 0.35)
        wide = np.radians([posture.spread for posture in POSTURES])[:, None, None]
        self._spreads = np.where(named[:, :, None], np.minimum(wide, 1.2 * prior.spread), loose)
        self._trunks = np.radians([posture.trunk for posture in POSTURES])
        self._leans = np.radians([posture.lean for posture in POSTURES])

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        """(count, 24, 3, 3) float32, turned any way about the vertical."""
        which = rng.integers(len(POSTURES), size=count)
        drawn = rng.normal(self._means[which], self._spreads[which])
        body = np.clip(drawn, self._prior.lower, self._prior.upper)
        yaw = matrix_from_axis_angle(rng.uniform(-np.pi, np.pi, (count, 1)) * np.array([0.0, 1.0, 0.0]))
        lean = matrix_from_axis_angle(rng.normal(size=(count, 3)) * self._leans[which, None])
        rotations = np.empty((count, NUM_JOINTS, 3, 3), np.float32)
        rotations[:, 0] = yaw @ lean @ matrix_from_axis_angle(self._trunks[which])
        rotations[:, 1:] = matrix_from_axis_angle(body)
        return rotations


def _mean(posture: PostureFamily, prior: JointPrior) -> Array:
    mean = prior.mean.copy()
    for name, degrees in posture.joints.items():
        if name in _MIDDLE:
            mean[JOINT_NAMES.index(name) - 1] = np.radians(degrees)
        else:
            mean[JOINT_NAMES.index(f"left_{name}") - 1] = np.radians(degrees)
            mean[JOINT_NAMES.index(f"right_{name}") - 1] = np.radians(degrees) * np.array([1, -1, -1])
    return mean


def _named(posture: PostureFamily) -> Array:
    return np.array([name.split("_")[-1] in posture.joints for name in JOINT_NAMES[1:]])
