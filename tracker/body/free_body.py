"""The built-in body as a body model, from the file that comes with the package."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from tracker.body.free_body_file import FREE_BODY_FILE, FREE_BODY_NAME, SCALE16, dense_matrix, dense_weights
from tracker.body.model import LANDMARK_NAMES, BodyModel
from tracker.core.arrays import NUM_JOINTS


@lru_cache(maxsize=1)
def load_base_mesh() -> BodyModel:
    """The free body on all of MakeHuman's base mesh vertices, in MakeHuman's order, float32.

    For binding its clothes and hair. Faces, joints and landmarks are those of `load_free_body`.
    """
    with np.load(FREE_BODY_FILE, allow_pickle=False) as file:
        count = len(file["v_template"])
        return BodyModel(
            name=FREE_BODY_NAME,
            v_template=torch.from_numpy(file["v_template"]),
            shapedirs=torch.from_numpy(file["shapedirs"].astype(np.float32)),
            posedirs=_posedirs(file, count),
            joint_regressor=torch.from_numpy(dense_matrix(file, "joint_regressor", NUM_JOINTS)),
            weights=torch.from_numpy(dense_weights(file)),
            faces=torch.from_numpy(file["faces"].astype(np.int64)),
            landmark_weights=torch.from_numpy(dense_matrix(file, "landmark_weights", len(LANDMARK_NAMES))),
            faces_uv=torch.from_numpy(file["faces_uv"].astype(np.int64)),
            uv=torch.from_numpy(file["uv"].astype(np.float32) / SCALE16),
            base_vertex_index=torch.arange(count),
        )


@lru_cache(maxsize=1)
def load_free_body() -> BodyModel:
    """The built-in body, float32: the visible vertices of the base mesh only."""
    base = load_base_mesh()
    visible, faces = torch.unique(base.faces, return_inverse=True)
    return BodyModel(
        name=base.name,
        v_template=base.v_template[visible],
        shapedirs=base.shapedirs[visible],
        posedirs=None if base.posedirs is None else base.posedirs[visible],
        joint_regressor=base.joint_regressor[:, visible],
        weights=base.weights[visible],
        faces=faces,
        landmark_weights=None if base.landmark_weights is None else base.landmark_weights[:, visible],
        faces_uv=base.faces_uv,
        uv=base.uv,
        base_vertex_index=visible,
    )


def _posedirs(file: np.lib.npyio.NpzFile, count: int) -> torch.Tensor:
    by_joint = torch.zeros(count, 3, NUM_JOINTS - 1, 9)
    vertices, joints = (torch.from_numpy(file[f"pose_{name}"].astype(np.int64)) for name in ("vertex", "joint"))
    by_joint[vertices, :, joints] = torch.from_numpy(file["pose_offsets"].astype(np.float32))
    return by_joint.flatten(start_dim=2)
