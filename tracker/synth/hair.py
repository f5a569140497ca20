"""Hair, and the eyes that the body's mesh carries as loose pieces."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from tracker.body.model import JOINT_NAMES
from tracker.core.arrays import Array
from tracker.synth.body_measures import Anatomy
from tracker.synth.surface import Surface, cut, smoothed
from tracker.synth.tailor import BORDER, Garment
from tracker.synth.texture import noise, smoothstep


def hair_field(anatomy: Anatomy) -> Array:
    """The scalp: above the forehead, around the ears, down to the nape."""
    p, marks = anatomy.surface.rest, anatomy.landmarks
    ear = (marks["left_ear"] + marks["right_ear"]) / 2
    eyes = (marks["left_eye"] + marks["right_eye"]) / 2
    scale = float(marks["left_ear"][0] - marks["right_ear"][0]) / 0.142
    azimuth = np.degrees(np.abs(np.arctan2(p[:, 0], p[:, 2] - ear[2])))
    line = np.interp(azimuth, [0, 25, 48, 62, 80, 95, 125, 180], [66, 70, 58, 44, 4, 0, -55, -78]) * 1e-3 * scale
    above = p[:, 1] - (eyes[1] + line + 0.003 * noise(p, 0.012, 5))
    around = np.full(len(p), np.inf)
    for side in ("left", "right"):
        offset = (p - marks[f"{side}_ear"] - np.array([0.0, -0.002, -0.008])) / np.array([1.0, 1.25, 0.9])
        around = np.minimum(around, np.linalg.norm(offset, axis=1) - 0.036 * scale)
    head_only = anatomy.surface.weights[:, JOINT_NAMES.index("head")] - 0.2
    return np.minimum.reduce([above, around, head_only])


@dataclass(frozen=True)
class HairStyle:
    """How the hair stands off the head."""

    length: float = 0.024
    """m on top."""
    sides: float = 0.6
    """Share of that at the sides."""
    tuft: float = 0.22
    """How uneven it is, as a share of the length."""


def hair(anatomy: Anatomy, style: HairStyle, seed: int) -> Garment:
    """A cap that rises from the hair line."""
    field = hair_field(anatomy)
    body = anatomy.surface
    part, used = body.part((field[body.faces] > -BORDER).any(axis=1))
    rest, inside = part.rest, field[used]
    top = smoothstep(-0.2, 0.9, anatomy.normals[used][:, 1])
    tufts = 1.0 + style.tuft * noise(rest, np.array([0.02, 0.035, 0.035]), seed, octaves=2)
    rise = smoothstep(-0.004, 0.035, inside)
    height = style.length * (style.sides + (1 - style.sides) * top) * tufts * rise + 0.002
    normals = smoothed(part, anatomy.normals[used], 6)
    grown = part.moved(rest + normals * height[:, None])
    return Garment(*cut(grown, inside))


_EYE_VERTICES = 300
"""The eyeballs are loose pieces of the mesh with fewer vertices than this."""


def eyes_and_skin(body: Surface) -> tuple[list[Surface], NDArray[np.bool_]]:
    """The two eyeballs, with a texture seen from the front, and which faces (F,) are not theirs."""
    label = _pieces(body)
    eyes, skin = [], np.ones(len(body.faces), bool)
    for each in np.unique(label):
        piece, _ = body.part(label == each)
        if len(piece.rest) > _EYE_VERTICES:
            continue
        low, high = piece.rest.min(axis=0)[:2], piece.rest.max(axis=0)[:2]
        eyes.append(replace(piece, uv=(piece.rest[:, :2] - low) / (high - low)))
        skin &= label != each
    return eyes, skin


def _pieces(body: Surface) -> NDArray[np.int64]:
    """(F,) the number of the connected piece that each face belongs to."""
    points = body.points
    edges = np.concatenate([points[body.faces[:, [0, 1]]], points[body.faces[:, [1, 2]]]])
    count = int(points.max()) + 1
    graph = csr_matrix((np.ones(len(edges)), edges.T), shape=(count, count))
    return connected_components(graph, directed=False)[1][points[body.faces[:, 0]]]
