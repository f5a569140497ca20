"""Puts bodies of known poses where a picture's keypoints say that they are, in full perspective.

Files of annotated pictures know θ, but of the place only where some joints are in the picture. With θ given, joints are
linear in β and in the pelvis's place p in the camera frame,

    X_k = p + a_k(θ) + B_k(θ) β,

so that both come out of a small least-squares problem, solved for many people at once by Gauss–Newton: the X_k project
to their keypoints, bones are as long as the file's 3D joints say (where it has them), and β is one that people have,
N(0, I). Without bone lengths the size, and with it the distance, is an average person's: a picture alone cannot tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from tracker.body import BodyModel
from tracker.body.model import forward_kinematics
from tracker.body.smpl_joints import LIMB_SMPL, smpl_index
from tracker.core.arrays import NUM_BETAS, Array
from tracker.core.camera import NEAREST_Z

BONES = tuple(
    (f"{side}_{parent}", f"{side}_{joint}")
    for side in ("left", "right")
    for parent, joint in (("shoulder", "elbow"), ("elbow", "wrist"), ("knee", "ankle"))
)
"""Whose lengths are compared. Not the thighs': what is called a hip differs by centimetres between data sets."""
_SPREAD = np.where(np.isin(LIMB_SMPL, [smpl_index("left_hip"), smpl_index("right_hip")]), 0.06, 0.03)
"""(12,) m at the person's distance: how far a keypoint is from the joint of its name."""
_BONE_SPREAD = 0.02
"""m"""
_ITERATIONS = 4
_SIZE = NUM_BETAS + 3


@dataclass(frozen=True)
class Sightings:
    """N people of known pose, and where their joints are seen."""

    rotations: Array
    """(N, 24, 3, 3): each joint's relative to its parent, the root's into the camera frame."""
    rays: Array
    """(N, 12, 2): x/z and y/z of the directions in which the joints LIMB_SMPL are seen."""
    weights: Array
    """(N, 12) 0..1; 0 for joints that are not seen."""
    bones: Array
    """(N, 6) m: lengths of BONES; NaN where nobody measured them."""


@dataclass(frozen=True)
class Placed:
    """Where N people are, and how well that fits."""

    betas: Array
    """(N, 10)."""
    transl: Array
    """(N, 3) m, as SMPL's."""
    offset: Array
    """(N,) m: the median distance of the seen joints from their rays, at the person's distance."""
    nearest: Array
    """(N,) m: z of the joint closest to the camera's plane."""


@dataclass(frozen=True)
class _Limbs:
    """X_k = p + base + slope β of N people."""

    base: Array
    """(N, 12, 3)."""
    slope: Array
    """(N, 12, 3, 10)."""

    def at(self, betas: Array, pelvis: Array) -> Array:
        """(N, 12, 3)."""
        return pelvis[:, None] + self.base + np.einsum("nkcb,nb->nkc", self.slope, betas)


