"""person_NNN_angles.csv: joint angles in degrees over time, for spreadsheets; `docs/angles.md` defines them."""

from __future__ import annotations

import csv
import io
from typing import BinaryIO

import numpy as np

from tracker.body.model import BodyModel
from tracker.export.joint_angles import joint_angles_in_blocks
from tracker.export.sequence import PersonSequence


def write(stream: BinaryIO, person: PersonSequence, _body: BodyModel) -> None:
    """frame, time_s, then one column an angle; rows in which the person was not tracked have empty cells."""
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    writer = csv.writer(text)
    for number, (block, angles) in enumerate(joint_angles_in_blocks(person)):
        if number == 0:
            writer.writerow(["frame", "time_s", *(f"{name}_deg" for name in angles)])
        table = np.stack(list(angles.values()), axis=1)
        for index, time, row, tracked in zip(block.frame_index, block.seconds, table, block.tracked, strict=True):
            cells = [f"{value:.3f}" for value in row] if tracked else [""] * len(row)
            writer.writerow([int(index), f"{time:.6f}", *cells])
    text.flush()
    text.detach()
