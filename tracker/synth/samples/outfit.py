"""People to be posed: a body and all that it wears as one mesh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from scipy.spatial import cKDTree

from tracker.body.model import BodyModel
from tracker.core.arrays import NUM_BETAS, Array
from tracker.synth.body_measures import Anatomy
from tracker.synth.demo_lighting import GAMMA
from tracker.synth.samples.skinned import Float32, Hull
from tracker.synth.surface import Surface

LayerKind = Literal["skin", "suit", "eye", "hair", "cloth", "shoe", "person"]
_SAME_PLACE = 1e-5
"""m: vertices of one layer that are closer than this are one point."""
_WIDTH = 512
"""Texels across the texture of an outfit."""
_CELL, _SHADOW_CELL = 0.01, 0.03
"""m: finer detail of the surface, and of what casts shadows, is left out."""


@dataclass(frozen=True, eq=False)
class OutfitLayer:
    """What covers a part of an outfit's faces."""

    kind: LayerKind
    mean: Array
    """(3,) its texture's mean colour, linear: what recolouring divides by."""
    own: float
    """In what share of samples it keeps its own colours."""

    @classmethod
    def of(cls, kind: LayerKind, texture: NDArray[np.uint8], own: float) -> OutfitLayer:
        """What a texture (h, w, 3) is the texture of."""
        linear = (texture[::4, ::4].reshape(-1, 3) / 255.0) ** GAMMA
        return cls(kind, np.maximum(linear.mean(axis=0), 0.02), own)


@dataclass(frozen=True, eq=False)
class Outfit:
    """A dressed person of any shape and pose."""

    hull: Hull
    faces: NDArray[np.int32]
    """(F, 3)."""
    uv: Float32
    """(V, 2) in the texture."""
    texture: NDArray[np.uint8]
    """(h, w, 3) sRGB, row 0 at v = 1: those of all layers, one below the other."""
    body_uv: NDArray[np.uint8]
    """(V, 2) of the nearest skin in the body's own texture, 0..255."""
    face_layer: NDArray[np.uint8]
    """(F,) index into layers."""
    face_part: NDArray[np.uint8]
    """(F,) 1 + the joint that moves the face most."""
    layers: tuple[OutfitLayer, ...]
    point_of: NDArray[np.int64]
    """(V,) which point each vertex belongs to: textures split vertices, light does not."""
    point_vertex: NDArray[np.int64]
    """(P,) a vertex of each point."""
    point_faces: NDArray[np.int32]
    """(F, 3) indices of points."""
    shadow_faces: NDArray[np.int32]
    """(S, 3) indices of points: a coarse surface, good enough to cast a shadow."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A layer's surface before it becomes part of an outfit."""

    layer: OutfitLayer
    texture: NDArray[np.uint8]
    """(h, w, 3) sRGB; its row 0 is at v = 1."""
    hull: Hull
    faces: NDArray[np.int64]
    """(F, 3)."""
    uv: Array
    """(V, 2)."""

    def part(self, faces: NDArray[np.int64]) -> Piece:
        """With these faces only, and the vertices that they use."""
        used, index = np.unique(faces, return_inverse=True)
        hull = self.hull
        kept = Hull(hull.template[used], hull.shapedirs[used], hull.weights[used], hull.origin[used])
        return Piece(self.layer, self.texture, kept, index.reshape(-1, 3), self.uv[used])

    def coarser(self, cell: float) -> Piece:
        """With those vertices merged that lie in one cell (m) and close by in the texture.

        A face and a hand have thousands of triangles smaller than a pixel.
        """
        keys = np.column_stack([np.floor(self.hull.template / cell), np.floor(self.uv / (8 * cell))]).astype(np.int64)
        return self.part(_merged(keys, self.faces))


