"""person_NNN.csv: a row per frame and joint, units in the header, for spreadsheets and data frames.

Positions are in the world's frame (y up, floor at 0) or, with `--frame camera`, in the camera's (x right, y down, z
forward); the rotation is each joint's axis-angle relative to its parent, the pelvis' to that frame, as in SMPL. Frames
without the person have no rows.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from tracker.body.model import BodyModel
from tracker.body.smpl_joints import SMPL_JOINTS
from tracker.core.arrays import NUM_JOINTS
from tracker.core.transforms import moved_by
from tracker.export.sequence import PersonSequence

COLUMNS = (
    "frame",
    "time_s",
    "joint",
    "x_m",
    "y_m",
    "z_m",
    "u_px",
    "v_px",
    "confidence",
    "rotation_x_rad",
    "rotation_y_rad",
    "rotation_z_rad",
)


def write(stream: BinaryIO, person: PersonSequence, _body: BodyModel) -> None:
    """COLUMNS, then 24 rows a frame."""
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for block in person.blocks():
        writer.writerows(_rows(block))
    text.flush()
    text.detach()


def _rows(person: PersonSequence) -> Iterator[list[object]]:
    theta = person.in_frame(person.T_file_camera)[0].reshape(-1, NUM_JOINTS, 3)
    joints = moved_by(person.T_file_camera, person.joints3d)
    seconds = person.seconds
    for t in np.flatnonzero(person.tracked):
        start: list[object] = [int(person.frame_index[t]), f"{seconds[t]:.6f}"]
        for j, name in enumerate(SMPL_JOINTS):
            position, pixel, rotation = joints[t, j], person.joints2d[t, j], theta[t, j]
            numbers = [f"{v:.5f}" for v in position] + [f"{v:.2f}" for v in pixel]
            yield [*start, name, *numbers, f"{person.joint_confidence[t, j]:.3f}", *(f"{v:.6f}" for v in rotation)]
