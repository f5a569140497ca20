"""A mesh whose parts have colours that change: viser's skinned meshes have one colour each, so there is one a joint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from viser.transforms import SO3

from tracker.body.skeletal_mesh import SkeletalMesh
from tracker.body.smpl_joints import SMPL_JOINTS
from tracker.core.arrays import Array
from tracker.core.confidence_colours import confidence_colours

_STEPS = 16
"""Shades between them on a mesh: a smaller change is not worth a message to the browser."""


def scene_colours(confidence: Array) -> NDArray[np.uint8]:
    """(n,) 0..1 → (n, 3) RGB, as viser takes them, of `confidence_colours`."""
    return (255 * confidence_colours(confidence)).astype(np.uint8)


class ConfidenceMesh:
    """One person's mesh, each joint's part in the colour of its confidence."""

    def __init__(
        self, scene: Any, root: str, body: SkeletalMesh, vertices: Array, rest_joints: Array, weights: Array
    ) -> None:
        """vertices: (V, 3) m and rest_joints: (24, 3) m of the shape at rest; weights: (V, 24), at most 4 a vertex."""
        self._group = scene.add_frame(root, show_axes=False)
        self._parts: list[tuple[int, NDArray[np.intp], Any]] = []
        owner = body.weights[body.faces].sum(axis=1).argmax(axis=1)
        for joint in np.unique(owner):
            used, faces = np.unique(body.faces[owner == joint], return_inverse=True)
            bones = np.flatnonzero(weights[used].any(axis=0))
            mesh = scene.add_mesh_skinned(
                f"{root}/{SMPL_JOINTS[joint]}",
                vertices[used].astype(np.float32),
                faces.reshape(-1, 3),
                bone_wxyzs=np.tile([1.0, 0.0, 0.0, 0.0], (len(bones), 1)),
                bone_positions=rest_joints[bones],
                skin_weights=weights[used][:, bones],
                flat_shading=True,  # normals that end at a part's border would show it
            )
            self._parts.append((int(joint), bones, mesh))

    def show(self, visible: bool, opacity: float | None) -> None:
        """opacity: None is opaque."""
        self._group.visible = visible
        for _, _, mesh in self._parts:
            if mesh.opacity != opacity:
                mesh.opacity = opacity

    def pose(self, turns: Sequence[SO3], joints: Array, confidence: Array) -> None:
        """turns: (24,) and joints: (24, 3) m of the bones in the scene; confidence: (24,) 0..1."""
        colours = scene_colours(np.round(confidence * _STEPS) / _STEPS)
        for joint, bones, mesh in self._parts:
            for bone, handle in zip(bones, mesh.bones, strict=True):
                handle.wxyz, handle.position = turns[bone].wxyz, joints[bone]
            colour = tuple(int(value) for value in colours[joint])
            if mesh.color != colour:
                mesh.color = colour
