"""What stands out of the skin: clothes and hair, as somebody's silhouettes show them over time.

SMPL's shapes are of naked bodies; people are seen in coats and skirts. Best of Both Worlds (§3.3) completes a surface
that is not bound to SMPL's by displacements; here they are measured: wherever the edge of the drawn body is the edge of
the person's mask, too, the distance between the two is how far the clothes stand out there, along the skin's normal.
Every view shows other places; what no view has shown follows from the places around it and from the other side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.linalg import cg
from scipy.spatial import cKDTree

from kernels import mesh_drawing, raster
from kernels.raster_values import Intrinsics
from tracker.body.mannequin import mannequin
from tracker.body.model import BodyModel
from tracker.body.skinner import Vertices, skinner_of
from tracker.body.smpl_joints import smpl_index
from tracker.core.affine import apply_affine, invert_affine
from tracker.core.arrays import Array
from tracker.core.camera import NEAREST_Z, Camera
from tracker.core.mask import IN_MASK, PlacedMask
from tracker.core.person import Person, Pose
from tracker.detect.similarity import shared_box

_LOOK_SECONDS = 0.2
"""Between two looks: people who hardly move show the same again."""
_EDGE = 0.3
"""Cosine between normal and line of sight up to which a vertex may lie on the body's outline."""
_ENOUGH = 2000
"""Such vertices, of a look: their neighbours show the same."""
_BESIDE = 2.0
"""Pixels of the mask beside the outline, by which inside and outside are told."""
_REACH, _STEP = 0.1, 0.005
"""m: how far in and out of the skin the mask's edge is looked for."""
_ON_SKIN = 3
"""Steps from the skin within which the drawn outline, which is as coarse as the mask, may still be met."""
_LEAST_AGREEMENT = 0.6
"""Intersection over union of body and mask, below which the pose or the mask is wrong."""
_DOUBTED = 0.05
"""m from what is known already, at which an observation counts half."""
_MOST_SEEN = 25.0
"""Observations of a vertex beyond which more do not make it surer."""
_SMOOTH, _BARE = 20.0, 0.05
"""What it costs, in observations, that neighbours differ, and that anything stands out at all."""
_OTHER_SIDE = 0.5
"""What the mirrored vertex' observations count."""
_STEPS = 25
"""Of conjugate gradients a look; the next one goes on from there."""
_BARE_JOINTS = ("left_hand", "right_hand", "left_wrist", "right_wrist")
"""Too small, and too badly known, to be seen in sleeves of their own."""


@dataclass(frozen=True)
class ClothedMesh:
    """The mesh that clothes are measured on; one for all people of a body."""

    body: BodyModel
    neighbours: csr_matrix
    """(V, V): the graph's Laplacian."""
    mirror: NDArray[np.intp]
    """(V,): the vertex of the same place on the other side."""
    dressed: Array
    """(V,) 0..1: 0 on the hands."""
    joint: NDArray[np.intp]
    """(V,): whose a vertex is most."""

    @classmethod
    def of(cls, body: BodyModel) -> ClothedMesh:
        """The same one for the same body."""
        return _clothed_mesh(body)


@lru_cache(maxsize=2)
def _clothed_mesh(body: BodyModel) -> ClothedMesh:
    rest, weights = body.v_template.double().numpy(), body.weights.double().numpy()
    _, mirror = cKDTree(rest).query(rest * [-1.0, 1.0, 1.0])
    hands = weights[:, [smpl_index(name) for name in _BARE_JOINTS]].sum(axis=1)
    return ClothedMesh(mannequin(body), _laplacian(body), mirror, 1 - hands, weights.argmax(axis=1))


def _laplacian(body: BodyModel) -> csr_matrix:
    faces, count = body.faces.numpy(), len(body.v_template)
    ends = np.concatenate([faces[:, pair] for pair in ([0, 1], [1, 2], [2, 0])])
    both = np.concatenate([ends, ends[:, ::-1]])
    adjacency = coo_matrix((np.ones(len(both)), both.T), (count, count)).tocsr()
    adjacency.data[:] = 1.0  # each edge belongs to two faces
    return (diags(np.asarray(adjacency.sum(axis=1)).ravel()) - adjacency).tocsr()


class Clothing:
    """What one identity wears, as far as it is known."""

    def __init__(self, mesh: ClothedMesh) -> None:
        count = len(mesh.joint)
        self._mesh, self._looked_at = mesh, -np.inf
        self._weight, self._sum = np.zeros(count), np.zeros(count)
        self._offsets = np.zeros(count)

    @property
    def offsets(self) -> NDArray[np.float32]:
        """(V,) m: how far clothes and hair stand out of the skin along its normal; negative where the body is drawn
        too thick."""
        return self._offsets.astype(np.float32)

    def look(self, time: float, camera: Camera, pose: Pose, mask: PlacedMask, confidence: Array) -> None:
        """Takes a frame's silhouette into account. time: s, ascending; confidence: (24,) of the joints."""
        if time - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = time
        vertices = skinner_of(self._mesh.body).vertices(pose)
        if vertices[:, 2].min() <= NEAREST_Z:
            return
        outline = outline_offsets(vertices, skinner_of(self._mesh.body).faces, camera, mask)
        if outline is None:
            return
        rows, offsets = outline
        doubt = 1 + ((offsets - self._offsets[rows]) / _DOUBTED) ** 2
        weights = confidence[self._mesh.joint[rows]] * self._mesh.dressed[rows] / doubt
        np.add.at(self._weight, rows, weights)
        np.add.at(self._sum, rows, weights * offsets)
        fading = np.minimum(1.0, _MOST_SEEN / np.maximum(self._weight, 1.0))
        self._weight *= fading
        self._sum *= fading
        self._smooth()

    def _smooth(self) -> None:
        """The smoothest clothes that agree with what was seen of either side."""
        mirror = self._mesh.mirror
        weight = self._weight + _OTHER_SIDE * self._weight[mirror]
        total = self._sum + _OTHER_SIDE * self._sum[mirror]
        system = diags(weight + _BARE) + _SMOOTH * self._mesh.neighbours
        rough = diags(1 / system.diagonal())
        self._offsets, _ = cg(system, total, x0=self._offsets, maxiter=_STEPS, M=rough)


