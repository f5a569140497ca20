"""One frame's people against a data set's truth: the same numbers as `scoring` has for made-up people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.body import BodyModel
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array
from tracker.core.camera import Camera
from tracker.core.errors import InputError
from tracker.core.geometry import matrix_from_axis_angle
from tracker.core.person import Person
from tracker.evaluation.datasets import JointSet, Recording
from tracker.evaluation.joint_map import (
    Answer,
    JointMap,
    person_vertices,
    read_regressor,
    regressed,
    true_mesh,
    truth_body,
)
from tracker.evaluation.metrics import aligned_errors, angle_errors, keypoint_distances, mean, relative_errors
from tracker.evaluation.occlusion import Mask, covered
from tracker.evaluation.scoring import Row, face_parts
from tracker.evaluation.segmentation import PARTS, confusion, label_map

_GATE = 0.5
"""Who is farther away than this, in heights of the box, is somebody else."""


class RecordedJudge:
    """Compares tracked people with one recording's truth."""

    def __init__(self, recording: Recording, body: BodyModel, regressor: Path | None, bodies: Path | None) -> None:
        """regressor: J_regressor_h36m.npy; bodies: the folder of SMPL's gendered bodies. Raises InputError for both."""
        weights = None if regressor is None else read_regressor(regressor, body)
        smpl_recording = recording
        true_body = truth_body(recording.smpl, bodies, body)
        # parameters of a body with other vertices give no vertices to compare, and no joints through the regressor
        self._truth_body = true_body if true_body is not None and _same_mesh(true_body, body) else None
        if weights is not None and recording.joint_set.name == "smpl24" and self._truth_body is not None:
            recording = regressed(recording, self._truth_body, weights)
        self.recording, self._smpl_recording, self._body = recording, smpl_recording, body
        self._map = JointMap(body, recording.joint_set, weights)
        self._columns = [recording.joint_set.joints.index(name) for name in recording.joint_set.judged]

    def row(self, frame: int, people: Sequence[Person], camera: Camera, mask: Mask) -> Row:
        """camera: the tracker's; mask: (h, w) what occluders hide in that frame."""
        recording, columns = self.recording, self._columns
        valid = recording.valid[frame]
        visible = valid & _uncovered(recording, frame, mask)
        row = _blank(recording, frame, columns) | {"visible": visible[columns]}
        answer = self._matched(frame, [self._map.answer(person, camera) for person in people])
        if answer is None:
            return row
        row |= _tracked(answer, columns)
        if recording.joints3d is not None:
            row |= _solid(answer, recording, frame, (columns, valid, visible))
        if recording.joints2d is not None:
            row |= _flat(answer, recording, frame, columns)
        return row | self._mesh_rows(frame, answer.person, camera, mask)

    def _matched(self, frame: int, answers: Sequence[Answer]) -> Answer | None:
        """The tracked person who lies on the annotated one; of people without 2D annotation the one in front."""
        recording = self.recording
        if not answers or not recording.valid[frame].any():
            return None
        if recording.joints2d is None:
            return min(answers, key=lambda answer: float(np.nanmean(answer.joints3d[:, 2])))
        valid, box = recording.valid[frame], boxes(recording)[frame]
        distances = [
            float(np.nanmean(np.linalg.norm(answer.joints2d - recording.joints2d[frame], axis=-1)[valid]))
            for answer in answers
        ]
        best = int(np.nanargmin(distances))
        return answers[best] if distances[best] <= _GATE * max(box[3] - box[1], 1.0) else None

    def _mesh_rows(self, frame: int, person: Person, camera: Camera, mask: Mask) -> Row:
        """What the surface and SMPL's own parameters say, where the set knows them."""
        recording, row = self.recording, Row()
        smpl = recording.smpl
        if recording.joint_set.name == "smpl24" and smpl is not None:
            rotations = [matrix_from_axis_angle(each)[None] for each in (person.pose.theta, smpl.theta[frame])]
            angles = angle_errors(rotations[0], rotations[1])[0]
            row["angle"] = np.where(recording.valid[frame], angles, np.nan)
        if self._truth_body is not None and smpl is not None and recording.joints3d is not None:
            row["vertices"] = self._vertex_errors(frame, person, camera, mask)
        if recording.parts is not None:
            vertices = person_vertices(self._body, person)
            drawn = label_map(camera, vertices, self._body.faces.numpy(), face_parts(self._body))
            row["confusion"] = _part_confusion(drawn, recording.parts[frame], mask)
        return row

    def _vertex_errors(self, frame: int, person: Person, camera: Camera, mask: Mask) -> Array:
        """(2,) mm: over all vertices, and over those that no occluder hides; SMPL's pelvis joints brought together."""
        assert self._truth_body is not None
        true = true_mesh(self._smpl_recording, self._truth_body, frame)
        tracked = person_vertices(self._body, person)
        roots = person.joints3d[None, 0], true.pelvis[None]
        errors = relative_errors(tracked[None], true.vertices[None], *roots)[0]
        visible = ~covered(mask, (self.recording.camera or camera).project(true.vertices)) & (true.vertices[:, 2] > 0)
        return np.array([mean(errors), mean(errors, visible)])


def _same_mesh(first: BodyModel, second: BodyModel) -> bool:
    return len(first.v_template) == len(second.v_template)


def boxes(recording: Recording) -> Array:
    """(T, 4) xyxy px: around the annotated joints."""
    assert recording.joints2d is not None
    points = np.where(recording.valid[..., None], recording.joints2d, np.nan)
    points = np.where(recording.valid.any(axis=1)[:, None, None], points, recording.joints2d)
    return np.concatenate([np.nanmin(points, axis=1), np.nanmax(points, axis=1)], axis=1)


