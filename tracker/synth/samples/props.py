"""Things to stand in front of people, out of an archive of small glTF models."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from tracker.core.arrays import Array
from tracker.core.errors import InputError
from tracker.synth.samples.occluder import Prop

_log = logging.getLogger(__name__)
_FREE = 1
"""What `info.json` says of a model under CC0."""
_DRACO = "KHR_draco_mesh_compression"
_MOST_FACES = 12000
_GREY = (0.5, 0.5, 0.5, 1.0)
_BROKEN = (KeyError, IndexError, TypeError, ValueError, RuntimeError)


def read_archive(path: Path, suffix: str) -> dict[str, bytes]:
    """The files with this suffix in a `.tar.gz`, by name, in order. Raises InputError for what is none."""
    try:
        with tarfile.open(path) as archive:
            members = [m for m in archive.getmembers() if m.isfile() and m.name.endswith(suffix)]
            parts = {m.name: archive.extractfile(m) for m in sorted(members, key=lambda m: m.name)}
            return {name: file.read() for name, file in parts.items() if file is not None}
    except (OSError, EOFError, tarfile.TarError) as error:
        raise InputError(f"{path}: not a .tar.gz that can be read ({error}); leave it out") from error


def read_props(path: Path) -> list[Prop]:
    """The models of an archive that are whole, free and of a reasonable size."""
    try:
        import DracoPy  # noqa: F401
    except ImportError:
        _log.warning("%s: left out, its models are compressed: pip install 'body-tracker[assets]' decodes them", path)
        return []
    files = read_archive(path, ".json") | read_archive(path, ".gltf")
    props = []
    for name, data in files.items():
        if name.endswith(".gltf") and _is_free(files.get(str(PurePosixPath(name).with_name("info.json")))):
            try:
                prop = read_prop(data)
            except _BROKEN as error:
                _log.info("%s in %s: left out, it is broken (%s)", name, path, error)
                continue
            if len(prop.faces) <= _MOST_FACES:
                props.append(prop)
    return props


def _is_free(info: bytes | None) -> bool:
    try:
        return info is not None and json.loads(info).get("license") == _FREE
    except (ValueError, AttributeError):
        return False


def read_prop(data: bytes) -> Prop:
    """A glTF with its buffers inside, its meshes Draco-compressed; a colour for each material, no textures.

    Raises one of KeyError, IndexError, TypeError, ValueError, RuntimeError for anything else.
    """
    model = json.loads(data)
    buffers = [_inline(buffer["uri"]) for buffer in model["buffers"]]
    vertices: list[Array] = []
    faces: list[Array] = []
    colours: list[Array] = []
    for matrix, mesh in _placed_meshes(model):
        for primitive in mesh["primitives"]:
            points, triangles = _decoded(model, buffers, primitive)
            faces.append(triangles + sum(len(v) for v in vertices))
            vertices.append(points @ matrix[:3, :3].T + matrix[:3, 3])
            colours.append(np.broadcast_to(_colour(model, primitive), (len(triangles), 3)))
    points = np.concatenate(vertices)
    low, high = points.min(axis=0), points.max(axis=0)
    if not (np.isfinite(points).all() and (high - low).max() > 0):
        raise ValueError("it has no extent")
    points = (points - (low + high) / 2) / (high - low).max()
    return Prop(points, np.concatenate(faces).astype(np.int32), np.concatenate(colours), points[:, :2].copy())


def _inline(uri: str) -> bytes:
    head, _, body = uri.partition(",")
    if not head.startswith("data:"):
        raise ValueError("its buffer is another file")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise ValueError("its buffer is not base64") from error


def _placed_meshes(model: dict[str, Any]) -> list[tuple[Array, dict[str, Any]]]:
    """Each mesh of the scene with its (4, 4) transform."""
    parts: list[tuple[Array, dict[str, Any]]] = []
    roots = model["scenes"][model.get("scene", 0)]["nodes"]
    waiting = [(node, np.eye(4), 0) for node in roots]
    while waiting:
        index, parent, depth = waiting.pop()
        if depth > len(model["nodes"]):
            raise ValueError("its nodes form a loop")
        node = model["nodes"][index]
        matrix = parent @ _local(node)
        if "mesh" in node:
            parts.append((matrix, model["meshes"][node["mesh"]]))
        waiting += [(child, matrix, depth + 1) for child in node.get("children", ())]
    return parts


def _local(node: dict[str, Any]) -> Array:
    if "matrix" in node:
        return np.array(node["matrix"], float).reshape(4, 4).T
    matrix = np.eye(4)
    turn = Rotation.from_quat(node.get("rotation", (0, 0, 0, 1))).as_matrix()
    matrix[:3, :3] = turn * np.array(node.get("scale", (1, 1, 1)))
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


def _decoded(model: dict[str, Any], buffers: list[bytes], primitive: dict[str, Any]) -> tuple[Array, Array]:
    import DracoPy

    view = model["bufferViews"][primitive["extensions"][_DRACO]["bufferView"]]
    start = view.get("byteOffset", 0)
    mesh = DracoPy.decode(buffers[view["buffer"]][start : start + view["byteLength"]])
    points, faces = np.asarray(mesh.points, float).reshape(-1, 3), np.asarray(mesh.faces).reshape(-1, 3)
    if not len(faces) or faces.max() >= len(points):
        raise ValueError("a mesh has faces without vertices")
    return points, faces


def _colour(model: dict[str, Any], primitive: dict[str, Any]) -> Array:
    material = model.get("materials", [{}])[primitive["material"]] if "material" in primitive else {}
    return np.array(material.get("pbrMetallicRoughness", {}).get("baseColorFactor", _GREY)[:3], float)
