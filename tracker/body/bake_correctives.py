"""Pose correctives: what linear blend skinning lacks, in SMPL's form of offsets linear in the joint rotations.

Linear blending shrinks a bent or twisted limb, and it puts the whole of a twist at the joint, where a real forearm
spreads it along its length. The target here turns every vertex about the joint by its share of the angle, so that
distances to the joint are kept; twist shares rise along the bone. The offsets are the least-squares fit, joint by
joint, over rotations within the joint's range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tracker.body.bake_skin import Rest
from tracker.body.model import JOINT_NAMES, PARENTS
from tracker.core.arrays import NUM_JOINTS, Array

_SAMPLES = 160
_RIDGE = 1e-2
_SMALLEST = 2e-4
"""Metres: vertices that move less in every sample get no corrective."""


@dataclass(frozen=True)
class _Joint:
    """How a joint on the left or in the middle moves, in degrees; the rest pose is 0."""

    name: str
    bone: tuple[str, str]
    """The twist is about the line between these joints."""
    ramp: tuple[float, float] | None
    """Where along that line the share of the twist rises from 0 to 1; None where it follows the weights."""
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    """Range of the rotation vector."""
    roundness: float = 0.6
    """Share of the way from linear blending (0, it collapses) to turning by shares of the angle (1, it bulges)."""


_JOINTS = (
    _Joint("left_shoulder", ("left_shoulder", "left_elbow"), None, (-60, -110, -95), (60, 40, 80)),
    _Joint("left_elbow", ("left_elbow", "left_wrist"), None, (-60, -150, -10), (60, 5, 10), 0.35),
    _Joint("left_wrist", ("left_elbow", "left_wrist"), (0.2, 1.0), (-100, -35, -75), (100, 35, 75)),
    _Joint("left_hip", ("left_hip", "left_knee"), None, (-125, -40, -25), (35, 40, 60)),
    _Joint("left_knee", ("left_knee", "left_ankle"), None, (-5, -15, -5), (150, 15, 5), 0.4),
    _Joint("neck", ("neck", "head"), None, (-35, -40, -30), (35, 40, 30)),
    _Joint("head", ("neck", "head"), None, (-35, -60, -30), (35, 60, 30)),
)


def pose_correctives(weights: Array, rest: Rest, mirror: NDArray[np.int64], rng: np.random.Generator) -> Array:
    """(M, 3, 207) m per entry of the joint rotations minus identity."""
    correctives = np.zeros((len(weights), 3, NUM_JOINTS - 1, 3, 3))
    flip = np.array([-1.0, 1.0, 1.0])
    for joint in _JOINTS:
        index = JOINT_NAMES.index(joint.name)
        fitted = _fit(joint, weights, rest, rng)
        mirrored = np.einsum("vcij,c,i,j->vcij", fitted[mirror], flip, flip, flip)
        if joint.name.startswith("left_"):
            correctives[:, :, JOINT_NAMES.index(joint.name.replace("left", "right")) - 1] = mirrored
        else:
            fitted = (fitted + mirrored) / 2
        correctives[:, :, index - 1] = fitted
    return correctives.reshape(len(weights), 3, -1)


def _fit(joint: _Joint, weights: Array, rest: Rest, rng: np.random.Generator) -> Array:
    """(M, 3, 3, 3) offsets per entry of this joint's rotation minus identity.

    Least squares where it is seen, in the posed body: there an offset at rest comes out through the blended matrix.
    """
    vectors = np.radians(rng.uniform(joint.low, joint.high, (_SAMPLES, 3)))
    rotations = Rotation.from_rotvec(vectors).as_matrix()
    features = (rotations - np.eye(3)).reshape(_SAMPLES, 9)
    limb = weights[:, _subtree(joint.bone[0])].sum(axis=1)
    chosen = np.flatnonzero(limb > 1e-6)
    share, points = weights[chosen][:, _subtree(joint.name)].sum(axis=1), rest.vertices[chosen]
    twist_share = share if joint.ramp is None else limb[chosen] * _ramp(joint, rest, points)
    arms = points - rest.joints[JOINT_NAMES.index(joint.name)]
    blended = np.eye(3) + share[:, None, None] * (rotations - np.eye(3))[:, None]
    axis = _axis(joint, rest)[0]
    shares = _Shares(share, twist_share, joint.roundness)
    targets = np.stack([_target(rotation, axis, shares, arms) for rotation in rotations])
    missing = targets - _turn(blended, arms)
    normal = np.einsum("svki,svkj,sf,sg->vifjg", blended, blended, features, features, optimize=True)
    right = np.einsum("svki,svk,sf->vif", blended, missing, features, optimize=True)
    ridge = _RIDGE * _SAMPLES * np.eye(27)
    solution = np.linalg.solve(normal.reshape(-1, 27, 27) + ridge, right.reshape(-1, 27, 1)).reshape(-1, 3, 9)
    solution[np.abs(solution).max(axis=(1, 2)) < _SMALLEST] = 0.0
    fitted = np.zeros((len(weights), 3, 9))
    fitted[chosen] = solution
    return fitted.reshape(-1, 3, 3, 3)


@dataclass(frozen=True)
class _Shares:
    """How far each of V vertices follows the joint."""

    swing: Array
    twist: Array
    roundness: float


def _target(rotation: Array, axis: Array, shares: _Shares, arms: Array) -> Array:
    """(V, 3) from the joint, for points at `arms` (V, 3) at rest: first twisted, then swung, each by its share."""
    swing, angle = _swing_and_twist(rotation, axis)
    twisted = Rotation.from_rotvec((shares.twist * angle)[:, None] * axis).apply(arms)
    linear = twisted + shares.swing[:, None] * (swing.apply(twisted) - twisted)
    turned = Rotation.from_rotvec(shares.swing[:, None] * swing.as_rotvec()).apply(twisted)
    return linear + shares.roundness * (turned - linear)


def _swing_and_twist(rotation: Array, axis: Array) -> tuple[Rotation, float]:
    """The rotation as a twist about the axis (rad) followed by a swing of the axis."""
    x, y, z, w = Rotation.from_matrix(rotation).as_quat()
    angle = 2 * np.arctan2(np.dot([x, y, z], axis), w)
    angle = (angle + np.pi) % (2 * np.pi) - np.pi
    return Rotation.from_matrix(rotation) * Rotation.from_rotvec(-angle * axis), float(angle)


def _ramp(joint: _Joint, rest: Rest, points: Array) -> Array:
    """(V,) 0..1, rising smoothly along the joint's bone."""
    axis, start, length = _axis(joint, rest)
    low, high = joint.ramp or (0.0, 1.0)
    t = np.clip(((points - start) @ axis / length - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def _axis(joint: _Joint, rest: Rest) -> tuple[Array, Array, float]:
    start, end = (rest.joints[JOINT_NAMES.index(name)] for name in joint.bone)
    length = float(np.linalg.norm(end - start))
    return (end - start) / length, start, length


def _subtree(name: str) -> list[int]:
    """The joint and all that hang from it."""
    joints = [JOINT_NAMES.index(name)]
    for joint, parent in enumerate(PARENTS):
        if parent in joints:
            joints.append(joint)
    return joints


def _turn(matrices: Array, points: Array) -> Array:
    return np.einsum("...ij,...j->...i", matrices, points)
