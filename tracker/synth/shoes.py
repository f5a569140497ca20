"""Low shoes: closed tubes around the feet, because skin moved outwards would show every toe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from tracker.body.model import JOINT_NAMES
from tracker.core.arrays import Array
from tracker.synth.body_measures import Anatomy
from tracker.synth.surface import Surface
from tracker.synth.texture import smoothstep

_SLICES, _AROUND = 15, 28
"""Cross-sections along the foot, and faces around each."""
_ROOM = 0.006
"""m between the foot and the shoe."""
_CAP = 0.012
"""m that heel and toe cap stand out."""


@dataclass(frozen=True)
class Last:
    """The form that a shoe is built on, slice by slice from heel to toe; metres at rest."""

    z: Array
    """(S,)"""
    centre: Array
    """(S,) x."""
    half_width: Array
    """(S,)"""
    top: Array
    """(S,) y."""


def shoe(anatomy: Anatomy, side: str, sole_thickness: float) -> Surface:
    """A shoe; its texture runs from heel to toe along u and around it along v, the instep at v = 0.25."""
    floor = anatomy.sole - sole_thickness
    rest, uv = _rings(_last(anatomy, side), floor)
    toes = smoothstep(-0.05, 0.02, rest[:, 2] - anatomy.joints[f"{side}_foot"][2])
    weights = np.zeros((len(rest), len(JOINT_NAMES)))
    weights[:, JOINT_NAMES.index(f"{side}_ankle")] = 1 - toes
    weights[:, JOINT_NAMES.index(f"{side}_foot")] = toes
    uncorrected = csr_matrix((len(rest), anatomy.surface.origin.shape[1]))
    return Surface(rest, weights, uncorrected, uv, _tube_faces(len(rest) // (_AROUND + 1)))


def _last(anatomy: Anatomy, side: str) -> Last:
    p, sole = anatomy.surface.rest, anatomy.sole
    sign = 1.0 if side == "left" else -1.0
    foot = p[(sign * p[:, 0] > 0) & (p[:, 1] < sole + 0.11)]
    z = np.linspace(foot[:, 2].min(), foot[:, 2].max(), _SLICES)
    slices = [foot[np.abs(foot[:, 2] - at) < z[1] - z[0]] for at in z]
    low, high = (np.array([reach(each[:, 0]) for each in slices]) for reach in (np.min, np.max))
    top = np.array([each[:, 1].max() for each in slices])
    return Last(
        z,
        centre=_softened((low + high) / 2),
        half_width=_softened((high - low) / 2) + _ROOM,
        top=np.clip(_softened(top) + _ROOM, sole + 0.045, sole + 0.105),
    )


def _softened(values: Array) -> Array:
    return np.convolve(np.pad(values, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")


def _rings(last: Last, floor: float) -> tuple[Array, Array]:
    """Vertices (R·(A + 1), 3) ring after ring, the ends drawn in to rounded caps, and their uv: along and around.

    The first and the last vertex of a ring are at the same place, where the texture has its seam.
    """
    caps = np.array([0.0, 0.35, 0.65, 0.88])
    z = np.concatenate([last.z[0] - _CAP * (1 - caps), last.z, last.z[-1] + _CAP * caps])
    ends = np.maximum(np.sqrt(1 - (1 - caps) ** 2), 0.02)
    shrink = np.concatenate([ends, np.ones(len(last.z)), ends[::-1]])[:, None]
    padded = (np.pad(values, len(caps), mode="edge")[:, None] for values in (last.centre, last.half_width, last.top))
    centre, half_width, top = padded
    angle = np.linspace(0, 2 * np.pi, _AROUND + 1)
    angle[-1] = 0.0
    across, upwards = (np.sign(f(angle)) * np.abs(f(angle)) ** 0.75 for f in (np.cos, np.sin))
    middle = floor + 0.030
    height = (top - middle) * np.maximum(upwards, 0) + (middle - floor) * np.minimum(upwards, 0)
    x, y = centre + half_width * shrink * across, middle + height * shrink
    rest = np.stack([x, y, np.broadcast_to(z[:, None], x.shape)], axis=-1)
    along, around = np.meshgrid((z - z[0]) / (z[-1] - z[0]), np.linspace(0, 1, _AROUND + 1), indexing="ij")
    return rest.reshape(-1, 3), np.stack([along, around], axis=-1).reshape(-1, 2)


def _tube_faces(rings: int) -> NDArray[np.int64]:
    ring, k = np.meshgrid(np.arange(rings - 1), np.arange(_AROUND), indexing="ij")
    a = (ring * (_AROUND + 1) + k).ravel()
    b, c = a + 1, a + _AROUND + 1
    return np.concatenate([np.stack([a, b, c], axis=1), np.stack([b, c + 1, c], axis=1)])
