"""person_NNN.mot: OpenSim's motion of its full-body models, in degrees and metres, Y up, X towards the camera.

The format has no way to leave a row out: rows in which the person was not tracked hold interpolated values.
"""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np

from tracker.body.model import BodyModel
from tracker.export.joint_angles import opensim_coordinates
from tracker.export.sequence import PersonSequence


def write(stream: BinaryIO, person: PersonSequence, _body: BodyModel) -> None:
    """OpenSim's header, the names, and a line a row."""
    coordinates = opensim_coordinates(person)
    seconds = person.timestamps - person.timeline.start
    table = np.column_stack([seconds, *coordinates.values()])
    text = io.TextIOWrapper(stream, encoding="ascii", newline="\n")
    text.write(f"person_{person.person_id:03d}\nversion=1\nnRows={len(table)}\nnColumns={table.shape[1]}\n")
    text.write("inDegrees=yes\nendheader\n" + "\t".join(["time", *coordinates]) + "\n")
    np.savetxt(text, table, fmt="%.6f", delimiter="\t")
    text.flush()
    text.detach()
