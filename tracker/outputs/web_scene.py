"""What the live page needs to draw bodies in 3D: the body's mesh once, and everybody's pose in each frame."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from tracker.body.mannequin import mannequin
from tracker.body.model import JOINT_NAMES, BodyModel
from tracker.body.skeletal_mesh import strongest
from tracker.core.frame import Frame
from tracker.core.person import Person
from tracker.outputs.send.pose_message import BinaryEncoder
from tracker.overlay.mesh_overlay import PALETTE
from tracker.world.live_world import LiveWorld

INFLUENCES = 4
"""Joints that move a vertex at most in the page."""


class BodyScene:
    """Bodies for a page that skins them itself; see `Scene`."""

    def __init__(self, body: BodyModel, world: LiveWorld) -> None:
        self._body, self._encode = body, BinaryEncoder(world)

    def mesh(self) -> bytes:
        """See `Scene`."""
        return mesh_file(self._body)

    def poses(self, frame: Frame, people: Sequence[Person]) -> bytes:
        """See `Scene`."""
        return self._encode(frame, people)


def mesh_file(body: BodyModel) -> bytes:
    """The body as it is shown, as safetensors: m, at rest, without pose correctives; four joints a vertex."""
    shown = mannequin(body)
    rest = shown.v_template.double()
    faces = shown.faces.numpy()
    joints, weights = _influences(shown.weights.double().numpy())
    tensors: dict[str, NDArray[Any]] = {
        "vertices": rest.numpy().astype(np.float32),
        "normals": _normals(rest.numpy(), faces),
        "shapes": shown.shapedirs.numpy().astype(np.float32),
        "joints": (shown.joint_regressor.double() @ rest).numpy().astype(np.float32),
        "joint_shapes": np.tensordot(
            shown.joint_regressor.double().numpy(), shown.shapedirs.double().numpy(), axes=1
        ).astype(np.float32),
        "skin_joints": joints,
        "skin_weights": weights,
        "faces": faces.astype(np.uint32),
        "parents": np.array(shown.parents, np.int32),
    }
    return save(tensors, {"joint_names": json.dumps(JOINT_NAMES), "colours": json.dumps(PALETTE)})


def _influences(weights: NDArray[np.float64]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """(V, 24) blend weights → the strongest joints of each vertex and their shares, both (V, 4)."""
    kept = strongest(weights, INFLUENCES)
    joints = np.argsort(-kept, axis=1, kind="stable")[:, :INFLUENCES]
    return joints.astype(np.uint8), np.take_along_axis(kept, joints, axis=1)


def _normals(vertices: NDArray[np.float64], faces: NDArray[np.integer]) -> NDArray[np.float32]:
    """(V, 3) unit normals, those of the triangles around each vertex weighted by their areas."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    crosses = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], crosses)
    return (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)).astype(np.float32)
