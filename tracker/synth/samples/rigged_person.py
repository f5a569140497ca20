"""Rigged, clothed people as binary glTF.

Their skeleton is SMPL's but for names, offsets and whatever hangs on its ends, at rest in a T, its nodes unturned: so a
node is turned as SMPL's joint is. Y up, metres, the floor at 0.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.body.smpl_joints import SMPL_JOINTS
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.errors import InputError
from tracker.synth.textured_raster import TexturedMesh

_SIDE = ("UpLeg", "Leg", "Foot", "ToeBase", "Shoulder", "Arm", "ForeArm", "Hand", "HandMiddle1")
_SMPL_SIDE = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist", "hand")
_MIDDLE = ("Hips", "Spine", "Spine1", "Spine2", "Neck", "Head")
_SMPL_MIDDLE = ("pelvis", "spine1", "spine2", "spine3", "neck", "head")
NODES = dict(zip(_SMPL_MIDDLE, _MIDDLE, strict=True)) | {
    f"{side}_{joint}": side.capitalize() + node
    for side in ("left", "right")
    for joint, node in zip(_SMPL_SIDE, _SIDE, strict=True)
}
"""SMPL's joint → the person's node."""
_DTYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_BROKEN = (OSError, KeyError, IndexError, TypeError, AttributeError, ValueError, struct.error, cv2.error)


@dataclass(frozen=True, eq=False)
class RiggedPerson:
    """A skinned mesh."""

    name: str
    parents: list[int]
    places: Array
    """(J, 3) m, of the nodes at rest, parents before children."""
    turned: list[int]
    """(24,) the node that each of SMPL's joints turns."""
    vertices: Array
    """(V, 3) m at rest."""
    weights: Array
    """(V, J)."""
    meshes: list[TexturedMesh]
    """Their vertices, one mesh after the other, are the person's."""

    @property
    def faces(self) -> NDArray[np.int64]:
        """(F, 3), of all vertices."""
        starts = np.cumsum([0, *(len(mesh.uv) for mesh in self.meshes)])
        return np.concatenate([mesh.faces + start for mesh, start in zip(self.meshes, starts, strict=False)])

    @property
    def joints(self) -> Array:
        """(24, 3) m, of SMPL's joints at rest."""
        return self.places[self.turned]

    @property
    def joint_weights(self) -> Array:
        """(V, 24): what hangs on a joint's node moves with it."""
        nearest = np.empty(len(self.parents), np.int64)
        for node, parent in enumerate(self.parents):
            nearest[node] = self.turned.index(node) if node in self.turned else nearest[parent]
        return np.stack([self.weights[:, nearest == joint].sum(axis=1) for joint in range(NUM_JOINTS)], axis=1)

    def by_mesh(self, values: NDArray[Any]) -> list[NDArray[Any]]:
        """(V, …) of all vertices → of those of each mesh."""
        return np.split(values, np.cumsum([len(mesh.uv) for mesh in self.meshes[:-1]]))


def read_rigged(path: Path) -> RiggedPerson:
    """From a file with one skin and one texture a mesh, all inside. Raises InputError for anything else, and where a
    joint has no node; ImportError without the reader, which comes with body-tracker[assets]."""
    import pygltflib

    try:
        return _person(path.stem, pygltflib.GLTF2().load_binary(str(path)))
    except _BROKEN as error:
        raise InputError(f"{path}: not a rigged person that can be read ({error}); leave it out") from error


def _person(name: str, model: Any) -> RiggedPerson:
    skin = model.skins[0]
    names = [model.nodes[node].name for node in skin.joints]
    missing = sorted(set(NODES.values()) - set(names))
    if missing:
        raise ValueError(f"it has no nodes {', '.join(missing)}")
    parents = [-1] * len(names)
    for parent, node in enumerate(skin.joints):
        for child in model.nodes[node].children or ():
            parents[skin.joints.index(child)] = parent
    if any(parent >= node for node, parent in enumerate(parents)):
        raise ValueError("its nodes come before their parents")
    inverse = _values(model, skin.inverseBindMatrices).reshape(-1, 4, 4)
    parts = [primitive for mesh in model.meshes for primitive in mesh.primitives]
    meshes = [_textured(model, part) for part in parts]
    vertices = np.concatenate([_values(model, part.attributes.POSITION) for part in parts]).astype(float)
    weights = np.concatenate([_part_weights(model, part, len(names)) for part in parts])
    turned = [names.index(NODES[joint]) for joint in SMPL_JOINTS]
    return RiggedPerson(name, parents, -inverse[:, 3, :3].astype(float), turned, vertices, weights, meshes)


def _part_weights(model: Any, part: Any, count: int) -> Array:
    """(V, count), rows that sum to 1."""
    joints = _values(model, part.attributes.JOINTS_0).astype(int)
    shares = _values(model, part.attributes.WEIGHTS_0).astype(float)
    weights = np.zeros((len(joints), count))
    np.add.at(weights, (np.arange(len(joints))[:, None], joints), shares / shares.sum(axis=1, keepdims=True))
    return weights


def _values(model: Any, number: int) -> NDArray[Any]:
    """(count, width) of an accessor, inside the file."""
    accessor = model.accessors[number]
    view = model.bufferViews[accessor.bufferView]
    dtype, width = np.dtype(_DTYPES[accessor.componentType]), _WIDTHS[accessor.type]
    step = view.byteStride or dtype.itemsize * width
    start = (view.byteOffset or 0) + (accessor.byteOffset or 0)
    return np.ndarray((accessor.count, width), dtype, model.binary_blob(), start, (step, dtype.itemsize))


def _textured(model: Any, part: Any) -> TexturedMesh:
    texture = model.textures[model.materials[part.material].pbrMetallicRoughness.baseColorTexture.index]
    view = model.bufferViews[model.images[texture.source].bufferView]
    data = np.frombuffer(model.binary_blob(), np.uint8, view.byteLength, view.byteOffset or 0)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    uv = _values(model, part.attributes.TEXCOORD_0) * [1, -1] + [0, 1]
    faces = _values(model, part.indices).reshape(-1, 3).astype(np.int64)
    if faces.max() >= len(uv):
        raise ValueError("a mesh has faces without vertices")
    return TexturedMesh(faces, uv.astype(float), np.asarray(picture[..., ::-1], np.uint8, order="C"))