class Dresser:
    """Puts outfits together on one body."""

    def __init__(self, model: BodyModel) -> None:
        self._shapedirs = np.array(model.shapedirs)
        shaped = model.with_shape(torch.zeros(NUM_BETAS))
        self._rest = shaped.rest_vertices.numpy()
        self.anatomy = Anatomy.of(shaped)
        index = model.base_vertex_index
        self.base_index = np.arange(len(self._rest)) if index is None else np.array(index)
        """(body's vertices,) which vertex of MakeHuman's base mesh each is."""
        self._nearest = cKDTree(self._rest)
        skin = self.anatomy.surface
        self._skin_uv = np.zeros((len(self._rest), 2))
        self._skin_uv[skin.origin.indices] = skin.uv

    def piece(self, kind: LayerKind, surface: Surface, texture: NDArray[np.uint8], own: float = 0.0) -> Piece:
        """A surface that follows the body's shape where it comes from, or where it is nearest."""
        origin = csr_matrix(surface.origin)
        loose = np.asarray(abs(origin).sum(axis=1)).ravel() < 0.5
        bound = origin + self.nearest_skin(surface.rest, loose)
        dirs = (bound @ self._shapedirs.reshape(len(self._rest), -1)).reshape(-1, 3, NUM_BETAS)
        rest, dirs, weights = (np.asarray(values, np.float32) for values in (surface.rest, dirs, surface.weights))
        hull = Hull(rest, dirs, weights, origin)
        return Piece(OutfitLayer.of(kind, texture, own), texture, hull, surface.faces, surface.uv)

    def nearest_skin(self, rest: Array, chosen: NDArray[np.bool_]) -> csr_matrix:
        """(V, body's vertices) with a 1 for the body's vertex nearest to each chosen one of V points at rest."""
        rows = np.flatnonzero(chosen)
        columns = self._nearest.query(rest[rows])[1] if len(rows) else rows
        return csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(rest), len(self._rest)))

    def outfit(self, parts: Sequence[Piece]) -> Outfit:
        """The pieces as one mesh, made coarser."""
        pieces = [piece.coarser(_CELL) for piece in parts]
        starts = np.cumsum([0, *(len(piece.uv) for piece in pieces[:-1])])
        faces = np.concatenate([piece.faces + start for piece, start in zip(pieces, starts, strict=True)])
        hulls = [piece.hull for piece in pieces]
        template, dirs, weights = (
            np.concatenate([getattr(hull, name) for hull in hulls]) for name in ("template", "shapedirs", "weights")
        )
        nearest = self._nearest.query(template)[1]
        texture, uv = _stacked(pieces)
        number = np.repeat(np.arange(len(pieces)), [len(piece.uv) for piece in pieces])
        place = np.column_stack([np.rint(template / _SAME_PLACE), number])
        _, point_vertex, point_of = np.unique(place, axis=0, return_index=True, return_inverse=True)
        point_of = point_of.reshape(-1)
        return Outfit(
            hull=Hull(template, dirs, weights, vstack([hull.origin for hull in hulls]).tocsr()),
            faces=faces.astype(np.int32),
            uv=uv,
            texture=texture,
            body_uv=np.rint(self._skin_uv[nearest] * 255).astype(np.uint8),
            face_layer=np.repeat(np.arange(len(pieces), dtype=np.uint8), [len(piece.faces) for piece in pieces]),
            face_part=(1 + weights[faces].sum(axis=1).argmax(axis=1)).astype(np.uint8),
            layers=tuple(piece.layer for piece in pieces),
            point_of=point_of,
            point_vertex=point_vertex,
            point_faces=point_of[faces].astype(np.int32),
            shadow_faces=_merged(template[point_vertex] // _SHADOW_CELL, point_of[faces]).astype(np.int32),
        )


def _merged(keys: NDArray, faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """The faces (F, 3) that are left when vertices with equal keys (V, n) become one of them."""
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    merged = first[group.reshape(-1)][faces]
    whole = (merged[:, 0] != merged[:, 1]) & (merged[:, 1] != merged[:, 2]) & (merged[:, 2] != merged[:, 0])
    return merged[whole]


def _stacked(pieces: Sequence[Piece]) -> tuple[NDArray[np.uint8], Float32]:
    """The textures one below the other, and the texture coordinates of all vertices (V, 2) in the whole."""
    tiles = [cv2.resize(piece.texture, (_WIDTH, len(piece.texture))) for piece in pieces]
    heights = np.array([len(tile) for tile in tiles])
    tops = np.cumsum([0, *heights[:-1]])
    places = []
    for piece, height, top in zip(pieces, heights, tops, strict=True):
        texel = 1 / np.array([_WIDTH, height])
        inside = np.clip(piece.uv, 0.0, 1.0) * (1 - texel) + texel / 2
        places.append(np.stack([inside[:, 0], 1 - (top + (1 - inside[:, 1]) * height) / heights.sum()], axis=1))
    return np.concatenate(tiles).astype(np.uint8), np.concatenate(places).astype(np.float32)
