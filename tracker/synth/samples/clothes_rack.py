"""Outfits out of MakeHuman's skins, clothes, shoes, hats and hair."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from tracker.body import load_base_mesh
from tracker.body.model import JOINT_NAMES
from tracker.synth.figure_texture import Painter, Palette
from tracker.synth.hair import HairStyle, eyes_and_skin, hair
from tracker.synth.samples.assets import AssetFolder, dealt
from tracker.synth.samples.makehuman import Binding, drape, read_binding, read_wavefront
from tracker.synth.samples.outfit import Dresser, LayerKind, Outfit, OutfitLayer, Piece
from tracker.synth.samples.sample import Split
from tracker.synth.samples.skinned import Hull

_TEXTURE = 512
_OPAQUE = 0.45
"""Hair less opaque than this is left out."""
_PLAIN = 150
"""sRGB of a garment without a texture."""
_KEPT = {"cloth": 0.5, "shoe": 0.6, "hair": 0.3, "skin": 0.85}
"""How often things keep the colours of their texture."""
_LEGS = [JOINT_NAMES.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("hip", "knee", "ankle")]
_SHINS = [JOINT_NAMES.index(name) for name in ("left_knee", "left_ankle")]


@dataclass(frozen=True)
class Rack:
    """The files that one split may use."""

    skins: list[Path]
    suits: list[Path]
    shoes: list[Path]
    hats: list[Path]
    hair: list[Path]

    @classmethod
    def of(cls, folder: AssetFolder, split: Split) -> Rack | None:
        """None where the folder has no skins or no clothes."""
        sorted_out: dict[str, list[Path]] = {"suit": [], "shoe": [], "hat": []}
        for path in folder.bindings("clothes"):
            sorted_out[_worn_as(read_binding(path))].append(path)
        suits, shoes, hats = (dealt(sorted_out[kind], split) for kind in ("suit", "shoe", "hat"))
        rack = cls(folder.skins(split), suits, shoes, hats, dealt(folder.bindings("hair"), split))
        return rack if rack.skins and rack.suits else None


def _worn_as(binding: Binding) -> str:
    """By its height on the body."""
    base = load_base_mesh()
    joints = np.array(base.joint_regressor @ base.v_template)[:, 1]
    height = float(np.array(base.v_template)[binding.corners[:, 0], 1].mean())
    if height > joints[JOINT_NAMES.index("neck")]:
        return "hat"
    return "shoe" if height < joints[_SHINS].mean() else "suit"


def dressed_outfit(dresser: Dresser, rack: Rack, rng: np.random.Generator) -> Outfit:
    """A skin, clothes, shoes or bare feet, hair, and seldom a hat."""
    pieces: list[Piece] = []
    hidden: list[NDArray[np.int64]] = []

    def wear(paths: list[Path], kind: LayerKind, chance: float) -> bool:
        if not paths or rng.random() > chance:
            return False
        garment = _garment(dresser, paths[rng.integers(len(paths))], kind)
        pieces.extend(garment.pieces)
        hidden.append(garment.hidden)
        return True

    wear(rack.suits, "cloth", 1.0)
    wear(rack.shoes, "shoe", 0.85)
    haired = wear(rack.hair, "hair", 0.85)
    wear(rack.hats, "cloth", 0.1)
    anatomy = dresser.anatomy
    painter = Painter(anatomy, Palette.sample(rng), 256, int(rng.integers(1 << 30)))
    if haired or rng.random() < 0.6:
        cap = hair(anatomy, HairStyle(0.006 if haired else rng.uniform(0.006, 0.03)), int(rng.integers(1 << 30)))
        pieces.append(dresser.piece("hair", cap.surface, painter.hair(cap)))
    eyes, skin_faces = eyes_and_skin(anatomy.surface)
    covered = np.isin(dresser.base_index, np.concatenate(hidden))[anatomy.surface.origin.indices]
    skin, _ = anatomy.surface.part(skin_faces & ~covered[anatomy.surface.faces].all(axis=1))
    texture, _ = _picture(rack.skins[rng.integers(len(rack.skins))])
    pieces.append(dresser.piece("skin", skin, texture, _KEPT["skin"]))
    pieces += [dresser.piece("eye", eye, painter.eye(), 1.0) for eye in eyes]
    return dresser.outfit(pieces)


@dataclass(frozen=True, eq=False)
class _Garment:
    pieces: list[Piece]
    hidden: NDArray[np.int64]
    """Vertices of the base mesh that it covers."""


@lru_cache(maxsize=64)
def _garment(dresser: Dresser, path: Path, kind: LayerKind) -> _Garment:
    """A binding with its mesh and texture; clothes fall into what is worn above and below."""
    binding = read_binding(path)
    mesh = read_wavefront(_beside(path))
    draped = drape(load_base_mesh(), binding, mesh)
    texture, opaque = _texture_of(path)
    origin = dresser.nearest_skin(draped.rest, np.full(len(draped.rest), kind != "hair"))
    pairs = np.stack([mesh.faces.ravel(), mesh.faces_uv.ravel()], axis=1)
    unique, index = np.unique(pairs, axis=0, return_inverse=True)
    vertex, faces = unique[:, 0], index.reshape(-1, 3)
    rest, dirs, weights = (
        values[vertex].astype(np.float32) for values in (draped.rest, draped.shapedirs, draped.weights)
    )
    layer = OutfitLayer.of(kind, texture, _KEPT[kind])
    whole = Piece(layer, texture, Hull(rest, dirs, weights, origin[vertex]), faces, mesh.uv[unique[:, 1]])
    if opaque is not None:
        return _Garment([_cut_out(whole, opaque)], binding.hidden)
    if kind != "cloth":
        return _Garment([whole], binding.hidden)
    below = _below(mesh.faces, draped.weights)
    parts = [whole.part(faces[chosen]) for chosen in (below, ~below) if chosen.any()]
    return _Garment(parts, binding.hidden)


def _beside(binding: Path) -> Path:
    """The binding's mesh: of the same name, or the only one."""
    named = binding.with_suffix(".obj")
    return named if named.exists() else next(iter(sorted(binding.parent.glob("*.obj"))), named)


