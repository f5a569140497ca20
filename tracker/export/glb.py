"""person_NNN.glb: the body as a skinned, animated glTF 2.0 mesh, for Blender, three.js and game engines; scene.glb:
everybody and the camera in one.

glTF is y-up, in metres and seconds. Key frames count from the run's first frame, so that the files of several people
play together; a body is shrunk to nothing while its person is not tracked. Skinning
in glTF is linear blend skinning; the body's pose correctives (SMPL's posedirs) become morph targets, which glTF applies
before skinning as SMPL does, with the entries of the joints' rotation matrices as their animated weights.

Blender holds weights within 0..1, so each entry is dealt out over targets that need only that range: an entry of the
diagonal, R − 1 in −2..0, is one target with the offsets times −2; any other, in −1..1, is a pair with opposite offsets.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tracker.body.mannequin import mannequin
from tracker.body.model import BodyModel, ShapedBody, vertex_normals
from tracker.body.skinner import dressed, skinner_of
from tracker.body.smpl_joints import SMPL_JOINTS
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.export.sequence import PersonSequence, SkeletonMotion, same_sign, shape_body, to_numpy
from tracker.export.skeletons import SkeletonNames, joint_names
from tracker.world.world_frame import T_YUP_CAMERA

_FLOAT, _UINT8, _UINT32 = 5126, 5121, 5125
_COMPONENTS = {np.dtype(np.float32): _FLOAT, np.dtype(np.uint8): _UINT8, np.dtype(np.uint32): _UINT32}
_ARRAY_BUFFER, _ELEMENT_BUFFER = 34962, 34963
_TYPES = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
_SET = 4
"""Joints in one attribute set; a viewer that reads only the first set gets each vertex' strongest joints."""
_COLOUR = (0.55, 0.65, 0.80, 1.0)


