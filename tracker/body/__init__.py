"""Body models: the built-in free body, and a user's own SMPL file.

Names are loaded when they are first asked for: joints and bones are wanted where torch is not.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tracker.core.lazy_names import names_on_demand

if TYPE_CHECKING:
    from tracker.body.free_body import load_base_mesh, load_free_body
    from tracker.body.free_body_file import FREE_BODY_NAME
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

_HOMES = {
    "FREE_BODY_NAME": "free_body_file",
    "JOINT_NAMES": "model",
    "LANDMARK_NAMES": "model",
    "PARENTS": "model",
    "BodyModel": "model",
    "PosedBody": "model",
    "ShapedBody": "model",
    "import_body": "smpl_file",
    "load_base_mesh": "free_body",
    "load_free_body": "free_body",
    "read_smpl_file": "smpl_file",
    "rotation_matrices": "model",
    "vertex_normals": "model",
}
"""Public name → the module that holds it."""

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
    "load_free_body",
    "read_smpl_file",
    "rotation_matrices",
    "vertex_normals",
]

__getattr__ = names_on_demand(__name__, _HOMES)


def load_body(path: Path | None = None) -> BodyModel:
    """The built-in free body, or a user's SMPL file (`.pkl`, `.npz`); float32 on the CPU.

    Raises InputError for a file that is missing, broken, or not an SMPL body.
    """
    if path is None:
        from tracker.body.free_body import load_free_body

        return load_free_body()
    from tracker.body.smpl_file import read_smpl_file

    return read_smpl_file(path)