def _texture_of(binding: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    candidates = sorted(binding.parent.glob("*diffuse*"))
    if candidates:
        return _picture(candidates[0])
    return np.full((64, 64, 3), _PLAIN, np.uint8), None


def _picture(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """(512, 512, 3) sRGB, and how opaque it is (512, 512) if it says so."""
    candidates = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if candidates is None:
        return np.full((64, 64, 3), _PLAIN, np.uint8), None
    small = cv2.resize(candidates, (_TEXTURE, _TEXTURE), interpolation=cv2.INTER_AREA)
    colour = np.ascontiguousarray(small[..., 2::-1]).astype(np.uint8)
    if small.shape[2] < 4 or small[..., 3].min() > 250:
        return colour, None
    alpha = np.asarray(small[..., 3], np.uint8)
    solid = alpha > 128
    if solid.any():
        colour[~solid] = colour[solid].mean(axis=0)
    return colour, alpha


def _cut_out(piece: Piece, opaque: NDArray[np.uint8]) -> Piece:
    """Without the faces where the texture (h, w) is clear, cut finer first: strands end within a face."""
    fine = _halved(piece)
    places = fine.uv[fine.faces].mean(axis=1) % 1.0
    row = ((1 - places[:, 1]) * len(opaque)).astype(int) % len(opaque)
    column = (places[:, 0] * opaque.shape[1]).astype(int) % opaque.shape[1]
    kept = opaque[row, column] > _OPAQUE * 255
    return fine.part(fine.faces[kept]) if kept.any() else piece


def _halved(piece: Piece) -> Piece:
    """Each face as four, with new vertices in the middles of the edges."""
    faces = piece.faces
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    ends, index = np.unique(edges, axis=0, return_inverse=True)
    count = len(piece.uv)
    ab, bc, ca = (index.reshape(-1) + count).reshape(3, -1)
    a, b, c = faces.T
    quarters = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    rows = np.repeat(np.arange(len(ends)), 2)
    middle = csr_matrix((np.full(2 * len(ends), 0.5), (rows, ends.ravel())), shape=(len(ends), count))

    def extended(values: NDArray) -> NDArray:
        flat = values.reshape(count, -1)
        return np.concatenate([flat, middle @ flat]).reshape(-1, *values.shape[1:]).astype(values.dtype)

    hull = piece.hull
    origin = hull.origin[np.concatenate([np.arange(count), ends[:, 0]])]
    fine = Hull(extended(hull.template), extended(hull.shapedirs), extended(hull.weights), origin)
    return Piece(
        piece.layer, piece.texture, fine, np.concatenate([np.stack(q, axis=1) for q in quarters]), extended(piece.uv)
    )


def _below(faces: NDArray[np.int64], weights: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(F,) which faces belong to connected parts that the legs move most: trousers under a shirt."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = csr_matrix((np.ones(len(edges)), edges.T), shape=(len(weights), len(weights)))
    _, label = connected_components(graph, directed=False)
    legs = np.bincount(label, weights[:, _LEGS].sum(axis=1)) / np.bincount(label)
    return legs[label[faces[:, 0]]] > 0.35