def root_of(points: Array, joint_set: JointSet) -> Array:
    """(..., 2 or 3): the joint, or the middle of the joints, that the set takes as its root."""
    return points[..., [joint_set.joints.index(name) for name in joint_set.root.split("+")], :].mean(axis=-2)


def _uncovered(recording: Recording, frame: int, mask: Mask) -> NDArray[np.bool_]:
    """(J,) the joints in the picture that nothing covers; all of them where the set has no joints in the picture."""
    if recording.joints2d is None:
        return np.ones(recording.valid.shape[1], bool)
    points = np.nan_to_num(recording.joints2d[frame], nan=-1.0)
    inside = ((points >= 0) & (points < mask.shape[::-1])).all(axis=1)
    return inside & ~covered(mask, points)


def _blank(recording: Recording, frame: int, columns: list[int]) -> Row:
    """The row of a frame in which the person is not found: infinitely far where the distance would count in PCK."""
    count = len(columns)
    valid = recording.valid[frame, columns]
    row: Row = {name: np.full(count, np.nan) for name in ("error", "aligned", "aligned_visible", "angle")}
    lost = np.where(valid & (recording.joints2d is not None), np.inf, np.nan)
    head = np.where(np.isfinite(_head_length(recording, frame)), lost, np.nan)
    row |= {"box_units": lost, "head_units": head, "root": np.full(3, np.nan), "vertices": np.full(2, np.nan)}
    row |= {"asked": np.array(valid.any()), "found": np.array(False), "person_id": np.array(-1)}
    row |= {
        "root_seen": np.array(False),
        "joints3d": np.full((count, 3), np.nan),
        "theta": np.full((NUM_JOINTS, 3), np.nan),
    }
    row |= {"betas": np.full(NUM_BETAS, np.nan), "transl": np.full(3, np.nan)}
    solid = recording.joints3d
    true = np.full((count, 3), np.nan) if solid is None else np.where(valid[:, None], solid[frame, columns], np.nan)
    empty = {} if recording.parts is None else {"confusion": np.zeros((2, len(PARTS), len(PARTS)), np.int64)}
    return row | {"true3d": true} | empty


def _tracked(answer: Answer, columns: list[int]) -> Row:
    person = answer.person
    return {
        "found": np.array(True),
        "person_id": np.array(person.person_id),
        "joints3d": answer.joints3d[columns],
        "theta": person.pose.theta,
        "betas": person.pose.betas,
        "transl": person.pose.transl,
    }


def _solid(
    answer: Answer, recording: Recording, frame: int, judged: tuple[list[int], NDArray[np.bool_], NDArray[np.bool_]]
) -> Row:
    """3D errors of the judged joints that are annotated and that the body has."""
    assert recording.joints3d is not None
    columns, valid, visible = judged
    predicted, truth = answer.joints3d, recording.joints3d[frame]
    counted = (valid & np.isfinite(predicted).all(axis=1))[columns]
    # where the body has no pelvis of this set's, the hips' middle serves on both sides
    roots = [root_of(each, recording.joint_set) for each in (predicted, truth)]
    errors = relative_errors(predicted[None], truth[None], roots[0][None], roots[1][None])[0, columns]
    points, true = (np.nan_to_num(each[columns])[None] for each in (predicted, truth))
    root_names = [recording.joint_set.joints.index(name) for name in recording.joint_set.root.split("+")]
    return {
        "error": np.where(counted, errors, np.nan),
        "aligned": aligned_errors(points, true, counted[None])[0],
        "aligned_visible": aligned_errors(points, true, (counted & visible[columns])[None])[0],
        "root": 1000 * (roots[0] - roots[1]),
        "root_seen": visible[root_names].all(),
    }


def _flat(answer: Answer, recording: Recording, frame: int, columns: list[int]) -> Row:
    """Distances in the picture, in units of the box's longer side and of the head."""
    assert recording.joints2d is not None
    box, true = boxes(recording)[frame], recording.joints2d[frame][None]
    valid = recording.valid[frame, columns]
    side = np.array([(box[2:] - box[:2]).max()])
    lengths = {"box_units": side, "head_units": np.array([_head_length(recording, frame)])}
    distances = {name: keypoint_distances(answer.joints2d[None], true, each)[0] for name, each in lengths.items()}
    return {name: np.where(valid, each[columns], np.nan) for name, each in distances.items()}


def _head_length(recording: Recording, frame: int) -> float:
    """px from the neck to the top of the head, NaN for a set that has no such joints or where they coincide."""
    names = recording.joint_set.joints
    if recording.joints2d is None or "head_top" not in names:
        return float("nan")
    neck, top = (names.index(name) for name in ("neck", "head_top"))
    if not recording.valid[frame, [neck, top]].all():
        return float("nan")
    length = float(np.linalg.norm(recording.joints2d[frame, neck] - recording.joints2d[frame, top]))
    return length if length > 0 else float("nan")


def _part_confusion(drawn: NDArray[np.uint8], path: Path, mask: Mask) -> NDArray[np.int64]:
    """(2, 7, 7): over the whole picture, and over what no occluder hides; LSP's unknown pixels do not count."""
    truth = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if truth is None or truth.shape != drawn.shape:
        size = "no picture" if truth is None else f"{truth.shape[1]}×{truth.shape[0]}"
        raise InputError(f"{path}: expected labels of {drawn.shape[1]}×{drawn.shape[0]} pixels, got {size}")
    known = truth < len(PARTS)  # 255 is said to be unknown
    labels = np.where(known, truth, np.uint8(0)).astype(np.uint8)
    return np.stack([confusion(drawn, labels, known), confusion(drawn, labels, known & ~mask)])
