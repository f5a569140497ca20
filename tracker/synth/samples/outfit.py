"""People to be posed: bodies with the clothes, hair and textures that the demo's tailor makes, from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from scipy.spatial import cKDTree

from tracker.body.model import BodyModel
from tracker.synth.anatomy import Anatomy
from tracker.synth.appearance import Painter, Palette
from tracker.synth.head import HairStyle, eyes_and_skin, hair, hair_field
from tracker.synth.light import GAMMA
from tracker.synth.samples.pattern import smooth_noise
from tracker.synth.samples.skinned import Float32, Hull
from tracker.synth.shoes import shoe
from tracker.synth.surface import Surface, body_surface
from tracker.synth.tailor import Design, tailor, uncovered
from tracker.synth.texture import noise
from tracker.synth.wardrobe import shirt_design, trouser_design
from tracker.types import NUM_BETAS, Array

LayerKind = Literal["skin", "suit", "eye", "hair", "cloth", "shoe"]
_TEXTURE = 512
_SAME_PLACE = 1e-5
"""m: vertices of one layer that are closer than this are one point."""
_CELL = 0.008
"""m: finer detail of the surface is left out."""
_SHOE_HEIGHT = 0.12
"""m above the soles up to which shoes hide the skin."""


@dataclass(frozen=True, eq=False)
class Layer:
    """What covers a part of an outfit's faces."""

    kind: LayerKind
    texture: NDArray[np.uint8]
    """(h, w, 3) sRGB; its row 0 is at v = 1."""
    mean: Array
    """(3,) its mean colour, linear: what recolouring divides by."""

    @classmethod
    def of(cls, kind: LayerKind, texture: NDArray[np.uint8]) -> Layer:
        linear = (texture[::4, ::4].reshape(-1, 3) / 255.0) ** GAMMA
        return cls(kind, texture, np.maximum(linear.mean(axis=0), 0.02))


@dataclass(frozen=True, eq=False)
class Outfit:
    """A dressed person of any shape and pose."""

    hull: Hull
    faces: NDArray[np.int32]
    """(F, 3)."""
    uv: Float32
    """(V, 2) of each vertex in its layer's texture."""
    body_uv: NDArray[np.uint8]
    """(V, 2) of the nearest skin in the body's own texture, 0..255."""
    face_layer: NDArray[np.uint8]
    """(F,) index into layers."""
    face_part: NDArray[np.uint8]
    """(F,) 1 + the joint that moves the face most."""
    layers: tuple[Layer, ...]
    point_of: NDArray[np.int64]
    """(V,) which point each vertex belongs to: textures split vertices, light does not."""
    point_vertex: NDArray[np.int64]
    """(P,) a vertex of each point."""
    point_faces: NDArray[np.int32]
    """(F, 3) indices of points."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A layer's surface before it becomes part of an outfit."""

    layer: Layer
    hull: Hull
    faces: NDArray[np.int64]
    uv: Array


class Dresser:
    """Puts outfits together on one body."""

    def __init__(self, model: BodyModel) -> None:
        self._shapedirs = np.array(model.shapedirs)
        shaped = model.with_shape(torch.zeros(NUM_BETAS))
        self._rest = shaped.rest_vertices.numpy()
        self.anatomy = Anatomy.of(shaped)
        self._nearest = cKDTree(self._rest)
        skin = body_surface(shaped)
        self._skin_uv = np.zeros((len(self._rest), 2))
        self._skin_uv[skin.origin.indices] = skin.uv

    def piece(self, kind: LayerKind, surface: Surface, texture: NDArray[np.uint8]) -> Piece:
        """A surface that follows the body's shape where it comes from, or where it is nearest; made coarser."""
        surface = coarser(surface, _CELL)
        origin = csr_matrix(surface.origin)
        loose = np.asarray(abs(origin).sum(axis=1)).ravel() < 0.5
        bound = origin + self._bound_to_nearest(surface.rest, loose)
        dirs = (bound @ self._shapedirs.reshape(len(self._rest), -1)).reshape(-1, 3, NUM_BETAS)
        rest, dirs, weights = (np.asarray(values, np.float32) for values in (surface.rest, dirs, surface.weights))
        hull = Hull(rest, dirs, weights, origin)
        return Piece(Layer.of(kind, texture), hull, surface.faces, surface.uv)

    def _bound_to_nearest(self, rest: Array, chosen: NDArray[np.bool_]) -> csr_matrix:
        rows = np.flatnonzero(chosen)
        columns = self._nearest.query(rest[rows])[1] if len(rows) else rows
        return csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(rest), len(self._rest)))

    def outfit(self, pieces: Sequence[Piece]) -> Outfit:
        """The pieces as one mesh."""
        starts = np.cumsum([0, *(len(piece.uv) for piece in pieces[:-1])])
        faces = np.concatenate([piece.faces + start for piece, start in zip(pieces, starts, strict=True)])
        hulls = [piece.hull for piece in pieces]
        template, dirs, weights = (
            np.concatenate([getattr(hull, name) for hull in hulls]) for name in ("template", "shapedirs", "weights")
        )
        nearest = self._nearest.query(template)[1]
        number = np.repeat(np.arange(len(pieces)), [len(piece.uv) for piece in pieces])
        place = np.column_stack([np.rint(template / _SAME_PLACE), number])
        _, point_vertex, point_of = np.unique(place, axis=0, return_index=True, return_inverse=True)
        point_of = point_of.reshape(-1)
        return Outfit(
            hull=Hull(template, dirs, weights, vstack([hull.origin for hull in hulls]).tocsr()),
            faces=faces.astype(np.int32),
            uv=np.concatenate([piece.uv for piece in pieces]).astype(np.float32),
            body_uv=np.rint(self._skin_uv[nearest] * 255).astype(np.uint8),
            face_layer=np.repeat(np.arange(len(pieces), dtype=np.uint8), [len(piece.faces) for piece in pieces]),
            face_part=(1 + weights[faces].sum(axis=1).argmax(axis=1)).astype(np.uint8),
            layers=tuple(piece.layer for piece in pieces),
            point_of=point_of,
            point_vertex=point_vertex,
            point_faces=point_of[faces].astype(np.int32),
        )


