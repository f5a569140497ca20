"""Body models: the built-in free body, and a user's own SMPL file."""

from __future__ import annotations

from pathlib import Path

from tracker.body.free_body import FREE_BODY_NAME, load_base_mesh, load_free_body
from tracker.body.model import (
    JOINT_NAMES,
    LANDMARK_NAMES,
    PARENTS,
    BodyModel,
    PosedBody,
    ShapedBody,
    rotation_matrices,
    vertex_normals,
)
from tracker.body.smpl_file import import_body, read_smpl_file

__all__ = [
    "FREE_BODY_NAME",
    "JOINT_NAMES",
    "LANDMARK_NAMES",
    "PARENTS",
    "BodyModel",
    "PosedBody",
    "ShapedBody",
    "import_body",
    "load_base_mesh",
    "load_body",
    "rotation_matrices",
    "vertex_normals",
]


def load_body(path: Path | None = None) -> BodyModel:
    """The built-in free body, or a user's SMPL file (`.pkl`, `.npz`); float32 on the CPU.

    Raises InputError for a file that is missing, broken, or not an SMPL body.
    """
    return load_free_body() if path is None else read_smpl_file(path)
