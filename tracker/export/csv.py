"""person_NNN.csv: a row per frame and joint, units in the header, for spreadsheets and data frames.

Positions are in the camera's frame (x right, y down, z forward); the rotation is each joint's axis-angle relative to
its parent, the pelvis relative to the camera, as in SMPL.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import BinaryIO

from tracker.body.model import BodyModel
from tracker.body.smpl_joints import SMPL_JOINTS
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
    writer.writerows(_rows(person))
    text.flush()
    text.detach()


def _rows(person: PersonSequence) -> Iterator[list[object]]:
    for t, (index, time) in enumerate(zip(person.frame_index, person.timestamps, strict=True)):
        start: list[object] = [int(index), f"{time:.6f}"]
        for j, name in enumerate(SMPL_JOINTS):
            position, pixel, rotation = person.joints3d[t, j], person.joints2d[t, j], person.theta[t, j]
            numbers = [f"{v:.5f}" for v in position] + [f"{v:.2f}" for v in pixel]
            yield [*start, name, *numbers, f"{person.joint_confidence[t, j]:.3f}", *(f"{v:.6f}" for v in rotation)]
