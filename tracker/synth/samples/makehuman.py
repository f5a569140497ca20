"""Clothes and hair made for MakeHuman, read and hung on the free body, which has MakeHuman's base mesh inside.

A garment is a mesh (`.obj`) with a binding (`.mhclo`): each of its vertices lies at a combination of three vertices of
the base mesh, plus an offset along axes whose lengths are measured on the body. Bindings are made in MakeHuman's rest
pose, with the arms lowered and the legs apart; the free body rests in a T. How each limb turns between the two is found
from the garment itself, whose mesh file shows it in MakeHuman's pose.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracker.body.model import PARENTS, BodyModel
from tracker.core.arrays import NUM_JOINTS, Array
from tracker.core.errors import InputError
from tracker.core.geometry import similarity

_UNITS = 10.0
"""MakeHuman's units in a metre."""
_ENOUGH = 6
"""Vertices that a joint must move for its turn to be told from them."""
_HELD = 1e-3


@dataclass(frozen=True, eq=False)
class Wavefront:
    """A triangle mesh with texture coordinates."""

    vertices: Array
    """(V, 3)."""
    uv: Array
    """(N, 2)."""
    faces: NDArray[np.int64]
    """(F, 3)."""
    faces_uv: NDArray[np.int64]
    """(F, 3) rows of uv."""


@dataclass(frozen=True, eq=False)
class Binding:
    """Where a garment's vertices lie on the base mesh."""

    corners: NDArray[np.int64]
    """(V, 3) vertices of the base mesh."""
    shares: Array
    """(V, 3)."""
    offsets: Array
    """(V, 3) along x, y, z, in units of `scales`."""
    scales: tuple[tuple[int, int, float], ...]
    """For x, y and z: two vertices of the base mesh, and their distance along that axis that makes a unit one."""
    hidden: NDArray[np.int64]
    """Vertices of the base mesh that the garment covers."""


@dataclass(frozen=True, eq=False)
class Draped:
    """A garment on the free body at rest: (V, …)."""

    rest: Array
    """(V, 3) m."""
    shapedirs: Array
    """(V, 3, 10)."""
    weights: Array
    """(V, 24)."""
    mesh: Wavefront
    hidden: NDArray[np.int64]


def read_wavefront(path: Path) -> Wavefront:
    """A mesh whose faces all have texture coordinates. Raises InputError for anything else."""
    vertices, uv, faces = [], [], []
    try:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            kind, *values = line.split() or [""]
            if kind == "v":
                vertices.append([float(v) for v in values[:3]])
            elif kind == "vt":
                uv.append([float(v) for v in values[:2]])
            elif kind == "f":
                corners = [[int(i) - 1 for i in value.split("/")[:2]] for value in values]
                faces += [[corners[0], corners[i - 1], corners[i]] for i in range(2, len(corners))]
        triangles = np.array(faces, np.int64).reshape(-1, 3, 2)
        mesh = Wavefront(np.array(vertices), np.array(uv), triangles[..., 0], triangles[..., 1])
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a mesh that can be read ({error}); leave it out") from error
    if not len(triangles) or triangles.min() < 0 or mesh.faces.max() >= len(vertices) or mesh.faces_uv.max() >= len(uv):
        raise InputError(f"{path}: expected faces with vertices and texture coordinates that exist; leave it out")
    return mesh


def read_binding(path: Path) -> Binding:
    """A `.mhclo` file. Raises InputError where it is none."""
    rows: list[list[float]] = []
    scales: dict[str, tuple[int, int, float]] = {}
    hidden: list[int] = []
    mode = ""
    try:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            words = line.split("#")[0].split()
            if not words:
                continue
            if words[0] in ("verts", "delete_verts", "weights"):
                mode = words[0]
            elif words[0] in ("x_scale", "y_scale", "z_scale"):
                scales[words[0]] = (int(words[1]), int(words[2]), float(words[3]))
            elif mode == "verts" and words[0].lstrip("-").isdigit():
                rows.append(_bound(words))
            elif mode == "delete_verts" and words[0].isdigit():
                hidden += _ranges(words)
        table = np.array(rows, float).reshape(-1, 9)
        axes = tuple(scales[f"{axis}_scale"] for axis in "xyz")
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not a MakeHuman binding that can be read ({error}); leave it out") from error
    return Binding(table[:, :3].astype(np.int64), table[:, 3:6], table[:, 6:], axes, np.array(hidden, np.int64))


def _bound(words: list[str]) -> list[float]:
    """A row of nine: a vertex that is one of the base mesh's is all its own."""
    if len(words) == 1:
        return [float(words[0])] * 3 + [1.0, 0, 0, 0, 0, 0]
    return [float(word) for word in words[:9]]


def _ranges(words: list[str]) -> list[int]:
    """'5 - 8 12' → 5, 6, 7, 8, 12."""
    values: list[int] = []
    at = 0
    while at < len(words):
        if at + 2 < len(words) and words[at + 1] == "-":
            values += range(int(words[at]), int(words[at + 2]) + 1)
            at += 3
        else:
            values.append(int(words[at]))
            at += 1
    return values


def drape(base: BodyModel, binding: Binding, mesh: Wavefront) -> Draped:
    """Hangs a garment on the base mesh at rest. Raises InputError where mesh, binding and body do not fit together."""
    template, weights = np.array(base.v_template, float), np.array(base.weights, float)
    if len(mesh.vertices) != len(binding.corners) or binding.corners.max() >= len(template):
        raise InputError(
            f"garment: its mesh has {len(mesh.vertices)} vertices and its binding {len(binding.corners)}; "
            f"expected equal counts, and a binding to MakeHuman's base mesh of {len(template)} vertices"
        )
    bound = np.einsum("vk,vkc->vc", binding.shares, template[binding.corners])
    carried = np.maximum(np.einsum("vk,vkj->vj", binding.shares, weights[binding.corners]), 0.0)
    carried /= carried.sum(axis=1, keepdims=True)
    units = np.array([abs(template[a, i] - template[b, i]) / d for i, (a, b, d) in enumerate(binding.scales)])
    offsets = binding.offsets * units
    turns = _limb_turns(mesh.vertices / _UNITS - binding.offsets / _UNITS, bound, carried)
    turned = np.einsum("vj,jab,vb->va", carried, turns, offsets)
    dirs = np.einsum("vk,vkcb->vcb", binding.shares, np.array(base.shapedirs, float)[binding.corners])
    return Draped(bound + turned, dirs, carried, mesh, binding.hidden)


def _limb_turns(src: Array, dst: Array, weights: Array) -> Array:
    """(24, 3, 3): how each joint's part turns from points (V, 3) of one rest pose to those of another."""
    turns = np.empty((NUM_JOINTS, 3, 3))
    for joint in range(NUM_JOINTS):
        own = weights[:, joint] * (weights[:, joint] > 0.3)
        spread = np.linalg.svd((src - src.mean(axis=0)) * own[:, None], compute_uv=False)
        if (own > 0).sum() >= _ENOUGH and spread[1] > _HELD:
            turns[joint] = similarity(src, dst, own)[1]
        else:
            turns[joint] = turns[PARENTS[joint]] if joint else np.eye(3)
    return turns
