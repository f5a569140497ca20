"""One frame's people against the truth: every number that the tables are made of, frame by frame.

A row says whether the person was found, which joints were to be seen, and how far off everything is. What was not found
is NaN in its errors and infinitely far in PCK's distances: tables count it as not found, and as wrong in PCK.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tracker.body import BodyModel
from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array
from tracker.core.camera import Camera
from tracker.core.geometry import matrix_from_axis_angle
from tracker.core.person import Person
from tracker.evaluation.metrics import (
    aligned_errors,
    angle_errors,
    joint_errors,
    keypoint_distances,
    mean,
    relative_errors,
)
from tracker.evaluation.occlusion import Mask, covered
from tracker.evaluation.segmentation import PART_OF_JOINT, PARTS, confusion, label_map
from tracker.evaluation.truth import CROP_SIDE, Truth, posed_body

Row = dict[str, NDArray]
"""The numbers of one frame by name; `stacked` puts rows together."""

ROOT = smpl_index("pelvis")
_GATE = 0.5
"""A tracked person whose joints are farther than this from the true ones, in heights of the box, is somebody else."""


class Judge:
    """Compares with one person's truth. parts: also the parts' pixels in the person's crop, for 60 ms a frame."""

    def __init__(self, body: BodyModel, truth_body: BodyModel, truth: Truth, parts: bool) -> None:
        """body: the tracker's; vertices are compared when it is the truth's own."""
        self._body, self._truth_body, self._truth, self._parts = body, truth_body, truth, parts

    def row(self, frame: int, people: Sequence[Person], mask: Mask) -> Row:
        """people: what the tracker gave out; mask: (h, w) what occluders hide in that frame."""
        truth = self._truth
        visible = truth.in_picture[frame] & ~covered(mask, truth.joints2d[frame])
        person = self.match(frame, people)
        row = _empty_row(self._parts) | {
            "asked": np.array(truth.present[frame]),
            "time": np.array(truth.times[frame]),
            "visible": visible,
            "root_seen": visible[ROOT],
            "true3d": truth.joints3d[frame],
            "true2d": truth.joints2d[frame],
        }
        if person is not None:
            row |= self._joint_rows(frame, person, visible) | self._surface_rows(frame, person, mask)
        return row

    def match(self, frame: int, people: Sequence[Person]) -> Person | None:
        """The tracked person who lies on the true one, if there is one."""
        box, true = self._truth.boxes[frame], self._truth.joints2d[frame]
        distance = [float(np.linalg.norm(person.joints2d - true, axis=-1).mean()) for person in people]
        if not distance or min(distance) > _GATE * (box[3] - box[1]):
            return None
        return people[int(np.argmin(distance))]

    def _joint_rows(self, frame: int, person: Person, visible: NDArray[np.bool_]) -> Row:
        truth = self._truth
        joints, true = person.joints3d[None], truth.joints3d[frame][None]
        errors = joint_errors(joints, true)
        points = person.joints2d[None], truth.joints2d[frame][None]
        rotations = [matrix_from_axis_angle(each)[None] for each in (person.pose.theta, truth.theta[frame])]
        box = truth.boxes[frame]
        side = np.array([max(box[2] - box[0], box[3] - box[1])])
        return {
            "found": np.array(True),
            "person_id": np.array(person.person_id),
            "error": errors.root_relative[0],
            "aligned": errors.aligned[0],
            "aligned_visible": aligned_errors(joints, true, visible[None])[0],
            "root": errors.root[0],
            "head_units": keypoint_distances(*points, truth.head_lengths[frame : frame + 1])[0],
            "box_units": keypoint_distances(*points, side)[0],
            "angle": angle_errors(rotations[0], rotations[1])[0],
            "confidence": person.joint_confidence,
            "joints3d": person.joints3d,
            "joints2d": person.joints2d,
            "theta": person.pose.theta,
            "betas": person.pose.betas,
            "transl": person.pose.transl,
        }

    def _surface_rows(self, frame: int, person: Person, mask: Mask) -> Row:
        tracked = posed_body(self._body, person.pose.theta, person.pose.betas, person.pose.transl)
        points = tracked.vertices().numpy().astype(float)
        true = self._truth.posed(self._truth_body, frame).vertices().numpy().astype(float)
        row: Row = {}
        if self._body.name == self._truth.body_model:
            roots = person.joints3d[None, 0], self._truth.joints3d[frame][None, 0]
            errors = relative_errors(points[None], true[None], *roots)[0]
            visible = ~covered(mask, self._truth.camera.project(true)) & (true[:, 2] > 0)
            row["vertices"] = np.array([mean(errors), mean(errors, visible)])
        if self._parts:
            row["confusion"] = self._confusion(frame, points, true, mask)
        return row

    def _confusion(self, frame: int, points: Array, true: Array, mask: Mask) -> NDArray[np.int64]:
        """(2, 7, 7): all pixels of the person's crop, and those that no occluder hides."""
        box = self._truth.crop_box(frame)
        camera = self._truth.camera.crop(box, CROP_SIDE, CROP_SIDE)
        tracked = label_map(camera, points, self._body.faces.numpy(), face_parts(self._body))
        truth = label_map(camera, true, self._truth_body.faces.numpy(), face_parts(self._truth_body))
        uncovered = ~_crop_mask(mask, box, camera)
        return np.stack([confusion(tracked, truth, np.ones_like(uncovered)), confusion(tracked, truth, uncovered)])


def face_parts(body: BodyModel) -> NDArray[np.uint8]:
    """(F,) the part of each face of a body."""
    return PART_OF_JOINT[body.part_labels[body.faces[:, 0]].numpy()]


def _crop_mask(mask: Mask, box: Array, crop: Camera) -> Mask:
    """The mask (h, w) of a frame in a crop of it; what lies outside the frame is hidden."""
    step = (box[2:] - box[:2]) / [crop.width, crop.height]
    x = np.floor(box[0] + step[0] * (np.arange(crop.width) + 0.5)).astype(int)
    y = np.floor(box[1] + step[1] * (np.arange(crop.height) + 0.5)).astype(int)
    padded = np.pad(mask, 1, constant_values=True)
    return padded[np.clip(y + 1, 0, mask.shape[0] + 1)][:, np.clip(x + 1, 0, mask.shape[1] + 1)]


def _empty_row(parts: bool) -> Row:
    joints = np.full(NUM_JOINTS, np.nan)
    row: Row = {name: joints for name in ("error", "aligned", "aligned_visible", "angle")}
    row |= {name: np.full(NUM_JOINTS, np.inf) for name in ("head_units", "box_units")}
    row |= {"found": np.array(False), "person_id": np.array(-1), "root": np.full(3, np.nan)}
    row |= {"confidence": np.zeros(NUM_JOINTS)}
    row |= {"vertices": np.full(2, np.nan)}
    row |= {
        name: np.full((NUM_JOINTS, size), np.nan) for name, size in (("joints3d", 3), ("joints2d", 2), ("theta", 3))
    }
    row |= {"betas": np.full(NUM_BETAS, np.nan), "transl": np.full(3, np.nan)}
    return row | ({"confusion": np.zeros((2, len(PARTS), len(PARTS)), np.int64)} if parts else {})


def stacked(rows: Sequence[Row]) -> Row:
    """Rows of the same names, (N, ...) each."""
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
