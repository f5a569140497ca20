"""Triangle meshes that follow the body, cut to a region, smoothed, moved outwards: what clothes are made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

from tracker.body.model import BodyModel, ShapedBody
from tracker.core.arrays import Array

_SAME_PLACE = 1e-6
"""m: vertices of one surface that are closer than this are one point, split for the texture's sake."""


@dataclass(frozen=True)
class Surface:
    """A mesh on the shaped body at rest. Vertices are split where the texture has a seam."""

    rest: Array
    """(V, 3) m."""
    weights: Array
    """(V, 24) skinning weights."""
    origin: csr_matrix
    """(V, body's vertices) where on the body each vertex comes from, for the body's pose correctives; a row sums to 1,
    or to 0 where nothing is to be corrected."""
    uv: Array
    """(V, 2) in 0..1, v up."""
    faces: NDArray[np.int64]
    """(F, 3), counter-clockwise from outside."""

    @cached_property
    def points(self) -> NDArray[np.int64]:
        """(V,) which point each vertex belongs to: the halves of a seam share one."""
        _, index = np.unique(np.rint(self.rest / _SAME_PLACE), axis=0, return_inverse=True)
        return index.reshape(-1)

    @cached_property
    def normal_operator(self) -> csr_matrix:
        """(V, F) sums the normals of the faces around each vertex, over seams too."""
        rows = self.points[self.faces].ravel()
        faces = np.repeat(np.arange(len(self.faces)), 3)
        per_point = csr_matrix((np.ones(len(rows)), (rows, faces)), shape=(self.points.max() + 1, len(self.faces)))
        return per_point[self.points]

    def normals(self, positions: Array) -> Array:
        """(V, 3) unit normals when the vertices are at `positions` (V, 3)."""
        a, b, c = (positions[self.faces[:, i]] for i in range(3))
        total = self.normal_operator @ np.cross(b - a, c - a)
        return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)

    def moved(self, rest: Array) -> Surface:
        """The same mesh with its vertices elsewhere at rest."""
        return replace(self, rest=rest)

    def part(self, faces: NDArray[np.bool_]) -> tuple[Surface, NDArray[np.int64]]:
        """The chosen faces (F,) with the vertices that they use, and where these were."""
        used, index = np.unique(self.faces[faces], return_inverse=True)
        rows = (self.rest[used], self.weights[used], self.origin[used], self.uv[used])
        return Surface(*rows, index.reshape(-1, 3)), used


def body_surface(shaped: ShapedBody) -> Surface:
    """The body's own surface, split where its texture has seams."""
    model = shaped.model
    faces, faces_uv, uv = _texture_layout(model)
    pairs = np.stack([faces.ravel(), faces_uv.ravel()], axis=1)
    unique, index = np.unique(pairs, axis=0, return_inverse=True)
    vertex = unique[:, 0]
    rest, weights = (values.numpy().astype(float)[vertex] for values in (shaped.rest_vertices, model.weights))
    origin = csr_matrix(
        (np.ones(len(vertex)), (np.arange(len(vertex)), vertex)), shape=(len(vertex), len(model.weights))
    )
    return Surface(rest, weights, origin, uv[unique[:, 1]], index.reshape(-1, 3))


def _texture_layout(model: BodyModel) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    if model.faces_uv is None or model.uv is None:
        raise ValueError(f"{model.name}: expected a body with texture coordinates, such as the built-in one")
    return model.faces.numpy(), model.faces_uv.numpy(), model.uv.numpy().astype(float)


def cut(surface: Surface, inside: Array) -> tuple[Surface, Array]:
    """The part of the surface where the field `inside` (V,) is positive, cut along its zero line; the field on it."""
    positive = inside[surface.faces] > 0
    count = positive.sum(axis=1)
    turned = _lone_corner_first(surface.faces, positive)
    edges, triangles = _cut_triangles(turned[count == 1], turned[count == 2], len(surface.rest))
    share = inside[edges[:, 0]] / (inside[edges[:, 0]] - inside[edges[:, 1]])
    faces = np.concatenate([surface.faces[count == 3], triangles])
    used, index = np.unique(faces, return_inverse=True)
    extend = _extension(edges, share, len(surface.rest))[used]
    rest, weights, uv = (extend @ values for values in (surface.rest, surface.weights, surface.uv))
    field = np.append(inside, np.zeros(len(edges)))[used]
    return Surface(rest, weights, csr_matrix(extend @ surface.origin), uv, index.reshape(-1, 3)), field


def _extension(edges: NDArray[np.int64], share: Array, vertices: int) -> csr_matrix:
    """(V + E, V) the vertices, and then one on each edge (E, 2), `share` (E,) of the way along it."""
    rows = np.arange(vertices, vertices + len(edges))
    data = np.concatenate([np.ones(vertices), 1 - share, share])
    place = (np.concatenate([np.arange(vertices), rows, rows]), np.concatenate([np.arange(vertices), *edges.T]))
    return csr_matrix((data, place), shape=(vertices + len(edges), vertices))


def _lone_corner_first(faces: NDArray[np.int64], positive: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Faces turned so that the corner which differs from the two others comes first."""
    lone = np.where(positive.sum(axis=1, keepdims=True) == 1, positive, ~positive)
    start = lone.argmax(axis=1)[:, None]
    return np.take_along_axis(faces, (start + np.arange(3)) % 3, axis=1)


def _cut_triangles(
    one_in: NDArray[np.int64], two_in: NDArray[np.int64], vertices: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Edges (E, 2) that get a new vertex, and the triangles that are left, with new vertices counted after the old."""
    crossed = np.concatenate([one_in[:, [0, 1]], one_in[:, [0, 2]], two_in[:, [0, 1]], two_in[:, [0, 2]]])
    edges, index = np.unique(np.sort(crossed, axis=1), axis=0, return_inverse=True)
    new = index.reshape(-1) + vertices
    first, second = len(one_in), len(two_in)
    ab, ac = new[:first], new[first : 2 * first]
    left, right = new[2 * first : 2 * first + second], new[2 * first + second :]
    triangles = [
        np.stack([one_in[:, 0], ab, ac], axis=1),
        np.stack([left, two_in[:, 1], two_in[:, 2]], axis=1),
        np.stack([left, two_in[:, 2], right], axis=1),
    ]
    return edges, np.concatenate(triangles)


def smoothing_operator(surface: Surface) -> csr_matrix:
    """(V, V) replaces each vertex by the mean of its neighbours, over seams too."""
    points = surface.points
    faces = points[surface.faces]
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    rows, columns = np.concatenate([edges, edges[:, ::-1]]).T
    count = points.max() + 1
    adjacency = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    adjacency.data[:] = 1.0
    mean = diags(1 / np.maximum(np.asarray(adjacency.sum(axis=1)).ravel(), 1)) @ adjacency
    representative = np.zeros(count, np.int64)
    representative[points] = np.arange(len(points))
    columns_at_vertices = csr_matrix((np.ones(count), (np.arange(count), representative)), shape=(count, len(points)))
    return csr_matrix((mean @ columns_at_vertices)[points])


def smoothed(surface: Surface, values: Array, passes: int) -> Array:
    """(V, ...) values, each time half replaced by the mean of the neighbours'."""
    operator = smoothing_operator(surface)
    for _ in range(passes):
        values = 0.5 * (values + operator @ values)
    return values