class _Binary:
    """The binary chunk as it grows, with the accessors that describe it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add(self, values: NDArray[Any], target: int | None = None) -> int:
        """Appends an array and returns the index of its accessor."""
        accessor = {
            "bufferView": self._view(values),
            "componentType": _COMPONENTS[values.dtype],
            "count": len(values),
            "type": _TYPES[values.shape[1:]],
        }
        if target is not None:
            self.views[-1]["target"] = target
        if values.ndim <= 2 and values.dtype == np.float32:
            accessor |= _bounds(values)
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def add_sparse(self, values: NDArray[np.float32]) -> int:
        """As `add` for vectors (n, 3) that are mostly zero; only the others are stored."""
        rows = np.flatnonzero(values.any(axis=1))
        sparse = {
            "count": len(rows),
            "indices": {"bufferView": self._view(rows.astype(np.uint32)), "componentType": _UINT32},
            "values": {"bufferView": self._view(values[rows])},
        }
        accessor = {"componentType": _FLOAT, "count": len(values), "type": "VEC3", "sparse": sparse}
        self.accessors.append(accessor | _bounds(values))
        return len(self.accessors) - 1

    def _view(self, values: NDArray[Any]) -> int:
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": values.nbytes})
        self.data += values.tobytes()
        self.data += bytes(-len(self.data) % 4)
        return len(self.views) - 1


def _bounds(values: NDArray[np.float32]) -> dict[str, list[float]]:
    low, high = np.atleast_1d(values.min(axis=0)), np.atleast_1d(values.max(axis=0))
    return {"min": low.tolist(), "max": high.tolist()}


def write(stream: BinaryIO, person: PersonSequence, body: BodyModel, skeleton: SkeletonNames = "smpl") -> None:
    """One binary glTF with the mesh in its T-pose, 24 joints, and one animation."""
    scene = _Scene(skeleton, [person])
    scene.add_person(person, body)
    scene.write(stream)


def write_scene(
    stream: BinaryIO, people: Sequence[PersonSequence], body: BodyModel, skeleton: SkeletonNames = "smpl"
) -> None:
    """As `write` for everybody of a run, with its camera, in one animation."""
    scene = _Scene(skeleton, people)
    scene.add_camera(max(people, key=lambda person: len(person.timestamps)))
    for person in people:
        scene.add_person(person, body)
    scene.write(stream)


def _dressed(shaped: ShapedBody, clothing: NDArray[np.float32] | None) -> ShapedBody:
    """The body at rest with what stands out of its skin, if that is known; its joints stay."""
    if clothing is None:
        return shaped
    rest, faces = shaped.rest_vertices, skinner_of(shaped.model).faces
    return replace(shaped, rest_vertices=torch.from_numpy(dressed(rest.cpu().numpy(), faces, clothing)).to(rest))


_MATERIAL = {"baseColorFactor": _COLOUR, "metallicFactor": 0.0, "roughnessFactor": 0.8}
_NEAR, _FAR = 0.05, 100.0
"""m that a viewer shows from the camera."""


class _Scene:
    """A glTF document as it grows."""

    def __init__(self, skeleton: SkeletonNames, people: Sequence[PersonSequence]) -> None:
        """people: all that will be in it."""
        self._names, self._binary = joint_names(skeleton), _Binary()
        self._nodes: list[dict[str, Any]] = []
        self._top: list[int] = []
        self._meshes: list[dict[str, Any]] = []
        self._skins: list[dict[str, Any]] = []
        self._cameras: list[dict[str, Any]] = []
        self._samplers: list[dict[str, Any]] = []
        self._channels: list[dict[str, Any]] = []
        self._frame_rate = people[0].timeline.frame_rate
        self._until = max(float(person.seconds[-1]) for person in people)

    def add_camera(self, person: PersonSequence) -> None:
        """The camera of the video as it was held while this person was there; it looks along its own −z in glTF, which
        knows no zoom and no principal point beside the middle."""
        camera = person.camera
        view = 2 * math.atan(camera.height / (2 * camera.fy))
        aspect = camera.width / camera.height * camera.fy / camera.fx
        lens = {"yfov": view, "aspectRatio": aspect, "znear": _NEAR, "zfar": _FAR}
        self._cameras.append({"name": "camera", "type": "perspective", "perspective": lens})
        matrices = (person.T_yup_camera @ T_YUP_CAMERA).reshape(-1, 4, 4)
        turns = same_sign(Rotation.from_matrix(matrices[:, :3, :3]).as_quat())
        place = {"translation": matrices[0, :3, 3].tolist(), "rotation": turns[0].tolist()}
        node = self._node({"name": "camera", "camera": 0, **place})
        self._top.append(node)
        if person.path is not None:
            clock = self._binary.add(person.seconds.astype(np.float32))
            self._channel(node, "rotation", clock, turns)

    def add_person(self, person: PersonSequence, body: BodyModel) -> None:
        """A root that shows and hides the person, the joints, the skinned mesh, and their animation."""
        shaped = _dressed(shape_body(mannequin(body), person.betas), person.clothing)
        joints, name = to_numpy(shaped.rest_joints), f"person_{person.person_id:03d}"
        root = self._node({"name": name, "children": [len(self._nodes) + 1]})
        first = len(self._nodes)
        for node in _joint_nodes(joints, body.parents, self._names, first):
            self._node(node)
        mesh = self._node({"name": f"{name}_mesh", "mesh": len(self._meshes), "skin": len(self._skins)})
        self._top += [root, mesh]
        self._meshes.append({"name": name, **_mesh(self._binary, shaped)})
        bind = _bind(self._binary, joints)
        skin = {"skeleton": first, "joints": list(range(first, first + NUM_JOINTS)), "inverseBindMatrices": bind}
        self._skins.append(skin)
        self._animate(person, _correctives(body), (root, first, mesh))

    def _animate(self, person: PersonSequence, correctives: list[_Corrective], nodes: tuple[int, int, int]) -> None:
        root, first, mesh = nodes
        motion = SkeletonMotion.of(person)
        clock = self._binary.add((motion.times - person.timeline.start).astype(np.float32))
        self._channel(first, "translation", clock, motion.pelvis)
        for joint in range(NUM_JOINTS):
            self._channel(first + joint, "rotation", clock, motion.quaternions[:, joint])
        if correctives:
            weights = _corrective_weights(motion.quaternions[:, 1:], correctives)
            self._channel(mesh, "weights", clock, weights.reshape(-1))
        times, shown = _appearances(person, self._until)
        if not shown.all():
            scales = np.repeat(shown[:, None], 3, axis=1)
            self._channel(root, "scale", self._binary.add(times.astype(np.float32)), scales, "STEP")

    def _channel(self, node: int, path: str, clock: int, values: Array, interpolation: str = "LINEAR") -> None:
        output = self._binary.add(values.astype(np.float32))
        self._channels.append({"sampler": len(self._samplers), "target": {"node": node, "path": path}})
        self._samplers.append({"input": clock, "output": output, "interpolation": interpolation})

    def _node(self, node: dict[str, Any]) -> int:
        self._nodes.append(node)
        return len(self._nodes) - 1

    def write(self, stream: BinaryIO) -> None:
        """The container."""
        document = {
            "asset": {"version": "2.0", "generator": "body-tracker", "extras": {"frame_rate": self._frame_rate}},
            "scene": 0,
            "scenes": [{"nodes": self._top}],
            "nodes": self._nodes,
            "materials": [{"name": "body", "pbrMetallicRoughness": _MATERIAL}],
            "meshes": self._meshes,
            "skins": self._skins,
            "animations": [{"name": "tracked", "samplers": self._samplers, "channels": self._channels}],
            "buffers": [{"byteLength": len(self._binary.data)}],
            "bufferViews": self._binary.views,
            "accessors": self._binary.accessors,
        }
        if self._cameras:
            document["cameras"] = self._cameras
        _write_container(stream, document, bytes(self._binary.data))


def _appearances(person: PersonSequence, until: float) -> tuple[Array, Array]:
    """Seconds from the run's start at which a person comes (1) or goes (0), the first at 0.

    until: s, the last moment of the scene; who is there then never goes.
    """
    step = 1 / person.timeline.frame_rate
    times = person.seconds
    whole = np.concatenate([[False], person.tracked, [False]])
    changes = np.flatnonzero(whole[1:] != whole[:-1])
    moments = np.concatenate([times, times[-1:] + step])[changes]
    shown = whole[1:][changes].astype(float)
    if moments[-1] > until:
        moments, shown = moments[:-1], shown[:-1]
    if moments[0] > step / 2:
        return np.concatenate([[0.0], moments]), np.concatenate([[0.0], shown])
    return np.maximum(moments, 0.0), shown


def _joint_nodes(joints: Array, parents: Sequence[int], names: Sequence[str], first: int) -> list[dict[str, Any]]:
    """first: index that the root joint's node will have."""
    nodes: list[dict[str, Any]] = []
    for joint, parent in enumerate(parents):
        offset = joints[joint] - (joints[parent] if parent >= 0 else 0)
        node: dict[str, Any] = {"name": names[joint], "translation": [float(v) for v in offset]}
        children = [first + child for child, its_parent in enumerate(parents) if its_parent == joint]
        nodes.append(node | ({"children": children} if children else {}))
    return nodes


