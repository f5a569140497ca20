"""The built-in body as it is shown: a shop-window figure, with the same vertices, triangles, joints and poses.

What a naked body has that one would not show to everybody (nipples, navel, toes, what lies between the legs) is
smoothed away, and the chest and hips with it to those of neither sex. Fits go on with the true surface.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, identity
from scipy.sparse.linalg import splu

from tracker.body.free_body_file import FREE_BODY_NAME
from tracker.body.model import BodyModel
from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import Array

_TRUNK, _FEET = 1.5e-6, 4.0e-9
"""m⁴: how strongly the surface resists being bent. Of waves of length w a part 1 / (1 + stiffness (2π / w)⁴) is left: a
fifth of those of 15 cm on the trunk, of 3 cm on the feet."""
_SMALLEST_AREA = 1e-10
"""m²"""
_TRUNK_JOINTS = ("pelvis", "spine1", "spine2", "spine3")
_FOOT_JOINTS = ("left_foot", "right_foot")


@lru_cache(maxsize=4)
def mannequin(body: BodyModel) -> BodyModel:
    """What to draw for a body; a user's own is drawn as it is."""
    if body.name != FREE_BODY_NAME:
        return body
    bend = _bending(body)
    solve = splu((identity(bend.shape[0]) + bend).tocsc()).solve
    template, shapes = body.v_template.double().numpy(), body.shapedirs.double().numpy()
    # what the smoothing takes away the regressor puts back: the joints stay where they were
    regressor = body.joint_regressor.double().numpy()
    regressor = regressor + (bend.T @ regressor.T).T
    return replace(
        body,
        v_template=_as(body.v_template, solve(template)),
        shapedirs=_as(body.shapedirs, solve(shapes.reshape(len(shapes), -1)).reshape(shapes.shape)),
        joint_regressor=_as(body.joint_regressor, regressor),
    )


def _as(like: torch.Tensor, values: Array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(like)


def _bending(body: BodyModel) -> csr_matrix:
    """(V, V): each vertex's stiffness times the bi-Laplacian of the surface there."""
    weights = body.weights.double().numpy()
    share = {
        name: weights[:, [smpl_index(each) for each in name]].sum(axis=1) for name in (_TRUNK_JOINTS, _FOOT_JOINTS)
    }
    stiffness = _TRUNK * share[_TRUNK_JOINTS] ** 2 + _FEET * share[_FOOT_JOINTS]
    laplacian = _laplacian(body.v_template.double().numpy(), body.faces.numpy())
    return (diags(stiffness) @ (laplacian @ laplacian)).tocsr()


def _laplacian(vertices: Array, faces: NDArray[np.integer]) -> csr_matrix:
    """(V, V), 1/m²: of functions on the surface, by the cotangents of its triangles' angles."""
    count = len(vertices)
    weights, areas = csr_matrix((count, count)), np.zeros(count)
    for corner in range(3):
        apex, one, other = (faces[:, (corner + k) % 3] for k in range(3))
        u, v = vertices[one] - vertices[apex], vertices[other] - vertices[apex]
        doubled = np.linalg.norm(np.cross(u, v), axis=1)
        np.add.at(areas, apex, doubled / 6)
        cotangent = np.maximum((u * v).sum(axis=1) / np.maximum(doubled, _SMALLEST_AREA), 0.0) / 2
        weights = weights + csr_matrix((cotangent, (one, other)), (count, count))
    weights = weights + weights.T
    stiff = diags(np.asarray(weights.sum(axis=1)).ravel()) - weights
    return (diags(1 / np.maximum(areas, _SMALLEST_AREA)) @ stiff).tocsr()
