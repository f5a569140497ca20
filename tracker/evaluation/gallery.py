"""Pictures of single cases: what the tracker saw, the truth, and what it made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.body import BodyModel, load_body
from tracker.body.free_body import load_free_body
from tracker.camera import Camera
from tracker.crop import crop_image
from tracker.evaluation.cases import Bench, Case
from tracker.evaluation.metrics import mean
from tracker.evaluation.scoring import Row, face_parts
from tracker.evaluation.segmentation import label_map
from tracker.evaluation.synthetic import STILL
from tracker.evaluation.truth import posed_body
from tracker.keypoints import SKELETON_EDGES
from tracker.types import Array

_SIDE = 300
"""px of each of the two pictures."""
_OUTLINE = 1.35
"""Side of the picture over that of the person's crop."""
_PART_COLOURS = np.array(
    [[0, 0, 0], [240, 228, 66], [0, 158, 115], [86, 180, 233], [230, 159, 0], [0, 114, 178], [213, 94, 0]], np.uint8
)
"""RGB of the background and the six parts; told apart by colour-blind eyes too."""
_OPACITY = 0.55


@dataclass(frozen=True)
class Pick:
    """One row of a case's table."""

    case: Case
    index: int


def picked(picks: Sequence[Pick], tables: Mapping[Case, Row]) -> list[tuple[str, Pick]]:
    """The best, the median and the worst by the mean error of visible joints; fewer where there are fewer."""
    errors = {pick: _error(tables[pick.case], pick.index) for pick in picks}
    ranked = sorted((pick for pick in picks if not np.isnan(errors[pick])), key=lambda pick: errors[pick])
    if not ranked:
        return []
    places = {"best": 0, "median": len(ranked) // 2, "worst": len(ranked) - 1}
    chosen: dict[int, str] = {}
    for name, place in places.items():
        chosen.setdefault(place, name)
    return [(name, ranked[place]) for place, name in chosen.items()]


def _error(table: Row, index: int) -> float:
    return mean(table["error"][index], table["visible"][index])


def side_by_side(bench: Bench, pick: Pick, table: Row) -> NDArray[np.uint8]:
    """(300, 604, 3) RGB: the occluded picture with the true body over it on the left, the tracked one on the right."""
    footage = bench.store.footage(pick.case.key(bench.settings))
    frame = 0 if pick.case.kind == STILL else pick.index
    image = shown_picture(bench, pick)
    truth = footage.truth
    box = truth.crop_box(frame)
    middle, half = (box[:2] + box[2:]) / 2, _OUTLINE * (box[2:] - box[:2]) / 2
    box = np.concatenate([middle - half, middle + half])
    camera = truth.camera.crop(box, _SIDE, _SIDE)
    background = crop_image(image, box, _SIDE)
    true = _Body(load_free_body(), truth.theta[frame], truth.betas, truth.transl[frame])
    tracked = _Body(load_body(bench.tracker.body), *(table[name][pick.index] for name in ("theta", "betas", "transl")))
    gap = np.full((_SIDE, 4, 3), 255, np.uint8)
    return np.hstack([_drawn(background, camera, true), gap, _drawn(background, camera, tracked)])


def shown_picture(bench: Bench, pick: Pick) -> NDArray[np.uint8]:
    """(h, w, 3) exactly what the tracker was given."""
    footage = bench.store.footage(pick.case.key(bench.settings))
    if pick.case.kind == STILL:
        placement = next(islice(bench.placements(pick.case, footage), pick.index, None))
        return bench.picture(pick.case, footage, placement, pick.index)
    occlusion = bench.occlusion(pick.case, footage)
    image = footage.images[pick.index]
    return image if occlusion is None else occlusion.apply(image, pick.index)


@dataclass(frozen=True)
class _Body:
    """A body in a pose."""

    model: BodyModel
    theta: Array
    betas: Array
    transl: Array


def _drawn(image: NDArray[np.uint8], camera: Camera, body: _Body) -> NDArray[np.uint8]:
    """The parts in colour over the picture, and the skeleton."""
    posed = posed_body(body.model, body.theta, body.betas, body.transl)
    vertices = posed.vertices().numpy().astype(float)
    parts = label_map(camera, vertices, body.model.faces.numpy(), face_parts(body.model))
    colours = _PART_COLOURS[parts].astype(np.float32)
    share = np.where(parts > 0, np.float32(_OPACITY), np.float32(0.0))[..., None]
    canvas = np.ascontiguousarray(np.rint(image + share * (colours - image)).astype(np.uint8))
    points = np.rint(camera.project(posed.joints.numpy().astype(float)) - 0.5).astype(int)
    for parent, joint in SKELETON_EDGES:
        ends = [tuple(int(v) for v in points[i]) for i in (parent, joint)]
        cv2.line(canvas, ends[0], ends[1], (255, 255, 255), 1, cv2.LINE_AA)
    return canvas
