"""Silhouette and body parts in the picture: label maps of posed bodies, and how well two of them agree.

Accuracy and F1 are what the LSP benchmark of body models reports: over all pixels of all pictures, F1 as the mean over
the classes, the background being one of them.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.body import JOINT_NAMES
from tracker.core.arrays import Array
from tracker.core.camera import NEAREST_Z, Camera

PARTS = ("background", "head", "torso", "right arm", "left arm", "right leg", "left leg")
"""LSP's six parts, in the order of their labels in its segmented pictures, and what is none of them."""
_SUBPIXEL_BITS = 4


def _part(joint: str) -> str:
    if joint == "head":
        return "head"
    side, _, rest = joint.partition("_")
    if rest in ("shoulder", "elbow", "wrist", "hand"):
        return f"{side} arm"
    return f"{side} leg" if rest in ("hip", "knee", "ankle", "foot") else "torso"


PART_OF_JOINT = np.array([PARTS.index(_part(name)) for name in JOINT_NAMES], np.uint8)
"""(24,) the part that the flesh around each of SMPL's bones belongs to; collars and neck count as torso."""


def label_map(
    camera: Camera, vertices: Array, faces: NDArray[np.integer], labels: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """(h, w) labels of the nearest surface, 0 where there is none.

    vertices: (V, 3) m, camera frame; faces: (F, 3), counter-clockwise from outside; labels: (F,) one a face. Faces are
    filled from back to front, which is exact to the pixel for a closed mesh of small triangles.
    """
    picture = np.zeros((camera.height, camera.width), np.uint8)
    near = vertices[:, 2] < NEAREST_Z
    pixels = camera.project(np.where(near[:, None], [0.0, 0.0, 1.0], vertices))
    a, b, c = (pixels[faces[:, i]] for i in range(3))
    # on the screen, y down: faces that look at the camera run clockwise in these axes' sense, seen area below zero
    turned = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    chosen = np.flatnonzero((turned < 0) & ~near[faces].any(axis=1))
    order = chosen[np.argsort(-vertices[faces[chosen], 2].mean(axis=1), kind="stable")]
    # OpenCV has pixel centres at integers
    corners = np.rint((pixels - 0.5) * 2**_SUBPIXEL_BITS).clip(-(2**20), 2**20).astype(np.int32)[faces[order]]
    for triangle, label in zip(corners, labels[order].tolist(), strict=True):
        cv2.fillConvexPoly(picture, triangle, label, cv2.LINE_8, _SUBPIXEL_BITS)
    return picture


def confusion(predicted: NDArray[np.uint8], truth: NDArray[np.uint8], counted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(7, 7) pixels by true (row) and predicted (column) part, of those that count (h, w)."""
    classes = len(PARTS)
    pairs = classes * truth[counted].astype(np.int64) + predicted[counted]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def accuracy(counts: NDArray[np.int64]) -> float:
    """Share of the pixels that have the right class; counts: (C, C), NaN if it is empty."""
    total = counts.sum()
    return float(np.trace(counts) / total) if total else float("nan")


def f1_score(counts: NDArray[np.int64]) -> float:
    """2·TP / (2·TP + FP + FN), the mean over the classes that occur; counts: (C, C)."""
    hits = np.diag(counts)
    either = counts.sum(axis=0) + counts.sum(axis=1)
    occurs = either > 0
    return float((2 * hits[occurs] / either[occurs]).mean()) if occurs.any() else float("nan")


def silhouette(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(2, 2) the same pixels as background and person only."""
    rows = np.stack([counts[0], counts[1:].sum(axis=0)])
    return np.stack([rows[:, 0], rows[:, 1:].sum(axis=1)], axis=1)
