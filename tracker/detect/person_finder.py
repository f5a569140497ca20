"""Finds people in a picture of which nothing is known: where they are, and how they are turned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines import BackendError, ModelError
from tracker.core.affine import apply_affine
from tracker.core.arrays import Array
from tracker.core.crop import crop_transform, sampled_crop, square_box
from tracker.core.errors import RunError
from tracker.detect.follow import Region
from tracker.detect.similarity import box_overlap
from tracker.networks.person_network import HIPS, INPUT, OUTPUTS, RIM, SIDE, open_person_engine, person_network_file
from tracker.runtime.engine_config import EngineConfig

_ONE_PERSON = 0.3
"""Overlap (intersection over union) of two answers' boxes from which they are of one person."""


class PersonFinder:
    """MediaPipe's person detector in an engine. It belongs to one thread at a time."""

    def __init__(self, engine: EngineConfig, network: Path | None = None) -> None:
        """network: its file (.tflite, or .task with it inside), by default the one in mediapipe's wheel.

        Raises InputError without it or for another network, RunError when no engine runs it.
        """
        try:
            options = engine.options(tuple(OUTPUTS))
            self._engine = open_person_engine(engine.backend, options, network or person_network_file())
        except (ModelError, BackendError) as error:
            raise RunError(f"the person detector does not start: {error}") from error

    def close(self) -> None:
        """Frees the engine."""
        self._engine.close()

    def find(self, image: NDArray[np.uint8], min_score: float) -> list[Region]:
        """Where people are in an (h, w, 3) RGB picture, the surest first. Raises RunError when the engine fails."""
        height, width = image.shape[:2]
        T_image_crop = crop_transform(square_box(np.array([0.0, 0.0, width, height])), SIDE, SIDE)
        # of averaged pixels it finds 22 people of 341 less
        crop = sampled_crop(image, T_image_crop, SIDE, SIDE)
        try:
            outputs = self._engine.run({INPUT: crop[None]})
        except BackendError as error:
            raise RunError(f"the person detector failed: {error}") from error
        scores, boxes, points = (outputs[name][0].astype(float) for name in OUTPUTS)
        likely = np.flatnonzero(scores >= min_score)
        people = merged(scores[likely], boxes[likely], points[likely])
        return [Region.on_rim(*apply_affine(T_image_crop, person[[HIPS, RIM]])) for person in people]


def merged(scores: Array, boxes: Array, points: Array) -> list[Array]:
    """(4, 2) points of each person, the surest first: the mean of all answers about them, weighted by their scores.

    scores (n,), boxes (n, 4), points (n, 4, 2). As MediaPipe does it: who overlaps the surest answer left is of it.
    """
    left = list(np.argsort(-scores, kind="stable"))
    people = []
    while left:
        same = [i for i in left if i == left[0] or box_overlap(boxes[left[0]], boxes[i]) > _ONE_PERSON]
        people.append(np.average(points[same], axis=0, weights=scores[same]))
        left = [i for i in left if i not in same]
    return people
