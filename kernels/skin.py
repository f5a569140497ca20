"""A whole mesh posed by its bones: what an overlay draws.

    rest = template + Σ_k β_k S_k + Σ_j offsets_j · (R_j − I)      vertices = Σ_i w_i T_i(θ, β) rest

as `body_step` poses points, for all vertices of a mesh and without gradients. A vertex hangs on two or three bones and
few are corrected, so that both are kept as their non-zero pairs. The mesh is float32, a hundredth of a millimetre here;
the skeleton float64. Arrays are numpy; the C++ runs where it can be built.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import build
from kernels.array_checks import check_kind, check_range
from kernels.implementation import Implementation

Array = NDArray[np.float64]
Single = NDArray[np.float32]
Index = NDArray[np.int32]


class _SkinData(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("rest", "shapes", "starts", "bones", "weights", "touched", "bends")),
        *((name, ctypes.c_void_p) for name in ("offsets", "joints", "joint_shapes", "parents")),
        *((name, ctypes.c_int) for name in ("n_vertices", "n_corrections", "n_joints", "n_shapes")),
    )


@dataclass(frozen=True)
class Skin:
    """A mesh of V vertices on J joints, with B shapes. Raises ValueError that names an array which does not fit."""

    rest: Single
    """(V, 3) m at β = 0."""
    shapes: Single
    """(B, V, 3) m."""
    starts: Index
    """(V + 1,): the vertex v hangs on bones[starts[v] : starts[v + 1]]."""
    bones: Index
    """(pairs,)"""
    weights: Single
    """(pairs,)"""
    touched: Index
    """(n,): a vertex that a bent joint corrects."""
    bends: Index
    """(n,): that joint."""
    offsets: Single
    """(n, 3, 9) m per entry of the joint's rotation minus identity, row-major."""
    joints: Array
    """(J, 3) m at β = 0."""
    joint_shapes: Array
    """(J, 3, B) m."""
    parents: Index
    """(J,): -1 for the root; a parent comes before its children."""

    def __post_init__(self) -> None:
        vertices, joints, shapes = len(self.rest), len(self.joints), len(self.shapes)
        pairs, corrections = len(self.weights), len(self.touched)
        for name, shape, kind in (
            ("rest", (vertices, 3), np.float32),
            ("shapes", (shapes, vertices, 3), np.float32),
            ("starts", (vertices + 1,), np.int32),
            ("bones", (pairs,), np.int32),
            ("weights", (pairs,), np.float32),
            ("touched", (corrections,), np.int32),
            ("bends", (corrections,), np.int32),
            ("offsets", (corrections, 3, 9), np.float32),
            ("joints", (joints, 3), np.float64),
            ("joint_shapes", (joints, 3, shapes), np.float64),
            ("parents", (joints,), np.int32),
        ):
            check_kind(name, getattr(self, name), shape, kind)
        check_range("bones", self.bones, 0, joints)
        check_range("touched", self.touched, 0, vertices)
        check_range("bends", self.bends, 0, joints)
        check_range("starts", self.starts, 0, pairs + 1)
        if (np.diff(self.starts) < 0).any() or self.starts[0] != 0 or self.starts[-1] != pairs:
            raise ValueError(f"starts: expected to rise from 0 to {pairs}, got {self.starts}")
        if (self.parents >= np.arange(joints)).any() or (self.parents < -1).any():
            raise ValueError(f"parents: expected each before its children, got {self.parents}")

    def __getstate__(self) -> dict[str, Any]:
        """Without what C++ reads: addresses mean nothing in another process."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _c_struct(self) -> _SkinData:
        mesh = (self.rest, self.shapes, self.starts, self.bones, self.weights, self.touched, self.bends, self.offsets)
        skeleton = (self.joints, self.joint_shapes, self.parents)
        sizes = len(self.rest), len(self.touched), len(self.joints), len(self.shapes)
        return _SkinData(*(value.ctypes.data for value in (*mesh, *skeleton)), *sizes)


def vertices(
    skin: Skin, rotations: Array, betas: Array, transl: Array, implementation: Implementation | None = None
) -> Single:
    """(V, 3) m. rotations: (J, 3, 3) of each joint relative to its parent; betas: (B,); transl: (3,) m; float64.

    Raises ValueError that names the bad argument.
    """
    check_kind("rotations", rotations, (len(skin.joints), 3, 3), np.float64)
    check_kind("betas", betas, (len(skin.shapes),), np.float64)
    check_kind("transl", transl, (3,), np.float64)
    return _RUN[implementation or build.cpu_implementation()](skin, rotations, betas, transl)


def _vertices_cpu(skin: Skin, rotations: Array, betas: Array, transl: Array) -> Single:
    out = np.empty_like(skin.rest)
    given = (rotations, betas, transl, out)
    build.library().skin_vertices(ctypes.byref(skin._c_struct), *(ctypes.c_void_p(v.ctypes.data) for v in given))
    return out


def _vertices_reference(skin: Skin, rotations: Array, betas: Array, transl: Array) -> Single:
    rest = skin.rest + np.tensordot(betas.astype(np.float32), skin.shapes, axes=1)
    bent = (rotations - np.eye(3)).reshape(-1, 9).astype(np.float32)
    np.add.at(rest, skin.touched, np.einsum("nci,ni->nc", skin.offsets, bent[skin.bends]))
    pairs = skin.weights[:, None, None] * _bone_transforms(skin, rotations, betas, transl)[skin.bones]
    blended = np.zeros((len(rest), 3, 4), np.float32)
    np.add.at(blended, np.repeat(np.arange(len(rest)), np.diff(skin.starts)), pairs)
    return np.asarray(np.einsum("vij,vj->vi", blended[..., :3], rest) + blended[..., 3], np.float32)


def _bone_transforms(skin: Skin, rotations: Array, betas: Array, transl: Array) -> Single:
    """(J, 3, 4): what takes a point at rest, bound to a joint, to its place in the camera's frame."""
    rest = skin.joints + skin.joint_shapes @ betas
    world, places = np.array(rotations), np.array(rest)
    for joint, parent in enumerate(skin.parents):
        if parent >= 0:
            world[joint] = world[parent] @ rotations[joint]
            places[joint] = places[parent] + world[parent] @ (rest[joint] - rest[parent])
    offsets = places - np.einsum("jab,jb->ja", world, rest) + transl
    with np.errstate(over="ignore"):  # what lies farther away than a float can say is infinitely far away
        return np.concatenate([world, offsets[..., None]], axis=2).astype(np.float32)


_RUN = {Implementation.REFERENCE: _vertices_reference, Implementation.CPU: _vertices_cpu}
