"""The Neural Body Volume: Gaussian kernels on a body, each with features that depend on how its limb is turned.

3DNBF §3.3–3.4. Two layouts: `surface`, kernels spread evenly over the skin and flattened along its normals, and
`skeleton` (VNH, A.3), kernels strung along the bones. Either is a `SkinnedBody` of `kernels`, so that posing, rendering
and their gradients are the kernels' own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from kernels.body_step_values import FeatureBank, SkinnedBody, orientation_circle, sparse_weights
from tracker.body.kinematics import LandmarkRig
from tracker.body.model import BodyModel, vertex_normals
from tracker.body.smpl_joints import SMPL_JOINTS, smpl_index
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.errors import InputError

LIMBS = (
    ("pelvis", "neck"),
    *(
        (f"{side}_{a}", f"{side}_{b}")
        for side in ("left", "right")
        for a, b in (("shoulder", "elbow"), ("elbow", "wrist"))
    ),
    *((f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in (("hip", "knee"), ("knee", "ankle"))),
)
"""First and last joint of the nine limbs; the torso's is also the head's."""
_LIMB_OF_JOINT = {
    f"{side}_{name}": (f"{side}_{first}", f"{side}_{last}")
    for side in ("left", "right")
    for name, first, last in (
        ("shoulder", "shoulder", "elbow"),
        ("elbow", "elbow", "wrist"),
        ("wrist", "elbow", "wrist"),
        ("hand", "elbow", "wrist"),
        ("hip", "hip", "knee"),
        ("knee", "knee", "ankle"),
        ("ankle", "knee", "ankle"),
        ("foot", "knee", "ankle"),
    )
}
"""Everything else belongs to the torso."""
_BONES = (
    ("pelvis", "spine1"), ("spine1", "spine2"), ("spine2", "spine3"), ("spine3", "neck"), ("neck", "head"),
    ("head", "top"),
    *((f"{side}_{a}", f"{side}_{b}") for side in ("left", "right")
      for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"), ("ankle", "foot"))),
    ("spine3", "left_shoulder"), ("spine3", "right_shoulder"),
)  # fmt: skip
_NEIGHBOURS = 6
_WIDTH, _THICKNESS = 0.5, 0.25
"""Standard deviations of a surface kernel along and across the skin, against the distance to its neighbours."""
_NEAREST_SKIN = 40
"""Vertices that say how thick the body is around a point of a bone."""


@dataclass(frozen=True)
class VolumeConfig:
    """How a volume is laid out and compared with pictures."""

    layout: str = "surface"
    kernels: int = 858
    """Of the surface layout (3DNBF's number)."""
    per_bone: int = 23
    """Of the skeleton layout: 18 bones of these and 25 joints (VNH's 439)."""
    orientations: int = 4
    """O; 1 for features that do not depend on the pose."""
    kappa: float = 2.0
    """Concentration of the orientations' densities."""
    clutter: int = 64
    """Background features."""
    temperature: float = 0.07
    """σ_f² of eq. 2, and the temperature of the contrastive training, which is the same thing."""

    def __post_init__(self) -> None:
        if self.layout not in _LAYOUTS:
            raise InputError(f"layout {self.layout!r}: expected one of {', '.join(sorted(_LAYOUTS))}")
        if self.kernels < 50 or self.per_bone < 1 or self.orientations < 1 or self.clutter < 1:
            raise InputError(
                f"volume: expected at least 50 kernels, 1 per bone, 1 orientation and 1 clutter feature, got {self}"
            )


@dataclass(frozen=True)
class Layout:
    """Kernels on a body at rest, in its T-pose."""

    centres: Array
    """(K, 3) m."""
    dirs: Array
    """(K, 3, S) m for a unit of β."""
    weights: Array
    """(K, 24) blend weights."""
    covariances: Array
    """(K, 3, 3) m²."""


@dataclass(frozen=True)
class BodyVolume:
    """A layout on one body: what `kernels` poses and renders, and which limb each kernel belongs to."""

    config: VolumeConfig
    body: SkinnedBody
    """K kernels, then the 33 landmarks as keypoints."""
    limb: Tensor
    """(K,) int32."""
    name: str
    """Of the body on which the kernels lie."""

    @classmethod
    def on(cls, model: BodyModel, config: VolumeConfig) -> BodyVolume:
        """The volume on any body model."""
        return cls.of_layout(model, config, _LAYOUTS[config.layout](model, config))

    @classmethod
    def of_layout(cls, model: BodyModel, config: VolumeConfig, layout: Layout) -> BodyVolume:
        """The volume of kernels that are laid out already."""
        points, dirs, weights = _landmark_points(model)
        # In double precision: in single, sums over so many vertices depend on how many threads share them.
        regressor = model.joint_regressor.double()
        joints = (regressor @ model.v_template.double()).float()
        joint_dirs = torch.einsum("jv,vcs->jcs", regressor, model.shapedirs.double()).float().contiguous()
        blend = torch.from_numpy(np.concatenate([layout.weights, weights])).float()
        moved_by, shares = sparse_weights(torch.where(blend < 1e-3, torch.zeros_like(blend), blend))
        body = SkinnedBody(
            parents=torch.tensor(model.parents, dtype=torch.int32),
            joints=joints,
            joint_dirs=joint_dirs,
            points=torch.from_numpy(np.concatenate([layout.centres, points])).float(),
            point_dirs=torch.from_numpy(np.concatenate([layout.dirs, dirs])).float(),
            weight_joints=moved_by,
            weights=shares / shares.sum(1, keepdim=True),
            precisions=torch.from_numpy(np.linalg.inv(layout.covariances)).float(),
            limbs=torch.tensor([[smpl_index(a), smpl_index(b)] for a, b in LIMBS], dtype=torch.int32),
        )
        return cls(config, body, _limbs_of(layout.weights), model.name)

    def bank(self, features: Tensor) -> FeatureBank:
        """(K, O, D) features as `kernels` takes them."""
        return FeatureBank(features, self.limb, orientation_circle(self.config.orientations), self.config.kappa)

    @property
    def count(self) -> int:
        """K."""
        return self.body.kernels

    def with_keypoints(self, points: Tensor) -> BodyVolume:
        """The same volume with only these (indices) of its 33 landmarks as keypoints."""
        rows = torch.cat([torch.arange(self.count), self.count + points])
        body = self.body
        kept = {
            name: getattr(body, name)[rows].contiguous()
            for name in ("points", "point_dirs", "weight_joints", "weights")
        }
        return replace(self, body=replace(body, **kept))


def _limbs_of(weights: Array) -> Tensor:
    names = [_LIMB_OF_JOINT.get(joint, LIMBS[0]) for joint in SMPL_JOINTS]
    limb_of_joint = np.array([LIMBS.index(name) for name in names])
    return torch.from_numpy(limb_of_joint[weights.argmax(axis=1)].astype(np.int32))


def _landmark_points(model: BodyModel) -> tuple[Array, Array, Array]:
    """The 33 landmarks as points (33, 3) with their shape directions and blend weights."""
    carried = LandmarkRig.from_body(model).carried
    count = carried.count
    weights, points = np.zeros((count, NUM_JOINTS)), np.zeros((count, 3))
    dirs = np.zeros((count, 3, carried.joints_betas.shape[-1]))
    share = carried.weights[:, None]
    np.add.at(weights, (carried.points, carried.bones), carried.weights)
    np.add.at(points, carried.points, carried.rest + share * carried.joints[carried.bones])
    np.add.at(dirs, carried.points, carried.rest_betas + share[..., None] * carried.joints_betas[carried.bones])
    return points, dirs, weights


def _surface(model: BodyModel, config: VolumeConfig) -> Layout:
    vertices = model.v_template.double().numpy()
    chosen = spread_over(vertices, config.kernels)
    normals = vertex_normals(model.v_template.double(), model.faces).numpy()[chosen]
    centres = vertices[chosen]
    distances, _ = cKDTree(centres).query(centres, _NEIGHBOURS + 1)
    spacing = distances[:, 1:].mean(axis=1)
    across = (_THICKNESS * spacing) ** 2
    along = (_WIDTH * spacing) ** 2
    outer = normals[:, :, None] * normals[:, None, :]
    covariances = along[:, None, None] * (np.eye(3) - outer) + across[:, None, None] * outer
    dirs, weights = model.shapedirs.double().numpy()[chosen], model.weights.double().numpy()[chosen]
    return Layout(centres, dirs, weights, covariances)


def spread_over(points: Array, count: int) -> NDArray[np.int64]:
    """(count,) indices of points (n, 3), each the farthest from those before it; the first is the lowest point.

    Always the same for the same points. Raises InputError for more than there are.
    """
    if count > len(points):
        raise InputError(f"volume: {count} kernels do not fit on a body of {len(points)} vertices")
    chosen = np.empty(count, np.int64)
    chosen[0] = points[:, 1].argmin()
    nearest = np.full(len(points), np.inf)
    x, y, z = np.ascontiguousarray(points.T)
    for i in range(1, count):
        last = chosen[i - 1]
        np.minimum(nearest, (x - x[last]) ** 2 + (y - y[last]) ** 2 + (z - z[last]) ** 2, out=nearest)
        chosen[i] = nearest.argmax()
    return chosen


def _skeleton(model: BodyModel, config: VolumeConfig) -> Layout:
    regressor = model.joint_regressor.double().numpy()
    vertices, shapes = model.v_template.double().numpy(), model.shapedirs.double().numpy()
    top = np.zeros((1, len(vertices)))
    top[0, vertices[:, 1].argmax()] = 1.0
    regressor = np.concatenate([regressor, top])
    joints, dirs = regressor @ vertices, np.tensordot(regressor, shapes, axes=1)
    names = [*SMPL_JOINTS, "top"]
    centres, slopes, owners, axes = [joints], [dirs], [*range(NUM_JOINTS), smpl_index("head")], [np.zeros_like(joints)]
    for first, last in _BONES:
        a, b = names.index(first), names.index(last)
        share = ((np.arange(config.per_bone) + 0.5) / config.per_bone)[:, None]
        centres.append(joints[a] + share * (joints[b] - joints[a]))
        slopes.append(dirs[a] + share[..., None] * (dirs[b] - dirs[a]))
        axes.append(np.tile((joints[b] - joints[a]) / config.per_bone, (config.per_bone, 1)))
        owners += [a] * config.per_bone
    centre = np.concatenate(centres)
    distance, _ = cKDTree(vertices).query(centre, _NEAREST_SKIN)
    radius = _WIDTH * np.median(distance, axis=1)
    axis = np.concatenate(axes)
    # a kernel on a bone is as long as its share of the bone and as thick as the body there; on a joint it is round
    covariances = radius[:, None, None] ** 2 * np.eye(3) + axis[:, :, None] * axis[:, None, :]
    return Layout(centre, np.concatenate(slopes), np.eye(NUM_JOINTS)[owners], covariances)


_LAYOUTS: dict[str, Callable[[BodyModel, VolumeConfig], Layout]] = {"surface": _surface, "skeleton": _skeleton}