def is_alone(person: Person, people: Sequence[Person]) -> bool:
    """Whether nobody else is so near in the picture that their clothes could be taken for this person's."""
    return all(shared_box(person.bbox, other.bbox) == 0 for other in people if other is not person)


def outline_offsets(
    vertices: Vertices, faces: NDArray[np.int32], camera: Camera, mask: PlacedMask
) -> tuple[NDArray[np.intp], Array] | None:
    """Which vertices (n,) lie on the outline of a body (V, 3) m, where that is the person's, too, and how far (n,) m
    along their normals the mask's edge is; None where body and mask do not agree."""
    height, width = mask.values.shape
    T_mask_frame = invert_affine(mask.T_frame_mask)
    pixels = apply_affine(T_mask_frame, camera.project(vertices))
    body = _drawn(pixels, vertices[:, 2], faces, (height, width))
    person = mask.in_frame() >= IN_MASK
    if (body & person).sum() < _LEAST_AGREEMENT * max((body | person).sum(), 1):
        return None
    normals = mesh_drawing.vertex_normals(vertices, faces)
    sight = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    rows = np.flatnonzero(np.abs((normals * sight).sum(axis=1)) < _EDGE)
    rows = rows[:: max(1, len(rows) // _ENOUGH)]
    moved = camera.project(vertices[rows] + _STEP * normals[rows])
    per_metre = (apply_affine(T_mask_frame, moved) - pixels[rows]) / _STEP
    beside = _BESIDE * per_metre / np.maximum(np.linalg.norm(per_metre, axis=1, keepdims=True), 1e-9)
    outer = ~_at(body, pixels[rows] + beside) & _at(body, pixels[rows] - beside)
    rows, per_metre = rows[outer], per_metre[outer]
    steps = np.arange(-_REACH, _REACH + _STEP, _STEP)
    places = pixels[rows, None] + steps[:, None] * per_metre[:, None]
    offsets = _edges(_at(person, places), _at(body, places), _inside(places, mask), steps)
    known = np.isfinite(offsets)
    return rows[known], offsets[known]


def _edges(person: NDArray[np.bool_], body: NDArray[np.bool_], visible: NDArray[np.bool_], steps: Array) -> Array:
    """(n,) m: where the person ends, along lines (n, S) through the skin from inside outwards; NaN where nothing tells.

    The edge nearest to the skin counts. Where a line comes to another part of the body before that, or leaves the body
    through the other side of a limb, or the picture, nothing is known.
    """
    skin, size = int(np.argmin(np.abs(steps))), steps[1] - steps[0]
    outwards, inwards = np.s_[:, skin:], np.s_[:, skin::-1]
    out, back = _first(~person[outwards]), _first(person[inwards])
    another = _ON_SKIN + _first((body | ~visible)[outwards][:, _ON_SKIN:])
    through = _ON_SKIN + _first((~body | ~visible)[inwards][:, _ON_SKIN:])
    last = len(steps) - skin - 1
    offsets = np.where(person[:, skin], (out - 0.5) * size, (0.5 - back) * size)
    known = np.where(person[:, skin], (out <= last) & (out < another), (back <= skin) & (back < through))
    return np.where(known, offsets, np.nan)


def _first(flags: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(n,): of each row (n, S) where it is first True; S where it never is."""
    return np.where(flags.any(axis=1), flags.argmax(axis=1), flags.shape[1])


def _drawn(pixels: Array, depth: Array, faces: NDArray[np.int32], size: tuple[int, int]) -> NDArray[np.bool_]:
    """(height, width) of a mask where the body is, from the pixels (V, 2) of its vertices there."""
    flat = np.concatenate([pixels * depth[:, None], depth[:, None]], axis=1).astype(np.float32)
    drawn = raster.rasterize(np.ascontiguousarray(flat), faces, Intrinsics(1.0, 1.0, 0.0, 0.0), size)
    return (drawn.triangle >= 0).numpy()


def _at(picture: NDArray[np.bool_], places: Array) -> NDArray[np.bool_]:
    """(...) of a picture at places (..., 2); False outside."""
    height, width = picture.shape
    column, row = (np.floor(places[..., axis]).astype(np.int64) for axis in (0, 1))
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return inside & picture[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]


def _inside(places: Array, mask: PlacedMask) -> NDArray[np.bool_]:
    """(...) whether the frame shows places (..., 2) px of the mask."""
    frame = apply_affine(mask.T_frame_mask, places)
    return np.asarray(((frame >= 0) & (frame < mask.size)).all(axis=-1))
