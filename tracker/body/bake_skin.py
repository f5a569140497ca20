"""The joint regressor and the skinning weights of the free body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, identity
from scipy.spatial import cKDTree

from tracker.body.bake_fit import fit_point
from tracker.body.bake_source import BakeSource
from tracker.body.bake_tpose import PosedSamples
from tracker.body.model import JOINT_NAMES
from tracker.core.arrays import NUM_JOINTS, Array

_SWAP = {"left": "right", "right": "left"}
OTHER_SIDE = np.array(
    [
        JOINT_NAMES.index("_".join([_SWAP.get(side, side), *rest]))
        for side, *rest in (name.split("_") for name in JOINT_NAMES)
    ]
)
"""(24,) the joint on the other side; itself on the midline."""

_LIMB_BONES = {
    "left_hip": ("upperleg01.L", "upperleg02.L"),
    "left_knee": ("lowerleg01.L", "lowerleg02.L"),
    "left_ankle": ("foot.L",),
    "left_foot": tuple(f"toe{toe}-{i}.L" for toe in range(1, 6) for i in range(1, 4 if toe > 1 else 3)),
    "left_collar": ("clavicle.L", "shoulder01.L"),
    "left_shoulder": ("upperarm01.L", "upperarm02.L"),
    "left_elbow": ("lowerarm01.L", "lowerarm02.L"),
    "left_wrist": ("wrist.L", *(f"metacarpal{i}.L" for i in range(1, 5)), *(f"finger1-{i}.L" for i in range(1, 4))),
    "left_hand": tuple(f"finger{finger}-{i}.L" for finger in range(2, 6) for i in range(1, 4)),
}
"""MakeHuman's bones that move with a joint of SMPL's; those of the trunk are shared out by height instead."""
_NECK_SHARES = {
    "neck01": {"spine3": 0.4, "neck": 0.6},
    "neck02": {"neck": 1.0},
    "neck03": {"neck": 0.6, "head": 0.4},
    "head": {"head": 1.0},
    "eye.L": {"head": 1.0},
    "eye.R": {"head": 1.0},
}
_TRUNK_BONES = ("root", "pelvis.L", "pelvis.R", "spine05", "spine04", "spine03", "spine02", "spine01")
_TRUNK_JOINTS = ("pelvis", "spine1", "spine2", "spine3")
_TRUNK_BLEND = (0.06, 0.06, 0.05)
"""Half the height in metres over which each of spine1..3 takes over from the joint below."""
_TIGHTS = slice(15328, 18002)
"""MakeHuman's hidden vertices just outside the skin, to which most of its clothes are bound."""
_SKIN_NEIGHBOURS = 4


@dataclass(frozen=True)
class Rest:
    """The template body, for geometry that the weights depend on."""

    vertices: Array
    """(M, 3) m."""
    joints: Array
    """(24, 3) m."""


def fit_regressor(samples: PosedSamples, visible: NDArray[np.int64], mirror: NDArray[np.int64]) -> Array:
    """(24, M) weights, not negative and summing to 1, that find the joints from the vertices.

    Fitted over all samples, so that the joints follow the shape. The right side is the left one's mirror image.
    """
    regressor = np.zeros((NUM_JOINTS, samples.vertices.shape[1]))
    for joint, name in enumerate(JOINT_NAMES):
        if not name.startswith("right_"):
            regressor[joint] = fit_point(samples.vertices, samples.joints[:, joint], visible)
    mirrored = regressor[OTHER_SIDE][:, mirror]
    on_side = np.array([[name.startswith("left_")] for name in JOINT_NAMES])
    middle = np.array([["_" not in name] for name in JOINT_NAMES])
    return np.where(on_side, regressor, np.where(middle, (regressor + mirrored) / 2, mirrored))


def merge_weights(source: BakeSource, rest: Rest) -> Array:
    """(M, 24) skinning weights on SMPL's joints, from MakeHuman's on its hundred bones."""
    merged = np.zeros((len(source.weights), NUM_JOINTS))
    for name, bones in _LIMB_BONES.items():
        for side, joint in (("L", name), ("R", name.replace("left", "right"))):
            columns = [source.bone(f"{bone[:-1]}{side}") for bone in bones]
            merged[:, JOINT_NAMES.index(joint)] += source.weights[:, columns].sum(axis=1)
    for bone, shares in _NECK_SHARES.items():
        for joint, share in shares.items():
            merged[:, JOINT_NAMES.index(joint)] += share * source.weights[:, source.bone(bone)]
    trunk = source.weights[:, [source.bone(bone) for bone in _TRUNK_BONES]].sum(axis=1)
    merged[:, [JOINT_NAMES.index(name) for name in _TRUNK_JOINTS]] += trunk[:, None] * _trunk_shares(rest)
    return merged / merged.sum(axis=1, keepdims=True)


def _trunk_shares(rest: Rest) -> Array:
    """(M, 4) shares of pelvis and spine1..3 by height, each a smooth step above the last."""
    heights = rest.joints[[JOINT_NAMES.index(name) for name in _TRUNK_JOINTS[1:]], 1]
    steps = [np.ones(len(rest.vertices))]
    for height, half in zip(heights, _TRUNK_BLEND, strict=True):
        t = np.clip((rest.vertices[:, 1] - height) / (2 * half) + 0.5, 0.0, 1.0)
        steps.append(np.minimum(t * t * (3 - 2 * t), steps[-1]))
    steps.append(np.zeros(len(rest.vertices)))
    return -np.diff(np.stack(steps, axis=1), axis=1)


def dress(weights: Array, rest: Rest, visible: NDArray[np.int64]) -> Array:
    """The weights with those of the tights taken from the skin below, so that clothes bound to them stay outside."""
    tights = np.arange(len(weights))[_TIGHTS]
    distance, nearest = cKDTree(rest.vertices[visible]).query(rest.vertices[tights], k=_SKIN_NEIGHBOURS)
    share = 1 / (distance + 1e-3)
    share /= share.sum(axis=1, keepdims=True)
    dressed = weights.copy()
    dressed[tights] = np.einsum("vk,vkj->vj", share, weights[visible[nearest]])
    return dressed


def smooth(weights: Array, faces: NDArray[np.int64], iterations: int) -> Array:
    """Weights averaged with those of the neighbours along the mesh; vertices without faces stay as they are."""
    count = len(weights)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    rows, columns = np.concatenate([edges, edges[:, ::-1]]).T
    adjacency = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    adjacency.data[:] = 1.0
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    scale = csr_matrix((1 / np.maximum(degree, 1), (np.arange(count), np.arange(count))), shape=(count, count))
    lonely = csr_matrix(((degree == 0).astype(float), (np.arange(count), np.arange(count))), shape=(count, count))
    step = 0.5 * (scale @ adjacency + lonely + identity(count))
    for _ in range(iterations):
        weights = step @ weights
    return weights
