"""Pictures of single cases: what the tracker saw, the truth, and what it made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.body import BodyModel
from tracker.body.smpl_joints import SKELETON_EDGES
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.crop import crop_image
from tracker.evaluation.metrics import mean
from tracker.evaluation.scoring import Row, face_parts
from tracker.evaluation.segmentation import label_map
from tracker.evaluation.truth import posed_body

SIDE = 300
"""px of each of the two pictures."""
_OUTLINE = 1.1
"""Side of the picture over that of the person's crop."""
_GAP = 4
"""px between them."""
_PART_COLOURS = np.array(
    [[0, 0, 0], [240, 228, 66], [0, 158, 115], [230, 159, 0], [86, 180, 233], [213, 94, 0], [0, 114, 178]], np.uint8
)
"""RGB of the background and the six parts; told apart by colour-blind eyes too."""
_OPACITY = 0.55

CaseT = TypeVar("CaseT")


@dataclass(frozen=True)
class Pick(Generic[CaseT]):
    """One row of a case's table."""

    case: CaseT
    index: int


def picked(picks: Sequence[Pick[CaseT]], tables: Mapping[CaseT, Row]) -> list[tuple[str, Pick[CaseT]]]:
    """The best, the median and the worst by `visible_error`; fewer where there are fewer."""
    errors = {pick: visible_error(tables[pick.case], pick.index) for pick in picks}
    ranked = sorted((pick for pick in picks if not np.isnan(errors[pick])), key=lambda pick: errors[pick])
    if not ranked:
        return []
    places = {"best": 0, "median": len(ranked) // 2, "worst": len(ranked) - 1}
    chosen: dict[int, str] = {}
    for name, place in places.items():
        chosen.setdefault(place, name)
    return [(name, ranked[place]) for place, name in chosen.items()]


def visible_error(table: Row, index: int) -> float:
    """The mean error of the visible joints in one row: mm, or in % of the box's side where there is no truth in 3D."""
    visible = table["visible"][index]
    solid = mean(table["error"][index], visible)
    return 100 * mean(table["box_units"][index], visible) if np.isnan(solid) else solid


def found_rows(table: Row) -> list[int]:
    """Rows in which the person is asked for and found."""
    return [int(i) for i in np.flatnonzero(table["asked"] & table["found"])]


@dataclass(frozen=True)
class Body:
    """A body in a pose."""

    model: BodyModel
    theta: Array
    betas: Array
    transl: Array

    @classmethod
    def tracked(cls, model: BodyModel, table: Row, index: int) -> Body:
        """The tracker's answer in one row of a table."""
        return cls(model, *(table[name][index] for name in ("theta", "betas", "transl")))


class Panel:
    """The part of a picture around one person, to draw into."""

    def __init__(self, image: NDArray[np.uint8], crop_box: Array) -> None:
        """image: (h, w, 3) RGB; crop_box: (4,) xyxy px, square."""
        middle, half = (crop_box[:2] + crop_box[2:]) / 2, _OUTLINE * (crop_box[2:] - crop_box[:2]) / 2
        self._box = np.concatenate([middle - half, middle + half])
        self.picture = crop_image(image, self._box, SIDE)

    def with_body(self, camera: Camera, body: Body) -> NDArray[np.uint8]:
        """(300, 300, 3) RGB: the parts in colour over the picture, and the skeleton. camera: the whole picture's."""
        camera = camera.crop(self._box, SIDE, SIDE)
        posed = posed_body(body.model, body.theta, body.betas, body.transl)
        vertices = posed.vertices().numpy().astype(float)
        parts = label_map(camera, vertices, body.model.faces.numpy(), face_parts(body.model))
        share = np.where(parts > 0, np.float32(_OPACITY), np.float32(0.0))[..., None]
        colours = _PART_COLOURS[parts].astype(np.float32)
        canvas = np.rint(self.picture + share * (colours - self.picture)).astype(np.uint8)
        return _with_lines(canvas, camera.project(posed.joints.numpy().astype(float)), SKELETON_EDGES)

    def with_points(self, points: Array, edges: Sequence[tuple[int, int]]) -> NDArray[np.uint8]:
        """(300, 300, 3) RGB: points (J, 2) px of the whole picture, and lines between them; NaN are left out."""
        scale = SIDE / (self._box[2] - self._box[0])
        return _with_lines(self.picture.copy(), scale * (points - self._box[:2]), edges, dots=True)


def beside(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(300, 604, 3) RGB."""
    return np.hstack([first, np.full((SIDE, _GAP, 3), 255, np.uint8), second])


def _with_lines(
    canvas: NDArray[np.uint8], points: Array, edges: Sequence[tuple[int, int]], dots: bool = False
) -> NDArray[np.uint8]:
    """The picture with points (J, 2) px and lines drawn into it."""
    canvas = np.ascontiguousarray(canvas)
    # OpenCV has pixel centres at integers
    places = {i: (round(x - 0.5), round(y - 0.5)) for i, (x, y) in enumerate(points.tolist()) if np.isfinite(x + y)}
    for first, second in edges:
        if first in places and second in places:
            cv2.line(canvas, places[first], places[second], (255, 255, 255), 1, cv2.LINE_AA)
    for place in places.values() if dots else ():
        cv2.circle(canvas, place, 3, (255, 210, 0), -1, cv2.LINE_AA)
    return canvas