class Placer:
    """Places people of one body model."""

    def __init__(self, body: BodyModel) -> None:
        regressor = body.joint_regressor.double()
        self._parents = body.parents
        self._joints = regressor @ body.v_template.double()
        self._slopes = torch.einsum("jv,vcb->bjc", regressor, body.shapedirs.double())
        at, slopes = self._joints.numpy(), self._slopes.numpy().transpose(1, 2, 0)
        ends = np.array([[smpl_index(name) for name in bone] for bone in BONES])
        self._bones = at[ends[:, 1]] - at[ends[:, 0]]
        self._bone_slopes = slopes[ends[:, 1]] - slopes[ends[:, 0]]

    def __call__(self, sightings: Sightings) -> Placed:
        """Everybody's β and transl; nonsense, with a large offset, where the keypoints are."""
        limbs = self._limbs(sightings.rotations)
        betas, pelvis = np.zeros((len(sightings.rays), NUM_BETAS)), _first_place(sightings, limbs.base)
        for _ in range(_ITERATIONS):
            step = self._step(sightings, limbs, betas, pelvis)
            betas, pelvis = betas + step[:, :NUM_BETAS], pelvis + step[:, NUM_BETAS:]
        at = limbs.at(betas, pelvis)
        rest = self._joints[0].numpy() + betas @ self._slopes[:, 0].numpy()
        return Placed(betas, pelvis - rest, _offsets(sightings, at, pelvis), at[..., 2].min(axis=1))

    def _limbs(self, rotations: Array) -> _Limbs:
        """A pose moves the rest joints of every shape linearly: posing the mean and each direction gives all."""
        rest = torch.cat([self._joints[None], self._slopes])
        posed = forward_kinematics(torch.from_numpy(rotations)[:, None], rest, self._parents)[1].numpy()
        limbs = (posed - posed[:, :, :1])[:, :, LIMB_SMPL]
        return _Limbs(limbs[:, 0], np.moveaxis(limbs[:, 1:], 1, -1))

    def _step(self, sightings: Sightings, limbs: _Limbs, betas: Array, pelvis: Array) -> Array:
        """(N, 13): Gauss–Newton's, of β and p."""
        at = limbs.at(betas, pelvis)
        z = np.maximum(at[..., 2:], NEAREST_Z)
        flat = at[..., :2] / z
        moves = np.concatenate([limbs.slope, np.broadcast_to(np.eye(3), (*at.shape[:2], 3, 3))], axis=-1)
        scale = (sightings.weights / _SPREAD)[..., None] * np.maximum(pelvis[:, None, 2:], NEAREST_Z)
        rays = (scale * (sightings.rays - flat)).reshape(len(at), 2 * len(LIMB_SMPL))
        rays_by = (scale / z)[..., None] * (moves[..., :2, :] - flat[..., None] * moves[..., 2:, :])
        bones, bones_by = self._bone_terms(sightings.bones, betas)
        by = np.concatenate([rays_by.reshape(len(at), 2 * len(LIMB_SMPL), _SIZE), bones_by], axis=1)
        off = np.concatenate([rays, bones], axis=1)
        # β's own terms; and barely any for p, so that people without keypoints are no error
        curb = np.diag([*np.ones(NUM_BETAS), *np.full(3, 1e-6)])
        pulled = np.einsum("nrs,nr->ns", by, off)
        pulled[:, :NUM_BETAS] -= betas
        step: Array = np.linalg.solve(np.einsum("nrs,nrt->nst", by, by) + curb, pulled[..., None])[..., 0]
        return step

    def _bone_terms(self, lengths: Array, betas: Array) -> tuple[Array, Array]:
        """(N, 6) and (N, 6, 13): by how many standard deviations bones are too short, and how β changes them."""
        bones = self._bones + np.einsum("acb,nb->nac", self._bone_slopes, betas)
        now = np.linalg.norm(bones, axis=-1)
        known = np.isfinite(lengths)
        by = np.zeros((*now.shape, _SIZE))
        by[..., :NUM_BETAS] = np.einsum("nac,acb->nab", bones / now[..., None], self._bone_slopes) / _BONE_SPREAD
        return np.where(known, (lengths - now) / _BONE_SPREAD, 0.0), by * known[..., None]


def _first_place(sightings: Sightings, base: Array) -> Array:
    """(N, 3) m: the pelvis where X − x Z = 0 and Y − y Z = 0 hold best for β = 0, which is a linear problem."""
    x, y = sightings.rays[..., 0], sightings.rays[..., 1]
    one, zero = np.ones_like(x), np.zeros_like(x)
    rows = np.stack([np.stack([one, zero, -x], -1), np.stack([zero, one, -y], -1)], axis=2)
    rows *= sightings.weights[..., None, None]
    off = -np.einsum("nkrc,nkc->nkr", rows, base)
    normal = np.einsum("nkrc,nkrd->ncd", rows, rows) + 1e-9 * np.eye(3)
    pelvis: Array = np.linalg.solve(normal, np.einsum("nkrc,nkr->nc", rows, off)[..., None])[..., 0]
    return pelvis


def _offsets(sightings: Sightings, at: Array, pelvis: Array) -> Array:
    """(N,) see `Placed.offset`; infinite where nothing is seen."""
    flat = at[..., :2] / np.maximum(at[..., 2:], NEAREST_Z)
    away = np.linalg.norm(sightings.rays - flat, axis=-1) * np.abs(pelvis[:, 2:])
    away[sightings.weights <= 0] = np.nan
    offsets = np.full(len(away), np.inf)
    known = (sightings.weights > 0).any(axis=1)
    offsets[known] = np.nanmedian(away[known], axis=1)
    return offsets
