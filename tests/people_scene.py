"""Flat people for the tests of detection and identity: landmarks of a standing figure, and a picture of its clothes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tracker.body.landmark_set import MEDIAPIPE
from tracker.core.arrays import Array
from tracker.core.detection import Detection
from tracker.core.frame import Frame

WIDTH, HEIGHT = 640, 480
BACKGROUND = (120, 125, 130)
_HEAD = {"nose": (0.0, 0.07), "eye": (0.02, 0.05), "ear": (0.04, 0.06), "mouth": (0.015, 0.09)}
_BODY = {
    "foot_index": (0.1, 1.0),
    "shoulder": (0.11, 0.18),
    "elbow": (0.16, 0.33),
    "wrist": (0.17, 0.46),
    "pinky": (0.18, 0.5),
    "index": (0.17, 0.51),
    "thumb": (0.16, 0.49),
    "hip": (0.07, 0.5),
    "knee": (0.08, 0.73),
    "ankle": (0.08, 0.94),
    "heel": (0.08, 0.97),
}


def _template_point(name: str) -> tuple[float, float]:
    side = 1.0 if "left" in name else -1.0
    for part, (x, y) in {**_BODY, **_HEAD}.items():
        if part in name:
            return side * x, y
    raise AssertionError(name)


TEMPLATE = np.array([_template_point(name) for name in MEDIAPIPE.names])
"""(33, 2): a figure of height 1, the top of its head at (0, 0), seen from the front: its left is on the right."""


@dataclass(frozen=True)
class Figure:
    """A person of the tests: where they stand (middle x and top y, px) and what they wear (RGB)."""

    x: float
    y: float = 90.0
    height: float = 300.0
    shirt: tuple[int, int, int] = (200, 30, 30)
    trousers: tuple[int, int, int] = (30, 30, 120)

    @property
    def landmarks(self) -> Array:
        return TEMPLATE * self.height + np.array([self.x, self.y])


def detection_of(figure: Figure, jitter: Array | float = 0.0, visibility: float = 0.95) -> Detection:
    """What a detector would say of the figure, its landmarks moved by jitter px; no mask, as from some detectors."""
    landmarks = figure.landmarks + jitter
    return Detection(landmarks, np.zeros((33, 3)), np.full(33, visibility))


def draw(figures: list[Figure]) -> np.ndarray:
    """(HEIGHT, WIDTH, 3) RGB: the figures, later ones in front."""
    picture = np.full((HEIGHT, WIDTH, 3), BACKGROUND, np.uint8)
    for figure in figures:
        x, y, h = figure.x, figure.y, figure.height
        _rectangle(picture, x - 0.14 * h, y + 0.15 * h, x + 0.14 * h, y + 0.51 * h, figure.shirt)
        _rectangle(picture, x - 0.13 * h, y + 0.51 * h, x + 0.13 * h, y + h, figure.trousers)
        cv2.circle(picture, (round(x), round(y + 0.07 * h)), round(0.07 * h), (220, 180, 150), -1)
    return picture


def frame_of(figures: list[Figure], index: int, time: float) -> Frame:
    """A frame that shows the figures."""
    return Frame(index, time, draw(figures))


def _rectangle(picture: np.ndarray, x0: float, y0: float, x1: float, y1: float, colour: tuple[int, int, int]) -> None:
    cv2.rectangle(picture, (round(x0), round(y0)), (round(x1), round(y1)), colour, -1)