def coarser(surface: Surface, cell: float) -> Surface:
    """The surface with those vertices merged that lie in one cell (m) and close by in the texture.

    A face and a hand have thousands of triangles smaller than a pixel.
    """
    keys = np.column_stack([np.floor(surface.rest / cell), np.floor(surface.uv / (8 * cell))]).astype(np.int64)
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    faces = first[group.reshape(-1)][surface.faces]
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return replace(surface, faces=faces).part(whole)[0]


def tailored_outfit(dresser: Dresser, rng: np.random.Generator) -> Outfit:
    """Skin, hair, shirt, trousers or shorts, and shoes or bare feet, cut and painted by rule."""
    anatomy, seed = dresser.anatomy, int(rng.integers(1 << 30))
    painter = Painter(anatomy, Palette.sample(rng), _TEXTURE, seed)
    shirt_plan = _looser(shirt_design(anatomy, float(rng.choice([rng.uniform(0.35, 0.9), 1.9]))), rng)
    trousers_plan = _looser(trouser_design(anatomy, float(rng.choice([1.0, rng.uniform(-0.6, 0.9)]))), rng)
    body, shod, hairy = anatomy.surface, rng.random() < 0.8, rng.random() < 0.9
    eyes, skin_faces = eyes_and_skin(body)
    covered = [shirt_plan.inside(body.rest), trousers_plan.inside(body.rest)]
    pieces: list[Piece] = []
    for plan, paint in ((shirt_plan, painter.shirt), (trousers_plan, painter.trousers)):
        garment = tailor(anatomy, plan, seed + len(pieces))
        pieces.append(dresser.piece("cloth", garment.surface, paint(garment)))
    if hairy:
        style = HairStyle(rng.uniform(0.008, 0.045), rng.uniform(0.4, 1.1), rng.uniform(0.1, 0.4))
        cap = hair(anatomy, style, seed + 7)
        pieces.append(dresser.piece("hair", cap.surface, painter.hair(cap)))
        covered.append(hair_field(anatomy))
    if shod:
        shoes = [shoe(anatomy, side, 0.018) for side in ("left", "right")]
        pieces += [dresser.piece("shoe", surface, painter.shoe()) for surface in shoes]
        covered.append(anatomy.sole + _SHOE_HEIGHT - body.rest[:, 1])
    skin = uncovered(body, skin_faces, covered)
    pieces.append(dresser.piece("skin", skin, painter.skin(skin)))
    pieces += [dresser.piece("eye", eye, painter.eye()) for eye in eyes]
    return dresser.outfit(pieces)


def _looser(design: Design, rng: np.random.Generator) -> Design:
    """The same cut, tight to wide."""
    factor = rng.uniform(0.5, 2.2)
    return replace(design, thickness=lambda p: factor * design.thickness(p), folds=rng.uniform(0.1, 0.6))


def bare_outfit(dresser: Dresser, rng: np.random.Generator) -> Outfit:
    """The body alone with an uneven surface: to be painted as skin, as a suit, or in parts of many colours."""
    body = dresser.anatomy.surface
    cell, height = rng.uniform(0.03, 0.15), rng.uniform(0.0, 0.012)
    bumps = height * (1 + noise(body.rest, cell, int(rng.integers(1 << 30)), octaves=2))
    trunk = np.clip(1.5 - 4 * body.weights[:, [15, 22, 23]].sum(axis=1), 0, 1)
    swollen = body.moved(body.rest + dresser.anatomy.normals * (bumps * trunk)[:, None])
    shade = 150 + 22 * smooth_noise(rng, 256, rng.uniform(2, 30))
    texture = np.repeat(np.clip(shade, 60, 240).astype(np.uint8)[..., None], 3, axis=2)
    return dresser.outfit([dresser.piece("suit", swollen, texture)])
