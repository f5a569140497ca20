"""The visible surface of the base mesh, and the landmarks on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.body.bake_fit import fit_point
from tracker.body.bake_source import BakeSource
from tracker.body.bake_tpose import PosedSamples
from tracker.body.model import LANDMARK_NAMES
from tracker.core.arrays import Array


@dataclass(frozen=True)
class BakeSurface:
    """The faces that are seen; indices into the base mesh."""

    faces: NDArray[np.int64]
    """(F, 3)."""
    faces_uv: NDArray[np.int64]
    """(F, 3) rows of uv."""
    uv: Array
    """(N, 2), only the rows that are used."""

    @property
    def visible(self) -> NDArray[np.int64]:
        """Sorted indices of the vertices in the faces."""
        return np.unique(self.faces)


def visible_surface(source: BakeSource) -> BakeSurface:
    """Body and eyes, without the inside of the mouth."""
    kept = ~source.mouth_faces
    used, faces_uv = np.unique(source.faces_uv[kept], return_inverse=True)
    return BakeSurface(source.faces[kept], faces_uv.reshape(-1, 3), source.uv[used])


def vertex_areas(vertices: Array, faces: NDArray[np.int64]) -> Array:
    """(M,) a third of the area of the faces around each vertex, with a small floor for the unseen ones."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    face_area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    area = np.bincount(faces.ravel(), np.repeat(face_area, 3) / 3, minlength=len(vertices))
    return area + 0.02 * area.mean()


_TRAGUS = 12207
"""MakeHuman's vertex on the small flap in front of the left ear's canal."""
_EYE = slice(14598, 14670)
"""MakeHuman's vertices of the left eyeball."""
_INSIDE_HAND = {"left_pinky": "finger5-1.L", "left_index": "finger2-1.L", "left_thumb": "finger1-2.L"}
"""Knuckles: at the heads of these bones. MediaPipe's thumb is the joint in the middle of the thumb's base."""


def landmark_weights(source: BakeSource, samples: PosedSamples, surface: BakeSurface) -> Array:
    """(21, M) rows in the order of LANDMARK_NAMES, found on the mean of the samples; the right mirrors the left."""
    template = samples.vertices.mean(axis=0)
    rows = np.zeros((len(LANDMARK_NAMES), len(template)))
    for name, vertex in {**_face(source, template, surface), **_foot(source, template, surface)}.items():
        rows[LANDMARK_NAMES.index(name), vertex] = 1.0
    for name, bone in _INSIDE_HAND.items():
        place = samples.heads[:, source.bone(bone)]
        rows[LANDMARK_NAMES.index(name)] = fit_point(samples.vertices, place, surface.visible)
    for name in (name for name in LANDMARK_NAMES if "right" in name):
        rows[LANDMARK_NAMES.index(name)] = rows[LANDMARK_NAMES.index(name.replace("right", "left")), source.mirror]
    return rows


def _face(source: BakeSource, template: Array, surface: BakeSurface) -> dict[str, int]:
    """Vertices of nose, left eye, left ear and the left corner of the mouth."""
    lid = _shared(source.faces[source.eye_faces], source.faces[~source.eye_faces])
    lid = lid[template[lid, 0] > 0]
    lips = _shared(source.faces[source.mouth_faces], source.faces[~source.mouth_faces])
    eye, mouth = template[lid].mean(axis=0), template[lips].mean(axis=0)
    middle = surface.visible[np.abs(template[surface.visible, 0]) < 1e-6]
    between = middle[(template[middle, 1] < eye[1]) & (template[middle, 1] > mouth[1])]
    eyeball = np.arange(len(template))[_EYE]
    return {
        "nose": _furthest(template, between, [0.0, 0.0, 1.0]),
        "left_eye_inner": _furthest(template, lid, [-1.0, 0.0, 0.0]),
        "left_eye": _furthest(template, eyeball, [0.0, 0.0, 1.0]),
        "left_eye_outer": _furthest(template, lid, [1.0, 0.0, 0.0]),
        "left_ear": _TRAGUS,
        "mouth_left": _furthest(template, lips, [1.0, 0.0, 0.0]),
    }


def _foot(source: BakeSource, template: Array, surface: BakeSurface) -> dict[str, int]:
    """The back of the left heel, low down, and the tip of the big toe."""
    foot = surface.visible[source.weights[surface.visible, source.bone("foot.L")] > 0.5]
    toe = surface.visible[source.weights[surface.visible, source.bone("toe1-2.L")] > 0.5]
    return {
        "left_heel": _furthest(template, foot, [0.0, -0.6, -1.0]),
        "left_foot_index": _furthest(template, toe, [0.0, 0.0, 1.0]),
    }


def _shared(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Vertices that two sets of faces have in common: the line along which they meet."""
    return np.intersect1d(first, second)


def _furthest(template: Array, vertices: NDArray[np.int64], direction: list[float]) -> int:
    return int(vertices[np.argmax(template[vertices] @ np.array(direction))])