def _mesh(binary: _Binary, shaped: ShapedBody) -> dict[str, Any]:
    body = shaped.model
    primitive = {
        "attributes": _attributes(binary, shaped),
        "indices": binary.add(body.faces.cpu().numpy().astype(np.uint32).reshape(-1), _ELEMENT_BUFFER),
        "material": 0,
        "mode": 4,
    }
    correctives = _correctives(body)
    if body.posedirs is None or not correctives:
        return {"primitives": [primitive]}
    offsets = to_numpy(body.posedirs).astype(np.float32)
    targets = [{"POSITION": binary.add_sparse(c.factor * offsets[:, :, c.column])} for c in correctives]
    return {
        "primitives": [primitive | {"targets": targets}],
        "weights": [0.0] * len(correctives),
        "extras": {"targetNames": [c.name for c in correctives]},
    }


@dataclass(frozen=True)
class _Corrective:
    """One morph target: a column of the posedirs times a factor."""

    column: int
    """Among the entries of the 23 rotation matrices, row-major, joint by joint."""
    factor: np.float32

    @property
    def name(self) -> str:
        joint, entry = SMPL_JOINTS[1 + self.column // 9], f"{self.column % 9 // 3}{self.column % 3}"
        return f"{joint}_{entry}{'+' if self.factor > 0 else '-'}"


def _correctives(body: BodyModel) -> list[_Corrective]:
    """The targets for those entries of the rotation matrices that move any vertex of the body."""
    if body.posedirs is None:
        return []
    columns = np.flatnonzero(body.posedirs.flatten(end_dim=1).any(dim=0).cpu().numpy())
    diagonal = (0, 4, 8)
    pairs = [(column, (-2.0,) if column % 9 in diagonal else (1.0, -1.0)) for column in columns]
    return [_Corrective(int(column), np.float32(factor)) for column, factors in pairs for factor in factors]


def _attributes(binary: _Binary, shaped: ShapedBody) -> dict[str, int]:
    normals = vertex_normals(shaped.rest_vertices, shaped.model.faces)
    attributes = {
        "POSITION": binary.add(to_numpy(shaped.rest_vertices).astype(np.float32), _ARRAY_BUFFER),
        "NORMAL": binary.add(to_numpy(normals).astype(np.float32), _ARRAY_BUFFER),
    }
    for number, (influences, shares) in enumerate(_influence_sets(to_numpy(shaped.model.weights))):
        attributes[f"JOINTS_{number}"] = binary.add(influences.astype(np.uint8), _ARRAY_BUFFER)
        attributes[f"WEIGHTS_{number}"] = binary.add(shares.astype(np.float32), _ARRAY_BUFFER)
    return attributes


def _influence_sets(weights: Array) -> list[tuple[NDArray[np.int64], Array]]:
    """(V, 24) blend weights → as many sets of 4 joints (V, 4) and weights (V, 4) as there are any, strongest first."""
    order = np.argsort(-weights, axis=1, kind="stable")
    ranked = np.take_along_axis(weights, order, axis=1)
    most = int((ranked > 0).sum(axis=1).max())
    joints = np.where(ranked > 0, order, 0)
    return [(joints[:, i : i + _SET], ranked[:, i : i + _SET]) for i in range(0, most, _SET)]


def _bind(binary: _Binary, joints: Array) -> int:
    """Inverse bind matrices, column-major: the T-pose's joints carry no rotation, so each is a shift."""
    matrices = np.tile(np.eye(4, dtype=np.float32), (NUM_JOINTS, 1, 1))
    matrices[:, 3, :3] = -joints
    return binary.add(matrices)


def _corrective_weights(quaternions: Array, correctives: list[_Corrective]) -> Array:
    """(T, 23, 4) xyzw → (T, n) in 0..1: the joints' rotation matrices minus identity as weights of these targets."""
    matrices = Rotation.from_quat(quaternions.reshape(-1, 4)).as_matrix() - np.eye(3)
    entries = matrices.reshape(len(quaternions), -1)[:, [c.column for c in correctives]]
    return np.clip(entries / np.array([c.factor for c in correctives]), 0.0, 1.0)


def _write_container(stream: BinaryIO, document: dict[str, Any], binary: bytes) -> None:
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    binary += bytes(-len(binary) % 4)
    stream.write(struct.pack("<4sII", b"glTF", 2, 28 + len(text) + len(binary)))
    stream.write(struct.pack("<I4s", len(text), b"JSON") + text)
    stream.write(struct.pack("<I4s", len(binary), b"BIN\0") + binary)
