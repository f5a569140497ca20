"""Rigged, clothed people as glTF, posed and drawn in rooms.

Their skeleton is SMPL's but for names and offsets, at rest in a T, its nodes unturned: so a node is turned as SMPL's
joint is. Y up, metres, the floor at 0.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kernels import raster
from tracker.body.smpl_joints import SMPL_JOINTS
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.errors import InputError
from tracker.synth.samples.environment import Environment, light_from_environment, reached_by_lamp
from tracker.synth.samples.paints import shown_as
from tracker.synth.textured_raster import TexturedMesh, TexturedRaster, TexturedRendering

_SIDE = ("UpLeg", "Leg", "Foot", "ToeBase", "Shoulder", "Arm", "ForeArm", "Hand", "HandMiddle1")
_SMPL_SIDE = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist", "hand")
_MIDDLE = ("Hips", "Spine", "Spine1", "Spine2", "Neck", "Head")
_SMPL_MIDDLE = ("pelvis", "spine1", "spine2", "spine3", "neck", "head")
NODES = dict(zip(_SMPL_MIDDLE, _MIDDLE, strict=True)) | {
    f"{side}_{joint}": side.capitalize() + node
    for side in ("left", "right")
    for joint, node in zip(_SMPL_SIDE, _SIDE, strict=True)
}
"""SMPL's joint → the avatar's node."""
_DTYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@dataclass(frozen=True, eq=False)
class Avatar:
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
    mesh: TexturedMesh

    def posed(self, rotations: Array) -> tuple[Array, Array]:
        """(V, 3) vertices and (24, 3) joints in m, for SMPL's (24, 3, 3) rotations relative to the parents.

        The hips stay at the origin.
        """
        local = np.broadcast_to(np.eye(3), (len(self.parents), 3, 3)).copy()
        local[self.turned] = rotations
        turns, at = local.copy(), np.zeros_like(self.places)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                turns[node] = turns[parent] @ local[node]
                at[node] = at[parent] + turns[parent] @ (self.places[node] - self.places[parent])
        move = at - np.einsum("jab,jb->ja", turns, self.places)
        blended = np.einsum("vj,jab->vab", self.weights, turns)
        vertices = np.einsum("vab,vb->va", blended, self.vertices) + self.weights @ move
        return vertices, at[self.turned]


def read_avatar(path: Path) -> Avatar:
    """From a binary glTF with one skin and one texture a mesh. Raises InputError where a joint has no node."""
    import pygltflib

    model = pygltflib.GLTF2().load(str(path))
    skin = model.skins[0]
    names = [model.nodes[node].name for node in skin.joints]
    missing = sorted(set(NODES.values()) - set(names))
    if missing:
        raise InputError(f"{path}: no nodes {', '.join(missing)}; expected the skeleton that its README describes")
    parents = [-1] * len(names)
    for parent, node in enumerate(skin.joints):
        for child in model.nodes[node].children or ():
            parents[skin.joints.index(child)] = parent
    inverse = _values(model, skin.inverseBindMatrices).reshape(-1, 4, 4)
    parts = [primitive for mesh in model.meshes for primitive in mesh.primitives]
    starts = np.cumsum([0, *(len(_values(model, p.attributes.POSITION)) for p in parts)])
    weights = np.zeros((starts[-1], len(names)))
    for start, part in zip(starts, parts, strict=False):
        joints, shares = (
            _values(model, key).astype(int) for key in (part.attributes.JOINTS_0, part.attributes.WEIGHTS_0)
        )
        np.add.at(
            weights, (start + np.arange(len(joints))[:, None], joints), shares / shares.sum(axis=1, keepdims=True)
        )
    pieces = [_textured(model, part) for part in parts]
    return Avatar(
        path.stem,
        parents,
        -inverse[:, 3, :3].astype(float),
        [names.index(NODES[joint]) for joint in SMPL_JOINTS],
        np.concatenate([_values(model, p.attributes.POSITION) for p in parts]).astype(float),
        weights,
        _joined(pieces),
    )


def looks(folder: Path, rng: np.random.Generator, half: int | None = None) -> list[Path]:
    """The files of the folder's index.csv in any order; half: only those of every other person, 0 or 1."""
    rows = list(csv.DictReader(io.StringIO((folder / "index.csv").read_text())))
    persons = sorted({row["person"] for row in rows})
    wanted = set(persons if half is None else persons[half::2])
    files = [folder / row["file"] for row in rows if row["person"] in wanted]
    return [files[i] for i in rng.permutation(len(files))]


def drawn_in(
    room: Environment, camera: Camera, R_camera_world: Array, avatar: Avatar, vertices: Array
) -> TexturedRendering:
    """The avatar with vertices (V, 3) m in the camera frame, lit by the room."""
    light = light_from_environment(room.radiance, 0.4)
    points, faces = vertices.astype(np.float32), avatar.mesh.faces.astype(np.int32)
    normals = raster.vertex_normals(points, faces).numpy() @ R_camera_world
    lit = reached_by_lamp(points, faces, R_camera_world @ light.towards_lamp)
    exposure = light.on_what_faces(-R_camera_world[2]) ** -0.8
    shade = shown_as(light.falling_on(normals, lit) * exposure)
    return TexturedRaster([avatar.mesh]).draw(camera, [vertices], [shade])


def _values(model: Any, number: int) -> NDArray:
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
    return TexturedMesh(faces, uv, np.asarray(picture[..., ::-1], np.uint8, order="C"))


def _joined(pieces: list[TexturedMesh]) -> TexturedMesh:
    """All of them as one, their textures side by side."""
    height = max(piece.texture.shape[0] for piece in pieces)
    columns = [
        cv2.copyMakeBorder(p.texture, height - p.texture.shape[0], 0, 0, 0, cv2.BORDER_REPLICATE) for p in pieces
    ]
    whole = np.hstack(columns)
    left = np.cumsum([0, *(p.texture.shape[1] for p in pieces)])
    starts = np.cumsum([0, *(len(p.uv) for p in pieces)])
    uvs = [
        (p.uv * [p.texture.shape[1], p.texture.shape[0]] + [left[i], 0]) / [whole.shape[1], height]
        for i, p in enumerate(pieces)
    ]
    faces = np.concatenate([p.faces + starts[i] for i, p in enumerate(pieces)])
    return TexturedMesh(faces, np.concatenate(uvs), np.ascontiguousarray(whole))
